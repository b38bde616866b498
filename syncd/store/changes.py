"""What a change does to a card: the rules that all stores share, pure.

A store locks the rows, asks here what each shall be, and writes that.  May import ``syncd.core``,
``syncd.ports``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from syncd.core.graph import find_knots
from syncd.core.plan import Change, ChangeKind
from syncd.core.standing import lease_end
from syncd.errors import BadValue
from syncd.ports import NewCard, Refusal
from syncd.schemas.card import EXTRA, Card, Fields, Status, Value, canonical

ID_BYTES_MAX: Final = 512
"""What an index entry can hold of two ids and a project with room to spare."""

INTEGER_MAX: Final = 2**31 - 1
"""The largest priority, retry count and TTL of an ``integer`` column."""

DELAY_MAX_S: Final = 100 * 366 * 86400
"""The longest delay: what lies beyond it is no date that anybody means."""

_COLUMNS: Final = {
    "title": "title",
    "body": "body",
    "phase": "phase",
    "priority": "priority",
    "dependsOn": "depends_on",
    "acceptance": "acceptance",
}
_STATE: Final = ("status", "claimOwner")
_UNLEASED: Final[dict[str, Any]] = {"claim_owner": None, "claim_ttl_seconds": None, "claimed_at": None}


def is_leased(card: Card, now: datetime) -> bool:
    """Return whether somebody's lease on the card stands; one without a TTL never ends by itself."""
    if card.status is not Status.CLAIMED:
        return False
    ends_at = lease_end(card)
    return ends_at is None or ends_at > now


def new_card(new: NewCard, *, project: str, now: datetime | None) -> Card:
    """Return the card that ``create`` inserts.  Raises BadValue for what no store can hold."""
    extra = dict(new.extra)
    for value in (new.id, new.title, new.body, new.phase, new.idempotency_key, new.path, new.acceptance, extra):
        require_storable(value)
    for number in (new.priority, new.max_retries):
        require_integer(number)
    if new.delay_s is not None and not 0 <= new.delay_s <= DELAY_MAX_S:
        raise BadValue(f"{new.id}: a delay is between 0 and {DELAY_MAX_S} seconds, not {new.delay_s:g}")
    if new.max_retries is not None and new.max_retries < 0:
        raise BadValue(f"{new.id}: a card is tried again 0 times or more, not {new.max_retries}")
    require_id(new.id)
    for each in new.depends_on:
        require_id(each)
    return Card(
        id=new.id,
        title=new.title or new.id,
        body=new.body,
        phase=new.phase,
        priority=new.priority,
        depends_on=tuple(dict.fromkeys(new.depends_on)),
        acceptance=new.acceptance,
        idempotency_key=new.idempotency_key,
        max_retries=new.max_retries,
        extra=extra,
        path=new.path,
        project=project,
        created_at=now,
    )


def planned(
    changes: Iterable[Change], before: Mapping[str, Card], project: str, now: datetime
) -> tuple[dict[str, Card], set[str], dict[str, Refusal]]:
    """Return the cards as the changes make them, the ids whose row moved, and the refusals.

    A second change of a card builds on the first.
    """
    after: dict[str, Card] = {}
    moved: set[str] = set()
    refused: dict[str, Refusal] = {}
    for change in changes:
        if change.id in moved or change.id in refused:
            continue
        result = changed(after.get(change.id, before.get(change.id)), change, project=project, now=now)
        match result:
            case None:
                moved.add(change.id)
            case Refusal():
                refused[change.id] = result
            case Card():
                after[change.id] = result
                continue
        after.pop(change.id, None)
    return after, moved, refused


def changed(card: Card | None, change: Change, *, project: str, now: datetime) -> Card | Refusal | None:
    """Return the card after a change, why it is refused, or ``None`` when the row is not the one it was planned on."""
    if change.kind is ChangeKind.CREATE:
        if card is not None:
            return None
        card = Card(id=change.id, title=change.id, project=project, created_at=now)
    elif card is None or (change.version is not None and card.version != change.version):
        return None
    if change.path is not None:
        card = replace(card, path=change.path)
    try:
        require_id(change.id)
        require_storable(change.path)
        match change.kind:
            case ChangeKind.REMOVE:
                return removed(card, now)
            case ChangeKind.ARCHIVE:
                return replace(card, archived_at=now)
            case ChangeKind.RESTORE:
                card = replace(card, archived_at=None, deleted_at=None)
            case ChangeKind.CREATE | ChangeKind.UPDATE | ChangeKind.CLAIM:
                pass
        result = _with_state(with_fields(card, change.fields), change, now)
        return replace(result, **change.columns) if change.columns and isinstance(result, Card) else result
    except BadValue as error:
        return Refusal(error.code, error.message)


def removed(card: Card, now: datetime) -> Card:
    """Return the tombstone of a card.

    An open card's is blocked: a reader who knows no tombstones must not find it claimable.
    """
    if card.status in (Status.READY, Status.CLAIMED):
        card = replace(card, status=Status.BLOCKED, **_UNLEASED)
    return replace(card, deleted_at=now)


