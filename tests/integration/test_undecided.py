"""What a person has to decide or to do first: fields whose policy is to ask, claims, leases that an undo would end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.api import Workspace
from syncd.engine.decisions import decide, resolve
from syncd.errors import BadValue, NotFound, Refused
from tests.support.workspace import TABLE, Site, site


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn) as made:
        made.sync()
        yield made


@pytest.fixture
def asking(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn, policy={"title": "ask"}) as made:
        made.sync()
        made.edit("Write the parser", "Write my parser")
        made.sql("update backlog set title = 'Write their parser' where id = 'A2'")
        yield made


def open_ones(here: Site) -> list[tuple[object, object]]:
    return [(each.conflict.local, each.conflict.remote) for each in here.wiring.store().conflicts()]


def test_a_field_to_ask_about_is_held(asking: Site) -> None:
    """A field that differs under ask is a hold that names the command to resolve it, and stays on both sides."""
    (hold,) = asking.sync().held
    assert (hold.id, hold.guard, hold.fields) == ("A2", "ask", ("title",))
    assert hold.release == "syncd resolve A2 --field title --use local|remote"
    assert "Write my parser" in asking.text
    assert asking.card("A2").title == "Write their parser"
    with pytest.raises(Refused) as refused:
        decide([hold], asking.wiring.state(), ["A2"], "accept")
    assert refused.value.hint == hold.release


def test_one_conflict_is_open_for_a_field_to_ask_about(asking: Site) -> None:
    """When the values move on the older record is superseded, and when the sides agree the last one is."""
    asking.sync()
    asking.sync()
    assert open_ones(asking) == [("Write my parser", "Write their parser")]
    asking.sql("update backlog set title = 'Write that parser' where id = 'A2'")
    asking.sync()
    assert open_ones(asking) == [("Write my parser", "Write that parser")]
    asking.restart()
    asking.edit("Write my parser", "Write that parser")
    assert asking.sync().held == ()
    assert open_ones(asking) == []
    settled = asking.wiring.store().conflicts(settled=True)
    assert {each.settled for each in settled} == {"superseded"}


@pytest.mark.parametrize("use", ["local", "remote"])
def test_resolving_ends_the_hold(asking: Site, use: str) -> None:
    """The chosen value is on both sides afterwards, and nothing is held."""
    asking.sync()
    resolve(asking.wiring.store(), asking.wiring.state(), "A2", "title", use)
    asking.cycle.run(full=True)
    assert asking.sync().held == ()
    chosen = {"local": "Write my parser", "remote": "Write their parser"}[use]
    assert chosen in asking.text
    assert asking.card("A2").title == chosen
    assert open_ones(asking) == []


@pytest.fixture
def clashed(here: Site) -> Site:
    """A clash that the file won, about a title."""
    here.edit("Write the parser", "Write my parser")
    here.sql("update backlog set title = 'Write their parser' where id = 'A2'")
    here.sync()
    assert open_ones(here) == [("Write my parser", "Write their parser")]
    return here


def test_settling_takes_back_nothing_that_came_later(clashed: Site) -> None:
    """What won may have been edited since: keeping it keeps the edit; the other value asks to be named in full."""
    clashed.edit("Write my parser", "Write a better parser")
    clashed.sync()
    settle = Workspace(clashed.wiring).resolve
    with pytest.raises(Refused, match="title of A2 was changed since: it is 'Write a better parser' now") as refused:
        settle("A2", "title", "remote")
    assert (refused.value.hint or "").startswith("syncd resolve A2 --field title --use local keeps that")
    assert len(open_ones(clashed)) == 1
    assert settle("A2", "title", "local").title == "Write a better parser"
    clashed.sync()
    assert "| A2 | Write a better parser |" in clashed.text
    assert open_ones(clashed) == []


def test_the_value_that_lost_can_be_had(clashed: Site) -> None:
    """While nobody has changed the field since, the loser is taken; named in full it is taken always."""
    settle = Workspace(clashed.wiring).resolve
    assert settle("A2", "title", "remote").title == "Write their parser"
    clashed.sync()
    assert "| A2 | Write their parser |" in clashed.text
    clashed.edit("Write their parser", "Write my parser")
    clashed.sql("update backlog set title = 'Write that parser' where id = 'A2'")
    clashed.sync()
    clashed.edit("Write my parser", "Write a better parser")
    clashed.sync()
    assert settle("A2", "title", "value:Write that parser").title == "Write that parser"
    assert open_ones(clashed) == []


@pytest.mark.parametrize("use", ["local", "remote"])
def test_an_answer_to_an_older_question(asking: Site, use: str) -> None:
    """The store's value was changed after the question: it is kept, or named in full by who takes the file's."""
    asking.sync()
    asking.sql("update backlog set title = 'Write that parser' where id = 'A2'")
    settle = Workspace(asking.wiring).resolve
    if use == "local":
        with pytest.raises(Refused, match="it is 'Write that parser' now"):
            settle("A2", "title", use)
        asking.sync()
        assert open_ones(asking) == [("Write my parser", "Write that parser")]
    else:
        settle("A2", "title", use)
        asking.sync()
        assert "| A2 | Write that parser |" in asking.text
        assert open_ones(asking) == []


def test_all_conflicts_but_those_that_were_edited_since(clashed: Site) -> None:
    """Settling all settles what can be, and says of the rest that it stays open and why."""
    clashed.edit("Write the docs  ", "Write my docs   ")
    clashed.sql("update backlog set title = 'Write their docs' where id = 'A3'")
    clashed.sync()
    clashed.edit("Write my parser", "Write a better parser")
    clashed.sync()
    with pytest.raises(Refused, match=r"1 conflict\(s\) stay open: title of A2 was changed since"):
        Workspace(clashed.wiring).resolve_all("remote")
    clashed.sync()
    assert open_ones(clashed) == [("Write my parser", "Write their parser")]
    assert clashed.column("title", "A3") == "Write their docs"
    assert clashed.column("title", "A2") == "Write a better parser"
    Workspace(clashed.wiring).resolve_all("local")
    assert open_ones(clashed) == []


def test_a_conflict_about_a_card_that_is_gone(clashed: Site) -> None:
    """A card that was removed since has nothing left to decide; its value that lost needs the card back first."""
    clashed.wiring.store().remove("A2", force=True)
    settle = Workspace(clashed.wiring).resolve
    with pytest.raises(NotFound) as missing:
        settle("A2", "title", "remote")
    assert missing.value.hint == "syncd restore A2"
    assert settle("A2", "title", "local").deleted_at is not None
    assert open_ones(clashed) == []


@pytest.mark.parametrize("field", ["status", "claimOwner"])
def test_a_claim_is_no_value_to_choose(here: Site, field: str) -> None:
    """Choosing the file's claim says which commands make one, and leaves the conflict open."""
    here.sql("update backlog set status = 'claimed', claim_owner = 'w1', claimed_at = now() where id = 'A2'")
    here.edit("Write the parser | not-started | A1 | 2 | |", "Write the parser | in-progress | A1 | 2 | ann |")
    here.sync()
    assert "| in-progress | A1 | 2 | w1 |" in here.text
    if field == "status":
        here.sql("update backlog_conflict set field = 'status', local = '\"claimed\"', remote = '\"claimed\"'")
    with pytest.raises(BadValue) as refused:
        resolve(here.wiring.store(), here.wiring.state(), "A2", field, "local")
    assert "A2 is leased by w1" in refused.value.message
    assert "syncd backlog claim --id A2 --owner " in (refused.value.hint or "")
    assert len(open_ones(here)) == 1
    resolve(here.wiring.store(), here.wiring.state(), "A2", field, "remote")
    assert open_ones(here) == []


