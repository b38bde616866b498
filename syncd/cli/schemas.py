"""The JSON Schemas of what syncd prints, each complete in itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from syncd.errors import BadValue

SUFFIX: Final = ".schema.json"
URN: Final = "urn:syncd:schema:"


def titles() -> dict[str, str]:
    """Return the schemas' names, each with what it describes."""
    folder = files("syncd.schemas").iterdir()
    names = (each.name.removesuffix(SUFFIX) for each in folder if each.name.endswith(SUFFIX))
    return {name: load(name)["title"] for name in sorted(names)}


def load(name: str) -> dict[str, Any]:
    """Return a schema as its file has it: other schemas are named by their URN.

    Raises:
        BadValue: there is no schema of that name.
    """
    try:
        text = files("syncd.schemas").joinpath(name + SUFFIX).read_text(encoding="utf-8")
    except (FileNotFoundError, ValueError):
        raise BadValue(f"no schema {name!r}", hint="syncd schema") from None
    found: dict[str, Any] = json.loads(text)
    return found


def bundle(name: str) -> dict[str, Any]:
    """Return a schema with all schemas that it names embedded under ``$defs``, as JSON Schema bundles them.

    Raises:
        BadValue: there is no schema of that name.
    """
    schema = load(name)
    embedded: dict[str, Any] = {}
    waiting = list(_named(schema))
    while waiting:
        other = waiting.pop()
        if other != name and other not in embedded:
            embedded[other] = load(other)
            waiting += _named(embedded[other])
    if embedded:
        schema["$defs"] = schema.get("$defs", {}) | embedded
    return schema


def _named(value: Any) -> Iterator[str]:
    """Yield the names of the schemas that a schema refers to."""
    match value:
        case {"$ref": str(reference)} if reference.startswith(URN):
            yield reference.removeprefix(URN)
        case dict():
            for each in value.values():
                yield from _named(each)
        case list():
            for each in value:
                yield from _named(each)
