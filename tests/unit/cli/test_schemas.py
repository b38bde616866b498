"""The JSON Schemas of the outputs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import URN, bundle, titles
from syncd.errors import BadValue


@pytest.mark.parametrize("name", sorted(titles()))
def test_a_schema_is_valid_and_complete_in_itself(name: str) -> None:
    """A bundled schema is a valid schema, and every reference in it leads to something in it."""
    schema = bundle(name)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for reference in _references(schema):
        validator._resolver.lookup(reference) if reference.startswith(URN) else None
    assert schema["$id"] == URN + name
    embedded = {each["$id"] for each in schema.get("$defs", {}).values() if "$id" in each}
    assert {each for each in _references(schema) if each.startswith(URN)} <= embedded | {URN + name}


def test_an_unknown_schema_is_refused() -> None:
    """A name that is none, or tries to leave the folder, is refused."""
    for name in ("nope", "../syncd", "sql", ""):
        with pytest.raises(BadValue, match="no schema"):
            bundle(name)


def test_schemas_are_strict() -> None:
    """A key that a schema does not know is an error, so that outputs and schemas cannot drift apart."""
    validator = Draft202012Validator(bundle("stats"))
    assert not validator.is_valid({"total": 1})
    assert not Draft202012Validator(bundle("hold")).is_valid(json.loads('{"id": "A", "more": 1}'))


def _references(value: Any) -> set[str]:
    match value:
        case dict():
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(_references, value.values()))
        case list():
            return set().union(*map(_references, value))
        case _:
            return set()
