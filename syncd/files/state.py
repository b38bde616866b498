"""``.syncd/state.db``: what syncd remembers beside the files.

The base, the journal of the write under way, the feed's cursor, the versions of task files that were
seen, people's decisions about holds.  Implements ``ports.State``.  The base is kept in memory and
written card by card; another process' advance is noticed by SQLite's ``data_version`` and read again.
May import ``syncd.ports``, ``syncd.core``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from syncd.core.plan import BaseCard, LocalCard
from syncd.files import contact
from syncd.files.database import Damaged, Database, set_aside
from syncd.files.layout import Layout
from syncd.files.replica import Place
from syncd.files.state_rows import base_card, base_row, journal_entry, journal_of, with_fields_of
from syncd.files.workspace import make_dot
from syncd.ports import Cursor, Journal

VERSIONS_MAX: Final = 50
"""How many versions of each task file are remembered."""

_ZLIB_LEVEL: Final = 1
_CURSOR: Final = "cursor"
_GENERATION: Final = "base.generation"
_PROJECT: Final = "base.project"
_LOST: Final = "state.lost"
_MISSIONS: Final = "mission.%"
_REPLICA: Final = "replica.id"
_PLACE: Final = "replica.place"


class StateFile:
    """The state of one workspace, safe to share between threads; several processes may have it open.

    Args:
        layout: the workspace; ``.syncd/`` and the database are made when absent.
        project: whose cards the base is about; a base of another project is no base.
        is_read_only: for commands that only look: nothing is written, made or put aside, and an absent or
            copied state, or another project's, shows as empty.

    A file that is damaged is put aside and an empty state begun: ``was_lost`` names it until
    ``acknowledge_loss``.  A copied ``.syncd/`` gets a new replica id and begins without a base.

    Raises:
        SchemaVersionError: a newer syncd made it.
        Busy: another process holds it for too long.
        InputOutputError: permission, full disk, or damaged and to be left alone.
    """

    def __init__(self, layout: Layout, *, project: str = "default", is_read_only: bool = False) -> None:
        self._layout = layout
        self._project = project
        self._is_read_only = is_read_only
        self._lock = threading.RLock()
        self._base: Mapping[str, BaseCard] | None = None
        self._seen = self._generation = 0
        self._is_shared = False
        self._newest: dict[str, tuple[str, bytes]] = {}
        """Of each file the newest version, as it was last asked for: reading one again is not unpacking it again."""
        self.contact = contact.ContactTable(lambda: self._database, self.base, is_read_only=is_read_only)
        if is_read_only:
            self._database = Database(layout.state, is_read_only=True)
            if layout.dot.is_dir() and self._is_foreign(Place.of(layout.dot)):
                self._database.close()
                self._database = Database(None, is_read_only=True)
            return
        make_dot(layout)
        try:
            self._database = Database(layout.state)
        except Damaged:
            self._begin_again()
            return
        try:
            self._adopt()
        except Damaged:
            # The disk may fail between two reads, too.
            self._database.close()
            self._begin_again()

    @property
    def replica(self) -> str:
        """The id of this working copy; ``local`` before anything was written."""
        return self.meta(_REPLICA) or "local"

    # --- base ------------------------------------------------------------------------------------

    def base(self) -> Mapping[str, BaseCard]:
        """Return the base, every card; the same mapping until it advances, in this process or another."""
        with self._lock:
            seen = self._database.data_version()
            if self._base is None or (seen != self._seen and self._stored_generation() != self._generation):
                try:
                    return self._load()
                except Damaged:
                    if self._is_read_only:
                        raise
                    self._database.close()
                    self._begin_again()
                    return self._load()
            self._seen = seen
            return self._base

    def share(self, base: Mapping[str, BaseCard], local: Mapping[str, LocalCard]) -> Mapping[str, BaseCard]:
        """Return the base that is to be held instead of this one, what the files' cards say alike held once.

        That is done where it was just read; at 10,000 cards it is every tenth byte of a process.
        """
        with self._lock:
            if self._base is base and not self._is_shared:
                self._base = MappingProxyType({id: with_fields_of(local.get(id), card) for id, card in base.items()})
                self._is_shared = True
                return self._base
            return base

    def advance(self, agreed: Iterable[BaseCard], forgotten: Iterable[str], cursor: Cursor | None) -> None:
        """Move the base and the feed's cursor in one durable transaction.

        ``cursor`` is where the feed is read on; ``None`` leaves it.  Nothing new writes nothing; a cursor
        alone costs no fsync, since reading from an older one repeats, and skips nothing.

        Holds: I3, I6, I9.
        """
        with self._lock:
            current = self.base()
            changed = [card for card in agreed if current.get(card.id) != card]
            gone = [id for id in forgotten if id in current]
            is_moved = cursor is not None and cursor != self.cursor()
            if not changed and not gone and not is_moved:
                return
            is_new = bool(changed or gone)
            with self._database.writing(is_durable=is_new) as connection:
                stored = self._stored_generation()
                connection.executemany("delete from base where id = ?", ((id,) for id in gone))
                connection.executemany("insert or replace into base values (?, ?, ?, ?, ?)", map(base_row, changed))
                if is_new:
                    _put_meta(connection, _GENERATION, str(stored + 1))
                if is_moved:
                    _put_meta(connection, _CURSOR, msgspec.json.encode(cursor).decode())
            if stored != self._generation:
                self._base = None
            elif is_new:
                # A new mapping: whoever reads the present one goes on seeing it whole.
                advanced = dict(current)
                for id in gone:
                    del advanced[id]
                advanced.update((card.id, card) for card in changed)
                self._base = MappingProxyType(advanced)
                self._generation = stored + 1

    def forget_base(self) -> None:
        """Drop base, cursor, journal and decisions: the next cycle is a first contact, and deletes nothing."""
        with self._lock:
            with self._database.writing() as connection:
                for table in ("base", "journal", "decision"):
                    connection.execute(f"delete from {table}")
                connection.execute("delete from meta where key in (?, ?) or key like ?", (_CURSOR, _PROJECT, _MISSIONS))
                contact.forget(connection)
                _put_meta(connection, _GENERATION, str(self._stored_generation() + 1))
            self._base = None

    def forget_missions(self) -> None:
        """Drop the base of missions: they are compared with the store as at first contact, and nothing is deleted."""
        with self._database.writing() as connection:
            connection.execute("delete from meta where key like ?", (_MISSIONS,))

    def cursor(self) -> Cursor | None:
        """Return the feed's place at the last advance."""
        text = self.meta(_CURSOR)
        return None if text is None else msgspec.json.decode(text, type=Cursor)

    # --- journal ---------------------------------------------------------------------------------

    def journal(self) -> Journal | None:
        """Return the write under way."""
        with self._database.reading() as connection:
            row = connection.execute("select entry from journal").fetchone()
        if row is None:
            return None
        return journal_of(row[0])

    def write_journal(self, journal: Journal) -> None:
        """Record a write durably before it starts."""
        entry = journal_entry(journal)
        with self._database.writing() as connection:
            connection.execute("insert or replace into journal values (1, ?)", (entry,))

    def clear_journal(self) -> None:
        """Forget the write under way, durably; with none, nothing is written."""
        with self._lock:
            if self.journal() is not None:
                with self._database.writing() as connection:
                    connection.execute("delete from journal")

    # --- versions of files -----------------------------------------------------------------------

    def remember_version(self, path: str, digest: str, data: bytes) -> None:
        """Keep a version of a file that was seen, as its newest; the last ``VERSIONS_MAX`` stay.

        Costs no fsync: a power cut may forget the last versions, which makes the guards less wary of old
        bytes and loses nothing else.
        """
        with self._lock:
            if self.version_rank(path, digest) == 0:
                return
            packed = self._packed(path, digest) or zlib.compress(data, _ZLIB_LEVEL)
            with self._database.writing(is_durable=False) as connection:
                connection.execute("delete from file_version where path = ? and digest = ?", (path, digest))
                connection.execute(
                    "insert into file_version (path, digest, bytes) values (?, ?, ?)", (path, digest, packed)
                )
                connection.execute(
                    "delete from file_version where path = ?1 and seen <= (select seen from file_version"
                    " where path = ?1 order by seen desc limit 1 offset ?2)",
                    (path, VERSIONS_MAX),
                )
            self._newest[path] = (digest, data)

    def version_rank(self, path: str, digest: str) -> int | None:
        """Return 0 for the newest version seen of a file, its age in versions for an older one, else ``None``."""
        with self._database.reading() as connection:
            row = connection.execute(
                "select (select count(*) from file_version as later"
                " where later.path = it.path and later.seen > it.seen)"
                " from file_version as it where it.path = ? and it.digest = ?",
                (path, digest),
            ).fetchone()
        return None if row is None else int(row[0])

    def version_bytes(self, path: str, digest: str) -> bytes | None:
        """Return the bytes of a kept version."""
        packed = self._packed(path, digest)
        return None if packed is None else zlib.decompress(packed)

    def newest_version(self, path: str) -> bytes | None:
        """Return the bytes of the newest version seen of a file."""
        with self._lock:
            with self._database.reading() as connection:
                row = connection.execute(
                    "select digest from file_version where path = ? order by seen desc limit 1", (path,)
                ).fetchone()
            if row is None:
                return None
            known = self._newest.get(path)
            if known is None or known[0] != row[0]:
                if (data := self.version_bytes(path, row[0])) is None:
                    return None
                known = self._newest[path] = (row[0], data)
            return known[1]

    def versions(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of the kept versions of a file, newest first."""
        with self._database.reading() as connection:
            digests = connection.execute("select digest from file_version where path = ? order by seen desc", (path,))
            known = [digest for (digest,) in digests]
        for digest in known:
            if (data := self.version_bytes(path, digest)) is not None:
                yield data

    # --- decisions, facts ------------------------------------------------------------------------

    def decisions(self) -> Mapping[str, str]:
        """Return what people decided about holds: fingerprint -> ``accept`` or ``reject``."""
        with self._database.reading() as connection:
            return dict(connection.execute("select fingerprint, verdict from decision"))

    def decide(self, fingerprints: Mapping[str, str]) -> None:
        """Keep decisions about holds."""
        if fingerprints:
            with self._database.writing() as connection:
                connection.executemany("insert or replace into decision values (?, ?)", fingerprints.items())

    def drop_decisions(self, fingerprints: Iterable[str]) -> None:
        """Forget decisions that were carried out, or whose hold is gone."""
        if keys := [(each,) for each in fingerprints]:
            with self._database.writing() as connection:
                connection.executemany("delete from decision where fingerprint = ?", keys)

    def meta(self, key: str) -> str | None:
        """Return a small remembered fact."""
        with self._database.reading() as connection:
            row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str | None) -> None:
        """Remember or forget a small fact; one that is known already writes nothing."""
        if self.meta(key) == value:
            return
        with self._database.writing() as connection:
            if value is None:
                connection.execute("delete from meta where key = ?", (key,))
            else:
                _put_meta(connection, key, value)

    # --- life ------------------------------------------------------------------------------------

    @property
    def was_lost(self) -> str | None:
        """The name of the damaged file in whose stead this state was begun empty."""
        return self.meta(_LOST)

    def acknowledge_loss(self) -> None:
        """Forget that a state was lost: a person was told, or a full cycle built the base again."""
        self.set_meta(_LOST, None)

    def is_lost(self) -> bool:
        """Return whether what is remembered here is gone: whoever runs on for long has to begin anew then."""
        return self._database.is_lost()

    def close(self) -> None:
        """Close the database; twice is fine."""
        self._database.close()

    def _begin_again(self) -> None:
        aside = set_aside(self._layout.state)
        self._database = Database(self._layout.state)
        self.set_meta(_LOST, aside.name)
        self._adopt()

    def _adopt(self) -> None:
        """Give a new or copied state its id.  The base goes first: a crash in between repeats it."""
        here = Place.of(self._layout.dot)
        if self._is_foreign(here):
            self.forget_base()
        if self.meta(_REPLICA) is None or self._is_copied(here):
            self.set_meta(_REPLICA, secrets.token_hex(4))
        self.set_meta(_PLACE, msgspec.json.encode(here).decode())
        self.set_meta(_PROJECT, self._project)

    def _is_foreign(self, here: Place) -> bool:
        """Return whether the base belongs to another folder or another project than this."""
        return self._is_copied(here) or self.meta(_PROJECT) not in (None, self._project)

    def _is_copied(self, here: Place) -> bool:
        text = self.meta(_PLACE)
        return text is not None and not msgspec.json.decode(text, type=Place).is_of(here)

    def _load(self) -> Mapping[str, BaseCard]:
        """Read the base.  Raises Damaged."""
        with self._database.reading() as connection:
            connection.execute("begin")
            try:
                self._seen = self._database.data_version()
                self._generation = self._stored_generation()
                rows = connection.execute("select id, fields, version, path, heading from base")
                cards = {card.id: card for card in map(base_card, rows)}
            except msgspec.MsgspecError as error:
                raise Damaged(f"{self._layout.state} is damaged: the base is no JSON.") from error
            finally:
                connection.rollback()
            connection.execute("pragma shrink_memory")
        self._base, self._is_shared = MappingProxyType(cards), False
        return self._base

    def _stored_generation(self) -> int:
        return int(self.meta(_GENERATION) or 0)

    def _packed(self, path: str, digest: str) -> bytes | None:
        with self._database.reading() as connection:
            row = connection.execute(
                "select bytes from file_version where path = ? and digest = ?", (path, digest)
            ).fetchone()
        return None if row is None else bytes(row[0])


def _put_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("insert or replace into meta values (?, ?)", (key, value))
