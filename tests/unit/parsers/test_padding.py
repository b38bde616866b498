"""Padding tables: every column as wide as it shows, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.parsers.padding import repadded
from syncd.parsers.tasks_md import parse
from tests.fuzz.grammar import Chance, task_file

FOLDER = Path(__file__).parents[2] / "fixtures" / "dialects"

UNEVEN = """\
# Board

|id|status|title|
|:-|---|--:|
| A1|done|招待状 |
|A10 | not-started |a `b|c`\\||

| id | nothing |
|--|--|
| x | y |
"""


def test_columns_are_as_wide_as_they_show() -> None:
    """Wide characters count twice, code and escaped pipes as they stand; other tables stay."""
    text = UNEVEN.replace("a `b|c`\\|", "a \\| b")
    assert repadded(parse(text.encode())).decode() == (
        "# Board\n\n"
        "| id  | status      | title  |\n"
        "| :-- | ----------- | -----: |\n"
        "| A1  | done        | 招待状 |\n"
        "| A10 | not-started | a \\| b |\n"
        "\n| id | nothing |\n|--|--|\n| x | y |\n"
    )


def test_outer_pipes_and_indents_stay() -> None:
    """A table without outer pipes gets none, and an indented one keeps its indent."""
    text = "id|status|title\n-|-|-\nA1|todo|x\nA2|done|yy\n\n  |id|status|\n  |-|-|\n  |B1|todo|\n"
    assert repadded(parse(text.encode())).decode() == (
        "id  | status | title\n--- | ------ | -----\nA1  | todo   | x\nA2  | done   | yy\n\n"
        "  | id  | status |\n  | --- | ------ |\n  | B1  | todo   |\n"
    )


@pytest.mark.parametrize("text", ["| id | status |\n|-|-|\n| A1 |\n", "| id | status |\n|-|-|\n| A1 | todo | more |\n"])
def test_uneven_rows_are_left(text: str) -> None:
    """A table in which a row has too few or too many cells is left as it is."""
    assert repadded(parse(text.encode())) == text.encode()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_cards_stay(path: Path) -> None:
    """A padded file says what it said, and padding it again changes nothing."""
    before = parse(path.read_bytes())
    after = parse(repadded(before))
    assert [(card.id, card.fields, card.line) for card in after.cards] == [
        (card.id, card.fields, card.line) for card in before.cards
    ]
    assert repadded(after) == after.source


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32))
def test_any_file_says_what_it_said(seed: int) -> None:
    """Whatever the file, padding changes no card and no problem's code, keeps every line, and is done once."""
    before = parse(task_file(Chance(seed)).encode())
    after = parse(repadded(before))
    assert [(card.id, card.fields, card.line) for card in after.cards] == [
        (card.id, card.fields, card.line) for card in before.cards
    ]
    assert [problem.code for problem in after.problems] == [problem.code for problem in before.problems]
    assert repadded(after) == after.source
