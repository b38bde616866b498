"""The cycle over real files and a real Postgres: what flows, what stays, what is told."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.ports import NewCard
from syncd.schemas.card import Status
from tests.support.workspace import TABLE, Site, site


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "a shop", postgres_dsn) as made:
        made.sync()
        yield made


@pytest.fixture
def there(tmp_path: Path, postgres_dsn: str, here: Site) -> Iterator[Site]:
    """A second working copy of the same project."""
    with site(tmp_path / "elsewhere", postgres_dsn) as made:
        made.sync()
        yield made


def changed_lines(before: str, after: str) -> list[str]:
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in diff if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def footprint(here: Site) -> tuple[int, int, object]:
    """What must not move while nothing happens: the file's mtime and inode, the rows' versions."""
    found = here.file.stat()
    return found.st_mtime_ns, found.st_ino, here.sql("select id, version, updated_at from backlog order by id")


def test_first_sync_makes_the_cards_and_leaves_the_file_alone(here: Site) -> None:
    """The rows of a new workspace become cards in the file's order, and not a byte of the file moves."""
    assert here.text == TABLE
    assert here.sql("select id, status::text, priority, depends_on from backlog order by created_at") == [
        ("A1", "done", 3, []),
        ("A2", "ready", 2, ["A1"]),
        ("A3", "ready", 0, ["A1", "A2"]),
    ]
    assert here.card("A3").unmet == 1


def test_an_edit_of_one_cell_reaches_the_table(here: Site) -> None:
    """An agent's edit of one cell becomes the row's value, under a new version, and the rest of the row stays."""
    version = here.card("A2").version
    here.edit("Write the parser | not-started", "Write the fast parser | blocked")
    here.sync()
    card = here.card("A2")
    assert (card.title, card.status, card.version) == ("Write the fast parser", Status.BLOCKED, version + 1)


def test_a_services_update_changes_one_line(here: Site) -> None:
    """A row updated by plain SQL changes its own line in the file, and that line's status cell alone."""
    here.sql("update backlog set status = 'blocked' where id = 'A3'")
    here.sync()
    assert changed_lines(TABLE, here.text) == [
        "-| A3 | Write the docs   | not-started | A1, A2 | 0 | |",
        "+| A3 | Write the docs   | blocked | A1, A2 | 0 | |",
    ]


def test_nothing_to_do_writes_nothing(here: Site) -> None:
    """Cycles without news touch neither the file nor a row, also after a restart (I3)."""
    before = footprint(here)
    here.sync()
    here.restart()
    here.sync()
    assert footprint(here) == before


def test_both_sides_edit_different_fields_of_a_card(here: Site) -> None:
    """A title edited in the file and a priority set in the store at once are both kept (I11)."""
    here.edit("Write the parser", "Write a parser")
    here.sql("update backlog set priority = 7 where id = 'A2'")
    report = here.sync()
    assert report.conflicts == ()
    assert "| A2 | Write a parser | not-started | A1 | 7 | |" in here.text
    assert here.column("title", "A2") == "Write a parser"


def test_a_clash_is_recorded_before_the_loser_goes(here: Site) -> None:
    """Both sides set the same field: the rule's winner stands on both sides, the loser is in the conflict record."""
    here.edit(
        "| A3 | Write the docs   | not-started | A1, A2 | 0 |", "| A3 | Write the docs   | not-started | A1, A2 | 4 |"
    )
    here.sql("update backlog set priority = 9 where id = 'A3'")
    here.sync()
    assert "| A1, A2 | 9 |" in here.text
    record = here.wiring.store().conflicts()[0].conflict
    assert (record.id, record.field, record.base, record.local, record.remote) == ("A3", "priority", 0, 4, 9)
    here.sync()
    assert len(here.wiring.store().conflicts()) == 1


