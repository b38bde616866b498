"""Merging three versions of a task file: what each dialect's rows, and the text around them, become."""

from __future__ import annotations

import pytest

from syncd.core.plan import Winner
from syncd.engine.displaced import fold
from syncd.engine.file_merge import FileMerge, marked, merge_files
from syncd.parsers.document import ParseOptions

OPTIONS = ParseOptions()
TABLE = """\
# Shop

| id | title | status | depends_on | priority | owner |
|----|:------|--------|------------|----------|-------|
| A1 | Draw the schema | done | — | 3 | |
| A2 | Write the parser   | not-started | A1 | 2 | |
| A3 | Write the docs | not-started | A1, A2 | 0 | |

Words after it.
"""
CHECKLIST = """\
## M1

- [ ] T001 Write the parser
  In two steps.
  - [ ] T002 Read the table
- [ ] T003 Write the docs

## M2

- [ ] T004 Ship
"""
BOARD = """\
## To do

- [ ] T1 Draw
- [ ] T2 Paint

## Doing

- [ ] T3 Write

## Done

- [x] T4 Plan
"""
SECTIONS = """\
### T-001 Draw

- status: todo
- priority: 1

First thoughts.

Second thoughts.

### T-002 Paint

- status: todo
"""


def changed(text: str, *pairs: str) -> str:
    """Return a text with some places replaced."""
    for was, becomes in zip(pairs[::2], pairs[1::2], strict=True):
        assert text.count(was) == 1, was
        text = text.replace(was, becomes)
    return text


def merge(base: str, local: str, remote: str) -> FileMerge:
    """Merge three texts."""
    return merge_files(base.encode(), local.encode(), remote.encode(), path="TASKS.md", options=OPTIONS)


def text_of(found: FileMerge, size: int = 7) -> str:
    """Return the merged file with markers."""
    return marked(found, marker_size=size, labels=("ours", "theirs")).decode()


def clean(base: str, local: str, remote: str) -> str:
    """Merge both ways round, without a clash either way, and return the file."""
    found = merge(base, local, remote)
    assert not found.hunks, text_of(found)
    assert not merge(base, remote, local).hunks
    return text_of(found)


def test_different_fields_of_one_line_are_both_kept() -> None:
    """A title here and a status there share a line and both stay, with the line's padding."""
    local, remote = changed(TABLE, "the parser   |", "a parser   |"), changed(TABLE, "| A1 | 2 |", "| A1 | 9 |")
    assert clean(TABLE, local, remote) == changed(TABLE, "Write the parser   ", "Write a parser   ", "A1 | 2", "A1 | 9")


def test_a_true_clash_is_marked_around_its_row_alone() -> None:
    """Of two titles for one card both stand between markers, with the fields that could be merged on both sides."""
    local = changed(TABLE, "Write the parser  ", "Write a parser  ", "A1, A2 | 0", "A1, A2 | 8")
    remote = changed(TABLE, "Write the parser  ", "Write my parser  ", "A1 | 2", "A1 | 9")
    found = merge(TABLE, local, remote)
    assert text_of(found, size=10) == changed(
        local,
        "| A2 | Write a parser   | not-started | A1 | 2 | |\n",
        "<<<<<<<<<< ours\n"
        "| A2 | Write a parser   | not-started | A1 | 9 | |\n"
        "==========\n"
        "| A2 | Write my parser   | not-started | A1 | 9 | |\n"
        ">>>>>>>>>> theirs\n",
    )
    assert [(each.id, each.field, each.winner) for each in found.conflicts] == [("A2", "title", Winner.NONE)]


def test_done_beats_a_claim_on_either_side() -> None:
    """Work that is finished is not undone by a claim that raced it, and the claim is told."""
    local = changed(TABLE, "parser   | not-started", "parser   | done")
    remote = changed(TABLE, "parser   | not-started | A1 | 2 | |", "parser   | in-progress | A1 | 2 | bob |")
    assert "| A2 | Write the parser   | done | A1 | 2 | bob |" in clean(TABLE, local, remote)
    (conflict,) = merge(TABLE, remote, local).conflicts
    assert (conflict.field, conflict.local, conflict.remote, conflict.winner) == (
        "status",
        "claimed",
        "done",
        Winner.REMOTE,
    )


def test_blocked_against_done_is_for_a_person() -> None:
    """Where no rule decides between two states the row is marked."""
    local = changed(TABLE, "parser   | not-started", "parser   | done")
    found = merge(TABLE, local, changed(TABLE, "parser   | not-started", "parser   | blocked"))
    assert text_of(found).count("<<<<<<<") == 1


