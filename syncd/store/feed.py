"""The change feed: what changed since a cursor, gap-free, whoever wrote it.

Each row carries the id of the transaction that changed it last.  A read returns every row with
``changed_xid >= cursor`` and moves the cursor to the snapshot's ``xmin``: all transactions below it had
ended, so nothing is skipped when transactions commit out of order, and a long one holds nobody up; rows
at or above it may come again.  A cursor of another epoch, or ahead of the snapshot, belongs to another
history: everything is read.  So it is on a new connection: a server that crashed gives ids of transactions
that left no trace on its disk once more, below cursors that were handed out.

Source: the PostgreSQL manual, "Transaction ID and Snapshot Information Functions".
May import ``syncd.ports``, ``syncd.schemas`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Iterable

from syncd.ports import Cursor, Feed
from syncd.schemas.card import Card
from syncd.store.rows import Row, card_of
from syncd.store.session import Link, Session, execute, together
from syncd.store.sharing import Sharing

_PLACE = 4
_ID = _PLACE
"""Where a row's card begins: after xmin, last, epoch and now."""


def read(session: Session, cursor: Cursor | None) -> Feed:
    """Return what changed since ``cursor`` in one snapshot; everything where that cannot be told.

    Shape: with nothing changed, one round trip and one row.
    """

    def work(link: Link) -> Feed:
        is_same = link is session.read_on
        session.read_on = link
        return _read(link, session.project, cursor if is_same else None)

    return session.run(work)


def _read(link: Link, project: str, cursor: Cursor | None) -> Feed:
    if cursor is None:
        return _feed(execute(link, "feed_full", project=project), frozenset(), is_full=True)
    with together(link):
        changed = execute(link, "feed", project=project, xmin=str(cursor.xmin))
        # Later than the rows: a card deleted and made again in between is there, and not gone.
        gone = execute(link, "feed_gone", project=project, xmin=str(cursor.xmin))
    feed = _feed(changed, frozenset(row[0] for row in gone), is_full=False)
    if feed.cursor.xmin < cursor.xmin or cursor.is_of_another_history(feed.cursor):
        return _read(link, project, None)
    return feed


def _feed(rows: Iterable[Row], gone: frozenset[str], *, is_full: bool) -> Feed:
    """Return what the rows tell; each is a card before the next is looked at, so that few are in memory twice."""
    place: Row = ()
    cards: list[Card] = []
    shared = Sharing()
    for row in rows:
        place = row[:_PLACE]
        if row[_ID] is not None:
            cards.append(shared(card_of(row[_PLACE:])))
    xmin, last, epoch, now = place
    return Feed(
        cards={card.id: card for card in cards if card.id not in gone},
        gone=gone,
        cursor=Cursor(epoch, int(xmin), last=int(last)),
        is_full=is_full,
        now=now,
    )
