"""The words of a command line, and the values they become."""

from __future__ import annotations

import pytest

from syncd.cli.values import parse_acceptance, parse_cards, parse_extra, parse_fields, parse_ids, parse_use
from syncd.errors import BadValue


@pytest.mark.parametrize(
    ("text", "ids"),
    [("A1,A2", ("A1", "A2")), (" A1 , ,A2,", ("A1", "A2")), ("A1,A1", ("A1",)), ("", ()), (None, ())],
)
def test_a_comma_list_becomes_ids_each_once(text: str | None, ids: tuple[str, ...]) -> None:
    """White space, empty parts and repetitions of a comma list go away."""
    assert parse_ids(text) == ids


@pytest.mark.parametrize(
    ("text", "acceptance"),
    [
        ("tests pass; docs built", ["tests pass", "docs built"]),
        ('["tests pass; all", "docs"]', ["tests pass; all", "docs"]),
        ('{"coverage": 90}', {"coverage": 90}),
        ('"one"', "one"),
        ("  ", None),
        (None, None),
    ],
)
def test_acceptance_is_json_or_parts(text: str | None, acceptance: object) -> None:
    """Acceptance that looks like JSON is read as JSON, anything else is split at semicolons."""
    assert parse_acceptance(text) == acceptance


def test_broken_json_in_acceptance_is_refused() -> None:
    """Acceptance that begins like JSON and is none is not taken as text."""
    with pytest.raises(BadValue, match="not JSON"):
        parse_acceptance('["tests pass"')


def test_json_that_no_store_can_hold_is_refused() -> None:
    """Nesting without end and numbers that are none are bad values, in a line as in an option."""
    for text in ("[" * 100_000 + "]" * 100_000, '{"share": NaN}', "[-Infinity]"):
        with pytest.raises(BadValue, match="not JSON"):
            parse_acceptance(text)
        with pytest.raises(BadValue, match="line 2 is not JSON"):
            parse_cards(b'{"id": "A", "title": "a"}\n' + b'{"id": "B", "acceptance": %b}' % text.encode())


def test_extra_keeps_everything_behind_the_first_equals_sign() -> None:
    """A value of --extra may hold equals signs."""
    assert parse_extra(["branch=feat/x", "query=a=b"]) == {"branch": "feat/x", "query": "a=b"}


def test_fields_are_given_in_canonical_form() -> None:
    """Each field of update gets the type that the card has for it, and snake case is understood."""
    words = ["title= Schema ", "priority=-3", "status=done", "depends_on=A1,A2", "acceptance=a;b", "extra.pr=#4"]
    assert parse_fields(words) == {
        "title": "Schema",
        "priority": -3,
        "status": "done",
        "dependsOn": ("A1", "A2"),
        "acceptance": ("a", "b"),
        "extra.pr": "#4",
    }


def test_an_empty_value_empties_a_field() -> None:
    """FIELD= takes a field's value away."""
    assert parse_fields(["body=", "phase=", "dependsOn=", "acceptance=", "priority=", "extra.pr="]) == {
        "body": None,
        "phase": None,
        "dependsOn": (),
        "acceptance": None,
        "priority": 0,
        "extra.pr": None,
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("status=finished", "ready, claimed, blocked, done"),
        ("priority=high", "whole number"),
        ("title=", "cannot be empty"),
        ("owner=me", "unknown field 'owner'"),
        ("extra.=x", "unknown field"),
        ("status", "NAME=VALUE"),
        ("=done", "NAME=VALUE"),
    ],
)
def test_what_does_not_fit_is_refused(word: str, said: str) -> None:
    """A word that sets nothing is wrong usage, and the message says what is wrong with it."""
    with pytest.raises(BadValue, match=said):
        parse_fields([word])


def test_an_unknown_field_names_the_known_ones() -> None:
    """The hint of an unknown field lists all fields."""
    with pytest.raises(BadValue) as refused:
        parse_fields(["stauts=done"])
    assert refused.value.hint is not None
    assert "title, body, phase, priority, status, dependsOn, acceptance, extra.KEY" in refused.value.hint


def test_a_field_twice_is_refused() -> None:
    """Two values for one field are a mistake, in either spelling."""
    with pytest.raises(BadValue, match="given twice"):
        parse_fields(["dependsOn=A1", "depends_on=A2"])


@pytest.mark.parametrize("choice", ["local", "remote", "value:", "value:a: b"])
def test_use_takes_a_side_or_a_value(choice: str) -> None:
    """resolve --use takes local, remote, and any text behind value:."""
    assert parse_use(choice) == choice


def test_use_refuses_a_bare_value() -> None:
    """A bare word is no value, so that a typing error in 'local' settles nothing."""
    with pytest.raises(BadValue, match="local, remote or value:TEXT"):
        parse_use("locla")
