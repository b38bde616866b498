"""Every dialect by example: ``tests/fixtures/dialects/NAME.md`` with what it says and how it is edited.

The JSON beside each file has its cards, its problems as ``[line, column, code]``, and edits with the lines that
they take out and put in.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest

from syncd.parsers.dialects import DIALECTS
from syncd.parsers.document import AssignId, Document, Edit, InsertCard, RemoveCard, SetField
from syncd.parsers.render import apply, can_show, render
from syncd.parsers.tasks_md import parse
from syncd.schemas.card import Value

FOLDER = Path(__file__).parents[2] / "fixtures" / "dialects"
NAMES = sorted(path.stem for path in FOLDER.glob("*.md"))


def expected(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def read(name: str, line_end: bytes = b"\n") -> Document:
    return parse((FOLDER / f"{name}.md").read_bytes().replace(b"\n", line_end))


def value_of(value: Any) -> Value:
    return tuple(value) if isinstance(value, list) else value


def edit_of(document: Document, words: list[Any]) -> Edit:
    def key(id: str) -> int:
        card = document.card_by_id(id)
        assert card is not None, id
        return card.key

    match words:
        case ["set", id, field, value]:
            return SetField(key(id), field, value_of(value))
        case ["id", number, id]:
            return AssignId(number, id)
        case ["new", id, fields]:
            return InsertCard(id, {name: value_of(value) for name, value in fields.items()})
        case ["del", id]:
            return RemoveCard(key(id))
    raise AssertionError(words)


def diff(before: bytes, after: bytes) -> list[str]:
    lines = difflib.unified_diff(before.decode().split("\n"), after.decode().split("\n"), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize("name", NAMES)
def test_cards(name: str) -> None:
    """A file's cards have the ids, lines and fields that a person reads in it."""
    cards = [
        {
            "line": card.line,
            "id": card.id,
            "heading": card.heading,
            "weak": sorted(card.weak),
            "fields": {name: list(value) if isinstance(value, tuple) else value for name, value in card.fields.items()},
        }
        for card in read(name).cards
    ]
    assert cards == expected(name)["cards"]


def test_every_dialect_has_a_file() -> None:
    """Each dialect that is read has a file that shows it."""
    shown = {card.dialect for name in NAMES for card in read(name).cards}
    assert shown == {dialect.name for dialect in DIALECTS}


@pytest.mark.parametrize("name", [name for name in NAMES if any(card["id"] for card in expected(name)["cards"])])
def test_every_edit_is_shown(name: str) -> None:
    """Each file shows what becomes of every kind of edit, of those too for which it has no place."""
    words = [each for example in expected(name)["edits"] for each in example["edits"]]
    shown = {each[2] if each[0] == "set" else each[0] for each in words}
    assert shown >= {"status", "title", "dependsOn", "priority", "new", "del"}
    assert shown & {"claimOwner", "extra.owner"}
    if any(card["id"] is None for card in expected(name)["cards"]):
        assert "id" in shown


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"problems", "unknown_marks"}))
def test_every_card_takes_every_state_that_its_place_knows(name: str) -> None:
    """Whatever state the store gives a card, its row says so, wherever it stands; some places know no such state."""
    document = read(name)
    silent = {
        (card.id, state)
        for card in document.cards
        for state in ("ready", "claimed", "blocked", "done")
        if card.id and state != card.fields.get("status") and not can_show(document, card.key, "status", state)
    }
    assert silent == {(id, state) for state, ids in _SILENT.get(name, {}).items() for id in ids}


_SILENT = {
    # A board of headings without such a section; one of items has marks for what it has no section for, but an empty
    # mark is the section's state.  A cross in a column "Done" says no, and no more.
    "heading_board": {"blocked": ["G-1", "G-2", "G-3"]},
    "kanban_plugin": {"ready": ["k-1", "k-3", "k-4"]},
    "ticked_table": {"blocked": ["M-1", "M-2", "M-3", "M-4"]},
}


@pytest.mark.parametrize("name", NAMES)
def test_problems(name: str) -> None:
    """What cannot be read is a problem at its line and column, with a hint."""
    problems = read(name).problems
    assert [[each.line, each.column, each.code] for each in problems] == expected(name)["problems"]
    assert all(each.hint and each.message for each in problems)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("name", NAMES)
def test_unchanged(name: str, line_end: bytes) -> None:
    """A file that is read and written is the same, and its line ends make no difference to its cards."""
    document = read(name, line_end)
    assert render(document) == document.source
    assert [(card.id, card.fields, card.line) for card in document.cards] == [
        (card.id, card.fields, card.line) for card in read(name).cards
    ]


@pytest.mark.parametrize(("name", "number"), [(name, n) for name in NAMES for n in range(len(expected(name)["edits"]))])
def test_edits(name: str, number: int) -> None:
    """Edits change the lines that they must, in the manner of the file, and no other."""
    document = read(name)
    example = expected(name)["edits"][number]
    result = apply(document, [edit_of(document, words) for words in example["edits"]])
    assert diff(document.source, result) == example["diff"], example["name"]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"], ids=["crlf", "cr"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "one_card"])
def test_edits_keep_line_ends(name: str, line_end: bytes) -> None:
    """Lines that edits add end as the lines around them do."""
    for example in expected(name)["edits"]:
        plain, other = read(name), read(name, line_end)
        edited = apply(plain, [edit_of(plain, words) for words in example["edits"]])
        assert apply(other, [edit_of(other, words) for words in example["edits"]]) == edited.replace(b"\n", line_end)


@pytest.mark.parametrize("name", NAMES)
def test_edited_values_are_read_back(name: str) -> None:
    """A value that was written is the value that is read, wherever an edit changed a line."""
    for example in expected(name)["edits"]:
        document = read(name)
        edits = [edit_of(document, words) for words in example["edits"]]
        after = parse(apply(document, edits))
        ids = {card.id: card.key for card in document.cards}
        gone = {document.cards[edit.key].id for edit in edits if isinstance(edit, RemoveCard)}
        if not example["diff"]:
            continue
        assert {card.id for card in after.cards if card.id} >= {id for id in ids if id} - gone
        for words in example["edits"]:
            card = after.card_by_id(words[1]) if words[0] == "set" else None
            if card is not None and card.fields.get(words[2]) is not None and name != "problems":
                assert card.fields[words[2]] == value_of(words[3]), (name, words)
