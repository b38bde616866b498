"""What must not be lost when files are missing, postponed, doubled, or decided about: found by reading the code."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from syncd.engine.decisions import decide, resolve
from syncd.files.lock import advisory_lock
from tests.support.workspace import TABLE, Site, site

HEAD = "| id | title | status |\n|---|---|---|\n"


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn) as made:
        made.sync()
        yield made


@pytest.fixture
def many(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    """A workspace whose second file is found by a glob."""
    root = tmp_path / "many"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "b.md").write_text(HEAD + "| B1 | One | todo |\n| B2 | Two | todo |\n")
    with site(root, postgres_dsn, tasks=["TASKS.md", "docs/*.md"]) as made:
        made.sync()
        yield made


def live(here: Site) -> int:
    return int(here.sql("select count(*) from backlog where deleted_at is null and archived_at is null")[0][0])


def test_a_globbed_file_that_is_gone_is_missing_and_deletes_nothing(many: Site) -> None:
    """A file that a glob no longer finds keeps its cards: it is waited for like any other missing file."""
    (many.root / "docs" / "b.md").unlink()
    report = many.cycle.run()
    assert live(many) == 5
    assert [wait.path for wait in report.waits] == ["docs/b.md"]


def test_a_file_that_leaves_the_configuration_deletes_nothing(many: Site) -> None:
    """Cards of a file that ``tasks:`` does not name any more stay, with a problem that says what to do."""
    (many.root / "syncd.yaml").write_text("tasks: [TASKS.md]\n")
    many.restart()
    report = many.sync()
    assert live(many) == 5
    assert [(each.path, each.code) for each in report.problems] == [("docs/b.md", "not-configured")]


def test_a_copy_of_a_row_is_no_move_while_its_file_is_being_written(many: Site) -> None:
    """A truncating save of the first file does not make a stale copy in another file the card."""
    (many.root / "docs" / "z.md").write_text(HEAD + "| A2 | OLD COPY | blocked |\n")
    many.sync()
    whole = many.text
    many.write("")
    many.cycle.run()
    assert many.column("title", "A2") == "Write the parser"
    many.write(whole)
    many.sync()
    assert many.column("title", "A2") == "Write the parser"
    assert many.wiring.store().conflicts() == []


def test_a_missing_folder_stops_nothing_else(tmp_path: Path, postgres_dsn: str) -> None:
    """A task file in a folder that does not exist leaves the other files in sync."""
    with site(tmp_path / "shop", postgres_dsn, tasks=["TASKS.md", "docs/x.md"]) as here:
        here.sync()
        here.edit("Write the parser", "Write a parser")
        here.sync()
        assert here.column("title", "A2") == "Write a parser"


def test_a_conflict_that_was_settled_is_recorded_again(here: Site) -> None:
    """The same clash after it was settled is a new one: its loser is kept again."""
    for _ in range(2):
        here.edit("| A2 | Write the parser |", "| A2 | Mine |")
        here.sql("update backlog set title = 'Theirs' where id = 'A2'")
        here.sync()
        (record,) = here.wiring.store().conflicts()
        assert record.conflict.remote == "Theirs"
        here.wiring.store().settle(record, "local")
        here.edit("| A2 | Mine |", "| A2 | Write the parser |")
        here.sync()


def test_a_journal_is_taken_over_once(here: Site) -> None:
    """After a raced write, a later restart does not bring the journal's values back into the base."""
    files: Any = here.wiring.files
    replace = files.replace
    races = ["once"]

    def raced(path: str, staged: str, expected: str | None) -> Any:
        if races:
            races.pop()
            here.write(here.text.replace("Write the docs  ", "Docs"))
        return replace(path, staged, expected)

    files.replace = raced
    here.edit("Write the parser | not-started", "Write the parser | blocked")
    here.sql("update backlog set title = 'Docs' where id = 'A3'")
    here.sync()
    here.edit("Write the parser | blocked", "Write the parser | not-started")
    here.sql("update backlog set status = 'ready' where id = 'A2'")
    here.sync()
    here.sql("update backlog set status = 'blocked' where id = 'A2'")
    here.restart()
    here.sync()
    assert here.column("status::text", "A2") == "blocked"
    assert here.wiring.store().conflicts() == []


def test_a_decision_waits_for_its_file(here: Site) -> None:
    """A rejected deletion whose file is locked by a script stays rejected until the rows are back."""
    rows = "".join(f"| C{number} | card {number} | not-started | | 0 | |\n" for number in range(1, 11))
    here.edit("\nSome words after it.", rows + "\nSome words after it.")
    here.sync()
    here.edit(rows, "")
    held = here.sync().held
    assert len(held) == 10
    with advisory_lock(here.wiring.layout):
        decide(held, here.wiring.state(), (), "reject")
        here.cycle.run(full=True)
        here.cycle.run(full=True)
    here.sync()
    assert here.sql("select count(*) from backlog where deleted_at is not null") == [(0,)]
    assert all(f"| C{number} |" in here.text for number in range(1, 11))


