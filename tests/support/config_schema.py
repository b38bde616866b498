"""The JSON Schema of ``syncd.yaml``, for editors: made from the table of its keys."""

from __future__ import annotations

import json
from typing import Any

from syncd.schemas.config import (
    FIELD_NAMES,
    KEYS,
    SECONDS_MAX,
    STATES,
    VARIABLE,
    Kind,
    Mode,
    OnRemoved,
    Side,
    StoreKind,
)


def _list_of(item: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a list, or one alone, which stands for a list of one."""
    return {"anyOf": [item, {"type": "array", "items": item, **more}]}


TEXT: dict[str, Any] = {"type": ["string", "number"]}
"""A project named 2024 is meant as written."""

NAME: dict[str, Any] = {"type": "string", "pattern": f"^{VARIABLE}$"}
PATH: dict[str, Any] = {"type": "string", "minLength": 1, "not": {"pattern": r"^[/~]|(^|/)\.\.(/|$)"}}
FIELD: dict[str, Any] = {"anyOf": [{"enum": list(FIELD_NAMES)}, {"type": "string", "pattern": r"^extra\..+"}]}
TASK: dict[str, Any] = {
    "anyOf": [
        PATH,
        {
            "type": "object",
            "properties": {"path": PATH, "namespace": TEXT},
            "required": ["path"],
            "additionalProperties": False,
        },
    ]
}
STORE: dict[str, Any] = {
    "type": "object",
    "properties": {"kind": {"enum": [*StoreKind]}, "address": {"type": "string"}},
    "required": ["kind", "address"],
    "additionalProperties": False,
}
OUTLET: dict[str, Any] = {
    "type": "object",
    "properties": {
        "run": _list_of(TEXT),
        "url": {"type": "string", "pattern": "^https?://"},
        "file": PATH,
        "on": _list_of(TEXT),
        "name": TEXT,
        "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": SECONDS_MAX},
        "concurrency": {"type": "integer", "minimum": 1},
        "retries": {"type": "integer", "minimum": 0},
        "secret_env": NAME,
    },
    "oneOf": [{"required": [each]} for each in ("run", "url", "file")],
    "additionalProperties": False,
}
ASSIGNMENT: dict[str, Any] = {
    "type": "object",
    "properties": {"worker": TEXT, "phase": TEXT, "agent": TEXT, "labels": _list_of(TEXT)},
    "required": ["worker"],
    "additionalProperties": False,
}


SHAPES: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: TEXT,
    Kind.VARIABLE: NAME,
    Kind.SWITCH: {"type": "boolean"},
    Kind.COUNT: {"type": "integer", "minimum": 0},
    Kind.SIZE: {"type": "integer", "minimum": 1},
    Kind.SHARE: {"type": "number", "minimum": 0, "maximum": 1},
    Kind.SECONDS: {"type": "number", "minimum": 0, "maximum": SECONDS_MAX},
    Kind.MILLISECONDS: {"type": "integer", "minimum": 0},
    Kind.PATHS: _list_of(PATH, minItems=1),
    Kind.WORDS: _list_of(TEXT),
    Kind.MODE: {"enum": [*Mode]},
    Kind.ON_REMOVED: {"enum": [*OnRemoved]},
    Kind.TASKS: _list_of(TASK, minItems=1),
    Kind.STORE: STORE,
    Kind.HEADERS: {"type": "object", "additionalProperties": FIELD},
    Kind.STATUSES: {"type": "object", "additionalProperties": {"enum": list(STATES)}},
    Kind.POLICY: {"type": "object", "additionalProperties": {"enum": [*Side]}},
    Kind.RANGE: {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    Kind.OUTLETS: _list_of(OUTLET),
    Kind.ASSIGNMENTS: _list_of(ASSIGNMENT),
}


def config_schema() -> str:
    """Return the schema's text; a key with nothing behind it has its default, so null is fine everywhere."""
    root: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:syncd:schema:config",
        "title": "The settings of a workspace: syncd.yaml",
        "type": ["object", "null"],
        "properties": {},
        "additionalProperties": False,
    }
    for key in KEYS.values():
        properties = root["properties"]
        group, _, name = key.name.rpartition(".")
        if group:
            empty = {"type": ["object", "null"], "properties": {}, "additionalProperties": False}
            properties = properties.setdefault(group, empty)["properties"]
        described = {"description": key.meaning.replace("`", "")}
        properties[name] = {**described, "anyOf": [SHAPES[key.kind], {"type": "null"}]}
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"
