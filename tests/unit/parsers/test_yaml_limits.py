"""YAML from somebody else's repository: front matter and settings that would take for ever are refused at once."""

from __future__ import annotations

import os
import time

import pytest

from syncd.errors import ConfigError
from syncd.files.settings import parse_config
from syncd.parsers.tasks_md import parse
from syncd.parsers.yaml_limits import CHARACTERS_MAX, DEPTH_MAX

TABLE = "\n\n| id | status |\n|----|--------|\n| A1 | done |\n"
AT_ONCE_S = 5.0
"""Generous: without the limits these take minutes or longer."""


def _bomb(levels: int = 9) -> list[str]:
    """Return lines whose last anchor stands for 9 ** levels nodes."""
    lines = ["a0: &a0 [" + ",".join(["x"] * 9) + "]"]
    return lines + [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, levels)]


HOSTILE = {
    "aliases": "\n".join([*_bomb(), "statuses: {w: *a8}"]),
    "alias of itself": "statuses: &a {w: *a}",
    "nesting": "statuses: " + "[" * 5000 + "]" * 5000,
    "nesting by dashes": "tasks:\n  " + "- " * 5000 + "x",
    "open nesting": "tasks: " + "{a: " * 5000,
    "size": "prefix: " + "x" * CHARACTERS_MAX,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_front_matter_is_refused_and_the_rest_is_read(kind: str) -> None:
    """Front matter that is too much is one problem; the cards below it are read."""
    began = time.monotonic()
    document = parse(f"---\n{HOSTILE[kind]}\n---{TABLE}".encode())
    assert time.monotonic() - began < AT_ONCE_S
    assert [each.code for each in document.problems] == ["bad-front-matter"]
    assert [each.id for each in document.cards] == ["A1"]


@pytest.mark.parametrize("kind", HOSTILE)
def test_settings_are_refused(kind: str) -> None:
    """Settings that are too much are an error of the configuration, not a bug and not a wait."""
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"not read|no YAML"):
        parse_config(HOSTILE[kind], "syncd.yaml")
    assert time.monotonic() - began < AT_ONCE_S


def test_an_ordinary_alias_is_fine() -> None:
    """Anchors, aliases and some nesting are YAML as people write it."""
    config = parse_config("headers: &h {ticket: id}\nstatuses: {fertig: done}\n", "syncd.yaml")
    assert config.statuses == {"fertig": "done"}
    nested = "[" * (DEPTH_MAX - 1) + "]" * (DEPTH_MAX - 1)
    document = parse(f"---\nother: {nested}\nphase: &p M1\ntitle: *p\n---{TABLE}".encode())
    assert not document.problems


@pytest.mark.parametrize(
    "text",
    [
        'id: !!python/object/apply:os.system ["touch pwned"]\ntitle: x\nstatus: done',
        "title: !!python/name:os.system\nid: A1\nstatus: done",
    ],
)
def test_tags_make_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag of another language is text: nothing is made or run."""
    ran: list[str] = []
    monkeypatch.setattr(os, "system", ran.append)
    parse(f"---\n{text}\n---\n".encode())
    with pytest.raises(ConfigError):
        parse_config(text, "syncd.yaml")
    assert not ran


@pytest.mark.parametrize("value", ["9" * 6000, "0x" + "f" * 6000, "0b11", "08.5.1"])
def test_numbers_that_are_none(value: str) -> None:
    """A number that Python does not read, or not for its length, is a wrong value and no bug."""
    with pytest.raises(ConfigError, match="whole number"):
        parse_config(f"bytes_max: {value}", "syncd.yaml")