def test_dependencies_merge_as_sets() -> None:
    """A dependency added here and one taken out there are both honoured."""
    local, remote = changed(TABLE, "| A1, A2 |", "| A1, A2, X1 |"), changed(TABLE, "| A1, A2 |", "| A2 |")
    assert "| A2, X1 |" in clean(TABLE, local, remote)


def test_two_owners_clash() -> None:
    """A card that two people took at once is for them to settle."""
    row = "docs | not-started | A1, A2 | 0 | |"
    sides = [changed(TABLE, row, f"docs | wip | A1, A2 | 0 | {who} |") for who in "ab"]
    found = merge(TABLE, *sides)
    assert [(each.field, each.local, each.remote) for each in found.conflicts] == [("claimOwner", "a", "b")]


def test_rows_added_at_one_place_are_all_kept() -> None:
    """Both sides append a row, and one more words behind the table: nothing clashes."""
    local = changed(TABLE, "\nWords after it.", "| A4 | Ship | todo | | | |\n\nWords after it.\n\nAnd more.")
    remote = changed(TABLE, "\nWords after it.", "| A5 | Sell | todo | | | |\n\nWords after it.")
    merged = clean(TABLE, local, remote)
    assert "| A4 | Ship | todo | | | |\n| A5 | Sell | todo | | | |\n\nWords after it.\n\nAnd more.\n" in merged


def test_the_same_id_added_twice_clashes_unless_it_is_the_same_card() -> None:
    """Two new cards of one id are marked; the same new card is one."""
    rows = [changed(TABLE, "\nWords", f"| A4 | {title} | todo | | | |\n\nWords") for title in ("Ship", "Sell")]
    assert len(merge(TABLE, *rows).hunks) == 1
    assert clean(TABLE, rows[0], rows[0]) == rows[0]


def test_a_row_that_only_one_side_took_out_goes() -> None:
    """A deletion meets an unchanged row, and a neighbour's edit."""
    local = changed(TABLE, "| A2 | Write the parser   | not-started | A1 | 2 | |\n", "")
    remote = changed(TABLE, "Write the docs", "Write docs")
    assert clean(TABLE, local, remote) == changed(local, "Write the docs", "Write docs")


def test_deletion_against_edit_is_marked() -> None:
    """A row that one side took out and the other edited stands between markers, with nothing on one side."""
    local = changed(TABLE, "| A2 | Write the parser   | not-started | A1 | 2 | |\n", "")
    remote = changed(TABLE, "Write the parser  ", "Write a parser  ")
    row = "| A2 | Write a parser   | not-started | A1 | 2 | |\n"
    assert f"<<<<<<< ours\n=======\n{row}>>>>>>> theirs\n| A3" in text_of(merge(TABLE, local, remote))
    assert f"<<<<<<< ours\n{row}=======\n>>>>>>> theirs\n| A3" in text_of(merge(TABLE, remote, local))


def test_reordered_rows_take_edits() -> None:
    """One side sorts the table, the other edits a row: the row is edited where it went."""
    first, second = (f"| A{n} | {rest}" for n, rest in ((1, "Draw the schema | done | — | 3 | |\n"), (2, "")))
    local = changed(TABLE, first, "", "\nWords", first + "\nWords")
    merged = clean(TABLE, local, changed(TABLE, "| A1 | 2 |", "| A1 | 7 |", "Draw the", "Draw a"))
    assert merged.index(second) < merged.index("| A1 | Draw a schema")
    assert "| A1 | 7 |" in merged


def test_words_that_clash_are_marked_and_rows_beside_them_are_merged() -> None:
    """Prose is merged by lines; a clash of it leaves the cards alone."""
    local = changed(TABLE, "Words after it.", "Words of mine.", "Write the docs", "Write docs")
    remote = changed(TABLE, "Words after it.", "Words of theirs.", "A1, A2 | 0", "A1, A2 | 5")
    merged = text_of(merge(TABLE, local, remote))
    assert "| A3 | Write docs | not-started | A1, A2 | 5 | |\n" in merged
    assert merged.endswith("<<<<<<< ours\nWords of mine.\n=======\nWords of theirs.\n>>>>>>> theirs\n")


def test_a_checklist_and_what_is_nested_in_it() -> None:
    """Items, their text and nested items are merged each by itself."""
    local = changed(CHECKLIST, "- [ ] T001", "- [x] T001", "T002 Read the table", "T002 Read tables")
    remote = changed(CHECKLIST, "Write the parser", "Write a parser", "- [ ] T002", "- [x] T002", "Ship\n", "Ship it\n")
    merged = clean(CHECKLIST, local, remote)
    assert "- [x] T001 Write a parser\n  In two steps.\n  - [x] T002 Read tables\n- [ ] T003" in merged
    assert merged.endswith("T004 Ship it\n")


