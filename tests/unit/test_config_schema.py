"""The JSON Schema of ``syncd.yaml`` says of a file what syncd says of it."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from syncd.errors import ConfigError
from syncd.files.settings import get_setting, parse_config, parse_value
from syncd.schemas.config import KEYS, Config

GOOD = (
    "",
    "project: 2024",
    "tasks: TASKS.md",
    "tasks: [TASKS.md, {path: ui/tasks.md, namespace: ui}, 'docs/**/TASKS.md']",
    "headers: {aufgabe: title, stand: status, zweig: extra.branch}",
    "statuses: {fertig: done}",
    "policy: {title: remote, extra.*: ask}",
    "guards: {grace_s: 1.5, deletions_max: 0}",
    "guards:",
    "mode: flatfile",
    "on_removed: hold",
    "priority_range: [0, 9]",
    "store: {kind: embedded, address: default}",
    "pooled: true",
    "events: [{run: [notify, done], on: task.*}, {url: 'https://example.org/hook', retries: 0}, {file: log.ndjson}]",
)
BAD = (
    "projct: x",
    "tasks: /etc/passwd",
    "tasks: a/../../b",
    "tasks: []",
    "tasks: [{namespace: ui}]",
    "headers: {aufgabe: nothing}",
    "statuses: {fertig: finished}",
    "guards: {grace_s: -1}",
    "guards: {grace: 1}",
    "mode: sqlite",
    "on_removed: forget",
    "bytes_max: 0",
    "store: {kind: embedded}",
    "pooled: maybe",
    "priority_range: [1, 2, 3]",
    "events: [{run: a, url: 'https://example.org'}]",
    "events: [{url: 'ftp://example.org'}]",
    "events: {file: ../out.ndjson}",
    "events: {run: a, timeout_s: 0}",
    "events: {url: 'https://example.org', secret_env: 'hunter 2'}",
    "database_url_env: postgresql://me:hunter2@host/db",
    "valkey_url_env: 'valkey://:hunter2@host'",
    "retry: {max_s: 1.0e+300}",
)
VALIDATOR = Draft202012Validator(bundle("config"))


def _read(text: str) -> Any:
    """Return the YAML as plain data."""
    return parse_value(text) if text else None


@pytest.mark.parametrize("text", GOOD)
def test_what_syncd_takes_is_valid(text: str) -> None:
    """Settings that syncd reads are valid by the schema."""
    parse_config(text, "syncd.yaml")
    VALIDATOR.validate(_read(text))


@pytest.mark.parametrize("text", BAD)
def test_what_syncd_refuses_is_not(text: str) -> None:
    """Settings that syncd refuses are marked by an editor that has the schema."""
    with pytest.raises(ConfigError):
        parse_config(text, "syncd.yaml")
    assert not VALIDATOR.is_valid(_read(text))


@pytest.mark.parametrize("key", ["database_url_env", "valkey_url_env"])
def test_a_secret_in_the_place_of_a_name_is_not_said_again(key: str) -> None:
    """An address that was written where a variable's name belongs may hold a password."""
    with pytest.raises(ConfigError) as raised:
        parse_config(f"{key}: postgresql://me:hunter2@host/db", "syncd.yaml")
    assert "hunter2" not in f"{raised.value.message} {raised.value.hint}"


def test_every_default_is_valid() -> None:
    """The default of each key may be written down."""
    for name in KEYS:
        value = get_setting(Config(), name)
        group, _, key = name.rpartition(".")
        VALIDATOR.validate({group: {key: value}} if group else {key: value})
