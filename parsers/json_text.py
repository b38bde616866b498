"""JSON as text: every value with the span in which it stands, so that one can be replaced and nothing else moves.

The standard library reads JSON into values and forgets where they stood; here a :class:`Node` knows.  Edits
are replacements of spans; what a new member or element looks like (indentation, separators, line end) is
copied from its neighbours.  May import nothing of syncd.

Source: RFC 8259.  Stricter than it in one thing: a name that stands twice in one object is a fault, since
programs disagree about which of the two counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

DEPTH_MAX: Final = 100
"""Deeper nesting is no mission file; the interpreter's stack is spared."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_DIGITS_MAX: Final = 4000
"""Longer numbers are refused: the interpreter would refuse them too, less politely."""

_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}


class JsonFault(Exception):
    """Why a text is no JSON, and the offset at which it ceases to be."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class Node(msgspec.Struct, frozen=True):
    """One value: what it is, and its span.  ``members`` of an object, ``elements`` of an array."""

    value: Any
    start: int
    end: int
    members: tuple[Member, ...] = ()
    elements: tuple[Node, ...] = ()

    def member(self, *names: str) -> Member | None:
        """Return the first of these members that an object has."""
        found = {each.name: each for each in self.members}
        return next((found[name] for name in names if name in found), None)


class Member(msgspec.Struct, frozen=True):
    """One name of an object with its value; ``start`` is where the name begins."""

    name: str
    start: int
    node: Node


class Splice(msgspec.Struct, frozen=True):
    """A replacement of the text between two offsets."""

    start: int
    end: int
    text: str


def parse_json(text: str) -> Node:
    """Return the value that a whole text is.  Raises JsonFault with the first place where it is no JSON."""
    at = _space(text, 1 if text.startswith("\ufeff") else 0)
    node = _value(text, at, 0)
    end = _space(text, node.end)
    if end < len(text):
        raise JsonFault("something stands behind the end of the JSON value", end)
    return node


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """Return the text with spans replaced; splices at one place come in the order given."""
    parts: list[str] = []
    at = 0
    for each in sorted(splices, key=lambda splice: (splice.start, splice.end)):
        parts += (text[at : each.start], each.text)
        at = each.end
    return "".join((*parts, text[at:]))


def written(text: str, value: Any) -> str:
    """Return a scalar as the text's author would write it: plain letters stay plain unless all are escaped here."""
    return json.dumps(value, ensure_ascii=_is_escaped(text))


def with_members(text: str, node: Node, members: Iterable[tuple[str, str]], *, unit: str) -> Splice:
    """Return the splice that adds members (name and JSON text) at the end of an object."""
    lines = [f"{json.dumps(name)}{_colon(text, node)}{value}" for name, value in members]
    return _appended(text, node, [(each.start, each.node.end) for each in node.members], lines, unit)


def changed_elements(text: str, node: Node, gone: Iterable[int], added: Iterable[Any], *, unit: str) -> list[Splice]:
    """Return the splices that take elements out of an array, by index, and put new values behind the last one."""
    places = frozenset(gone)
    kept = [index for index in range(len(node.elements)) if index not in places]
    values = [_element(text, node, each, unit) for each in added]
    if node.elements and not kept:
        first, last = node.elements[0], node.elements[-1]
        if not values:
            return [Splice(node.start + 1, node.end - 1, "")]
        between = _between(text, [(each.start, each.end) for each in node.elements])
        return [Splice(first.start, last.end, between.join(values))]
    splices = []
    for index in sorted(places):
        each = node.elements[index]
        if index > kept[0]:
            splices.append(Splice(node.elements[index - 1].end, each.end, ""))
        else:
            splices.append(Splice(each.start, node.elements[index + 1].start, ""))
    if values:
        splices.append(_appended(text, node, [(each.start, each.end) for each in node.elements], values, unit))
    return splices


def _element(text: str, node: Node, value: Any, unit: str) -> str:
    """Return a new element as the array's last one is laid out: on one line, or on several."""
    if node.elements:
        last = node.elements[-1]
        indent = indent_of(text, last.start)
        is_flat = not re.search(r"[\r\n]", text[last.start : last.end])
    else:
        outer = _indent_around(text, node)
        indent = None if outer is None else outer + unit
        is_flat = outer is None
    if is_flat or indent is None:
        return _flat(value, text)
    return pretty(value, text, indent=indent, unit=unit)


def unit_of(text: str) -> str:
    """Return what one level of indentation is in a text: that of its first indented line, else two spaces."""
    found = re.search(r"[\r\n]([ \t]+)\S", text)
    return found.group(1) if found else "  "


def pretty(value: Any, text: str, *, indent: str, unit: str) -> str:
    """Return a value on several lines, as it stands at a depth of a text.

    Args:
        indent: what the line begins with on which the value begins.
    """
    lines = json.dumps(value, ensure_ascii=_is_escaped(text), indent=unit).split("\n")
    return (line_end(text) + indent).join(lines)


