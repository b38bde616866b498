"""A database that goes away and comes back: the work goes on, and afterwards it is all there."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncd.core.plan import CARD_FIELD, Change, ChangeKind, Winner
from syncd.errors import CredentialsError, NotOwner, SchemaVersionError
from syncd.ports import Batch, CardFilter, NewCard
from syncd.schemas.card import Status
from syncd.store.embedded import available
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.standin import Gone
from tests.support.doom import Killed, doomed_cycle
from tests.support.embedded import postmaster, query, start
from tests.support.laptop import Line, another, back, laptop, let_pass, put_on
from tests.support.workspace import TABLE, Site, site


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[tuple[Site, Line]]:
    """A working copy in sync, and its line."""
    with laptop(tmp_path / "laptop", postgres_dsn, TABLE) as (made, line):
        made.sync()
        yield made, line


@pytest.fixture
def there(tmp_path: Path, postgres_dsn: str, here: tuple[Site, Line]) -> Iterator[Site]:
    """Another working copy of the project, in sync, whose line is never cut."""
    with site(tmp_path / "office", postgres_dsn, here[0].text) as made:
        made.sync()
        yield made


def agree(*sites: Site) -> None:
    """Sync every working copy twice; all files and the store say the same then."""
    for each in (*sites, *sites):
        each.sync()
    rows = [[line.split("|") for line in each.text.splitlines() if line.startswith("|")] for each in sites]
    shown = [sorted([cell.strip() for cell in row] for row in each) for each in rows]
    assert all(each == shown[0] for each in shown)
    for each in sites:
        report = each.sync()
        assert (report.to_store, report.to_file, report.held) == ((), (), ())


def test_everything_works_while_the_database_is_away(here: tuple[Site, Line]) -> None:
    """Edits, claims, completions, new cards, dependencies and removals work at once, and are in the database after."""
    made, line = here
    line.is_cut = True
    store = made.wiring.store()
    (claimed,) = store.claim("w", 900)
    assert claimed.id == "A2"
    assert store.complete("A2", owner="w", attempt=claimed.attempts).status is Status.DONE
    assert store.get("A3").unmet == 0
    store.create(NewCard(id="B1", title="Made away", depends_on=("A3",), priority=4))
    store.link("A3", "A1")
    store.remove("B1", force=True)
    store.create(NewCard(id="B2", title="Made away, too", idempotency_key="k"))
    made.edit("Write the docs  ", "Write all docs  ")
    made.sync()
    assert "| A2 | Write the parser | done" in made.text
    assert "Made away, too" in made.text
    assert made.column("status", "A2") == "ready"
    absence = made.wiring.absence()
    assert absence is not None
    assert made.wiring.status().mode == "offline"
    back(here)
    assert made.column("status", "A2") == "done"
    assert made.column("title", "A3") == "Write all docs"
    assert made.column("idempotency_key", "B2") == "k"
    assert made.sql("select count(*) from backlog where id = 'B1' and deleted_at is null") == [(0,)]
    assert made.wiring.store().conflicts() == []
    assert made.wiring.status().in_sync


def test_the_audit_trail_tells_whose_work_it_was(here: tuple[Site, Line]) -> None:
    """What several people did away stands under their names in the database, whoever brings it there."""
    made, line = here
    line.is_cut = True
    wiring = made.wiring
    wiring.act_as("ann")
    wiring.store().claim("w", 900, id="A2")
    wiring.act_as("ben")
    wiring.store().complete("A2")
    wiring.store().create(NewCard(id="B1", title="Made away", depends_on=("A3",)))
    wiring.act_as("ann")
    wiring.store().update("A3", {"title": "Write all docs"})
    wiring.act_as("carl")
    back(here)
    wiring.store().update("A1", {"priority": 5})
    rows = made.sql("select id, actor, face from backlog_history where op = 'update' or id = 'B1' order by seq")
    assert sorted(rows[:-1]) == [("A2", "ben", "offline"), ("A3", "ann", "offline"), ("B1", "ben", "offline")]
    assert rows[-1] == ("A1", "carl", "test"), "what is done after it is nobody else's"


def test_what_the_database_refuses_keeps_nobody_elses_work(here: tuple[Site, Line], there: Site) -> None:
    """A card whose idempotency key somebody else has used is lost and told once; what others did away comes home."""
    made, line = here
    line.is_cut = True
    wiring = made.wiring
    wiring.act_as("ann")
    wiring.store().create(NewCard(id="B1", title="Made away", idempotency_key="k"))
    wiring.act_as("ben")
    wiring.store().update("A3", {"title": "Write all docs"})
    wiring.act_as("ann")
    wiring.store().update("A2", {"priority": 8})
    there.wiring.store().create(NewCard(id="B9", title="Made here", idempotency_key="k"))
    back(here)
    agree(made, there)
    assert made.column("title", "A3") == "Write all docs"
    assert made.column("priority", "A2") == 8
    assert made.sql("select count(*) from backlog where idempotency_key = 'k'") == [(1,)]


def test_different_work_on_both_sides_is_all_kept(here: tuple[Site, Line], there: Site) -> None:
    """What the laptop did while it was away, and what others did meanwhile, is merged field by field."""
    made, line = here
    line.is_cut = True
    made.edit("Write the parser", "Write a parser")
    made.edit(
        "| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n",
        "| A3 | Write the docs   | not-started | A1, A2 | 7 | |\n| B1 | Rename | not-started | A3 | 1 | |\n",
    )
    made.sync()
    there.edit(
        "| A2 | Write the parser | not-started | A1 | 2 | |", "| A2 | Write the parser | not-started | A1 | 9 | |"
    )
    there.sync()
    there.wiring.store().create(NewCard(id="C1", title="Made in the office", phase="Later"))
    there.wiring.store().update("A3", {"phase": "M9", "extra.note": "from the office"})
    back(here)
    agree(made, there)
    card = made.card("A2")
    assert (card.title, card.priority) == ("Write a parser", 9)
    card = made.card("A3")
    assert (card.priority, card.phase, card.extra["note"]) == (7, "M9", "from the office")
    assert [each.id for each in made.wiring.store().list(CardFilter())] == ["A2", "A3", "A1", "B1", "C1"]
    assert made.wiring.store().conflicts() == []


def test_a_claim_that_somebody_else_made_meanwhile_is_lost_and_told(here: tuple[Site, Line], there: Site) -> None:
    """The store's lease stands, the other becomes a conflict, and its holder is refused."""
    made, line = here
    line.is_cut = True
    (mine,) = made.wiring.store().claim("laptop", 900, id="A2")
    there.wiring.store().claim("office", 900, id="A2")
    back(here)
    agree(made, there)
    assert made.card("A2").claim_owner == "office"
    (conflict,) = [each.conflict for each in made.wiring.store().conflicts()]
    assert (conflict.id, conflict.field, conflict.local, conflict.remote) == ("A2", "claimOwner", "laptop", "office")
    assert conflict.winner is Winner.REMOTE
    with pytest.raises(NotOwner):
        made.wiring.store().complete("A2", owner="laptop", attempt=mine.attempts)


