"""Single cards: list, update, link, remove.

Each is one transaction that locks the card's row, asks ``changes`` what it shall be, writes it with the
statements of the batches, and reads it back, because triggers count what it waits for.  May import
``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from syncd.core.graph import would_close
from syncd.core.mission import MissionCard
from syncd.core.plan import Change, ChangeKind
from syncd.errors import BadValue, NotOwner
from syncd.ports import CardFilter, Refusal
from syncd.schemas.card import Card, Fields
from syncd.store import refusals
from syncd.store.changes import added_dependencies, changed, removed, require_id
from syncd.store.commits import reach, write
from syncd.store.leases import get
from syncd.store.rows import card_of, cards_of
from syncd.store.session import Link, Session, execute, together


def chosen(session: Session, wanted: CardFilter) -> list[Card]:
    """Return live cards as the filter says.  Raises NotFound for a cursor that is no card."""
    if wanted.cursor is not None and not session.fetch("cards", ids=[wanted.cursor]):
        raise refusals.not_found(session.project, wanted.cursor)
    page = {} if wanted.limit is None else {"limit": wanted.limit}
    rows = session.fetch(
        "list_page" if page else "list",
        status=None if wanted.status is None else wanted.status.value,
        phase=wanted.phase,
        owner=wanted.owner,
        ready_only=wanted.ready_only,
        cursor=wanted.cursor,
        **page,
    )
    return [card_of(row) for row in rows]


def mission_cards(session: Session) -> list[MissionCard]:
    """Return all live cards as far as missions look at them."""
    return [
        MissionCard(id, path, {"phase": phase, "status": status})
        for id, path, phase, status in session.fetch("mission_cards")
    ]


def update(session: Session, id: str, fields: Fields, if_version: int | None) -> Card:
    """Set synced fields.  Raises NotFound, BadValue, StaleVersion, CycleRefused, NotOwner."""

    def edit(card: Card, now: datetime) -> Card:
        if if_version is not None and card.version != if_version:
            raise refusals.stale(card, if_version)
        change = Change(kind=ChangeKind.UPDATE, id=id, fields=fields)
        match changed(card, change, project=session.project, now=now):
            case Card() as result:
                return result
            case Refusal(code="not-owner", message=message):
                raise NotOwner(message)
            case Refusal(message=message):
                raise BadValue(message)
            case None:
                raise refusals.not_found(session.project, id)

    return _edit(session, id, edit, adds_edges="dependsOn" in fields)


def link_cards(session: Session, id: str, depends_on: str) -> Card:
    """Add a dependency.  Raises NotFound for either card, CycleRefused."""
    get(session, depends_on)

    def edit(card: Card, now: datetime) -> Card:
        return replace(card, depends_on=tuple(dict.fromkeys((*card.depends_on, depends_on))))

    return _edit(session, id, edit, adds_edges=True)


def unlink_cards(session: Session, id: str, depends_on: str) -> Card:
    """Take a dependency away; one that is not there is no error.  Raises NotFound."""

    def edit(card: Card, now: datetime) -> Card:
        return replace(card, depends_on=tuple(each for each in card.depends_on if each != depends_on))

    return _edit(session, id, edit)


def remove(session: Session, id: str, *, force: bool) -> Card:
    """Tombstone a card.  Raises NotFound, Refused while others depend on it, unless forced."""

    def edit(card: Card, now: datetime) -> Card:
        return removed(card, now)

    def allow(link: Link) -> None:
        dependents = [row[0] for row in execute(link, "dependents", project=session.project, id=id)]
        if dependents:
            raise refusals.depended_on(id, dependents)

    return _edit(session, id, edit, adds_edges=not force, allow=None if force else allow)


def _edit(
    session: Session,
    id: str,
    edit: Callable[[Card, datetime], Card],
    *,
    adds_edges: bool = False,
    allow: Callable[[Link], None] | None = None,
) -> Card:
    """Lock a card, write what ``edit`` makes of it, and return it as stored."""

    def work(link: Link) -> Card:
        project = session.project
        with link.transaction():
            with together(link):
                if adds_edges:
                    execute(link, "lock_edges", project=project)
                locked = execute(link, "lock_cards", project=project, ids=[id])
            rows = locked.fetchall()
            before = cards_of(row[1:] for row in rows)
            if id not in before or before[id].deleted_at is not None:
                raise refusals.not_found(session.project, id)
            if allow is not None:
                allow(link)
            after = edit(before[id], rows[0][0])
            if after == before[id]:
                return after
            _refuse_cycle(link, project, before[id], after)
            with together(link):
                write(link, project, before, {id: after})
                stored = execute(link, "cards", project=project, ids=[id])
            return card_of(stored.fetchall()[0])

    try:
        require_id(id)
    except BadValue:
        raise refusals.not_found(session.project, ascii(id)) from None
    return session.run(work)


def _refuse_cycle(link: Link, project: str, before: Card, after: Card) -> None:
    added = added_dependencies(before, after)
    if not added:
        return
    path = would_close(reach(link, project, added), after.id, after.depends_on)
    if path is not None:
        raise refusals.closes_cycle(path)