def line_end(text: str) -> str:
    """Return the line end of a text's first line, LF where it has one line only."""
    found = re.search(r"\r\n|\n|\r", text)
    return found.group() if found else "\n"


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return the place of an offset, counted from 1."""
    before = text[:offset]
    breaks = [found.end() for found in re.finditer(r"\r\n|\n|\r", before)]
    start = breaks[-1] if breaks else (1 if text.startswith("\ufeff") else 0)
    return len(breaks) + 1, max(offset - start, 0) + 1


def indent_of(text: str, offset: int) -> str | None:
    """Return the white space with which the line of an offset begins; ``None`` when other text stands before it."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    before = text[start:offset]
    return None if before.strip(" \t\ufeff") else before.lstrip("\ufeff")


# --- reading -------------------------------------------------------------------------------------


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _value(text: str, at: int, depth: int) -> Node:
    if depth > DEPTH_MAX:
        raise JsonFault(f"it is nested more than {DEPTH_MAX} deep", at)
    match text[at : at + 1]:
        case "{":
            return _object(text, at, depth)
        case "[":
            return _array(text, at, depth)
        case '"':
            value, end = _string(text, at)
            return Node(value, at, end)
        case "":
            raise JsonFault("the text ends before the JSON value does", at)
    for word, meaning in _WORDS.items():
        if text.startswith(word, at):
            return Node(meaning, at, at + len(word))
    found = _NUMBER.match(text, at)
    if found is None or len(found.group()) > _DIGITS_MAX:
        raise JsonFault("a JSON value is expected here", at)
    return Node(json.loads(found.group()), at, found.end())


def _string(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None:
        raise JsonFault("a text that begins here does not end on its line", at)
    try:
        return str(json.loads(found.group())), found.end()
    except json.JSONDecodeError as error:
        raise JsonFault(error.msg[:1].lower() + error.msg[1:], at + error.pos) from error


def _object(text: str, start: int, depth: int) -> Node:
    members: dict[str, Member] = {}
    at = _space(text, start + 1)
    while text[at : at + 1] != "}":
        if members:
            at = _expected(text, at, ",")
        if text[at : at + 1] != '"':
            raise JsonFault("a name in double quotes is expected here", at)
        name, end = _string(text, at)
        if name in members:
            raise JsonFault(f"the name {name!r} stands twice in one object", at)
        node = _value(text, _expected(text, _space(text, end), ":"), depth + 1)
        members[name] = Member(name, at, node)
        at = _space(text, node.end)
    found = tuple(members.values())
    return Node({each.name: each.node.value for each in found}, start, at + 1, members=found)


def _array(text: str, start: int, depth: int) -> Node:
    elements: list[Node] = []
    at = _space(text, start + 1)
    while text[at : at + 1] != "]":
        if elements:
            at = _expected(text, at, ",")
        node = _value(text, at, depth + 1)
        elements.append(node)
        at = _space(text, node.end)
    return Node([each.value for each in elements], start, at + 1, elements=tuple(elements))


def _expected(text: str, at: int, mark: str) -> int:
    """Pass a mark and the space behind it."""
    if text[at : at + 1] != mark:
        raise JsonFault(f"{mark!r} is expected here" if at < len(text) else "the text ends too early", at)
    return _space(text, at + 1)


# --- adding --------------------------------------------------------------------------------------


def _colon(text: str, node: Node) -> str:
    """Return what stands between a name and its value in an object, or in the text at all."""
    if not node.members:
        return ":" if _is_tight(text) else ": "
    first = node.members[0]
    _, end = _string(text, first.start)
    return text[end : first.node.start]


def _is_tight(text: str) -> bool:
    """Return whether a text is written without a space behind colons."""
    return '":' in text and not re.search(r'":\s', text)


def _flat(value: Any, text: str) -> str:
    separators = (",", ":") if _is_tight(text) else (", ", ": ")
    return json.dumps(value, ensure_ascii=_is_escaped(text), separators=separators)


def _is_escaped(text: str) -> bool:
    """Return whether the author escapes all letters that are not plain ASCII."""
    return text.isascii() and "\\u" in text


def _between(text: str, spans: list[tuple[int, int]]) -> str:
    """Return what stands between two neighbours of an object or array that has some."""
    if len(spans) > 1:
        return text[spans[-2][1] : spans[-1][0]]
    indent = indent_of(text, spans[-1][0])
    if indent is not None:
        return f",{line_end(text)}{indent}"
    return "," if _is_tight(text) else ", "


def _appended(text: str, node: Node, spans: list[tuple[int, int]], parts: list[str], unit: str) -> Splice:
    """Return the splice that puts parts behind the last span of an object or array, parted as its spans are."""
    if spans:
        between = _between(text, spans)
        return Splice(spans[-1][1], spans[-1][1], "".join(between + each for each in parts))
    outer = _indent_around(text, node)
    if outer is None:
        return Splice(node.start + 1, node.end - 1, ("," if _is_tight(text) else ", ").join(parts))
    end, indent = line_end(text), outer + unit
    inside = end + indent + f",{end}{indent}".join(parts) + end + outer
    return Splice(node.start + 1, node.end - 1, inside)


def _indent_around(text: str, node: Node) -> str | None:
    """Return the indentation of the line on which a value begins; ``None`` in a text of one line."""
    if not re.search(r"[\r\n]\s*\S", text):
        return None
    start = max(text.rfind("\n", 0, node.start), text.rfind("\r", 0, node.start)) + 1
    found = re.match(r"\ufeff?([ \t]*)", text[start:])
    return found.group(1) if found else ""
