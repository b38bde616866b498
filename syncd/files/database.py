"""The SQLite file under ``state.py``: opening, its schema, damage, transactions, errors in our terms.

WAL with ``synchronous=FULL``: what a durable transaction wrote survives power loss.  A damaged file
is put aside and never repaired.  May import ``syncd.errors``, ``syncd.files.atomic``.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from syncd.errors import Bug, Busy, InputOutputError, SchemaVersionError, SyncdError
from syncd.files.atomic import failure

SCHEMA_VERSION: Final = 2

_BUSY_S: Final = 5.0
_SCHEMA: Final = """
create table meta (key text primary key, value text not null) without rowid;
create table base (id text primary key, fields blob not null, version integer not null, path text, heading text)
  without rowid;
create table journal (one integer primary key check (one = 1), entry blob not null);
create table decision (fingerprint text primary key, verdict text not null) without rowid;
create table file_version (
  seen integer primary key autoincrement, path text not null, digest text not null, bytes blob not null,
  unique (path, digest)
);
create table contact (id text primary key, version integer not null, card blob not null) without rowid;
"""


class Damaged(InputOutputError):
    """The database's file holds no database, or a torn one; whoever opens it next for writing puts it aside."""


class Database:
    """One connection, shared by the threads of a process, one at a time.

    Args:
        path: the file, made with mode 0600 when absent; ``None`` for an empty database in memory.
        is_read_only: never write; an absent file is an empty database.

    Raises:
        Damaged: the file is torn, or something else.
        SchemaVersionError: a newer syncd made it.
        Busy: another process holds it for longer than 5 s.
        InputOutputError: permission, full disk.
    """

    def __init__(self, path: Path | None, *, is_read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._is_durable = True
        self._is_damaged = False
        self._inode: tuple[int, int] | None = None
        with self._told():
            self._connection = self._open(is_read_only)
        try:
            with self._told():
                self._prepare(is_read_only)
        except SyncdError:
            self._connection.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for statements that read."""
        with self._lock, self._told():
            yield self._connection

    @contextmanager
    def writing(self, *, is_durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction: committed at the end, rolled back on an error.

        Args:
            is_durable: without it the commit costs no fsync; it survives this process, not a power cut.
        """
        with self._lock, self._told():
            if is_durable is not self._is_durable:
                self._connection.execute(f"pragma synchronous={'full' if is_durable else 'normal'}")
                self._is_durable = is_durable
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed."""
        with self.reading() as connection:
            return int(connection.execute("pragma data_version").fetchone()[0])

    def is_lost(self) -> bool:
        """Return whether what is written here is gone: the file was found damaged, removed, or put aside."""
        if self._is_damaged or self._path is None:
            return self._is_damaged
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return (found.st_dev, found.st_ino) != self._inode

    def close(self) -> None:
        """Close the connection; twice is fine."""
        with self._lock:
            self._connection.close()

    def _open(self, is_read_only: bool) -> sqlite3.Connection:
        if self._path is None or (is_read_only and not self._path.exists()):
            return self._connect(":memory:")
        if is_read_only:
            # Without its -shm file a WAL database cannot be read from a folder that is read-only, but by a
            # promise that nobody writes it; there, nobody can.
            mode = "mode=ro" if os.access(self._path.parent, os.W_OK) else "immutable=1"
            return self._connect(f"{self._path.absolute().as_uri()}?{mode}", uri=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        found = os.fstat(handle)
        self._inode = (found.st_dev, found.st_ino)
        os.close(handle)
        return self._connect(str(self._path))

    @staticmethod
    def _connect(name: str, *, uri: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            name, uri=uri, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        # A clone may bring a file of this name along: what its schema says is not run.
        connection.execute("pragma trusted_schema=off")
        return connection

    def _prepare(self, is_read_only: bool) -> None:
        connection = self._connection
        found = self._schema_version()
        if is_read_only and found == 0:
            connection.close()
            connection = self._connection = self._connect(":memory:")
        if not is_read_only:
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=full")
        if found == 0:
            self._create()
        elif not is_read_only and connection.execute("pragma quick_check(1)").fetchone()[0] != "ok":
            raise self._damaged()
        elif not is_read_only and found < SCHEMA_VERSION:
            self._upgrade()
        if is_read_only:
            connection.execute("pragma query_only=on")

    def _schema_version(self) -> int:
        found = int(self._connection.execute("pragma user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            raise SchemaVersionError(
                f"{self._path} has schema version {found}; this syncd knows up to {SCHEMA_VERSION}.",
                hint=f"Update syncd; or move {self._path} away: a sync without a base deletes nothing.",
            )
        return found

    def _create(self) -> None:
        connection = self._connection
        connection.execute("begin immediate")
        # Another process may have made it meanwhile.
        if self._schema_version() == 0:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"pragma user_version={SCHEMA_VERSION}")
        connection.commit()

    def _upgrade(self) -> None:
        connection = self._connection
        connection.execute("begin immediate")
        if self._schema_version() < 2:
            connection.execute(
                "create table contact (id text primary key, version integer not null, card blob not null) without rowid"
            )
        connection.execute(f"pragma user_version={SCHEMA_VERSION}")
        connection.commit()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise SQLite's and the system's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._as_ours(error) from error
        except OSError as error:
            raise failure(error, f"Cannot open {self._path}") from error

    def _damaged(self) -> Damaged:
        self._is_damaged = True
        return Damaged(f"{self._path} is damaged.", hint="syncd sync: it is put aside, and nothing is deleted.")

    def _as_ours(self, error: sqlite3.Error) -> SyncdError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        match code:
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return self._damaged()
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return Busy(f"{self._path} is held by another process.", hint="Try again later.")
            case sqlite3.SQLITE_FULL:
                return InputOutputError(f"Cannot write {self._path}: the disk is full.", hint="Make room.")
            case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                if self._path is not None and _is_full(self._path.parent):
                    # SQLite knows no better than "disk I/O error" where a file of its own cannot grow.
                    return InputOutputError(f"Cannot use {self._path}: the disk is full.", hint="Make room.")
                return InputOutputError(f"Cannot use {self._path}: {error}.", hint="Check its folder and permissions.")
            case _:
                return Bug(f"{self._path}: {error}.")


def _is_full(folder: Path) -> bool:
    """Return whether nothing can be written in a folder for lack of room."""
    with suppress(OSError):
        found = os.statvfs(folder)
        return found.f_bavail == 0 or (found.f_files > 0 and found.f_favail == 0)
    return False


def set_aside(path: Path) -> Path:
    """Move a damaged database away, with what belongs to it; return its new path, ``<name>.broken-<n>``.

    Raises:
        InputOutputError: it cannot be moved.
    """
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.broken-{number}")):
        number += 1
    try:
        for suffix in ("", "-wal", "-shm"):
            part = Path(f"{path}{suffix}")
            if part.exists():
                part.rename(f"{aside}{suffix}")
    except OSError as error:
        raise InputOutputError(f"Cannot move {path} aside: {os.strerror(error.errno or 0)}.") from error
    return aside
