"""What a mission file says, and what of it is a problem."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from syncd.parsers.mission_edit import RecordEdit, edited, starter
from syncd.parsers.mission_json import ID_NAMES, MissionDocument, camel, parse_mission
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, RecordKey, RecordKind

SCHEMA = Draft202012Validator(bundle("mission"))
MISSION = RecordKey(RecordKind.MISSION, "m")
M1 = RecordKey(RecordKind.MILESTONE, "m", "M1")

GOOD = {
    FieldKind.TEXT: st.sampled_from(["word", "", None]),
    FieldKind.STATUS: st.sampled_from(["done", None]),
    FieldKind.PATH: st.sampled_from(["a/b", None]),
    FieldKind.INSTANT: st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02", "", None]),
    FieldKind.NUMBER: st.sampled_from([7, 0, None]),
    FieldKind.JSON: st.sampled_from([None, "word", 1.5, ["a"], {"a": [1]}]),
}
BAD = st.sampled_from(["word", 7, True, 1.5, ["a"], {"a": 1}, 2**40])
IDS = st.sampled_from(["M1", "M2", 3])


def objects(kind: RecordKind, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return records as a file holds them, some with one value that may be wrong."""
    fields = {name: GOOD[each] for name, each in RECORD_FIELDS[kind].items()}
    good = st.fixed_dictionaries({ID_NAMES[kind][0]: IDS}, optional={**fields, **more})
    spoilt = st.builds(lambda plain, name, value: {**plain, name: value}, good, st.sampled_from(sorted(fields)), BAD)
    return good | spoilt


def parsed(value: Any) -> MissionDocument:
    """Return what is read in a value as JSON."""
    return parse_mission(json.dumps(value).encode(), path="mission.json")


def codes(document: MissionDocument) -> list[str]:
    return [each.code for each in document.problems]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid-json"),
        (b'{"mission_id": "m",', "invalid-json"),
        (b'{"mission_id": "\xff"}', "not-utf8"),
        (b"[]", "no-mission"),
        (b"{}", "no-mission"),
        (b'{"mission_id": ""}', "no-mission"),
        (b'{"mission_id": "a b"}', "no-mission"),
        (b'{"mission_id": "m\\u0000"}', "no-mission"),
        (b'{"mission_id": "m", "milestones": {}}', "no-mission"),
    ],
)
def test_what_is_no_mission_is_frozen(data: bytes, code: str) -> None:
    """Nothing is read of it, its bytes are kept, and one problem says why."""
    found = parse_mission(data, path="mission.json")
    assert (found.is_frozen, codes(found), found.source, found.records) == (True, [code], data, {})


def test_a_file_over_the_limit_is_frozen() -> None:
    """The limit counts bytes."""
    assert codes(parse_mission(b'{"mission_id": "m"}', path="x", bytes_max=10)) == ["too-large"]


def test_both_spellings_are_read() -> None:
    """Of each key the first spelling that stands counts; an id may be a number."""
    found = parsed({"missionId": 7, "tasksFile": "a.md", "milestones": [{"id": 1, "completedAt": "2026-01-01"}]})
    assert found.mission == "7"
    assert found.records[RecordKey(RecordKind.MISSION, "7")].fields == {"tasks_file": "a.md"}
    assert found.records[RecordKey(RecordKind.MILESTONE, "7", "1")].fields == {"completed_at": "2026-01-01T00:00:00Z"}


def test_an_absent_key_is_no_empty_one() -> None:
    """A key that is not there has no value; null and the empty text are empty."""
    found = parsed({"id": "m", "milestones": [{"id": "M1", "branch": None, "name": ""}]})
    assert found.records[M1].fields == {"branch": None, "name": None}