def test_case_18_a_row_without_an_id_gets_one(here: Site) -> None:
    """A row without an id gets the next free number of its table, in the store and in the file."""
    here.edit("\nSome words after it.", "|  | Ship it | not-started | A3 | 1 | |\n\nSome words after it.")
    here.sync()
    assert "| A4 | Ship it | not-started | A3 | 1 | |" in here.text
    assert here.card("A4").depends_on == ("A3",)


def test_a_lost_id_comes_back(here: Site) -> None:
    """A row whose id was deleted, and nothing else, takes its id back instead of becoming a new card."""
    here.edit("| A2 | Write the parser", "|  | Write the parser")
    here.sync()
    assert here.text == TABLE
    assert here.sql("select count(*) from backlog") == [(3,)]


def test_a_card_created_in_the_store_appears_at_the_end_of_the_table(here: Site) -> None:
    """A card inserted by plain SQL, which knows only the old columns, becomes the table's last row."""
    here.sql("insert into backlog (id, title, depends_on) values ('A9', 'Paint | it', '[\"A2\"]')")
    here.sync()
    assert changed_lines(TABLE, here.text) == ["+| A9 | Paint \\| it | not-started | A2 | 0 |  |"]
    before = footprint(here)
    here.sync()
    assert footprint(here) == before


def test_a_done_row_that_vanishes_is_archived(here: Site) -> None:
    """Pruning a done row archives its card: it still satisfies its dependents."""
    here.edit("| A1 | Draw the schema | done | — | 3 | |\n", "")
    here.sync()
    card = here.card("A1")
    assert card.archived_at is not None
    assert card.deleted_at is None
    assert here.card("A2").unmet == 0
    assert "Draw the schema" not in here.text


def test_an_open_row_that_vanishes_is_deleted(here: Site) -> None:
    """Taking an open row out deletes its card, with a tombstone that the row's return restores."""
    row = "| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n"
    here.edit(row, "")
    here.sync()
    assert here.column("deleted_at", "A3") is not None
    here.edit("\nSome words after it.", row + "\nSome words after it.")
    here.sync()
    assert here.column("deleted_at", "A3") is None
    assert here.text == TABLE


def test_a_row_deleted_by_sql_leaves_the_file(here: Site) -> None:
    """A hard DELETE by a foreign client takes the row out of the file."""
    here.sql("delete from backlog where id = 'A3'")
    here.sync()
    assert changed_lines(TABLE, here.text) == ["-| A3 | Write the docs   | not-started | A1, A2 | 0 | |"]


@pytest.mark.parametrize("status", ["ready", "blocked"])
def test_a_card_that_is_removed_soon_after_it_was_written_is_no_edit(here: Site, status: str) -> None:
    """The word that syncd chose for a state does not bring a card back that is removed before the next look."""
    here.wiring.store().create(NewCard(id="B1", title="Came and went"))
    if status == "blocked":
        here.wiring.store().block("B1")
        here.sync()
        here.wiring.store().unblock("B1")
    here.sync()
    assert "| B1 | Came and went | not-started |" in here.text
    here.wiring.store().remove("B1")
    report = here.sync()
    assert (report.conflicts, here.text) == ((), TABLE)


def test_delete_against_edit_keeps_the_edit(here: Site) -> None:
    """A row deleted in the file while the service edited its card lives on, and the deletion is a conflict."""
    here.edit("| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n", "")
    here.sql("update backlog set title = 'Write good docs' where id = 'A3'")
    here.sync()
    assert "| A3 | Write good docs   | not-started | A1, A2 | 0 | |" in here.text
    assert [each.conflict.field for each in here.wiring.store().conflicts()] == ["*"]


def test_many_deletions_are_held(here: Site) -> None:
    """A file that loses more rows than the guard allows deletes nothing until somebody accepts it."""
    rows = [f"| B{number} | Card {number} | not-started | — | 0 | |\n" for number in range(10)]
    here.edit("\nSome words after it.", "".join(rows) + "\nSome words after it.")
    here.sync()
    here.edit("".join(rows[:5]), "")
    report = here.sync()
    assert {hold.guard for hold in report.held} == {"deletions"}
    assert here.sql("select count(*) from backlog where deleted_at is not null") == [(0,)]
    assert here.sync().held


