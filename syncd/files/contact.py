"""What ``state.db`` knows of a store that can be away: its cards and missions at the last contact, and its absence.

Written beside the base, through the same connection.  The cards are a cache until the store is away, and from then on
the ancestor of what is merged when it is back: they stay as they are until that is done.
Implements ``ports.Contact``.  May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.core.plan import BaseCard
from syncd.core.session import Session
from syncd.files.database import Database
from syncd.ports import Absence, ConflictRecord, Cursor, Feed, KnownMissions, MissionView
from syncd.schemas.card import EXTRA, Card, Fields, Status, Value, card_fields
from syncd.schemas.mission import Record

_CURSOR: Final = "contact.cursor"
_ABSENCE: Final = "contact.absence"
_MISSIONS: Final = "contact.missions"
_CONFLICTS: Final = "contact.conflicts"


class _Missions(msgspec.Struct, frozen=True):
    """The missions of the last contact, as they are kept."""

    place: int | str
    epoch: str
    records: tuple[Record, ...]
    sessions: tuple[Session, ...]


_encode: Final = msgspec.json.Encoder().encode
_decode_card: Final = msgspec.json.Decoder(Card).decode
_decode_cursor: Final = msgspec.json.Decoder(Cursor).decode
_decode_absence: Final = msgspec.json.Decoder(Absence).decode
_decode_conflicts: Final = msgspec.json.Decoder(tuple[ConflictRecord, ...]).decode
_decode_missions: Final = msgspec.json.Decoder(_Missions).decode


class ContactTable:
    """The table ``contact`` of ``state.db``, safe to share between threads.

    Args:
        database: gives the state's database as it is now.
        base: gives the base, for a state that was kept before there was such a table.
        is_read_only: nothing is written; what is to be noted is passed over.
    """

    def __init__(
        self, database: Callable[[], Database], base: Callable[[], Mapping[str, BaseCard]], *, is_read_only: bool
    ) -> None:
        self._database = database
        self._base = base
        self.is_read_only = is_read_only
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        self._absence: Absence | None = None

    def note(self, feed: Feed) -> None:
        """Take over what the store told; a full feed replaces everything.  Costs no fsync."""
        place = self.cursor()
        if self.is_read_only or self.absence() is not None or not (feed.is_full or place is not None):
            return
        with self._lock:
            # Without a full feed the same rows may come again and again: they are not to be written each time.
            known = self._versions(None if feed.is_full else feed.cards)
            kept = {id: card for id, card in feed.cards.items() if card.deleted_at is None}
            fresh = [card for id, card in kept.items() if known.get(id) != card.version]
            named = known.keys() if feed.is_full else {*feed.gone, *feed.cards}
            gone = list((named - kept.keys()) & (known.keys() | feed.gone))
            # A place behind what was committed here would not tell a store that was restored to before it.
            if fresh or gone or place is None or place.last < feed.cursor.last:
                with self._database().writing(is_durable=False) as connection:
                    # Another process may have taken the store for away in this very moment.
                    if _fact(connection, _ABSENCE) is None:
                        _put(connection, fresh, gone)
                        _set(connection, _CURSOR, _encode(feed.cursor))

    def take(self, cards: Iterable[Card]) -> None:
        """Take over cards as the store returned them, each unless a later version is known.  Costs no fsync."""
        if self.is_read_only or self.absence() is not None:
            return
        rows = [(card.id, card.version, _encode(card)) for card in cards if card.deleted_at is None]
        gone = [(card.id, card.version) for card in cards if card.deleted_at is not None]
        with self._lock, self._database().writing(is_durable=False) as connection:
            if _fact(connection, _ABSENCE) is None:
                connection.executemany("delete from contact where id = ? and version <= ?", gone)
                connection.executemany(
                    "insert into contact values (?, ?, ?) on conflict (id) do update"
                    " set version = excluded.version, card = excluded.card where excluded.version >= version",
                    rows,
                )

    def note_missions(self, view: MissionView, sessions: Sequence[Session]) -> None:
        """Take over the missions as the store told them.  Costs no fsync."""
        if self.is_read_only or self.absence() is not None:
            return
        with self._lock, self._database().writing(is_durable=False) as connection:
            if _fact(connection, _ABSENCE) is None:
                _set(connection, _MISSIONS, _kept(KnownMissions(view, sessions)))

    def missions(self) -> KnownMissions | None:
        """Return the store's missions at the last contact; ``None`` when they were never looked at."""
        with self._database().reading() as connection:
            text = _fact(connection, _MISSIONS)
        if text is None:
            return None
        kept = _decode_missions(text)
        view = MissionView({each.key: each for each in kept.records}, kept.place, kept.epoch)
        return KnownMissions(view, kept.sessions)

    def note_conflicts(self, conflicts: Sequence[ConflictRecord]) -> None:
        """Take over the open conflicts as the store told them.  Costs no fsync; nothing new writes nothing."""
        if self.is_read_only or self.absence() is not None or tuple(conflicts) == self.conflicts():
            return
        with self._lock, self._database().writing(is_durable=False) as connection:
            if _fact(connection, _ABSENCE) is None:
                _set(connection, _CONFLICTS, _encode(tuple(conflicts)))

    def conflicts(self) -> Sequence[ConflictRecord]:
        """Return the store's open conflicts at the last contact."""
        with self._database().reading() as connection:
            text = _fact(connection, _CONFLICTS)
        return () if text is None else _decode_conflicts(text)

    def cards(self) -> Mapping[str, Card]:
        """Return the store's cards at the last contact."""
        with self._database().reading() as connection:
            rows = connection.execute("select card from contact").fetchall() if _has_table(connection) else []
        cards = [_decode_card(row[0]) for row in rows]
        return {card.id: card for card in cards}

    def agreed(self) -> Mapping[str, Card]:
        """Return the cards as files and store last agreed on them, those that stand in no file as at the last contact.

        While the database is away this has what its stand-in was told by the files.  A base that is behind the contact
        says nothing: nobody has synced since.
        """
        cards = dict(self.cards())
        for id, base in self._base().items():
            if id not in cards or base.version > cards[id].version:
                cards[id] = _with_agreed(cards.get(id), base)
        return cards

    def cursor(self) -> Cursor | None:
        """Return the store's place at the last contact; ``None`` when there was none."""
        with self._database().reading() as connection:
            text = _fact(connection, _CURSOR)
        return None if text is None else _decode_cursor(text)

    def absence(self) -> Absence | None:
        """Return since when the store is away; ``None`` when it is not."""
        with self._lock:
            database = self._database()
            seen = (id(database), database.data_version())
            if seen != self._seen:
                with database.reading() as connection:
                    text = _fact(connection, _ABSENCE)
                self._absence = None if text is None else _decode_absence(text)
                self._seen = seen
            return self._absence

    def be_away(self, absence: Absence) -> None:
        """Have the manifest stand in for the store, or note how its return goes; durable."""
        self._keep(lambda connection: _set(connection, _ABSENCE, _encode(absence)))

    def be_back(self, feed: Feed, missions: KnownMissions) -> None:
        """Have the store be the store again, as this full feed and these missions tell it; one durable transaction."""
        cards = [card for card in feed.cards.values() if card.deleted_at is None]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("delete from contact")
            _put(connection, cards, ())
            _set(connection, _CURSOR, _encode(feed.cursor))
            _set(connection, _MISSIONS, _kept(missions))
            connection.execute("delete from meta where key = ?", (_ABSENCE,))

        self._keep(work)

    def _keep(self, work: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock:
            with self._database().writing() as connection:
                work(connection)
            self._seen = None

    def _versions(self, ids: Iterable[str] | None) -> dict[str, int]:
        """Return the known versions of these cards, or of all."""
        with self._database().reading() as connection:
            if ids is None:
                return dict(connection.execute("select id, version from contact"))
            return {
                row[0]: row[1]
                for id in ids
                for row in connection.execute("select id, version from contact where id = ?", (id,))
            }


def forget(connection: sqlite3.Connection) -> None:
    """Forget the last contact, and that the store is away: they are another working copy's."""
    connection.execute("delete from contact")
    connection.execute("delete from meta where key in (?, ?, ?, ?)", (_CURSOR, _ABSENCE, _MISSIONS, _CONFLICTS))


def _kept(missions: KnownMissions) -> bytes:
    view = missions.view
    return _encode(_Missions(view.place, view.epoch, tuple(view.records.values()), tuple(missions.sessions)))


def _fact(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def _has_table(connection: sqlite3.Connection) -> bool:
    return connection.execute("select 1 from sqlite_master where name = 'contact'").fetchone() is not None


def _put(connection: sqlite3.Connection, cards: Iterable[Card], gone: Iterable[str]) -> None:
    connection.executemany("delete from contact where id = ?", ((id,) for id in gone))
    connection.executemany(
        "insert or replace into contact values (?, ?, ?)", ((card.id, card.version, _encode(card)) for card in cards)
    )


def _set(connection: sqlite3.Connection, key: str, value: bytes) -> None:
    connection.execute("insert or replace into meta values (?, ?)", (key, value.decode()))


def _with_agreed(card: Card | None, base: BaseCard) -> Card:
    """Return a card with the fields that were agreed; one that is not known has nothing but these."""
    fields: Fields = base.fields
    card = card or Card(id=base.id, title=base.id, path=base.path)
    before = card_fields(card)
    if all(before.get(name) == value for name, value in fields.items()):
        return card
    status = Status(str(fields.get("status", card.status)))
    owner = fields.get("claimOwner", card.claim_owner)
    priority, depends_on = fields.get("priority", card.priority), fields.get("dependsOn", card.depends_on)
    acceptance = fields.get("acceptance", card.acceptance)
    extras = {name.removeprefix(EXTRA): value for name, value in fields.items() if name.startswith(EXTRA)}
    return replace(
        card,
        title=_text(fields.get("title")) or card.title,
        body=_text(fields.get("body", card.body)),
        phase=_text(fields.get("phase", card.phase)),
        priority=priority if isinstance(priority, int) else card.priority,
        status=status,
        depends_on=depends_on if isinstance(depends_on, tuple) else card.depends_on,
        claim_owner=_text(owner) if status is Status.CLAIMED else None,
        acceptance=list(acceptance) if isinstance(acceptance, tuple) else acceptance,
        version=max(card.version + 1, base.version),
        path=base.path,
        extra={name: value for name, value in {**card.extra, **extras}.items() if value is not None},
    )


def _text(value: Value) -> str | None:
    return None if value is None else ", ".join(value) if isinstance(value, tuple) else str(value)
