"""What holds for every task file and every edit; each law raises ``AssertionError`` and says what went wrong.

Hypothesis asks them in ``tests/property/test_parsers.py``, ``make fuzz`` for as long as one likes.
"""

from __future__ import annotations

import re
from typing import Final

from syncd.parsers.document import AssignId, Document, Edit, FileCard, InsertCard, RemoveCard, SetField
from syncd.parsers.render import apply, can_show, id_habit, render
from syncd.parsers.tasks_md import parse
from syncd.schemas.card import STATUS_WORD, Fields
from tests.fuzz.grammar import Chooser, bruised, change_of, edit_of, task_file

_OPENERS: Final = re.compile(r"```|~~~|<|\t")
"""What may swallow the lines behind it, or hold them together, once a card between is gone."""


def any_bytes(source: bytes) -> Document:
    """Bytes of any kind are read without an error, always alike, and written unchanged."""
    document, again = parse(source), parse(source)
    assert render(document) == source == apply(document, [])
    assert _seen(document) == _seen(again)
    if not document.readable:
        assert len(document.problems) == 1
        assert not document.cards
    ids = [card.id for card in document.cards if card.id is not None]
    assert len(ids) == len(set(ids))
    assert [card.key for card in document.cards] == list(range(len(document.cards)))
    return document


def any_edit(document: Document, edit: Edit) -> Document:
    """An edit that is taken is read back as it was meant, and every other card is as it was."""
    result = apply(document, [edit])
    after = any_bytes(result)
    if result == document.source:
        return after
    match edit:
        case SetField(key, field, value):
            # A claim comes with its state, which the place may not be able to show.
            assert field == "claimOwner" or can_show(document, key, field, value)
            _is_changed(document, after, key, field, value)
        case AssignId(key, id):
            named = after.card_by_id(id)
            assert named is not None
            assert named.fields.get("title") == document.cards[key].fields.get("title")
            # Beside a row with an id, one that begins with a number may have that for its own.
            _others_stand(document, after, {key}, {id}, are_strangers_allowed=True)
        case RemoveCard(key):
            if not _OPENERS.search(document.text.text):
                _others_stand(document, after, {key}, set(), are_strangers_allowed=True)
        case InsertCard(id, fields):
            new = after.card_by_id(id)
            assert new is not None, f"{id} is not read back"
            assert new.fields.get("title") in (None, fields["title"])
            assert new.fields.get("status") in (None, fields["status"])
            _others_stand(document, after, set(), {id})
    return after


def any_edits(document: Document, edits: list[Edit]) -> None:
    """Any edits at once give a text that can be read again."""
    after = any_bytes(apply(document, edits))
    assert after.readable
    if document.cards:
        assert id_habit(document, 0)


def again_is_alone(before: Document, source: bytes) -> None:
    """A file that is read with the document before it at hand gives what reading it alone gives, edits too."""
    again, alone = parse(source, previous=before), parse(source)
    assert _seen(again) == _seen(alone)
    for card in alone.cards[:3]:
        for state in ("claimed", "done"):
            edits: list[Edit] = [
                SetField(card.key, "status", state),
                InsertCard("N-1", {"title": "n", "status": state}),
            ]
            assert apply(again, edits) == apply(alone, edits)


def everything(chooser: Chooser) -> None:
    """Ask all laws of one task file."""
    text = task_file(chooser)
    document = any_bytes(text.encode())
    changed = bruised(chooser, text, chooser.number(1, 2))
    again_is_alone(document, changed.encode())
    if not document.cards:
        return
    any_edit(document, edit_of(chooser, document))
    any_edit(document, change_of(chooser, chooser.number(0, len(document.cards) - 1)))
    any_edits(document, [edit_of(chooser, document) for _ in range(chooser.number(0, 5))])


def _seen(document: Document) -> tuple[object, ...]:
    return (document.cards, document.problems, document.blocks, document.front, document.has_markers, document.source)


def _is_changed(document: Document, after: Document, key: int, field: str, value: object) -> None:
    card = document.cards[key]
    assert len(after.cards) == len(document.cards)
    _others_stand(document, after, {key}, set() if card.id is None else {card.id})
    if card.id is None or (field not in card.fields and field != "status"):
        return
    again = after.card_by_id(card.id)
    assert again is not None
    assert again.fields.get(field) == value, f"{field}: {again.fields.get(field)!r} instead of {value!r}"


def _others_stand(
    document: Document, after: Document, keys: set[int], ids: set[str], *, are_strangers_allowed: bool = False
) -> None:
    """Every other card has the fields that it had, what comes from its surroundings aside."""
    rest = [card for card in document.cards if card.key not in keys and card.id is not None]
    for card in rest:
        again = after.card_by_id(card.id or "")
        assert again is not None, f"{card.id} is gone"
        assert _own(again, card) == _own(card, again), f"{card.id} changed"
    known = {card.id for card in document.cards if card.id} | ids
    strangers = [card.id for card in after.cards if card.id and card.id not in known]
    assert are_strangers_allowed or not strangers, f"{strangers} came from nowhere"


def _own(card: FileCard, other: FileCard) -> Fields:
    """Return what a card's own place says; no word of the author's is none, whether the place could show one or not."""
    around = card.weak | other.weak | {"extra.parent"}
    return {
        name: value
        for name, value in card.fields.items()
        if name not in around and (name, value) != (STATUS_WORD, None)
    }