def test_an_id_edited_into_another_rows_deletes_nothing(here: Site) -> None:
    """A row whose id was mistyped as that of another keeps its card: it is held, and goes on once the id is right."""
    here.edit("| A3 |", "| A2 |")
    report = here.sync()
    assert [(hold.id, hold.guard) for hold in report.held] == [("A3", "deletions")]
    assert "line 9 of TASKS.md has the id of another row" in report.held[0].reason
    assert here.column("deleted_at is null and archived_at is null", "A3")
    here.edit("| A2 | Write the docs", "| A3 | Write the docs")
    report = here.sync()
    assert (report.held, report.problems, report.to_store) == ((), (), ())


def test_an_id_edited_into_nonsense_deletes_nothing(here: Site) -> None:
    """A row whose id cannot be read any more may be the card that vanished: its deletion is held until it is mended."""
    here.edit("| A3 | Write the docs", "| A 3 | Write the docs")
    report = here.sync()
    assert [(problem.code, problem.line) for problem in report.problems] == [("bad-id", 9)]
    assert [(hold.id, hold.guard) for hold in report.held] == [("A3", "deletions")]
    here.write(TABLE)
    assert here.sync().held == ()
    assert here.column("deleted_at", "A3") is None


def test_an_emptied_file_deletes_nothing(here: Site) -> None:
    """A file that is suddenly empty is held: no card goes."""
    here.write("")
    report = here.sync()
    assert [hold.guard for hold in report.held] == ["emptied"]
    assert here.sql("select count(*) from backlog where deleted_at is null and archived_at is null") == [(3,)]
    assert here.text == ""


def test_merge_markers_hold_the_file(here: Site) -> None:
    """A file with git's conflict markers is left alone, and so are its cards."""
    here.edit("| A2 | Write the parser |", "<<<<<<< ours\n| A2 | Write a parser |")
    report = here.sync()
    assert [hold.guard for hold in report.held] == ["markers"]
    assert here.column("title", "A2") == "Write the parser"


def test_a_claim_by_file_asks_the_store(here: Site) -> None:
    """``in-progress`` with an owner claims the card for that owner; the row is not rewritten."""
    here.edit(
        "| A2 | Write the parser | not-started | A1 | 2 | |", "| A2 | Write the parser | in-progress | A1 | 2 | ann |"
    )
    text = here.text
    here.sync()
    card = here.card("A2")
    assert (card.status, card.claim_owner, card.claim_ttl_seconds, card.attempts) == (Status.CLAIMED, "ann", None, 1)
    assert here.text == text


def test_a_claim_by_file_does_not_take_anothers_lease(here: Site) -> None:
    """A file that says in-progress for a card that a worker holds is set right, and told who holds it."""
    here.wiring.store().claim("worker-1", 900, id="A2")
    here.edit(
        "| A2 | Write the parser | not-started | A1 | 2 | |", "| A2 | Write the parser | in-progress | A1 | 2 | ann |"
    )
    here.sync()
    assert here.card("A2").claim_owner == "worker-1"
    assert "| A2 | Write the parser | in-progress | A1 | 2 | worker-1 |" in here.text
    assert len(here.wiring.store().conflicts()) == 1


def test_done_by_who_lost_the_lease_is_a_conflict(here: Site) -> None:
    """A row that says done by an owner whose lease has passed to another changes nothing: the holder goes on."""
    store = here.wiring.store()
    store.claim("ann", 900, id="A2")
    here.sync()
    assert "| A2 | Write the parser | in-progress | A1 | 2 | ann |" in here.text
    here.sql("update backlog set claimed_at = now() - interval '1 hour' where id = 'A2'")
    taken = store.claim("worker-1", 900, id="A2")[0]
    here.edit(
        "| A2 | Write the parser | in-progress | A1 | 2 | ann |", "| A2 | Write the parser | done | A1 | 2 | ann |"
    )
    here.sync()
    card = here.card("A2")
    assert (card.status, card.claim_owner, card.attempts) == (Status.CLAIMED, "worker-1", taken.attempts)
    clash = store.conflicts()[-1].conflict
    assert (clash.id, clash.local) in {("A2", "done"), ("A2", "ann")}
    assert "| A2 | Write the parser | in-progress | A1 | 2 | worker-1 |" in here.text
    assert store.complete("A2", owner="worker-1", attempt=taken.attempts).status is Status.DONE


