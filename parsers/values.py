"""Field values as the dialects handle them: lists, states, and the one place of two owners.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from syncd.parsers.fields import decode, is_empty
from syncd.schemas.card import OWNER_TEXT, Status, Value

OWNERS: Final = ("claimOwner", OWNER_TEXT)
"""The two fields of one place: the claim's owner, and the text of a card that is not claimed."""


def is_struck(text: str) -> bool:
    """Tell whether a whole text is struck through."""
    return len(text) > 4 and text.startswith("~~") and text.endswith("~~") and "~~" not in text[2:-2]


def value_of(text: str) -> Value:
    """Return a cell's text as a value."""
    text = text.strip()
    if is_empty(text):
        return None
    return decode(text).strip() or None if "\\" in text or "<" in text else text


def state_of(value: Value) -> Status | None:
    """Return the state that a field's value names."""
    return Status(value) if isinstance(value, str) and value in Status._value2member_map_ else None


def as_list(value: Value) -> tuple[str, ...]:
    """Return a value as a list."""
    if isinstance(value, tuple):
        return value
    return () if value is None else (str(value),)


def owner_value(fields: Mapping[str, Value]) -> Value:
    """Return the name that the owner's place shows: the claim's while the card is claimed, else the text."""
    claimed = fields.get("status") == Status.CLAIMED.value
    for name in OWNERS if claimed or "status" not in fields else reversed(OWNERS):
        if fields.get(name) is not None:
            return fields[name]
    return None
