"""The card: one task, with the names and shapes of the Mosaic backlog, and its synced fields.

A card has two views.  :class:`Card` is the row as the store holds it.  :data:`Fields` is the flat
mapping of *synced fields* that files and store exchange and that reconcile compares: the JSON name
(``dependsOn``), and ``extra.<key>`` for what has no column.  A field that is absent from a mapping
has no value there; ``None`` means empty.  Imports nothing of syncd.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

Value: TypeAlias = str | int | None | tuple[str, ...]
"""A field's value in canonical form: text without surrounding white space, an integer, nothing, or a list."""

Fields: TypeAlias = Mapping[str, Value]

EXTRA: Final = "extra."
STATUS_WORD: Final = "extra.statusWord"
OWNER_TEXT: Final = "extra.owner"


class Status(StrEnum):
    """The four states of a card in the store."""

    READY = "ready"
    CLAIMED = "claimed"
    BLOCKED = "blocked"
    DONE = "done"


class Card(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One row of ``backlog``, in Python's names; ``to_json`` gives the contract's.

    ``line`` is known only where the card was seen in a file; ``failures``, ``archived_at`` and
    ``deleted_at`` are the store's own and not part of the JSON.
    """

    id: str
    title: str
    body: str | None = None
    phase: str | None = None
    priority: int = 0
    status: Status = Status.READY
    depends_on: tuple[str, ...] = ()
    claim_owner: str | None = None
    claim_ttl_seconds: int | None = None
    claimed_at: datetime | None = None
    attempts: int = 0
    idempotency_key: str | None = None
    acceptance: Any = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    project: str = "default"
    version: int = 0
    unmet: int = 0
    max_retries: int | None = None
    run_after: datetime | None = None
    last_error: str | None = None
    failures: int = 0
    path: str | None = None
    line: int | None = None
    extra: dict[str, Any] = {}
    archived_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Neither archived nor deleted."""
        return self.archived_at is None and self.deleted_at is None


_INTERNAL: Final = ("failures", "archivedAt", "deletedAt")
_WHOLE_SECONDS: Final = len("2026-11-22T06:05:00Z")
_INSTANTS: Final = ("claimedAt", "createdAt", "updatedAt", "runAfter")


def instant_json(at: datetime | None) -> str | None:
    """Return an instant as the contract writes it: UTC, milliseconds, ``Z``."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def card_json(card: Card) -> dict[str, Any]:
    """Return the card as the JSON of the command line contract."""
    data: dict[str, Any] = msgspec.to_builtins(card)
    for key in _INTERNAL:
        del data[key]
    for key in _INSTANTS:
        if (text := data[key]) is not None:
            data[key] = _in_milliseconds(text)
    data["dependsOn"] = list(card.depends_on)
    return data


def _in_milliseconds(text: str) -> str | None:
    """Return an RFC 3339 text as ``instant_json`` writes the instant; one in UTC is only cut, for thousands of them."""
    if not text.endswith("Z"):
        return instant_json(datetime.fromisoformat(text))
    return f"{text[:-1]}.000Z" if len(text) == _WHOLE_SECONDS else f"{text[: _WHOLE_SECONDS + 3]}Z"


def canonical(value: Any) -> Value:
    """Return the canonical form of a field's value, so that both sides compare equal when they mean the same.

    Lists of text become tuples; empty text and empty lists become ``None`` and ``()``; other JSON
    becomes its compact, sorted text.
    """
    if value is None:
        return None
    if value.__class__ is str and "\r" not in value:
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
        return text or None
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return tuple(each.strip() for each in value if each.strip())
    return msgspec.json.encode(value, order="sorted").decode()


def card_fields(card: Card) -> dict[str, Value]:
    """Return the synced fields of a stored card, in canonical form; an empty ``extra`` key is left out."""
    fields: dict[str, Value] = {
        "title": canonical(card.title),
        "body": canonical(card.body),
        "phase": canonical(card.phase),
        "priority": card.priority,
        "status": card.status.value,
        "dependsOn": tuple(card.depends_on),
        "claimOwner": canonical(card.claim_owner) if card.status is Status.CLAIMED else None,
        "acceptance": canonical(card.acceptance) or None,
    }
    for key, value in card.extra.items():
        if (text := canonical(value)) not in (None, ()):
            fields[EXTRA + key] = text
    return fields