def test_a_foreign_worker_claims_and_completes(here: Site) -> None:
    """Claim by ``for update skip locked`` and completion in plain SQL show in the file, owner and all."""
    here.sql(
        "update backlog set status = 'claimed', claim_owner = 'svc', claimed_at = now(), claim_ttl_seconds = 60"
        " where id = (select id from backlog where status = 'ready' order by priority desc limit 1"
        " for update skip locked)"
    )
    here.sync()
    assert "| A2 | Write the parser | in-progress | A1 | 2 | svc |" in here.text
    here.sql("update backlog set status = 'done' where id = 'A2'")
    here.sync()
    assert changed_lines(TABLE, here.text) == [
        "-| A2 | Write the parser | not-started | A1 | 2 | |",
        "+| A2 | Write the parser | done | A1 | 2 |  |",
    ]


def test_case_39_an_edit_in_one_working_copy_shows_in_the_other(here: Site, there: Site) -> None:
    """Two working copies of a project follow each other through the store, and then are quiet (I5)."""
    here.edit("Write the parser | not-started", "Write the parser | done")
    here.sync()
    there.sync()
    assert there.text == here.text
    before = footprint(here), footprint(there)
    for _ in range(3):
        here.sync()
        there.sync()
    assert (footprint(here), footprint(there)) == before


@pytest.mark.parametrize(
    ("data", "code"),
    [(TABLE.encode() + b"\xff\xfe", "not-utf8"), (TABLE.encode() + b"\0", "nul-byte")],
    ids=["not-utf8", "nul"],
)
def test_case_22_a_file_that_is_no_text_is_left_alone(here: Site, data: bytes, code: str) -> None:
    """Bytes that are no text freeze the file: one problem, no write, no deletion."""
    here.file.write_bytes(data)
    here.sql("update backlog set title = 'Other' where id = 'A2'")
    report = here.sync()
    assert [problem.code for problem in report.problems] == [code]
    assert here.file.read_bytes() == data
    assert here.sql("select count(*) from backlog where deleted_at is null and archived_at is null") == [(3,)]


def test_a_huge_file_is_left_alone(tmp_path: Path, postgres_dsn: str) -> None:
    """A file over the limit is told with its size, and neither read nor written."""
    with site(tmp_path / "huge", postgres_dsn, bytes_max=1000) as here:
        here.write(TABLE + "x" * 1000)
        report = here.sync()
        assert "1000" in report.problems[0].message
        assert here.sql("select count(*) from backlog") == [(0,)]


def test_broken_rows_stop_nothing_else(here: Site) -> None:
    """A repeated id, an unknown word and a dependency on nobody are told with their places; the rest syncs."""
    here.edit(
        "| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n",
        "| A3 | Write the docs   | sometime | A1, A77 | 0 | |\n| A2 | Again | done | — | 0 | |\n"
        "| A5 | Fine | not-started | — | 0 | |\n",
    )
    report = here.sync()
    assert {(problem.code, problem.line) for problem in report.problems} == {
        ("unknown-status", 9),
        ("unknown-dependency", 9),
        ("duplicate-id", 10),
    }
    assert here.card("A5").title == "Fine"
    assert here.card("A3").status is Status.READY
    assert here.card("A2").title == "Write the parser"