def test_time_travel_waits_for_its_file(here: Site) -> None:
    """An old version of the file, put there under a script's lock, reverts no state in the store."""
    old = here.text
    here.write(old.replace("not-started | A1 |", "done | A1 |").replace("not-started | A1, A2", "done | A1, A2"))
    here.sync()
    with advisory_lock(here.wiring.layout):
        here.write(old)
        here.cycle.run()
        here.cycle.run()
    here.sync()
    assert [here.column("status::text", id) for id in ("A2", "A3")] == ["done", "done"]


def test_a_commit_is_no_checkout(here: Site) -> None:
    """Committing moves HEAD and not the tree: an edit after it that takes a status back is an ordinary edit."""

    def git(*words: str) -> None:
        name = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        subprocess.run(["git", *name, *words], cwd=here.root, check=True, capture_output=True)

    git("init", "-q")
    git("add", "TASKS.md")
    git("commit", "-qm", "one")
    here.sync()
    here.edit("Write the parser | not-started", "Write the parser | blocked")
    here.sync()
    git("commit", "-qam", "two")
    here.edit("Write the parser | blocked", "Write the parser | not-started")
    here.sync()
    assert here.column("status::text", "A2") == "ready"
    assert "Write the parser | not-started" in here.text


def test_a_store_that_went_back_is_accepted_once(here: Site) -> None:
    """The hold on a store that went back ends with ``accept`` also where nothing differs."""
    state = here.wiring.state()
    known = state.cursor()
    assert known is not None
    state.advance((), (), replace(known, last=known.last + 1_000_000))
    here.restart()
    held = here.sync().held
    assert [hold.guard for hold in held] == ["store-rewound"]
    decide(held, here.wiring.state(), (), "accept")
    here.cycle.run(full=True)
    assert here.cycle.run(full=True).held == ()


def test_a_priority_out_of_range_is_told_and_not_taken(tmp_path: Path, postgres_dsn: str) -> None:
    """With a priority range, a row outside of it is a problem with its place; its other fields are synced."""
    with site(tmp_path / "shop", postgres_dsn, priority_range=[1, 10]) as here:
        here.sync()
        here.edit("| A2 | Write the parser | not-started | A1 | 2 |", "| A2 | Write a parser | not-started | A1 | 99 |")
        report = here.sync()
        assert [(each.code, each.line) for each in report.problems] == [("bad-priority", 8), ("bad-priority", 9)]
        assert (here.column("title", "A2"), here.column("priority", "A2")) == ("Write a parser", 2)
        assert "| A1 | 99 |" in here.text


def test_a_refused_change_is_tried_again_after_a_full_compare(here: Site) -> None:
    """What the store refused goes through once the reason in the store is gone, without another edit."""
    here.sql(
        "create function deny() returns trigger language plpgsql as"
        " $$ begin if new.title = 'Forbidden' then raise exception 'not this title'; end if; return new; end $$;"
        " create trigger aa_deny before update on backlog for each row execute function deny()"
    )
    here.edit("Write the parser", "Forbidden")
    assert [each.code for each in here.sync().problems] == ["refused"]
    here.sql("drop trigger aa_deny on backlog")
    here.cycle.run(full=True)
    assert here.column("title", "A2") == "Forbidden"
    assert here.text.replace("Forbidden", "Write the parser") == TABLE


def test_states_taken_back_to_an_older_version_can_be_had(here: Site) -> None:
    """Two states that an editor takes back, so that the bytes are an older version's, go back, and are recorded."""
    before = here.text
    here.write(before.replace("not-started", "done"))
    here.sync()
    after = here.text
    here.write(before)
    here.sync()
    assert here.text == after
    records = here.wiring.store().conflicts()
    assert [(each.conflict.id, each.conflict.field, each.conflict.local) for each in records] == [
        ("A2", "status", "ready"),
        ("A3", "status", "ready"),
    ]
    for id in ("A2", "A3"):
        resolve(here.wiring.store(), here.wiring.state(), id, "status", "local")
    here.sync()
    assert here.text == before
    assert here.wiring.store().conflicts() == []


def test_an_old_buffer_brings_no_card_back(here: Site) -> None:
    """A card deleted in the store stays so when an editor saves the buffer in which its row still stood."""
    buffer = here.text
    here.sql("update backlog set deleted_at = now() where id = 'A3'")
    here.sync()
    without = here.text
    assert "| A3 |" not in without
    here.write(buffer)
    here.sync()
    assert here.text == without
    (record,) = here.wiring.store().conflicts()
    assert (record.conflict.id, record.conflict.local, record.conflict.remote) == ("A3", "Write the docs", None)
    resolve(here.wiring.store(), here.wiring.state(), "A3", None, "local")
    here.sync()
    assert here.text == buffer
    assert here.column("deleted_at", "A3") is None


def test_many_rows_in_an_old_buffer(tmp_path: Path, postgres_dsn: str) -> None:
    """More rows than a guard lets go at once go again all the same: their cards went before."""
    rows = "".join(f"| C{at} | Card {at} | todo |\n" for at in range(1, 31))
    with site(tmp_path / "shop", postgres_dsn, HEAD + rows) as here:
        here.sync()
        buffer = here.text
        for at in range(1, 6):
            here.sql("update backlog set deleted_at = now() where id = %s", f"C{at}")
        here.sync()
        without = here.text
        here.write(buffer)
        report = here.sync()
        assert report.held == ()
        assert (here.text, live(here)) == (without, 25)