def with_fields(card: Card, fields: Fields) -> Card:
    """Return the card with these fields, status and owner aside.

    A value that means what the card already says leaves the stored form as it is.

    Raises: BadValue.
    """
    set_columns: dict[str, Any] = {}
    extra = dict(card.extra)
    for name, value in fields.items():
        require_storable(value)
        if name in _COLUMNS:
            column = _COLUMNS[name]
            if canonical(getattr(card, column)) != value:
                set_columns[column] = _stored(name, value, card.id)
        elif name.startswith(EXTRA):
            key = name.removeprefix(EXTRA)
            if value is None:
                extra.pop(key, None)
            elif key not in extra or canonical(extra[key]) != value:
                extra[key] = list(value) if isinstance(value, tuple) else value
        elif name not in _STATE:
            raise BadValue(f"{card.id}: no such field: {name}")
    return replace(card, extra=extra, **set_columns)


def _stored(name: str, value: Value, id: str) -> Any:
    match name:
        case "priority":
            number = 0 if value is None else value
            require_integer(number)
            return number
        case "dependsOn":
            if isinstance(value, str | int):
                raise BadValue(f"{id}: dependsOn is a list of ids")
            ids = tuple(dict.fromkeys(value or ()))
            for each in ids:
                require_id(each)
            return ids
        case "title":
            return id if value is None else _text(value)
        case "acceptance":
            return list(value) if isinstance(value, tuple) else value
        case _:
            return None if value is None else _text(value)


def _text(value: Value) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _with_state(card: Card, change: Change, now: datetime) -> Card | Refusal:
    """Return the card in the state that a change asks for, leased when it asks for a claim."""
    owner = change.fields.get("claimOwner")
    asked = change.fields.get("status")
    if change.kind is ChangeKind.CLAIM:
        asked = Status.CLAIMED
    elif asked is None:
        # An owner alone means something only while the card is claimed.
        if owner is None or card.status is not Status.CLAIMED:
            return card
        asked = Status.CLAIMED
    try:
        status = Status(str(asked))
    except ValueError:
        raise BadValue(f"{card.id}: no such status: {asked}") from None
    if status is not Status.CLAIMED:
        return replace(card, status=status, **_UNLEASED) if card.status is not status else card
    if not isinstance(owner, str):
        if card.status is Status.CLAIMED:
            return card
        raise BadValue(f"{card.id}: a claim names its owner")
    return claimed(card, owner, None, now)


def claimed(card: Card, owner: str, ttl_s: int | None, now: datetime) -> Card | Refusal:
    """Return the card leased to ``owner``; refused while another's lease stands.  Holds: I13."""
    if is_leased(card, now):
        if card.claim_owner == owner:
            return card
        return Refusal("not-owner", f"{card.id} is claimed by {card.claim_owner}")
    return replace(
        card,
        status=Status.CLAIMED,
        claim_owner=owner,
        claim_ttl_seconds=ttl_s,
        claimed_at=now,
        attempts=card.attempts + 1,
    )


def closing_cycles(
    edges: Mapping[str, Collection[str]], before: Mapping[str, Card], after: Mapping[str, Card]
) -> set[str]:
    """Return the cards of ``after`` whose added dependencies would close a cycle.

    ``edges`` is what the store says of everything that the added dependencies lead to.
    """
    growing = {id for id, card in after.items() if added_dependencies(before.get(id), card)}
    graph = {**edges, **{id: card.depends_on for id, card in after.items()}}
    return {id for knot in find_knots(graph) for id in knot & growing}


def added_dependencies(before: Card | None, after: Card) -> set[str]:
    """Return the ids that a card newly depends on."""
    return set(after.depends_on) - set(before.depends_on if before else ())


def require_id(id: str, what: str = "an id") -> None:
    """Raise BadValue for an id, or the name of an owner, that no store can hold."""
    require_storable(id)
    if not id or len(id.encode()) > ID_BYTES_MAX:
        raise BadValue(f"{what} has 1 to {ID_BYTES_MAX} bytes; this one has {len(id.encode())}")


def require_claim(owner: str, ttl_s: int | None) -> None:
    """Raise BadValue for an owner who cannot be named, and for a lease that is over at once."""
    require_id(owner, "an owner's name")
    require_ttl(ttl_s)


def require_ttl(ttl_s: int | None) -> None:
    """Raise BadValue for a time to live that no lease can have."""
    require_integer(ttl_s)
    if ttl_s is not None and ttl_s <= 0:
        raise BadValue(f"a lease lasts more than 0 seconds, not {ttl_s}")


def require_integer(number: Value) -> None:
    """Raise BadValue for what an ``integer`` column cannot hold."""
    if number is None:
        return
    if not isinstance(number, int) or isinstance(number, bool) or not -INTEGER_MAX - 1 <= number <= INTEGER_MAX:
        raise BadValue(f"not a whole number between {-INTEGER_MAX - 1} and {INTEGER_MAX}: {number!s:.40}")


def require_storable(value: Any) -> None:
    """Raise BadValue for what Postgres, or JSON, cannot hold: a NUL, half a surrogate pair, no number."""
    match value:
        case None:
            pass
        case str():
            if "\0" in value:
                raise BadValue("text with a NUL character cannot be stored")
            if not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    raise BadValue("text that is not valid Unicode cannot be stored") from None
        case int() if abs(value) > 2**63:
            raise BadValue("a number this large cannot be stored")
        case float() if not math.isfinite(value):
            raise BadValue(f"{value} is no number that JSON can hold")
        case list() | tuple():
            for each in value:
                require_storable(each)
        case Mapping():
            for key, each in value.items():
                require_storable(key)
                require_storable(each)
        case _:
            pass
