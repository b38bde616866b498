"""Rows put back into a text, as a line diff tells their place."""

from __future__ import annotations

import pytest

from syncd.engine.reinstatement import reinstated
from syncd.parsers.tasks_md import parse

HEAD = "# Shop\n\nWords.\n\n| id | status | title |\n|----|:------|---|\n"
ROWS = "".join(f"| A{at} | ⬜ todo  |  Title  {at} |\n" for at in range(1, 6))
TEXT = HEAD + ROWS + "\nAfter.\n"


def put_back(before: str, now: str, *ids: str) -> str:
    """Return the text with these rows back."""
    return reinstated(parse(before.encode()), parse(now.encode()), set(ids)).decode()


def without(text: str, *ids: str) -> str:
    """Return a text less the lines of these cards."""
    return "".join(line for line in text.splitlines(keepends=True) if not any(f"{id} " in line for id in ids))


@pytest.mark.parametrize("ids", [("A1",), ("A3",), ("A5",), ("A2", "A3"), ("A1", "A3", "A5")])
def test_rows_come_back_between_their_neighbours(ids: tuple[str, ...]) -> None:
    """Each row stands again where it stood, with its own bytes."""
    assert put_back(TEXT, without(TEXT, *ids), *ids) == TEXT


def test_rows_that_are_not_meant_stay_away() -> None:
    """Only the named cards come back."""
    assert put_back(TEXT, without(TEXT, "A2", "A3"), "A3") == without(TEXT, "A2")


def test_neighbours_keep_their_edits() -> None:
    """An edited row beside a returning one stays edited, and is still its neighbour."""
    now = without(TEXT, "A3").replace("Title  2", "Two").replace("Title  4", "Four").replace("After", "Behind")
    again = TEXT.replace("Title  2", "Two").replace("Title  4", "Four").replace("After", "Behind")
    assert put_back(TEXT, now, "A3") == again


def test_a_table_that_went_with_its_rows_comes_back() -> None:
    """A row without its table is no card: what went with it comes back too."""
    other = "# Other\n\n| id | status | title |\n|---|---|---|\n| B1 | todo | Else |\n"
    ids = [f"A{at}" for at in range(1, 6)]
    assert put_back(TEXT + other, other, *ids) == TEXT + other


def test_line_ends_are_those_of_the_file_now() -> None:
    """A file that has other line ends by now keeps them."""
    now = without(TEXT, "A3").replace("\n", "\r\n")
    assert put_back(TEXT, now, "A3") == TEXT.replace("\n", "\r\n")


def test_what_cannot_come_back_unharmed_stays_away() -> None:
    """Nothing changes where the row would be read as something else, or stands already."""
    columns = (
        TEXT.replace("| id | status | title |", "| id | title | status |").replace("⬜ todo ", "x").replace("A3", "C3")
    )
    assert put_back(TEXT, columns, "A3") == columns
    assert put_back(TEXT, TEXT, "A3") == TEXT


def test_items_of_a_checklist_come_back_with_their_text() -> None:
    """An item comes back with the lines below it, in its place."""
    text = "# Shop\n\n- [ ] A1 first\n- [x] A2 second\n  more of it\n- [ ] A3 third\n"
    assert put_back(text, text.replace("- [x] A2 second\n  more of it\n", ""), "A2") == text