def test_a_claim_is_lost_to_one_that_has_ended_already(here: tuple[Site, Line], there: Site) -> None:
    """Both leases have the same number, so the one made away is not carried over even when the other is given back."""
    made, line = here
    line.is_cut = True
    made.wiring.store().claim("laptop", 900, id="A2")
    there.wiring.store().claim("office", 900, id="A2")
    there.wiring.store().release("A2", "office")
    back(here)
    agree(made, there)
    assert (made.card("A2").status, made.card("A2").claim_owner) == (Status.READY, None)
    assert [each.conflict.field for each in made.wiring.store().conflicts()] == ["claimOwner"]


def test_a_lease_made_away_goes_on(here: tuple[Site, Line]) -> None:
    """A claim that nobody contested has its owner, its number and what is left of its time in the database."""
    made, line = here
    line.is_cut = True
    (mine,) = made.wiring.store().claim("laptop", 900, id="A2")
    back(here)
    card = made.card("A2")
    assert (card.claim_owner, card.claim_ttl_seconds, card.attempts) == ("laptop", 900, mine.attempts)
    assert card.claimed_at == mine.claimed_at
    assert made.wiring.store().complete("A2", owner="laptop", attempt=mine.attempts).status is Status.DONE


def test_finished_work_stays_finished(here: tuple[Site, Line], there: Site) -> None:
    """What was completed away is done, even where somebody else has claimed it meanwhile."""
    made, line = here
    line.is_cut = True
    made.wiring.store().claim("laptop", 900, id="A2")
    made.wiring.store().complete("A2", owner="laptop")
    there.wiring.store().claim("office", 900, id="A2")
    back(here)
    agree(made, there)
    assert made.card("A2").status is Status.DONE
    assert made.card("A3").unmet == 0


