"""The values that reconcile takes and gives: base, local and remote cards, the plan, conflicts, and the base's advance.

``base`` is what both sides last agreed on, ``local`` what the workspace's files say, ``remote`` what
the store says.  A plan is data: changes for the store, changes for the files, conflicts, and the
cards whose base may advance with nothing to write.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec

from syncd.core.values import CLAIM_OWNER, STATUS, is_empty, is_same
from syncd.schemas.card import EXTRA, OWNER_TEXT, Fields, Status, Value

FieldName = str


class Presence(StrEnum):
    """Whether the store still shows a card."""

    LIVE = "live"
    ARCHIVED = "archived"
    DELETED = "deleted"


class BaseCard(msgspec.Struct, frozen=True):
    """A card as both sides last agreed, field by field.

    ``version`` is the store's at that time.  ``path`` and ``heading`` tell where it stood in a file
    (``path`` is ``None`` for a card of the store that stands in no file); they are no fields.
    """

    id: str
    fields: Fields
    version: int
    path: str | None = None
    heading: str | None = None


class LocalCard(msgspec.Struct, frozen=True):
    """A card as a workspace file shows it; a field that its place cannot show is absent."""

    id: str
    fields: Fields
    path: str
    line: int = 0
    weak: frozenset[FieldName] = frozenset()
    heading: str | None = None


class RemoteCard(msgspec.Struct, frozen=True):
    """A card as the store holds it.  ``has_live_lease``: claimed, and the lease has not expired."""

    id: str
    fields: Fields
    version: int
    presence: Presence = Presence.LIVE
    path: str | None = None
    has_live_lease: bool = False


class ChangeKind(StrEnum):
    """What a change does to a card on its side."""

    CREATE = "create"
    UPDATE = "update"
    CLAIM = "claim"
    """Store only: a file's ``in-progress`` asks for the lease by id, with the fields beside it."""
    REMOVE = "remove"
    """Store: tombstone.  File: take the row out."""
    ARCHIVE = "archive"
    """Store only: still done, still satisfies dependents, no longer rendered."""
    RESTORE = "restore"
    """Store only: an archived or deleted card comes back with these fields."""


class Change(msgspec.Struct, frozen=True):
    """One change to one card.

    ``fields`` holds the fields to set (all that are known, for ``CREATE`` and ``RESTORE``).
    ``version`` is the row version that the change was planned on (store side), ``path`` the file that
    the card stands in or goes to (``None``: the engine chooses), ``before`` the values replaced.
    An ``UPDATE`` of the store without fields records that the row moved to ``path``.  ``asks`` marks a
    removal that goes only when a person says so (``on_removed: hold``).
    ``columns`` are set as they are, beside the fields: the lease and the retries of a card that comes back.
    """

    kind: ChangeKind
    id: str
    fields: Fields = msgspec.field(default_factory=dict)
    version: int | None = None
    path: str | None = None
    before: Fields = msgspec.field(default_factory=dict)
    asks: bool = False
    columns: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Winner(StrEnum):
    """Who won a clash; ``NONE`` where the policy says to ask."""

    LOCAL = "local"
    REMOTE = "remote"
    NONE = "none"


CARD_FIELD = "*"
"""The ``field`` of a conflict about the card's existence: deletion against edit."""


class Conflict(msgspec.Struct, frozen=True):
    """Both sides changed one field differently; recorded before the loser is overwritten."""

    id: str
    field: FieldName
    base: Value
    local: Value
    remote: Value
    winner: Winner


class Policy(msgspec.Struct, frozen=True):
    """Who wins where the rules leave a choice.

    ``winners`` overrides the rule per field: ``local``, ``remote`` or ``ask`` (``extra.*`` matches every
    extra field).  ``on_removed`` says what a vanished row does: ``archive``, ``delete``, ``hold`` or
    ``restore``; ``None``: archive when done, delete when open.
    ``replica`` names the owner of claims by rows that name none: ``file:<replica>``.
    """

    winners: Mapping[FieldName, str] = msgspec.field(default_factory=dict)
    on_removed: str | None = None
    replica: str = "local"

    def winner(self, name: FieldName) -> str | None:
        """Return ``local``, ``remote``, ``ask``, or ``None`` when the built-in rule decides."""
        if name in self.winners:
            return self.winners[name]
        if name.startswith(EXTRA):
            return self.winners.get("extra.*")
        return None


