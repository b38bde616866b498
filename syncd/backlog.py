"""The cards as a queue, as every face sees them: one method for each verb.

May import everything below the faces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from syncd.errors import BadValue, NotFound, NotOwner, SyncdError
from syncd.log import event
from syncd.schemas.card import Card

if TYPE_CHECKING:
    from syncd.core.events import Event
    from syncd.core.standing import Obstacle
    from syncd.engine.waiting import Stop
    from syncd.ports import CardFilter, NewCard, QueueStats, Store
    from syncd.schemas.card import Fields, Value
    from syncd.schemas.config import Config
    from syncd.wiring import Wiring

DEFAULT_TTL_S: Final = 900
CREATED_TOGETHER: Final = 1000
SHOWN_MAX: Final = 60
"""Characters of a wrong id that are said again."""


class Backlog:
    """The cards as a queue: one method for each verb, with the defaults of the contract."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def create(self, new: NewCard) -> Card:
        """Add a card; a repeated idempotency key gives the first one.  Raises AlreadyExists, BadValue."""
        self._require_card(new)
        return self._write.create(new)

    def create_many(
        self, new: Sequence[NewCard], *, on_progress: Callable[[int], None] = lambda count: None
    ) -> Sequence[Card]:
        """Add cards, a thousand in each transaction.

        Args:
            on_progress: called with how many more there are, after each transaction.

        Raises: as ``create``; the transaction with that card has then changed nothing, those before it stand.
        """
        for each in new:
            self._require_card(each)
        made: list[Card] = []
        for start in range(0, len(new), CREATED_TOGETHER):
            try:
                cards = self._write.create_many(new[start : start + CREATED_TOGETHER])
            except SyncdError as error:
                if not made:
                    raise
                raise type(error)(f"{error.message}; the {len(made)} cards before stand", hint=error.hint) from error
            made += cards
            on_progress(len(cards))
        return made

    def list(self, chosen: CardFilter) -> Sequence[Card]:
        """Return live cards, highest priority first, then oldest.  Raises BadValue, NotFound for the cursor."""
        if chosen.limit is not None and chosen.limit < 0:
            raise BadValue(f"{chosen.limit} cards cannot be listed")
        return self._read.list(chosen)

    def show(self, id: str) -> Card:
        """Return one card, with the line where it stands in this workspace's files."""
        return self._located(self._read.get(id))

    def update(self, id: str, fields: Fields, *, if_version: int | None = None) -> Card:
        """Set fields of a card.  Raises NotFound, BadValue, StaleVersion, CycleRefused."""
        if "title" in fields:
            _require_title(fields["title"])
        if isinstance(depends_on := fields.get("dependsOn"), tuple):
            _require_ids(depends_on)
        require_priority(self._wiring.config, fields.get("priority"))
        return self._write.update(id, fields, if_version=if_version)

    def claim(
        self,
        owner: str,
        ttl_seconds: int | None = DEFAULT_TTL_S,
        *,
        id: str | None = None,
        wait_seconds: float = 0.0,
        stop: Stop | None = None,
    ) -> Card | None:
        """Lease the best claimable card, or this one; ``None`` when there is nothing to claim.

        Args:
            ttl_seconds: how long the lease lasts unless it is renewed; ``None`` for ever.
            wait_seconds: how long to wait for a card when there is none, or while the queue is paused.
            stop: ends the wait before its time, from another thread.

        Raises: Paused; BadValue for a lease of no time.
        """
        found = self.claim_many(owner, ttl_seconds, id=id, wait_seconds=wait_seconds, stop=stop)
        return next(iter(found), None)

    def claim_many(
        self,
        owner: str,
        ttl_seconds: int | None = DEFAULT_TTL_S,
        *,
        id: str | None = None,
        count: int = 1,
        wait_seconds: float = 0.0,
        stop: Stop | None = None,
    ) -> Sequence[Card]:
        """Lease up to ``count`` claimable cards; nothing to claim is an empty list.  Args, Raises: as ``claim``."""
        if ttl_seconds is not None and ttl_seconds <= 0:
            raise BadValue(f"a lease of {ttl_seconds} s", hint="Give a time of at least one second.")
        if count < 1:
            raise BadValue(f"{count} cards cannot be claimed", hint="Claim at least one.")
        if math.isnan(wait_seconds):
            raise BadValue("a wait has to have a length")
        store = self._write
        if wait_seconds <= 0:
            return store.claim(owner, ttl_seconds, id=id, count=count)
        from syncd.engine.waiting import claim_in_time

        return claim_in_time(store, lambda: store.claim(owner, ttl_seconds, id=id, count=count), wait_seconds, stop)

    def give_back(self, claimed: Card | Sequence[Card] | None) -> None:
        """Release what was claimed for somebody who no longer waits for it; safe when it is nobody's any more."""
        for card in [claimed] if isinstance(claimed, Card) else claimed or ():
            try:
                self.release(card.id, str(card.claim_owner), attempt=card.attempts)
            except (NotFound, NotOwner) as error:
                event("claim.gone", card=card.id, message=error.message)

    def renew(self, id: str, owner: str, ttl_seconds: int | None = None, *, attempt: int | None = None) -> Card:
        """Extend a live lease.  Raises NotOwner."""
        return self._write.renew(id, owner, ttl_seconds, attempt=attempt)

    def release(self, id: str, owner: str, *, attempt: int | None = None) -> Card:
        """Give a lease back.  Raises NotOwner."""
        return self._write.release(id, owner, attempt=attempt)

    def complete(self, id: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """Mark a card done.  Raises NotOwner when somebody else, or a later attempt, holds it."""
        return self._write.complete(id, owner=owner, attempt=attempt)

    def fail(self, id: str, error: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """End a lease without success: tried again after a pause, blocked when the retries are spent.

        Raises: NotOwner when nobody, somebody else, or a later attempt holds it.
        """
        return self._write.fail(id, error, owner=owner, attempt=attempt)

    def retry(self, id: str) -> Card:
        """Make a blocked or pausing card ready at once, with all its retries.  Raises Refused."""
        return self._write.retry(id)

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

    def next_due_s(self) -> float | None:
        """Return the seconds until time alone makes a card claimable: a delay or a lease ends; ``None`` for never."""
        return self._read.next_due_s()

    def pause(self) -> None:
        """Hand out no cards until ``resume``; leases that stand go on."""
        self._write.set_paused(True)

    def resume(self) -> None:
        """Hand out cards again."""
        self._write.set_paused(False)

    def why(self, id: str) -> tuple[Obstacle, ...]:
        """Return what stands between a card and a claim; nothing when it can be claimed now."""
        from syncd.core.standing import obstacles

        return obstacles(self._read.standing(id))

    def events(self, since: int | None = None, *, stop: Stop | None = None) -> Iterator[Event]:
        """Yield what happened behind the event ``since``, or all that is kept, in a lasting order."""
        from syncd.engine.following import events

        return events(self._read, since, stop)

    def follow_events(self, since: int | None = None, *, stop: Stop | None = None) -> Iterator[Event]:
        """Yield the same, and then each event as it comes, until the caller stops, or ``stop`` says so."""
        from syncd.engine.following import follow_events

        return follow_events(self._wiring.followed(), since, stop)

    def _located(self, card: Card) -> Card:
        """Return the card with the file and line where it stands now, as far as it stands in one."""
        from msgspec.structs import replace

        from syncd.parsers.tasks_md import parse

        files = self._wiring.files
        for path in files.paths():
            data = files.read(path).data
            if data is None or card.id.rpartition("/")[2].encode() not in data:
                continue
            document = self._wiring.known_document(path)
            if document is None or document.source != data:
                document = parse(data, path=path, options=files.parse_options(path), previous=document)
            found = document.card_by_id(card.id)
            if found is not None:
                return replace(card, path=path, line=found.line)
        return card

    def _require_card(self, new: NewCard) -> None:
        """Refuse a card that no task file could show."""
        _require_ids((new.id,))
        _require_ids(new.depends_on)
        _require_title(new.title)
        require_priority(self._wiring.config, new.priority)

    @property
    def _read(self) -> Store:
        return self._wiring.store(may_make=False)

    @property
    def _write(self) -> Store:
        return self._wiring.store()


def require_priority(config: Config, priority: Value) -> None:
    """Raise BadValue for a priority that the settings do not allow."""
    bounds = config.priority_range
    if bounds is not None and isinstance(priority, int) and not bounds[0] <= priority <= bounds[1]:
        raise BadValue(
            f"a priority is between {bounds[0]} and {bounds[1]} here, not {priority}",
            hint="syncd config get priority_range",
        )


def _require_ids(ids: Iterable[object]) -> None:
    """Refuse what cannot stand in a task file as an id."""
    from syncd.parsers.fields import ID_MAX, is_id

    if isinstance(ids, str):
        raise BadValue(f"ids are a list, and {ids!r} is one text", hint=f"({ids!r},)")
    for id in ids:
        if not (isinstance(id, str) and is_id(id)):
            text = str(id)
            shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
            raise BadValue(
                f"{shown!r} is no id of a card",
                hint=f"An id is 1 to {ID_MAX} characters without white space, '|' and control characters.",
            )


def _require_title(title: Value) -> None:
    if not isinstance(title, str) or not title.strip():
        raise BadValue("a card needs a title", hint="Say in a few words what is to be done.")
