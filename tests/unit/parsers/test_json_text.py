"""JSON with spans: read as the standard library reads it, and changed in one place only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.parsers.json_text import DEPTH_MAX, JsonFault, Node, changed_elements, line_and_column, parse_json, spliced

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
LAYOUTS = st.fixed_dictionaries(
    {"indent": st.sampled_from([None, 0, 1, 2, 4, "\t"]), "ensure_ascii": st.booleans()}
) | st.just({"separators": (",", ":")})


@given(VALUES, LAYOUTS, st.sampled_from(["", "\ufeff", " \r\n"]))
def test_every_json_is_read_as_by_the_standard_library(value: Any, layout: dict[str, Any], head: str) -> None:
    """The value is the same, and the span of every part holds that part."""
    text = head + json.dumps(value, **layout)
    root = parse_json(text)
    assert root.value == value
    for node in _nodes(root):
        assert json.loads(text[node.start : node.end]) == node.value


@given(st.lists(SCALARS, max_size=6), st.sets(st.integers(0, 5)), st.lists(SCALARS, max_size=3), LAYOUTS)
def test_elements_come_and_go_and_the_others_keep_their_bytes(
    values: list[Any], gone: set[int], added: list[Any], layout: dict[str, Any]
) -> None:
    """After a change the array holds what it should, and what was not named stands there as it was written."""
    text = json.dumps({"list": values, "more": 1}, **layout)
    node = parse_json(text).members[0].node
    places = {index for index in gone if index < len(values)}
    result = spliced(text, changed_elements(text, node, places, added, unit="  "))
    assert json.loads(result) == {
        "list": [*(each for index, each in enumerate(values) if index not in places), *added],
        "more": 1,
    }
    assert result.startswith(text[: node.start + 1])
    assert result.endswith(text[node.end :])


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("{", 1),
        ('{"a": 1,}', 8),
        ("[1 2]", 3),
        ('{"a" 1}', 5),
        ("nul", 0),
        ("[1] x", 4),
        ('"a\nb"', 0),
        ("01", 1),
        ("NaN", 0),
        ('{"a": 1, "a": 2}', 9),
        ('["\\x"]', 2),
        ("9" * 5000, 0),
    ],
)
def test_what_is_no_json_is_refused_at_its_place(text: str, offset: int) -> None:
    """A fault names the offset, also for what Python's own reader would let pass."""
    with pytest.raises(JsonFault) as told:
        parse_json(text)
    assert told.value.offset == offset


def test_deep_nesting_is_a_fault_and_no_crash() -> None:
    """A hundred levels are read, a hundred thousand are refused."""
    assert parse_json("[" * DEPTH_MAX + "]" * DEPTH_MAX).value
    with pytest.raises(JsonFault, match="nested"):
        parse_json("[" * 100_000)


def test_places_count_lines_of_every_kind() -> None:
    """Lines end with LF, CRLF or CR; a mark at the beginning is no column."""
    text = "\ufeffa\r\nbc\rd\ne"
    assert [line_and_column(text, text.index(each)) for each in "abcde"] == [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)]


def _nodes(node: Node) -> list[Node]:
    below = [each.node for each in node.members] + list(node.elements)
    return [node, *(found for each in below for found in _nodes(each))]