def test_a_dependency_cycle_is_held(here: Site) -> None:
    """An edit that closes a circle of dependencies is told and held; other edits of the row go on."""
    here.edit("| A2 | Write the parser | not-started | A1 |", "| A2 | Write a parser | not-started | A3 |")
    report = here.sync()
    assert "cycle" in {problem.code for problem in report.problems}
    assert here.card("A2").depends_on == ("A1",)
    assert here.card("A2").title == "Write a parser"
    assert [hold.guard for hold in report.held] == ["cycle"]


def test_case_55_a_value_that_the_store_cannot_hold_stays_in_the_file(here: Site) -> None:
    """A priority beyond the column's range is told; the row keeps its text, other cards go on."""
    here.edit("| A1, A2 | 0 |", "| A1, A2 | 99999999999 |")
    here.edit("Write the parser", "Write a parser")
    report = here.sync()
    assert [problem.line for problem in report.problems] == [9]
    assert "99999999999" in here.text
    assert here.column("title", "A2") == "Write a parser"
    assert here.sync().problems


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_case_27_a_read_only_folder_still_sends_edits(here: Site) -> None:
    """Without permission to write, edits reach the store, the file stays, and the obstacle is told."""
    here.edit("Write the parser", "Write a parser")
    here.sql("update backlog set priority = 5 where id = 'A3'")
    here.root.chmod(0o500)
    try:
        report = here.sync()
    finally:
        here.root.chmod(0o700)
    assert here.column("title", "A2") == "Write a parser"
    assert [problem.code for problem in report.problems] == ["cannot-write"]
    here.sync()
    assert "| A1, A2 | 5 |" in here.text


def test_case_21_crlf_and_padding_stay(tmp_path: Path, postgres_dsn: str) -> None:
    """A file with CRLF, a BOM and no last line end keeps all three when one cell changes."""
    text = "\ufeff| id | title | status |\r\n|---|---|---|\r\n| A1 |   One   | todo   |\r\n| A2 | Two | todo |"
    with site(tmp_path / "crlf", postgres_dsn, text) as here:
        here.sync()
        here.sql("update backlog set status = 'done' where id = 'A1'")
        here.sync()
        assert here.text == text.replace("One   | todo   |", "One   | done   |")


def test_case_56_a_trigger_that_changes_what_was_written_is_followed(here: Site) -> None:
    """A database that rewrites a title on the way in has its value shown in the file, without a clash."""
    here.sql(
        "create function shout() returns trigger language plpgsql as"
        " $$ begin new.title := upper(new.title); return new; end $$;"
        " create trigger aa_shout before update on backlog for each row execute function shout()"
    )
    here.edit("Write the parser", "Write a parser")
    report = here.sync()
    assert "| A2 | WRITE A PARSER |" in here.text
    assert report.conflicts == ()
    before = footprint(here)
    here.sync()
    assert footprint(here) == before


def test_a_file_with_a_second_name_is_told(here: Site) -> None:
    """A hard-linked task file is a problem until a write has parted it from its other name, which keeps its bytes."""
    other = here.root / "other.md"
    other.hardlink_to(here.file)
    here.edit("Write the parser", "Write a parser")
    assert [(each.path, each.code) for each in here.sync().problems] == [("TASKS.md", "hard-linked")]
    linked = here.text
    here.sql("update backlog set priority = 5 where id = 'A3'")
    assert here.sync().problems == ()
    assert other.read_text() == linked != here.text


def test_the_words_of_a_file_are_known_after_one_sync(tmp_path: Path, postgres_dsn: str) -> None:
    """What the store changed is written in the file's own words, and with the same sync the store has these, too."""
    text = "| id | status | title |\n|----|--------|-------|\n| A1 | todo | One |\n| A2 | finished | Two |\n"
    with site(tmp_path / "shop", postgres_dsn, text) as here:
        here.sync()
        here.sql("update backlog set status = 'done' where id = 'A1'")
        here.wiring.store().create(NewCard(id="N1", title="New"))
        here.cycle.run()
        assert here.text == text.replace("todo", "finished") + "| N1 | todo | New |\n"
        assert here.cycle.preview().drift == ()
        before = footprint(here)
        here.sync()
        assert footprint(here) == before