class Plan(msgspec.Struct, frozen=True):
    """What one cycle would do.  ``agreed``: ids whose base advances with nothing to write;
    ``forgotten``: ids that are gone on both sides.
    """

    to_store: tuple[Change, ...] = ()
    to_file: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    agreed: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when no side needs a write and no conflict is to be recorded."""
        return not (self.to_store or self.to_file or self.conflicts)


Noun: TypeAlias = Literal["card", "row", "record"]


class DeedKind(StrEnum):
    """What is done with cards or rows; most of it is what a change does (``ChangeKind``)."""

    CREATE = "create"
    UPDATE = "update"
    CLAIM = "claim"
    ARCHIVE = "archive"
    REMOVE = "remove"
    RESTORE = "restore"
    PUT_BACK = "put-back"
    """A file becomes again what it was."""


class Deed(msgspec.Struct, frozen=True):
    """What would be done with so many cards of the store, or rows of the file ``path``; ``fields`` of an edit."""

    kind: DeedKind
    count: int
    noun: Noun
    path: str | None = None
    fields: tuple[FieldName, ...] = ()


class Hold(msgspec.Struct, frozen=True):
    """A part of a plan that a guard keeps back until a person or a command releases it.

    ``id`` is the card's, or the file's path for a hold on a whole file.  ``fingerprint`` names this
    very hold, so that a decision about it does not outlive its cause.  ``fields`` names what is held
    where the rest of the card goes on; empty means all of it.  ``parts`` are the fingerprints of each field
    by itself, where one stays held whatever becomes of the others.  ``accepting`` and ``rejecting`` tell what
    either would do; ``None`` where it cannot be done, and is refused.
    """

    id: str
    guard: str
    reason: str
    release: str
    path: str | None = None
    fingerprint: str = ""
    fields: tuple[FieldName, ...] = ()
    parts: tuple[str, ...] = ()
    accepting: tuple[Deed, ...] | None = None
    rejecting: tuple[Deed, ...] | None = None


class Wait(msgspec.Struct, frozen=True):
    """A file that is not settled yet: looked at again after ``retry_ms``.  A wait is no hold.

    ``hint`` says what happens then, and how to have something else, where there is a choice.
    """

    path: str
    reason: str
    retry_ms: int
    hint: str | None = None


def advance(
    base: BaseCard | None,
    local: LocalCard,
    remote: RemoteCard,
    *,
    path: str | None = None,
    unshown: frozenset[FieldName] = frozenset(),
    is_own_claim: bool = False,
) -> BaseCard:
    """Return the base after a cycle, from what is now in the file and in the store.

    A field that both show equally is agreed; one that still differs keeps its old base value, or none, and
    so does one that the card's place does not show now (half a row, a column that was taken out).
    A phase that comes from a heading is agreed as a pair: this heading in the file, that phase in the
    store; so a heading may differ from the phase that the store had first.

    Args:
        unshown: fields whose stored value the card's place cannot show (a phase without a heading);
            they stay in the store, and are settled.
        is_own_claim: the row asked for the claim: the name in it is its author's, over no other text.

    Holds: I6 (each base value was on both sides at once).
    """
    held = base.fields if base else {}
    heading = local.heading
    settled_below = {*local.fields, CLAIM_OWNER, OWNER_TEXT}
    fields = {name: value for name, value in held.items() if name not in settled_below}
    for name, value in local.fields.items():
        current = remote.fields.get(name)
        if is_same(name, value, current):
            fields[name] = value
        elif name not in local.weak:
            if name in held:
                fields[name] = held[name]
        elif base is None or name not in held or name in unshown:
            fields[name] = current
        else:
            fields[name] = held[name]
            heading = base.heading
    _keep_owner(fields, held, local, remote)
    if is_own_claim:
        fields.pop(OWNER_TEXT, None)
    # What says the same is the same object: of most cards a process then holds the fields once.
    known: Fields = local.fields if fields == local.fields else fields
    return BaseCard(id=local.id, fields=known, version=remote.version, path=path or local.path, heading=heading)


def _keep_owner(fields: dict[FieldName, Value], held: Fields, local: LocalCard, remote: RemoteCard) -> None:
    """Keep what the base knows of the owner's cell under the name that it does not have now.

    The cell is the claim's owner while the card is claimed and text otherwise.  Text under a claim comes
    back when the claim ends; a claim's owner that still stands in the cell is no text that anybody wrote.
    """
    text = local.fields.get(OWNER_TEXT)
    if local.fields.get(STATUS) == Status.CLAIMED:
        fields.pop(OWNER_TEXT, None)
        if OWNER_TEXT in held:
            fields[OWNER_TEXT] = held[OWNER_TEXT]
    elif not is_empty(OWNER_TEXT, text) and text == held.get(CLAIM_OWNER) != remote.fields.get(OWNER_TEXT):
        fields[CLAIM_OWNER] = text
