"""The line-wise three-way merge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.text_merge import Clash, merge3

texts = st.lists(st.sampled_from(("a", "b", "c", "")), max_size=7).map("\n".join)


@pytest.mark.parametrize(
    ("base", "a", "b", "merged"),
    [
        ("1\n2\n3", "1\n2\n3\n4", "0\n1\n2\n3", "0\n1\n2\n3\n4"),
        ("1\n2\n3", "1\n3", "1\n2\n3\n4", "1\n3\n4"),
        ("1\n2\n3\n4\n5", "1\nB\n3\n4\n5", "1\n2\n3\nD\n5", "1\nB\n3\nD\n5"),
        ("1\n2", "", "1\n2", ""),
        ("", "x", "", "x"),
        ("1\n2\n3", "1\nX\n3", "1\nX\n3", "1\nX\n3"),
    ],
)
def test_changes_of_different_lines_are_both_kept(base: str, a: str, b: str, merged: str) -> None:
    """Hunks that do not overlap are merged, and both sides may make the same change."""
    result = merge3(base, a, b)
    assert result.text == merged
    assert result.is_clean


def test_overlapping_hunks_go_to_the_first_side_and_are_told() -> None:
    """Where both changed the same lines the first side's stand, never both, and the clash is reported."""
    result = merge3("1\n2\n3", "1\nA\n3", "1\nB\n3\n4")
    assert result.text == "1\nA\n3\n4"
    assert result.clashes == (Clash("2", "A", "B"),)
    assert not result.is_clean


def test_two_texts_without_a_base_clash() -> None:
    """Texts that were written apart overlap as a whole."""
    assert merge3("", "x", "y").clashes == (Clash("", "x", "y"),)


@given(texts, texts)
def test_a_side_that_changed_nothing_yields(base: str, other: str) -> None:
    """The merge with an unchanged side is the other side, and with the same change it is that change."""
    assert merge3(base, other, base).text == other
    assert merge3(base, base, other).text == other
    assert merge3(base, other, other).text == other
    assert merge3(base, other, base).is_clean
    assert merge3(base, base, other).is_clean


@given(texts, texts, texts)
def test_swapping_the_sides_changes_only_who_wins(base: str, a: str, b: str) -> None:
    """A clean merge is the same either way round; the clashes are the same with their sides swapped."""
    one, other = merge3(base, a, b), merge3(base, b, a)
    assert one.clashes == tuple(Clash(each.base, each.b, each.a) for each in other.clashes)
    assert one.text == other.text or not one.is_clean


@given(texts, texts, texts)
def test_no_line_appears_from_nowhere(base: str, a: str, b: str) -> None:
    """Every merged line stood in one of the sides."""
    assert set(merge3(base, a, b).text.split("\n")) <= {*a.split("\n"), *b.split("\n"), ""}
