"""Writing into a ``mission.json``: spans are replaced, members and elements are put beside their neighbours.

What is written is read back before it is given out: a text that would not say exactly what was asked is
refused.  May import ``syncd.schemas`` and the modules of the parsers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from syncd.parsers.json_text import (
    Node,
    Splice,
    changed_elements,
    indent_of,
    pretty,
    spliced,
    unit_of,
    with_members,
    written,
)
from syncd.parsers.mission_json import ID_NAMES, LISTS, MissionDocument, camel, parse_mission
from syncd.schemas.card import Fields, Value
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, RecordKey, RecordKind

_USUAL: Final = ("name", "status")
"""What a new milestone has even where it is empty."""


class RecordEdit(msgspec.Struct, frozen=True):
    """What is to become of one record: fields set, the record added with these fields, or (``None``) taken out."""

    key: RecordKey
    fields: Fields | None


def edited(document: MissionDocument, edits: Iterable[RecordEdit]) -> bytes:
    """Return the bytes of a file after edits.

    Raises: ValueError when the text would not say what was asked, or the file is frozen.
    Holds: I7 (every byte that no edit names stays).
    """
    if document.root is None:
        raise ValueError("a frozen file is not written")
    wanted = list(edits)
    splices: list[Splice] = []
    for each in wanted:
        found = document.found.get(each.key)
        if found is not None and each.fields is not None:
            splices += _set_fields(document, found.node, each.key.kind, each.fields)
    for kind, name in LISTS.items():
        splices += _changed_list(document, document.root, kind, name, wanted)
    text = spliced(document.text, _joined(splices))
    _require(parse_mission(text.encode("utf-8"), path=document.path), wanted)
    return text.encode("utf-8")


def starter(mission: str, fields: Fields, milestones: Sequence[tuple[str, Fields]], *, sessions: bool = True) -> bytes:
    """Return the bytes of a new mission file."""
    top = {"schema_version": 1, "mission_id": mission, **_plain(RecordKind.MISSION, fields)}
    below = [{"id": id, **_plain(RecordKind.MILESTONE, each)} for id, each in milestones]
    whole = {**top, "milestones": below, **({"sessions": []} if sessions else {})}
    return (json.dumps(whole, ensure_ascii=False, indent=2) + "\n").encode()


def _plain(kind: RecordKind, fields: Fields) -> dict[str, Any]:
    return {name: _json(RECORD_FIELDS[kind][name], value) for name, value in fields.items()}


def _json(kind: FieldKind, value: Value) -> Any:
    return json.loads(value) if kind is FieldKind.JSON and isinstance(value, str) else value


# --- fields --------------------------------------------------------------------------------------


def _set_fields(document: MissionDocument, node: Node, kind: RecordKind, fields: Fields) -> list[Splice]:
    text, unit = document.text, unit_of(document.text)
    splices, new = [], []
    for name, value in fields.items():
        field_kind = RECORD_FIELDS[kind][name]
        member = node.member(name, camel(name))
        if member is not None:
            said = _value_text(text, field_kind, value, member.node)
            splices.append(Splice(member.node.start, member.node.end, said))
        elif value is not None:
            new.append((_spelled(document, node, name), _value_text(text, field_kind, value, None)))
    if new:
        splices.append(with_members(text, node, new, unit=unit))
    return splices


def _value_text(text: str, kind: FieldKind, value: Value, node: Node | None) -> str:
    """Return a value as JSON, in the manner of the one that stands there."""
    before = node.value if node else None
    if kind is FieldKind.JSON:
        plain = _json(kind, value)
        if node is not None and isinstance(plain, list | dict) and re.search(r"[\r\n]", text[node.start : node.end]):
            return pretty(plain, text, indent=_line_indent(text, node.start), unit=unit_of(text))
        return written(text, plain)
    if kind is FieldKind.TEXT and isinstance(before, int) and isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
        return value if str(int(value)) == value else written(text, value)
    if kind is FieldKind.INSTANT and isinstance(value, str):
        return written(text, _spelled_instant(text, value))
    return written(text, value)


def _spelled_instant(text: str, value: str) -> str:
    """Return an instant as the file writes its others: with ``Z``, or with ``+00:00``."""
    is_numeric = '+00:00"' in text and 'Z"' not in text
    return value.replace("Z", "+00:00") if is_numeric else value


def _line_indent(text: str, offset: int) -> str:
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    found = re.match(r"\ufeff?([ \t]*)", text[start:])
    return found.group(1) if found else ""


def _spelled(document: MissionDocument, node: Node, name: str) -> str:
    """Return a key in the spelling of its object's other keys, else of the file's."""
    if "_" not in name:
        return name
    for names in ([each.name for each in node.members], _all_names(document.root)):
        if any("_" in each for each in names):
            return name
        if any(re.search(r"[a-z][A-Z]", each) for each in names):
            return camel(name)
    return name


def _all_names(node: Node | None) -> list[str]:
    if node is None:
        return []
    below = [each.node for each in node.members] + list(node.elements)
    return [*(each.name for each in node.members), *(name for each in below for name in _all_names(each))]


# --- lists ---------------------------------------------------------------------------------------


def _changed_list(
    document: MissionDocument, root: Node, kind: RecordKind, name: str, wanted: Sequence[RecordEdit]
) -> list[Splice]:
    """Return the splices that add records to a list and take others out."""
    of_kind = [each for each in wanted if each.key.kind is kind]
    added = [each for each in of_kind if each.fields is not None and each.key not in document.found]
    gone = [document.found[each.key].node for each in of_kind if each.fields is None and each.key in document.found]
    if not added and not gone:
        return []
    text, unit = document.text, unit_of(document.text)
    member = root.member(name)
    values = [_new_record(document, member.node if member else None, each) for each in added]
    if member is None or member.node.value is None:
        indent = (indent_of(text, root.members[-1].start) if root.members else None) or ""
        is_flat = not re.search(r"[\r\n]\s*\S", text)
        said = json.dumps(values) if is_flat else pretty(values, text, indent=indent, unit=unit)
        if member is not None:
            return [Splice(member.node.start, member.node.end, said)]
        return [with_members(text, root, [(name, said)], unit=unit)]
    places = [index for index, element in enumerate(member.node.elements) if element in gone]
    return changed_elements(text, member.node, places, values, unit=unit)


def _new_record(document: MissionDocument, array: Node | None, edit: RecordEdit) -> dict[str, Any]:
    """Return a new element with the keys that all of its neighbours have, and those that it has values for."""
    kind, fields = edit.key.kind, edit.fields or {}
    elements = [each for each in array.elements if each.members] if array else []
    model = elements[-1] if elements else None
    names = {member.name for each in elements for member in each.members}
    common = names.intersection(*({member.name for member in each.members} for each in elements))
    id_name = next((each for each in ID_NAMES[kind] if each in names), ID_NAMES[kind][0])
    if model is None:
        id_name = _spelled(document, Node({}, 0, 0), id_name)
    found: dict[str, Any] = {id_name: edit.key.id}
    for name, field_kind in RECORD_FIELDS[kind].items():
        value = fields.get(name)
        spelled = next((each for each in (name, camel(name)) if each in names), None)
        is_usual = model is None and kind is RecordKind.MILESTONE and name in _USUAL
        if value is None and spelled not in common and not is_usual:
            continue
        key = spelled or _spelled(document, model or Node({}, 0, 0), name)
        said = _spelled_instant(document.text, str(value)) if value and field_kind is FieldKind.INSTANT else value
        found[key] = _json(field_kind, said)
    return found


def _joined(splices: Sequence[Splice]) -> list[Splice]:
    """Return the splices with those at one and the same empty span made one, in their order."""
    at: dict[tuple[int, int], str] = {}
    for each in splices:
        place = (each.start, each.end)
        at[place] = at.get(place, "") + each.text if each.start == each.end else each.text
    return [Splice(start, end, text) for (start, end), text in at.items()]


def _require(document: MissionDocument, wanted: Sequence[RecordEdit]) -> None:
    """Raise ValueError unless a document says what was asked."""
    for each in wanted:
        found = document.found.get(each.key)
        if each.fields is None:
            is_so = found is None
        else:
            said: Mapping[str, Value] = found.record.fields if found else {}
            is_so = found is not None and all(said.get(name) == value for name, value in each.fields.items())
        if not is_so:
            raise ValueError(f"{each.key} cannot be written into {document.path}")