def test_an_item_that_moved_takes_the_others_edit() -> None:
    """An item that one side moved under another heading is edited there."""
    item = "- [ ] T003 Write the docs\n"
    local = changed(CHECKLIST, item, "", "T004 Ship\n", f"T004 Ship\n{item}")
    merged = clean(CHECKLIST, local, changed(CHECKLIST, "- [ ] T003 Write the docs", "- [x] T003 Write docs"))
    assert merged.endswith("- [ ] T004 Ship\n- [x] T003 Write docs\n")
    assert merged.count("T003") == 1


def test_a_board_moves_items_by_state() -> None:
    """Of a card that both sides moved on a board the finished one stays, once."""
    line = "- [ ] T1 Draw\n"
    local = changed(BOARD, line, "", "- [ ] T3 Write\n", "- [ ] T3 Write\n" + line)
    remote = changed(BOARD, line, "", "- [x] T4 Plan\n", "- [x] T4 Plan\n- [x] T1 Draw\n")
    for sides in ((local, remote), (remote, local)):
        merged = text_of(merge(BOARD, *sides))
        assert merged.count("T1 Draw") == 1, merged
        assert merged.endswith("- [x] T4 Plan\n- [x] T1 Draw\n")


def test_sections_merge_fields_and_text() -> None:
    """A task of several lines: its fields one by one, its text by lines."""
    head = "### T-001 Draw\n\n- status: "
    local = changed(SECTIONS, f"{head}todo", f"{head}done", "First", "My first")
    remote = changed(SECTIONS, "priority: 1", "priority: 5", "Second thoughts", "Other thoughts")
    merged = clean(SECTIONS, local, remote)
    assert "- status: done\n- priority: 5\n\nMy first thoughts.\n\nOther thoughts.\n" in merged


def test_text_that_clashes_in_a_section_is_marked_where_it_does() -> None:
    """Of a long task only the lines that differ stand between markers."""
    found = merge(SECTIONS, changed(SECTIONS, "First", "Mine"), changed(SECTIONS, "First", "Theirs"))
    assert "<<<<<<< ours\nMine thoughts.\n=======\nTheirs thoughts.\n>>>>>>> theirs\n\nSecond" in text_of(found)


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_line_ends_and_a_missing_last_one_stay(ending: str) -> None:
    """CRLF stays CRLF in merged rows and markers, and a file without a last line end has none."""
    base = TABLE.replace("\n", ending).removesuffix(ending)
    local, remote = base.replace("Write the docs", "Write docs"), base.replace("A1, A2 | 0", "A1, A2 | 4")
    merged = clean(base, local, remote)
    assert merged == local.replace("A1, A2 | 0", "A1, A2 | 4")
    clash = text_of(merge(base, local, base.replace("Write the docs", "Write all")))
    assert f"<<<<<<< ours{ending}| A3" in clash
    assert clash.count(ending) == clash.count("\n")


def test_bytes_that_are_no_task_file_are_merged_by_lines() -> None:
    """A file that cannot be read as text is merged as lines, and no byte is changed."""
    base, local, remote = (b"a\xff\nb\nc\n", b"A\xff\nb\nc\n", b"a\xff\nb\nC\0\n")
    found = merge_files(base, local, remote, path="TASKS.md", options=OPTIONS)
    assert marked(found, marker_size=7, labels=("", "")) == b"A\xff\nb\nC\0\n"


def test_nothing_in_common_is_one_clash() -> None:
    """Two files that were added apart, with no base, are merged card by card."""
    found = merge("", TABLE, changed(TABLE, "Draw the schema", "Draw a schema"))
    assert [(each.id, each.field) for each in found.conflicts] == [("A1", "title")]


def test_a_displaced_edit_of_a_row_that_is_gone_stays() -> None:
    """An edit that syncd's write displaced outlives the deletion that the write was, and the deletion is a conflict."""
    meant = changed(TABLE, "Write the parser  ", "Write a parser  ")
    now = changed(TABLE, "| A2 | Write the parser   | not-started | A1 | 2 | |\n", "")
    folded = fold(TABLE.encode(), meant.encode(), now.encode(), path="TASKS.md", options=OPTIONS)
    assert folded.data.decode() == meant
    assert [(each.id, each.field, each.winner) for each in folded.conflicts] == [("A2", "*", Winner.LOCAL)]
