"""When two values of a field mean the same: the one equality that reconcile, the guards and the base share.

Files and stores spell emptiness and order differently (an empty cell, an absent key, ``0``); none of
that is an edit.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import compress, filterfalse
from operator import is_not
from typing import Final

from syncd.schemas.card import Status, Value

STATUS: Final = "status"
CLAIM_OWNER: Final = "claimOwner"
PHASE: Final = "phase"
BODY: Final = "body"
DEPENDS_ON: Final = "dependsOn"
PRIORITY: Final = "priority"
ACCEPTANCE: Final = "acceptance"
LABELS: Final = "extra.labels"

UNORDERED: Final = frozenset({DEPENDS_ON, LABELS})
"""Lists whose order says nothing.  Acceptance is read in its order, so a reorder of it is an edit."""

SETS: Final = UNORDERED | {ACCEPTANCE}
"""Lists that are merged element by element."""


def is_empty(name: str, value: Value) -> bool:
    """Return whether a value says nothing: no text, no elements, priority 0."""
    return value is None or value == () or value == "" or (value == 0 and name == PRIORITY)


def normal(name: str, value: Value) -> Hashable:
    """Return a form of the value that is equal exactly when the meaning is."""
    if is_empty(name, value):
        return None
    if name in UNORDERED and isinstance(value, tuple):
        return frozenset(value)
    return value


def others(now: Mapping[str, object], before: Mapping[str, object]) -> list[str]:
    """Return the keys under which another object stands than before; those that came, and those that went."""
    if now is before:
        return []
    if len(now) == len(before) and list(now) == list(before):
        return list(compress(now, map(is_not, now.values(), before.values())))
    return [
        *(key for key, each in now.items() if before.get(key) is not each),
        *(key for key in before if key not in now),
    ]


def absent(ids: Iterable[str], cards: Mapping[str, object]) -> list[str]:
    """Return the ids of which there is no card here."""
    return list(filterfalse(cards.__contains__, ids))


def is_same(name: str, one: Value, other: Value) -> bool:
    """Return whether two values of a field mean the same.  An equivalence relation."""
    return one == other or normal(name, one) == normal(name, other)


def stored(name: str, value: Value) -> Value:
    """Return a file's value as the store's column can hold it: 0 and the empty list are never null there."""
    if value is None and name == PRIORITY:
        return 0
    if value is None and name == DEPENDS_ON:
        return ()
    return value


def yields_to_done(status: Value) -> bool:
    """Return whether a state gives way to ``done`` that raced it: work that is finished is never undone by a claim."""
    return status in (Status.CLAIMED, Status.READY)
