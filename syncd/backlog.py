"""The cards as a queue, as every face sees them: one method for each verb.

May import everything below the faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from syncd.errors import BadValue

if TYPE_CHECKING:
    from syncd.ports import CardFilter, NewCard, QueueStats, Store
    from syncd.schemas.card import Card, Fields
    from syncd.wiring import Wiring

DEFAULT_TTL_S: Final = 900


class Backlog:
    """The cards as a queue: one method for each verb, with the defaults of the contract."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def create(self, new: NewCard) -> Card:
        """Add a card; a repeated idempotency key gives the first one.  Raises AlreadyExists, BadValue."""
        return self._write.create(new)

    def list(self, chosen: CardFilter) -> Sequence[Card]:
        """Return live cards, highest priority first, then oldest."""
        return self._read.list(chosen)

    def show(self, id: str) -> Card:
        """Return one card, with the line where it stands in this workspace's files."""
        return self._located(self._read.get(id))

    def update(self, id: str, fields: Fields, *, if_version: int | None = None) -> Card:
        """Set fields of a card.  Raises NotFound, BadValue, StaleVersion, CycleRefused."""
        return self._write.update(id, fields, if_version=if_version)

    def claim(
        self, owner: str, ttl_s: int | None = DEFAULT_TTL_S, *, id: str | None = None, count: int = 1
    ) -> Sequence[Card]:
        """Lease up to ``count`` claimable cards; nothing to claim is an empty list.  Raises Paused."""
        if ttl_s is not None and ttl_s <= 0:
            raise BadValue(f"a lease of {ttl_s} s", hint="Give a time of at least one second.")
        return self._write.claim(owner, ttl_s, id=id, count=count)

    def renew(self, id: str, owner: str, ttl_s: int | None = None) -> Card:
        """Extend a live lease.  Raises NotOwner."""
        return self._write.renew(id, owner, ttl_s)

    def release(self, id: str, owner: str) -> Card:
        """Give a lease back.  Raises NotOwner."""
        return self._write.release(id, owner)

    def complete(self, id: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """Mark a card done.  Raises NotOwner when somebody else, or a later attempt, holds it."""
        return self._write.complete(id, owner=owner, attempt=attempt)

    def block(self, id: str, reason: str | None = None) -> Card:
        """Take a card out of the queue."""
        return self._write.block(id, reason)

    def unblock(self, id: str) -> Card:
        """Put a blocked card back.  Raises Refused when it is not blocked."""
        return self._write.unblock(id)

    def reclaim(self, id: str | None = None) -> Sequence[str]:
        """Put expired leases, or this one, back to ready; return their ids."""
        return self._write.reclaim(id)

    def link(self, id: str, depends_on: str) -> Card:
        """Make a card depend on another.  Raises CycleRefused, NotFound."""
        return self._write.link(id, depends_on)

    def unlink(self, id: str, depends_on: str) -> Card:
        """Take a dependency away."""
        return self._write.unlink(id, depends_on)

    def remove(self, id: str, *, force: bool = False) -> Card:
        """Delete a card; a tombstone stays.  Raises Refused while others depend on it, unless forced."""
        return self._write.remove(id, force=force)

    def stats(self) -> QueueStats:
        """Return the counts of the queue."""
        return self._read.stats()

    def _located(self, card: Card) -> Card:
        """Return the card with the file and line where it stands now, as far as it stands in one."""
        from msgspec.structs import replace

        from syncd.parsers.tasks_md import parse

        files = self._wiring.files
        for path in files.paths():
            data = files.read(path).data
            if data is None or card.id.rpartition("/")[2].encode() not in data:
                continue
            found = parse(data, path=path, options=files.parse_options(path)).card_by_id(card.id)
            if found is not None:
                return replace(card, path=path, line=found.line)
        return card

    @property
    def _read(self) -> Store:
        return self._wiring.store(may_make=False)

    @property
    def _write(self) -> Store:
        return self._wiring.store()