@pytest.mark.parametrize("value", [["x"], {"a": 1}, True, 1.5, "a\0b", "\ud800"])
def test_a_value_of_a_wrong_type_is_a_problem_of_its_own(value: Any) -> None:
    """It has no local value; its neighbours have theirs."""
    found = parsed({"id": "m", "milestones": [{"id": "M1", "name": value, "branch": "b"}]})
    assert (codes(found), found.records[M1].fields) == (["bad-mission-field"], {"branch": "b"})


def test_what_is_no_milestone_is_told_and_passed_over() -> None:
    """No object, no usable id, an id that stands already."""
    found = parsed({"id": "m", "milestones": [1, {}, {"id": "M1"}, {"id": "M1", "name": "again"}]})
    assert codes(found) == ["bad-mission-field", "bad-id", "duplicate-id"]
    assert found.records[M1].fields == {}


WRONG = st.sampled_from([7, {}, {"id": "a b"}])
FILES = objects(
    RecordKind.MISSION,
    milestones=st.none() | st.lists(objects(RecordKind.MILESTONE), max_size=3) | st.lists(WRONG, max_size=1),
    sessions=st.none() | st.lists(objects(RecordKind.SESSION), max_size=2) | st.just({}),
)


@settings(max_examples=300, deadline=None)
@given(FILES, st.booleans())
def test_reader_and_schema_agree(plain: dict[str, Any], is_camel: bool) -> None:
    """A file is valid by the schema exactly when nothing in it is a problem."""
    if is_camel:
        plain = _camelled(plain)
    found = parsed(plain)
    # Of what repeats an id nothing is read.
    assume("duplicate-id" not in codes(found))
    assert SCHEMA.is_valid(plain) == (not found.problems), (plain, found.problems)


def _camelled(value: Any) -> Any:
    match value:
        case dict():
            return {camel(name): _camelled(each) for name, each in value.items()}
        case list():
            return [_camelled(each) for each in value]
        case _:
            return value


def test_a_starter_reads_back() -> None:
    """A new file says what it was made of, and is valid."""
    data = starter("m", {"name": "Shop", "quality_gates": '["lint"]'}, [("M1", {"name": "One", "status": "pending"})])
    found = parse_mission(data, path="mission.json")
    assert SCHEMA.is_valid(json.loads(data))
    assert found.problems == ()
    assert found.records[MISSION].fields == {"name": "Shop", "quality_gates": '["lint"]'}
    assert found.records[M1].fields == {"name": "One", "status": "pending"}


EDITS = st.dictionaries(
    st.sampled_from(["name", "status", "branch", "issue"]), st.sampled_from(["x", "ü", "12", 'q"', None]), min_size=1
)


@given(
    FILES.filter(lambda plain: not parsed(plain).is_frozen),
    st.dictionaries(st.sampled_from(["M1", "M2", "N1"]), st.none() | EDITS, max_size=3),
    st.sampled_from([None, 2, "\t"]),
)
def test_an_edit_changes_what_it_names_and_nothing_else(
    plain: dict[str, Any], wanted: dict[str, Any], indent: int | str | None
) -> None:
    """After any edits the file says what was asked; all other values, known or not, are what they were."""
    data = json.dumps({**plain, "other": {"z": [1, {}]}}, indent=indent).encode()
    before = parse_mission(data, path="x")
    edits = [RecordEdit(RecordKey(RecordKind.MILESTONE, before.mission or "", id), each) for id, each in wanted.items()]
    after = parse_mission(edited(before, edits), path="x")
    keys = {each.key for each in edits}
    assert {key: each.fields for key, each in after.records.items() if key not in keys} == {
        key: each.fields for key, each in before.records.items() if key not in keys
    }
    for each in edits:
        assert (each.key in after.records) == (each.fields is not None)
        said = after.records[each.key].fields if each.fields is not None else {}
        assert all(said.get(name) == value for name, value in (each.fields or {}).items())
    assert json.loads(after.text)["other"] == {"z": [1, {}]}
    assert len(after.problems) == len(before.problems) or keys
    if not edits:
        assert after.source == data