def test_a_lease_that_was_renewed_beside_an_edit_goes_on(here: tuple[Site, Line]) -> None:
    """An edit of the same card does not take the renewal away."""
    made, line = here
    made.wiring.store().claim("laptop", 900, id="A2")
    line.is_cut = True
    made.wiring.store().renew("A2", "laptop", 7200)
    made.wiring.store().update("A2", {"title": "Edited away"})
    back(here)
    assert (made.column("claim_ttl_seconds", "A2"), made.column("title", "A2")) == (7200, "Edited away")


def test_a_number_that_was_given_away_is_not_given_again(here: tuple[Site, Line]) -> None:
    """A lease that began and ended away counts beside an edit of the same card, too."""
    made, line = here
    line.is_cut = True
    made.wiring.store().claim("laptop", 900, id="A2")
    made.wiring.store().release("A2", "laptop")
    made.wiring.store().update("A2", {"title": "Edited away"})
    back(here)
    (card,) = made.wiring.store().claim("laptop", 900, id="A2")
    assert (card.attempts, card.title) == (2, "Edited away")


def test_a_lease_made_away_does_not_count_for_work_of_others(here: tuple[Site, Line]) -> None:
    """Somebody, who is not known, has finished the card meanwhile: the lease is lost, and its number ends nothing."""
    made, line = here
    line.is_cut = True
    made.wiring.store().claim("laptop", 900, id="A2")
    made.sql("update backlog set status = 'done', attempts = 1 where id = 'A2'")
    back(here)
    assert [each.conflict.field for each in made.wiring.store().conflicts()] == ["status"]
    with pytest.raises(NotOwner):
        made.wiring.store().complete("A2", owner="laptop", attempt=1)


def test_work_that_was_finished_away_is_nobody_elses(here: tuple[Site, Line], there: Site) -> None:
    """Whoever was given the card meanwhile, at the same number, is not told that their own work counts."""
    made, line = here
    line.is_cut = True
    made.wiring.store().claim("laptop", 900, id="A2")
    made.wiring.store().complete("A2", owner="laptop", attempt=1)
    (theirs,) = there.wiring.store().claim("office", 900, id="A2")
    assert theirs.attempts == 1
    back(here)
    assert made.card("A2").attempts == 2
    with pytest.raises(NotOwner):
        there.wiring.store().complete("A2", owner="office", attempt=1)


def test_failures_and_retries_made_away_count(here: tuple[Site, Line]) -> None:
    """A card that failed away pauses, with its error and the number of its failures."""
    made, line = here
    line.is_cut = True
    store = made.wiring.store()
    store.claim("laptop", 900, id="A2")
    failed = store.fail("A2", "no network", owner="laptop")
    back(here)
    card = made.card("A2")
    assert (card.failures, card.last_error, card.attempts) == (1, "no network", 1)
    assert card.run_after == failed.run_after


