"""Ids, dependency notation, priorities and status words, each spelling by itself."""

from __future__ import annotations

import pytest

from syncd.parsers.fields import (
    are_ids,
    is_id,
    is_placeholder,
    join_list,
    looks_like_id,
    read_priority,
    split_ids,
    status_of,
    write_priority,
)
from syncd.schemas.card import Status


@pytest.mark.parametrize("text", ["A4", "FED-M3-04", "T001", "1.2", "ui/1.1", "x" * 128, "ü", "GH#1"])
def test_ids(text: str) -> None:
    """An id is 1 to 128 characters of any script."""
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "a b", "a|b", "a\tb", "a\x00b", "a\x7f", "x" * 129, "a\u2028b", "a\n"])
def test_no_ids(text: str) -> None:
    """White space, a pipe, a control character or too many of them make no id."""
    assert not is_id(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        *(("T001", True), ("A4", True), ("P6.1.1", True), ("1.2", True), ("t1271.1", True), ("a_1", True)),
        *(("word", False), ("2026-01-15", False), ("utils2.py", False), ("README2.md", False), ("修复3", False)),
        *(("a1b/c", False), ("3%", False), ("-1", False), ("v1.2.0", True)),
    ],
)
def test_leading_words(text: str, is_one: bool) -> None:
    """A leading word is an id by letters and digits with at least one digit, and no date or file name."""
    assert looks_like_id(text) is is_one


@pytest.mark.parametrize("text", ["TXXX", "tXXX.1", "T-XXX", "{{slug}}-001", "[ID]", "<id>", "…", "T###", "TXX"])
def test_placeholders(text: str) -> None:
    """An id that is still to be filled in is a placeholder."""
    assert is_placeholder(text)


@pytest.mark.parametrize("text", ["T001", "XX-001", "ZZ-901", "FIXX-2", "MAX-1"])
def test_no_placeholders(text: str) -> None:
    """An id with letters like a placeholder's is none."""
    assert not is_placeholder(text)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("A, B", ("A", "B")),
        ("A B", ("A", "B")),
        ("A; B", ("A", "B")),
        ("A1 and A2", ("A1", "A2")),
        ("CU-06-01..05", tuple(f"CU-06-0{n}" for n in range(1, 6))),
        ("P0-001 through P0-003", ("P0-001", "P0-002", "P0-003")),
        ("M3-04/07/09", ("M3-04", "M3-07", "M3-09")),
        ("1.1..1.3", ("1.1", "1.2", "1.3")),
        ("T8..T11", ("T8", "T9", "T10", "T11")),
        ("`A1`, **A2**", ("A1", "A2")),
        ("[A1](#a1), [A2]", ("A1", "A2")),
        ("A1 (soft), A2", ("A1", "A2")),
        ("[T-001, T-002]", ("T-001", "T-002")),
        ("A1, A1", ("A1",)),
        ("A1 / A2", ("A1", "A2")),
        ("[A1](https://example.org/a_(b)), A2", ("A1", "A2")),
        ("ui/1.1", ("ui/1.1",)),
        ("A9..A1", ("A9..A1",)),
        ("A1..A999999", ("A1..A999999",)),
        *((empty, ()) for empty in ("", "—", "–", "-", "n/a", "None", " ")),
    ],
)
def test_dependency_notation(text: str, ids: tuple[str, ...]) -> None:
    """A dependency list is read in each of its notations; a range that goes nowhere stays a word."""
    assert split_ids(text) == ids


@pytest.mark.parametrize(
    ("text", "is_list"), [("A1, A2", True), ("job-race", True), ("T1 T2", True), ("the parser", False), ("", False)]
)
def test_prose_is_no_dependency(text: str, is_list: bool) -> None:
    """A remark in a title is a dependency list only when it is made of ids."""
    assert are_ids(text) is is_list


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("A, B", "X, Y"),
        ("A; B", "X; Y"),
        ("A B", "X Y"),
        ("A,B", "X,Y"),
        ("[A]", "[X, Y]"),
        ("`A`", "`X`, `Y`"),
        ("", "X, Y"),
    ],
)
def test_lists_in_the_authors_manner(model: str, text: str) -> None:
    """A list is joined with the separator, brackets and code marks of the one before."""
    assert join_list(["X", "Y"], model) == text


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        *(("", 0), ("—", 0), ("5", 5), ("-3", -3), ("+2", 2), ("high", 1), ("**High**", 1), ("🔴 Critical", 3)),
        *(("Lowest", -2), ("low", -1), ("medium", 0), ("normal", 0), ("urgent", 2), ("highest", 2), ("blocker", 3)),
        *(("P0", 3), ("P1", 2), ("p2", 1), ("P3", 0), ("P4", -1), ("soon", None), ("1.5", None), ("P9", None)),
    ],
)
def test_priorities(text: str, priority: int | None) -> None:
    """A priority is a number, a rank or a word; anything else is none."""
    assert read_priority(text) == priority


@pytest.mark.parametrize(
    ("value", "habits", "text"),
    [
        *(
            (3, ["high"], "critical"),
            (3, ["HIGH"], "CRITICAL"),
            (0, ["Low"], "Medium"),
            (2, ["low", "highest"], "highest"),
        ),
        *(
            (7, ["high"], "7"),
            (1, ["5"], "1"),
            (2, ["P3"], "P1"),
            (9, ["P3"], "9"),
            (4, [], "4"),
            (1, ["", "low"], "high"),
        ),
    ],
)
def test_priorities_in_the_authors_manner(value: int, habits: list[str], text: str) -> None:
    """A priority is written as a word or rank where the author does, when there is one for it."""
    assert write_priority(value, habits) == text


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *(("not-started", Status.READY), ("Planning Complete", Status.READY), ("IN_PROGRESS", Status.CLAIMED)),
        *(("in progress", Status.CLAIMED), ("needs-qa", Status.BLOCKED), ("wontfix", Status.BLOCKED)),
        *(("Shipped", Status.DONE), ("已完成", Status.DONE), ("in arbeit", Status.CLAIMED), ("frob", None), ("", None)),
    ],
)
def test_status_words(word: str, state: Status | None) -> None:
    """A status word means a state whatever its case and whether it has hyphens, underscores or spaces."""
    assert status_of(word) is state


def test_own_status_words_come_first() -> None:
    """A word of the configuration wins over a built-in one."""
    assert status_of("Review", {"review": Status.CLAIMED}) is Status.CLAIMED