def test_a_claim_that_won_is_kept(here: Site) -> None:
    """Keeping what won asks for nothing, also where that is a claim by now."""
    here.edit("Write the parser | not-started", "Write the parser | done")
    here.sql("update backlog set status = 'blocked' where id = 'A2'")
    here.sync()
    here.sql("update backlog_conflict set winner = 'local'")
    here.sql("update backlog set status = 'claimed', claim_owner = 'w1', claimed_at = now() where id = 'A2'")
    assert resolve(here.wiring.store(), here.wiring.state(), "A2", "status", "local").claim_owner == "w1"
    assert open_ones(here) == []


def test_undo_does_not_end_a_lease(here: Site) -> None:
    """A file whose last write showed a worker's claim is put back only once the lease is given back."""
    here.wiring.store().claim("w1", 600, id="A2")
    here.sync()
    assert "| in-progress | A1 | 2 | w1 |" in here.text
    shown = here.text
    with pytest.raises(Refused) as refused:
        here.cycle.undo("TASKS.md")
    assert refused.value.message == "A2 is leased by w1: undoing would end that"
    assert (here.text, here.card("A2").claim_owner) == (shown, "w1")
    here.wiring.store().release("A2", "w1")
    here.cycle.undo("TASKS.md")
    assert here.text == TABLE


def test_finished_work_keeps_the_authors_name(here: Site) -> None:
    """The owner that an author wrote into a row stays there when the card is completed in the store."""
    here.edit("Write the parser | not-started | A1 | 2 | |", "Write the parser | in-progress | A1 | 2 | ann |")
    here.sync()
    assert here.card("A2").claim_owner == "ann"
    here.wiring.store().complete("A2")
    here.sync()
    assert "Write the parser | done | A1 | 2 | ann |" in here.text
    report = here.sync()
    assert (report.to_store, report.to_file, report.conflicts) == ((), (), ())


def test_a_decision_does_not_outlive_its_hold(here: Site) -> None:
    """What was let through, and then was not there any more, asks again when the like of it happens."""
    here.write("")
    (hold,) = here.sync().held
    decide([hold], here.wiring.state(), [], "accept")
    here.write(TABLE)
    assert here.sync().held == ()
    assert here.wiring.state().decisions() == {}
    here.write("")
    assert [each.guard for each in here.sync().held] == ["emptied"]
    assert here.sql("select count(*) from backlog where deleted_at is null and archived_at is null") == [(3,)]


def test_a_decision_waits_for_what_waits(here: Site) -> None:
    """A decision that cannot be carried out yet, since a save has just begun, is carried out after it."""
    here.write("")
    (hold,) = here.sync().held
    here.write(TABLE[:40])
    decide([hold], here.wiring.state(), [], "accept")
    here.restart()
    here.cycle.run()
    assert here.wiring.state().decisions() == {hold.fingerprint: "accept"}
