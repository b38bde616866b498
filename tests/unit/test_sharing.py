"""Cards of one load hold what they have in common once."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from syncd.schemas.card import Card
from syncd.store.sharing import Sharing

SAID = '{"id":"A%d","title":"One","phase":"Phase one","path":"docs/TASKS.md","createdAt":"2026-01-02T03:04:05Z"}'


class Phase(StrEnum):
    ONE = "Phase one"


def test_equal_words_and_instants_are_the_same_objects() -> None:
    """Nothing that a card says is another; what two of them say alike is one object."""
    one, two = (msgspec.json.decode(SAID % number, type=Card) for number in (1, 2))
    assert one.path is not two.path
    shared = Sharing()
    assert shared(one) is one
    shared(two)
    for name in ("phase", "path", "project", "created_at"):
        assert getattr(one, name) is getattr(two, name)
    assert one == Card(
        id="A1",
        title="One",
        phase="Phase one",
        path="docs/TASKS.md",
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def test_a_kind_of_text_is_text() -> None:
    """A phase that is a member of an enumeration, as a program may give it, is kept as its text."""
    card = Sharing()(Card(id="A1", title="One", phase=Phase.ONE))
    assert (card.phase, type(card.phase)) == ("Phase one", str)