def test_a_deletion_meets_an_edit(here: tuple[Site, Line], there: Site) -> None:
    """The edit lives, whoever made it, and the deletion is told as a conflict."""
    made, line = here
    line.is_cut = True
    made.wiring.store().remove("A3")
    made.wiring.store().update("A2", {"title": "Edited away"})
    there.wiring.store().update("A3", {"title": "Edited in the office"})
    there.wiring.store().remove("A2", force=True)
    back(here)
    agree(made, there)
    assert made.card("A3").title == "Edited in the office"
    assert made.card("A2").title == "Edited away"
    assert sorted(
        each.conflict.id for each in made.wiring.store().conflicts() if each.conflict.field == CARD_FIELD
    ) == [
        "A2",
        "A3",
    ]


def test_a_restart_while_away_goes_on(here: tuple[Site, Line]) -> None:
    """A process that is killed and started again works on the same manifest, and brings it home."""
    made, line = here
    line.is_cut = True
    made.wiring.store().update("A2", {"title": "Before the kill"})
    made.restart()
    put_on(made, line)
    assert made.card("A2").title == "Before the kill"
    made.sync()
    assert "Before the kill" in made.text
    back((made, line))
    assert made.column("title", "A2") == "Before the kill"


def test_a_cut_is_no_store_that_went_back(here: tuple[Site, Line]) -> None:
    """What was committed last before a cut is later than the place that was read by then: nothing is held."""
    made, line = here
    for before, after in (("Write the parser", "Write a parser"), ("Write a parser", "Write one parser")):
        made.edit(before, after)
        made.sync()
    line.is_cut = True
    made.edit("Write the docs  ", "Write no docs")
    report = made.sync()
    assert report.held == ()
    assert made.card("A3").title == "Write no docs"


def test_a_kill_between_the_commit_and_the_base_before_a_cut(here: tuple[Site, Line]) -> None:
    """What was committed is agreed, though only the card that came back tells of it: the next edit is an edit."""
    made, line = here
    made.edit("Write the docs  ", "Write one page")
    made.cycle = doomed_cycle("state", "advance", after=False, how=Killed())(made.wiring)
    with pytest.raises(Killed):
        made.sync()
    made.restart()
    put_on(made, line)
    line.is_cut = True
    made.edit("Write one page", "Write two pages")
    assert made.sync().conflicts == ()
    back((made, line))
    assert made.wiring.store().conflicts() == []
    assert made.column("title", "A3") == "Write two pages"


def test_wrong_credentials_and_a_missing_table_are_errors(here: tuple[Site, Line]) -> None:
    """What is wrong with a database that answers is said as ever; nothing stands in for it."""
    made, _ = here
    for error in (CredentialsError("no"), SchemaVersionError("no table")):
        made.restart()

        def refuse(error: Exception = error) -> None:
            raise error

        made.wiring.database = refuse  # type: ignore[method-assign,assignment]
        made.wiring._store = None
        with pytest.raises(type(error)):
            made.wiring.store().get("A1")
        assert made.wiring.absence() is None


@pytest.mark.parametrize("cuts_after", [False, True])
@pytest.mark.parametrize("calls", range(8))
def test_a_cut_at_any_step_of_the_return(here: tuple[Site, Line], there: Site, calls: int, cuts_after: bool) -> None:
    """A connection that is cut again at any call of the merge loses nothing and doubles nothing."""
    made, line = here
    line.is_cut = True
    store = made.wiring.store()
    store.update("A2", {"title": "Title from away", "priority": 5})
    store.create(NewCard(id="B1", title="Made away"))
    store.claim("laptop", 900, id="B1")
    there.wiring.store().update("A2", {"title": "Title from the office", "phase": "M1"})
    line.is_cut, line.calls_left, line.cuts_after = False, calls, cuts_after
    assert made.wiring.reach is not None
    made.wiring.reach.hurry()
    made.sync()
    seen = there.card("A2").title == "Title from away"
    there.wiring.store().update("A2", {"priority": 8, **({"title": "After both"} if seen else {})})
    line.calls_left = None
    back(here)
    agree(made, there)
    card = made.card("A2")
    assert (card.title, card.phase) == ("After both" if seen else "Title from away", "M1")
    assert made.card("B1").attempts == 1
    conflicts = [each.conflict for each in made.wiring.store().conflicts()]
    assert [each.field for each in conflicts if each.field == "title"] == ["title"]


