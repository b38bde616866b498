"""``mission.json``: what it says, and where, in either spelling of its keys.

What others keep in the file is left alone: keys that syncd does not know, the order of keys, indentation,
line ends.  A value of the wrong type is a problem of that value only, and has no local value; a file that is
no JSON, or names no mission, is *frozen*: nothing is concluded from it and it is not written.
``schemas/mission.schema.json`` says the same as a JSON Schema.  May import ``syncd.schemas`` and the modules
of the parsers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from syncd.parsers.document import Problem
from syncd.parsers.fields import is_id
from syncd.parsers.json_text import JsonFault, Node, line_and_column, parse_json
from syncd.schemas.card import Fields, Value
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, Record, RecordKey, RecordKind, Records, canonical_field

MISSION_PROBLEM_CODES: Final[Mapping[str, str]] = {
    "bad-mission-field": "A value of the mission file is of another type than its key takes; it is not synced.",
    "invalid-json": "The mission file is no JSON; nothing is read from it and it is left untouched.",
    "no-mission": "The mission file names no mission (mission_id); nothing is read from it.",
}
"""What reading a mission file reports, beside the codes of task files: code -> meaning."""

ID_NAMES: Final[Mapping[RecordKind, tuple[str, ...]]] = {
    RecordKind.MISSION: ("mission_id", "missionId", "id"),
    RecordKind.MILESTONE: ("id", "milestone_id", "milestoneId"),
    RecordKind.SESSION: ("session_id", "sessionId", "id"),
}
LISTS: Final[Mapping[RecordKind, str]] = {RecordKind.MILESTONE: "milestones", RecordKind.SESSION: "sessions"}

_FROZEN: Final = frozenset({"invalid-json", "no-mission", "not-utf8", "too-large"})
_UNSTORABLE: Final = "it holds a NUL or half a character, which no store can keep"


def camel(name: str) -> str:
    """Return ``started_at`` as ``startedAt``."""
    head, *tail = name.split("_")
    return head + "".join(each.capitalize() for each in tail)


class FileRecord(msgspec.Struct, frozen=True):
    """One record as the file shows it, with the object in which it stands."""

    record: Record
    node: Node
    line: int
    column: int


class MissionDocument(msgspec.Struct, frozen=True):
    """A parsed mission file.  ``root`` is ``None`` when it is frozen."""

    path: str
    text: str
    mission: str | None = None
    root: Node | None = None
    found: Mapping[RecordKey, FileRecord] = msgspec.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def records(self) -> Records:
        """What the file says."""
        return {key: each.record for key, each in self.found.items()}

    @property
    def is_frozen(self) -> bool:
        """Whether nothing may be concluded from the file."""
        return self.root is None

    @property
    def source(self) -> bytes:
        """The bytes that were parsed."""
        return self.text.encode("utf-8", "surrogateescape")


def parse_mission(data: bytes, *, path: str, bytes_max: int = 16 * 1024 * 1024) -> MissionDocument:
    """Return what a mission file says.  Holds: never raises, whatever the bytes are."""
    text = data.decode("utf-8", "surrogateescape")
    if len(data) > bytes_max:
        return _frozen(path, text, 0, "too-large", f"the file has more than {bytes_max} bytes", "Make it smaller.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = len(data[: error.start].decode("utf-8", "surrogateescape"))
        return _frozen(path, text, at, "not-utf8", "the file is not UTF-8", "Save it as UTF-8.")
    try:
        root = parse_json(text)
    except JsonFault as fault:
        hint = "Mend it, or put back what syncd saw last: syncd reject " + path
        return _frozen(path, text, fault.offset, "invalid-json", f"no JSON: {fault.message}", hint)
    return _Reader(path, text, root).document()


def _frozen(path: str, text: str, offset: int, code: str, message: str, hint: str) -> MissionDocument:
    line, column = line_and_column(text, offset)
    return MissionDocument(path, text, problems=(Problem(path, line, column, code, message, hint),))


class _Reader:
    """Reads one file."""

    def __init__(self, path: str, text: str, root: Node) -> None:
        self._path = path
        self._text = text
        self._root = root
        self._found: dict[RecordKey, FileRecord] = {}
        self._problems: list[Problem] = []

    def document(self) -> MissionDocument:
        """Return the whole."""
        if not isinstance(self._root.value, dict):
            return self._no_mission(self._root, "the file holds no JSON object")
        id = self._id(self._root, RecordKind.MISSION)
        if id is None:
            return self._no_mission(self._root, "the file has no mission_id")
        for name in LISTS.values():
            each = self._root.member(name)
            if each is not None and not isinstance(each.node.value, list | None):
                return self._no_mission(each.node, f"{name} is no list")
        self._take(RecordKey(RecordKind.MISSION, id), self._root, 0)
        for kind, name in LISTS.items():
            self._take_list(kind, name, id)
        return MissionDocument(self._path, self._text, id, self._root, self._found, tuple(self._problems))

    def _no_mission(self, node: Node, message: str) -> MissionDocument:
        hint = "A mission file is an object with a mission_id: syncd schema mission."
        return _frozen(self._path, self._text, node.start, "no-mission", message, hint)

    def _take_list(self, kind: RecordKind, name: str, mission: str) -> None:
        member = self._root.member(name)
        for position, node in enumerate(member.node.elements if member else ()):
            if not isinstance(node.value, dict):
                self._problem(node, "bad-mission-field", f"an element of {name} is no object", "Make it one.")
                continue
            id = self._id(node, kind)
            if id is None:
                hint = f"Give it {ID_NAMES[kind][0]}: text without white space."
                self._problem(node, "bad-id", f"a {kind.value} has no id that can be used", hint)
                continue
            key = RecordKey(kind, mission, id)
            if key in self._found:
                first = self._found[key].line
                said = f"{kind.value} {id} stands in line {first} already"
                self._problem(node, "duplicate-id", said, "Give this one an id of its own, or take it out.")
                continue
            self._take(key, node, position)

    def _id(self, node: Node, kind: RecordKind) -> str | None:
        """Return the id in an object: text, or a number as text."""
        member = node.member(*ID_NAMES[kind])
        value = member.node.value if member else None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return value if isinstance(value, str) and is_id(value) and _is_storable(value) else None

    def _take(self, key: RecordKey, node: Node, position: int) -> None:
        line, column = line_and_column(self._text, node.start)
        record = Record(key, dict(self._fields(key, node)), position=position)
        self._found[key] = FileRecord(record, node, line, column)

    def _fields(self, key: RecordKey, node: Node) -> Iterator[tuple[str, Value]]:
        taken = node.member(*ID_NAMES[key.kind])
        for name, kind in RECORD_FIELDS[key.kind].items():
            member = node.member(name, camel(name))
            if member is None or member is taken:
                continue
            if (why := _misfit(kind, member.node.value)) is not None:
                hint = "Mend the value; everything else of the file goes on."
                self._problem(member.node, "bad-mission-field", f"{member.name}: {why}", hint)
                continue
            yield name, canonical_field(kind, member.node.value)

    def _problem(self, node: Node, code: str, message: str, hint: str) -> None:
        line, column = line_and_column(self._text, node.start)
        self._problems.append(Problem(self._path, line, column, code, message, hint))


def _misfit(kind: FieldKind, value: Any) -> str | None:
    """Return why a value cannot be a field's; ``None`` when it can."""
    if value is None:
        return None
    if kind is FieldKind.JSON:
        return None if _is_storable(value) else _UNSTORABLE
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if kind is FieldKind.NUMBER:
        return None if is_whole and abs(value) < 2**31 else "it is no whole number"
    if is_whole and kind is FieldKind.TEXT:
        return None
    if not isinstance(value, str):
        return "it is no text"
    if not _is_storable(value):
        return _UNSTORABLE
    if kind is FieldKind.INSTANT:
        try:
            canonical_field(kind, value)
        except (ValueError, OverflowError):
            return "it is no time such as 2026-03-15T10:00:00Z"
    return None


def _is_storable(value: Any) -> bool:
    """Return whether Postgres can hold a value: no NUL, no half of a surrogate pair, no number out of range."""
    match value:
        case str():
            return "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)
        case list():
            return all(map(_is_storable, value))
        case dict():
            return all(_is_storable(each) for pair in value.items() for each in pair)
        case float():
            return abs(value) != float("inf")
        case _:
            return True


def fields_of(document: MissionDocument, key: RecordKey) -> Fields:
    """Return the fields of one record; none where the file does not show it."""
    found = document.found.get(key)
    return found.record.fields if found else {}
