"""Files and rows that come back look as their author left them: place, words, columns and the text around."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.api import Workspace
from syncd.core.plan import CARD_FIELD
from syncd.errors import NotFound, Refused
from tests.support.workspace import Site, site

ROW = "| {state:<8} | {id} | Title of {id}   | note {id} |\n"
HEAD = """# 🛒 Shop

Some words before the table.  <!-- keep -->

| Status | id | Title | Remark |
|:------:|----|-------|--------|
"""
FOOT = "\n## Later\n\n- a thought, no task\n"
IDS = [f"A{number}" for number in range(1, 9)]
TEXT = HEAD + "".join(ROW.format(id=id, state="✅ done" if id in ("A2", "A5") else "⬜ todo") for id in IDS) + FOOT


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    """A workspace in sync, whose file has its author's ways."""
    with site(tmp_path / "shop", postgres_dsn, TEXT, guards__grace_s=0) as made:
        made.sync()
        assert made.text == TEXT
        yield made


def reject(here: Site, *ids: str) -> None:
    """Reject what is held, and sync."""
    Workspace(here.wiring).reject(ids)
    here.sync()


def without(text: str, *ids: str) -> str:
    """Return a text less the rows of these cards."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not any(f"| {id} |" in line for id in ids))


def is_quiet(here: Site) -> bool:
    """Return whether nothing is held and another run writes nothing."""
    report = here.sync()
    return not (report.to_store or report.to_file or report.held)


def marked(text: str) -> str:
    """Return a text as a merge with clashes leaves it."""
    row = ROW.format(id="A3", state="⬜ todo")
    theirs = row.replace("Title of A3", "Their A3")
    new = row.replace("A3", "B1")
    return text.replace(row, f"<<<<<<< ours\n{row}=======\n{theirs}{new}>>>>>>> theirs\n")


def test_a_rejected_merge_comes_back_as_the_last_good_text(here: Site) -> None:
    """Rejecting a file with merge markers brings back the bytes before them, with what the store changed since."""
    here.write(marked(TEXT).replace("Title of A1", "Edited A1"))
    assert {hold.guard for hold in here.sync().held} == {"markers"}
    here.sql("update backlog set title = 'From the store' where id = 'A6'")
    damaged = here.text
    reject(here, "TASKS.md")
    assert here.text == TEXT.replace("Title of A6", "From the store")
    assert is_quiet(here)
    here.cycle.undo("TASKS.md")
    assert here.text == damaged


def test_merge_markers_that_were_there_first_are_left_alone(tmp_path: Path, postgres_dsn: str) -> None:
    """Without a good version to bring back, rejecting is refused, nothing is written, and the file stays held."""
    with site(tmp_path / "shop", postgres_dsn, marked(TEXT)) as here:
        here.sync()
        with pytest.raises(Refused, match="merge marker in line"):
            reject(here, "TASKS.md")
        assert here.text == marked(TEXT)
        assert {hold.guard for hold in here.sync().held} == {"markers"}


def test_an_accepted_merge_is_not_asked_about_again(here: Site) -> None:
    """A file that was accepted with its markers is taken as it is and not held again, until its rows change."""
    here.write(marked(TEXT))
    (hold,) = here.sync().held
    Workspace(here.wiring).accept([hold.id])
    assert not here.sync().held
    assert not here.sync().held
    assert here.sql("select title from backlog where id = 'B1'")
    here.write(here.text.replace("Title of A1", "Edited A1"))
    assert [each.guard for each in here.sync().held] == ["markers"]


@pytest.mark.parametrize("left", ["", "# Nothing\n"])
def test_an_emptied_file_comes_back_as_it_was(here: Site, left: str) -> None:
    """Rejecting an emptied file brings back its text, brought up to what the store says now."""
    here.write(left)
    assert {hold.guard for hold in here.sync().held} == {"emptied"}
    here.sql("update backlog set status = 'done' where id = 'A1'")
    here.wiring.store().remove("A4")
    reject(here, "TASKS.md")
    first = ROW.format(id="A1", state="⬜ todo")
    assert here.text == without(TEXT, "A4").replace(first, ROW.format(id="A1", state="✅ done"))
    assert is_quiet(here)
    here.cycle.undo("TASKS.md")
    assert here.text == left


def test_a_missing_file_comes_back_as_it_was(here: Site) -> None:
    """After its grace a missing file is again what it was, brought up to the store; a new card comes last."""
    here.file.unlink()
    here.sql("update backlog set title = 'Changed' where id = 'A7'")
    here.sql("insert into backlog (id, title) values ('C1', 'New')")
    here.sync()
    wanted = TEXT.replace("Title of A7  ", "Changed      ")
    assert [line for line in here.text.splitlines() if "C1" not in line and "A7" not in line] == [
        line for line in wanted.splitlines() if "A7" not in line
    ]
    assert "Changed" in here.text
    assert "| C1 | New" in here.text
    here.sync()
    assert is_quiet(here)


def test_undo_after_a_missing_file_came_back_says_what_there_is(here: Site) -> None:
    """Nobody edited a file that syncd made anew, and undo does not say so."""
    here.file.unlink()
    here.sql("update backlog set title = 'Changed' where id = 'A7'")
    here.sync()
    with pytest.raises(NotFound, match=r"made TASKS\.md anew"):
        here.cycle.undo("TASKS.md")


def test_rejected_deletions_come_back_in_their_place(here: Site) -> None:
    """Rows whose deletion is rejected stand again between their neighbours, byte for byte."""
    here.write(without(TEXT, "A2", "A3", "A5", "A8").replace("Title of A4", "Edited A4"))
    assert {hold.id for hold in here.sync().held} == {"A2", "A3", "A5", "A8"}
    reject(here, "A2", "A3", "A5", "A8")
    assert here.text == TEXT.replace("Title of A4", "Edited A4")
    assert is_quiet(here)


def test_a_restored_card_comes_back_in_its_place(here: Site) -> None:
    """The row of a card that is restored from its history stands where it stood."""
    here.write(without(TEXT, "A2"))
    here.sync()
    assert "A2" not in here.text
    Workspace(here.wiring).past.restore("A2")
    here.sync()
    assert here.text == TEXT
    assert is_quiet(here)


@pytest.mark.parametrize("use", ["local", "remote"])
def test_a_card_that_an_older_file_would_bring_back_is_one_conflict(here: Site, use: str) -> None:
    """Rejecting a file from before a deletion leaves one conflict for the card, which can be settled either way."""
    here.write(without(TEXT, "A2", "A3"))
    here.sync()
    here.write(TEXT)
    assert {(hold.id, hold.guard) for hold in here.sync().held} == {("A2", "time-travel"), ("A3", "time-travel")}
    reject(here)
    assert here.text == without(TEXT, "A2", "A3")
    found = here.wiring.store().conflicts()
    assert [(each.conflict.id, each.conflict.field) for each in found] == [("A2", CARD_FIELD), ("A3", CARD_FIELD)]
    for id in ("A2", "A3"):
        Workspace(here.wiring).resolve(id, CARD_FIELD, use)
    here.sync()
    assert here.text == (TEXT if use == "local" else without(TEXT, "A2", "A3"))
    assert not here.wiring.store().conflicts()
    assert is_quiet(here)


def test_a_row_that_syncd_updated_a_moment_ago_may_be_deleted(here: Site) -> None:
    """An update by syncd is no edit against the deletion of the row right after it."""
    here.sql("update backlog set title = 'Other' where id = 'A3'")
    here.sync()
    here.write(without(here.text, "A3"))
    report = here.sync()
    assert [(change.id, change.kind.value) for change in report.to_store] == [("A3", "remove")]
    assert not report.held
    assert not here.wiring.store().conflicts()


def test_rows_that_syncd_inserted_a_moment_ago_are_held_when_they_go(here: Site) -> None:
    """An editor that saves what it had read before syncd added rows deletes nothing, and clashes with nothing."""
    here.sql("insert into backlog (id, title) values ('C1', 'New'), ('C2', 'New')")
    here.sync()
    with_rows = here.text
    assert "| C2 |" in with_rows
    here.write(TEXT.replace("Some words", "Other words"))
    held = here.sync().held
    assert {(hold.id, hold.guard) for hold in held} == {("C1", "deletions"), ("C2", "deletions")}
    assert all(hold.reason.endswith("after syncd wrote them: an old editor buffer?") for hold in held)
    assert held[0].reason.startswith("2 rows of TASKS.md went ")
    reject(here)
    assert here.text == with_rows.replace("Some words", "Other words")
    assert not here.wiring.store().conflicts()
    assert is_quiet(here)