def test_ids_given_while_away_are_nobody_elses(here: tuple[Site, Line], there: Site) -> None:
    """Rows without an id get one that no other working copy gives, then and in the next absence, and keep it."""
    made, line = here
    row = "|  | {} | not-started | — | 0 | |\n"
    given: list[str] = []
    for title in ("Away once", "Away twice"):
        line.is_cut = True
        made.edit("\nSome words after it.", row.format(title) + "\nSome words after it.")
        made.sync()
        given += [each.id for each in made.wiring.store().list(CardFilter()) if each.title == title]
        there.edit("\nSome words after it.", row.format(f"Not {title.lower()}") + "\nSome words after it.")
        there.sync()
        back(here)
        agree(made, there)
    assert len(set(given)) == 2
    assert all(re.fullmatch(r"A\d-[a-p]{4}", id) for id in given)
    assert {each.title for each in made.wiring.store().list(CardFilter())} >= {
        "Away once",
        "Away twice",
        "Not away once",
        "Not away twice",
    }


def test_case_59_weeks_away(here: tuple[Site, Line], there: Site) -> None:
    """After weeks, with old history pruned, deletions by others are still known, and nothing that went comes back."""
    made, line = here
    line.is_cut = True
    made.wiring.store().update("A2", {"title": "Weeks of work"})
    there.wiring.store().remove("A3")
    there.sync()
    there.sql("delete from backlog where id = 'A1'")
    there.sql("update backlog_history set at = at - interval '90 days'")
    there.wiring.store().prune(30 * 86400)
    let_pass(made, 60 * 86400)
    back(here)
    agree(made, there)
    assert [each.id for each in made.wiring.store().list(CardFilter())] == ["A2"]
    assert "Weeks of work" in there.text


def test_a_database_that_is_another_one_is_not_written_over(here: tuple[Site, Line]) -> None:
    """When a backup was restored meanwhile, nothing is deleted or overwritten; what was done away is kept to see."""
    made, line = here
    line.is_cut = True
    made.wiring.store().update("A2", {"title": "Made away"})
    made.wiring.store().remove("A3")
    made.wiring.store().create(NewCard(id="B1", title="New"))
    made.sql("update backlog_meta set value = 'restored' where key = 'epoch'")
    back(here)
    assert made.column("title", "A2") == "Write the parser"
    assert made.column("deleted_at", "A3") is None
    assert made.column("title", "B1") == "New"
    assert [(each.conflict.id, each.conflict.local) for each in made.wiring.store().conflicts()] == [
        ("A2", "Made away")
    ]
    assert {each.guard for each in made.sync().held} == {"store-rewound"}


def test_a_backup_from_before_the_own_commits_is_one(here: tuple[Site, Line]) -> None:
    """A store that forgot, during a cut, what was only written from here is held, and overwrites no row."""
    made, line = here
    before = made.sql("select id, title, version, changed_xid::text from backlog")
    for old, new in (("Write the parser", "Write a parser"), ("Write a parser", "Write one parser")):
        made.edit(old, new)
        made.sync()
    made.sync()
    line.is_cut = True
    made.wiring.store().update("A3", {"priority": 7})
    made.sql("alter table backlog disable trigger user")
    for id, title, version, xid in before:
        made.sql(
            "update backlog set title = %s, version = %s, changed_xid = %s::xid8 where id = %s", title, version, xid, id
        )
    made.sql("alter table backlog enable trigger user")
    made.sql("delete from backlog_history where version > 1")
    back(here)
    assert {each.guard for each in made.sync().held} == {"store-rewound"}
    assert "Write one parser" in made.text


def test_threads_that_come_first_share_one_store(here: tuple[Site, Line]) -> None:
    """However many threads use a workspace for the first time at once, it has one store and one connection."""
    wiring = here[0].wiring
    made: list[str] = []

    def slowly(what: str, make: Callable[[], Any]) -> Callable[[], Any]:
        together = threading.Barrier(2)

        def made_slowly() -> Any:
            made.append(what)
            with suppress(threading.BrokenBarrierError):
                together.wait(0.5)
            return make()

        return made_slowly

    wiring._store = None
    wiring.database = slowly("database", wiring.database)  # type: ignore[method-assign]
    wiring.another_store = slowly("store", wiring.another_store)  # type: ignore[method-assign]
    threads = [threading.Thread(target=lambda: wiring.store().get("A1")) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert made == ["store", "database"]


@pytest.mark.skipif(available() is not None, reason=f"no embedded server here: {available()}")
def test_a_server_that_crashed_has_not_gone_back(tmp_path: Path, embedded_home: Path) -> None:
    """A crashed server gives ids of transactions again that were seen: what was done meanwhile is merged as ever."""
    with start(embedded_home) as server, laptop(tmp_path / "laptop", server.dsn, TABLE) as (made, line):
        made.sync()
        query(server.dsn, "update backlog set title = 'Draw it' where id = 'A1' returning 1")
        with psycopg.connect(server.dsn) as link:
            for _ in range(50):
                link.execute("select pg_current_xact_id()")
                link.rollback()
        made.sync()
        seen = made.wiring.contact(may_write=False).cursor()
        line.is_cut = True
        os.kill(postmaster(embedded_home), signal.SIGKILL)
        made.edit("Write the docs  ", "Write all docs  ")
        made.sync()
        with start(embedded_home):
            line.is_cut = False
            with closing(made.wiring.database()) as database:
                found = database.read(None).cursor
            back((made, line))
            assert made.column("title", "A3") == "Write all docs"
            assert not made.sync().held
            assert made.wiring.store().conflicts() == []
    assert seen is not None
    assert (found.epoch, found.xmin < seen.xmin, found.last) == (seen.epoch, True, seen.last)


def test_flapping_loses_nothing_and_does_not_thrash(here: tuple[Site, Line]) -> None:
    """Twenty cuts in a minute: every change is kept, and the database is not gone back to after each of them."""
    made, line = here
    store = made.wiring.store()
    returns = 0
    for number in range(20):
        line.is_cut = True
        store.create(NewCard(id=f"F{number}", title=f"During cut {number}"))
        line.is_cut = False
        assert made.wiring.reach is not None
        made.wiring.reach.heard()
        store.create(NewCard(id=f"G{number}", title=f"After cut {number}"))
        returns += made.wiring.absence() is None
    assert 1 <= returns <= 5
    back(here)
    ids = {each.id for each in made.wiring.store().list(CardFilter())}
    assert ids >= {f"{letter}{number}" for letter in "FG" for number in range(20)}
    assert made.wiring.store().conflicts() == []


def test_case_60_a_standin_that_was_edited_by_hand(here: tuple[Site, Line]) -> None:
    """A manifest that stands in and was edited is ignored in favour of what was agreed, and kept aside."""
    made, line = here
    line.is_cut = True
    made.edit("Write the parser", "Write a parser")
    made.sync()
    log = made.root / ".syncd" / "manifest.log"
    log.write_bytes(log.read_bytes().replace(b"Write a parser", b"Write no parser"))
    made.wiring.manifest.close()
    assert made.card("A2").title == "Write a parser"
    assert list((made.root / ".syncd").glob("manifest.log.left-*"))
    back(here)
    assert made.column("title", "A2") == "Write a parser"
    assert "Write a parser" in made.text


def test_a_manifest_that_is_being_made_is_not_damaged(here: tuple[Site, Line]) -> None:
    """A process that looks in the moment in which another one goes away waits for it, and does no card again.

    Nobody has synced since the card was done: what files and store last agreed on still has it ready.
    """
    made, line = here
    store = made.wiring.store()
    store.claim("laptop", 600, id="A2")
    store.complete("A2", owner="laptop", attempt=1)
    looked = threading.Event()
    found: list[Status] = []
    with closing(another(made, line)) as other:
        reach, others = made.wiring.reach, other.reach
        assert reach is not None
        assert others is not None
        rebuild, begin = others.rebuild, reach.standin.begin
        others.rebuild = lambda error: (looked.set(), rebuild(error))[1]  # type: ignore[method-assign]
        looking = threading.Thread(target=lambda: found.append(other.store().get("A2").status))

        def begun(manifest: Manifest) -> None:
            looking.start()
            assert looked.wait(60), "the other process has seen a manifest that is not the one"
            begin(manifest)

        reach.standin.begin = begun  # type: ignore[method-assign]
        line.is_cut = True
        assert store.get("A2").status is Status.DONE
        looking.join(60)
    assert found == [Status.DONE]
    assert not list((made.root / ".syncd").glob("*.left-*"))
    back(here)
    assert (made.card("A2").status, made.card("A2").attempts) == (Status.DONE, 1)


def test_a_manifest_made_anew_has_what_was_done_since_the_last_sync(here: tuple[Site, Line]) -> None:
    """What the database told is newer than what the files agreed to: a card that was done there is not ready again."""
    made, line = here
    store = made.wiring.store()
    store.claim("laptop", 600, id="A2")
    store.complete("A2", owner="laptop", attempt=1)
    line.is_cut = True
    store.claim("laptop", 600, id="A3")
    log = made.root / ".syncd" / "manifest.log"
    log.write_bytes(log.read_bytes()[:-9] + b"damaged\n\n")
    made.wiring.manifest.close()
    assert store.get("A2").status is Status.DONE
    assert store.get("A3").status is Status.READY
    assert list((made.root / ".syncd").glob("*.left-*"))
    back(here)
    assert (made.card("A2").status, made.card("A2").attempts) == (Status.DONE, 1)


def test_a_lease_renewed_elsewhere_is_not_ended(here: tuple[Site, Line], there: Site) -> None:
    """A lease that ran out for the laptop, which saw no renewal, stands; one made and run out while away is over."""
    made, line = here
    office = there.wiring.store()
    office.claim("office", 60, id="A2")
    made.sync()
    line.is_cut = True
    let_pass(made, 120)
    mine = made.wiring.store()
    assert set(mine.reclaim()) == {"A2"}
    mine.update("A2", {"title": "Edited away"})
    mine.update("A3", {"dependsOn": ()})
    mine.claim("laptop", 60, id="A3")
    let_pass(made, 120)
    office.renew("A2", "office", 3600)
    back(here)
    agree(made, there)
    card = made.card("A2")
    assert (card.title, card.claim_owner, card.attempts) == ("Edited away", "office", 1)
    assert (made.card("A3").status, made.card("A3").claim_owner) == (Status.READY, None)
    assert made.wiring.store().conflicts() == []


def test_a_batch_that_was_planned_elsewhere(here: tuple[Site, Line], there: Site) -> None:
    """A batch planned on the manifest is not applied to the database, even where the versions look the same."""
    made, line = here
    line.is_cut = True
    store = made.wiring.store()
    store.update("A2", {"priority": 5})
    planned = store.read(None).cards["A2"].version
    there.wiring.store().update("A2", {"priority": 6})
    assert there.card("A2").version == planned
    line.is_cut = False
    assert made.wiring.reach is not None
    made.wiring.reach.hurry()
    store.get("A2")
    change = Change(ChangeKind.UPDATE, "A2", {"priority": 5}, version=planned)
    assert store.commit(Batch("late", (change,), ())).moved == {"A2"}
    assert made.card("A2").priority == 6


def test_a_write_after_the_return_goes_to_the_database(here: tuple[Site, Line]) -> None:
    """A process that has not heard of the return yet writes to no manifest that nobody would read again."""
    made, line = here
    line.is_cut = True
    made.wiring.store().update("A2", {"title": "Away"})
    reach = made.wiring.reach
    assert reach is not None
    late = reach.store("late", "test")
    back(here)
    with pytest.raises(Gone):
        late.update("A2", {"title": "Late"})
    assert not (made.root / ".syncd" / "manifest.json").exists()
