"""One connection to Postgres, shared by the threads of a process, and its transactions.

A session connects when it is first used and again after the connection broke.  One lock lets one thread
in at a time: what a store does is short, and a workspace costs the server one connection (and one more
for LISTEN).  Every transaction may run again after a deadlock or a serialization failure, so what it
does outside the database must be repeatable.  May import ``syncd.errors``, ``syncd.log`` and the store's own
modules.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from traceback import clear_frames
from typing import Any, Final, TypeVar

import msgspec
import psycopg
from psycopg.types.json import set_json_loads

from syncd.errors import SchemaVersionError
from syncd.log import event
from syncd.store.dsn import address, with_keepalives
from syncd.store.failures import RETRIED, connect_failure, query_failure, said
from syncd.store.lane import Lane
from syncd.store.link import Link as Link
from syncd.store.queries import SCHEMA_VERSION, query
from syncd.store.rows import Row
from syncd.store.silence import LeftBehind, Vigil

T = TypeVar("T")

TIMEOUTS: Final = {
    "statement_timeout": "60s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}

_SET: Final = """
select set_config(name, value, %(local)s)
from unnest(%(names)s::text[], %(values)s::text[]) as setting (name, value)
where name in ('syncd.actor', 'syncd.face', 'TimeZone') or current_setting(name) = '0'"""

_ATTEMPTS_MAX = 8
_BACKOFF_S = 0.01
_CANCEL_S = 1.0


class Session:
    """A connection with syncd's settings.

    Args:
        dsn: where the database is; what it sets itself is kept.
        project: whose cards; a parameter of every query.
        actor: who acts, for the audit trail.
        face: through which face, for the audit trail.
        pooled: a transaction pooler stands in front: no prepared statements, and every setting is made
            anew in each transaction.
        vigil: what the other connections of the process know of this server's silence.
    """

    def __init__(
        self, dsn: str, *, project: str, actor: str, face: str, pooled: bool = False, vigil: Vigil | None = None
    ) -> None:
        self.address = address(dsn)
        self.project = project
        self.pooled = pooled
        self._dsn = with_keepalives(dsn)
        self._settings = {"syncd.actor": actor, "syncd.face": face, "TimeZone": "UTC"}
        self._vigil = vigil or Vigil()
        self._lock = threading.RLock()
        self._lane: Lane | None = None
        self.read_on: Link | None = None
        """The connection on which the feed was read last."""

    def fetch(self, name: str, **parameters: Any) -> list[Row]:
        """Run one named query as a transaction of its own and return its rows."""
        parameters["project"] = self.project
        if self.pooled:
            return self.run(lambda link: execute(link, name, **parameters).fetchall())
        return self._tried(lambda: self._connected().fetch(name, parameters))

    def run(self, work: Callable[[Link], T]) -> T:
        """Run ``work`` on the connection, again after a deadlock or a serialization failure.

        ``work`` opens a transaction where it needs more than one statement to stand together.

        Raises: the errors of ``failures``, and what ``work`` raises.
        """

        def attempt() -> T:
            link = self._connected().link
            with self._transaction_settings(link):
                return work(link)

        return self._tried(attempt)

    def _tried(self, work: Callable[[], T]) -> T:
        with self._lock:
            for attempt in range(1, _ATTEMPTS_MAX + 1):
                try:
                    return self._attempt(work)
                except RETRIED as error:
                    if attempt == _ATTEMPTS_MAX:
                        raise query_failure(error, self.address) from error
                    time.sleep(random.uniform(0, _BACKOFF_S * 2**attempt))
        raise AssertionError("unreachable")

    def _attempt(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except RETRIED:
            raise
        except psycopg.Error as error:
            raise query_failure(error, self.address) from error

    @contextmanager
    def _transaction_settings(self, link: Link) -> Iterator[None]:
        """Behind a pooler, put everything into one transaction that begins with the settings."""
        if not self.pooled:
            yield
            return
        with link.transaction():
            self._set(link, is_local=True)
            yield

    def interrupt(self) -> None:
        """Have the server cancel the statement that runs, from any thread; with none, nothing happens.

        A server that does not take the word will not answer either: its connection is cut, so that nobody waits for it.
        """
        lane = self._lane
        if lane is None or lane.link.closed:
            return
        try:
            lane.link.cancel_safe(timeout=_CANCEL_S)
        except psycopg.Error:
            with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(lane.link.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._lane is not None:
                self._lane.link.close()
                self._lane = None

    @property
    def acting(self) -> tuple[str, str]:
        """Whose doing what follows is recorded as, and through which face."""
        return self._settings["syncd.actor"], self._settings["syncd.face"]

    def act_as(self, actor: str, face: str) -> None:
        """Have what follows recorded as this actor's doing, through this face."""
        acting = {"syncd.actor": actor, "syncd.face": face}
        with self._lock:
            if not acting.items() <= self._settings.items():
                self._settings.update(acting)
                if self._lane is not None and not self.pooled:
                    try:
                        self._set(self._lane.link, is_local=False)
                    except psycopg.Error:
                        # The next use connects anew, with these settings.
                        self.close()

    def _connected(self) -> Lane:
        if self._lane is not None and not self._lane.is_quiet:
            self.close()
        if self._lane is None:
            link = connect(self._dsn, pooled=self.pooled, vigil=self._vigil)
            try:
                self._prepare(link)
            except psycopg.Error as error:
                link.close()
                raise query_failure(error, self.address) from error
            except BaseException:
                link.close()
                raise
            self._lane = Lane(link)
        self._dismiss(self._lane.link, self._vigil.take_left())
        return self._lane

    def _dismiss(self, link: Link, left: list[LeftBehind]) -> None:
        """End what connections left behind that were given up, before anything is done that it might undo later."""
        while left:
            try:
                execute(link, "dismiss", pid=left[-1].pid, age_s=time.monotonic() - left[-1].made_at)
            except psycopg.OperationalError:
                self._vigil.leave(*left)
                raise
            except psycopg.Error as error:
                event("store.left_behind", level=logging.WARNING, message=said(error))
            left.pop()

    def _prepare(self, link: Link) -> None:
        if not self.pooled:
            self._set(link, is_local=False)
        try:
            rows = execute(link, "connected").fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            rows = []
        version = rows[0][0] if rows else None
        if version != SCHEMA_VERSION:
            raise schema_mismatch(link, version, self.address)

    def _set(self, link: Link, *, is_local: bool) -> None:
        """Set timeouts where nobody else did, and who acts."""
        values = {**TIMEOUTS, **self._settings}
        link.execute(
            _SET,
            {"local": is_local, "names": list(values), "values": list(values.values())},
        )


def execute(link: Link, name: str, **parameters: Any) -> psycopg.Cursor[Row]:
    """Run one named query."""
    return link.execute(query(name), parameters)


def together(link: Link) -> Any:
    """Return a context in which statements share a round trip; their results are there when it ends."""
    return link.pipeline() if psycopg.Pipeline.is_supported() else nullcontext()


def connect(dsn: str, *, pooled: bool = False, vigil: Vigil | None = None) -> Link:
    """Return a new connection in autocommit mode.

    Args:
        vigil: what others know of this server's silence.

    Raises: StoreUnreachable, CredentialsError, ConfigError.
    """
    try:
        link = Link.connect(dsn, autocommit=True, prepare_threshold=None if pooled else 2)
    except psycopg.Error as error:
        # The socket goes at once, and not with what the failure's frames keep until the collector comes by.
        clear_frames(error.__traceback__)
        raise connect_failure(error, address(dsn)) from error
    link.watch(dsn, vigil or Vigil(), pooled=pooled)
    set_json_loads(msgspec.json.decode, link)
    return link


def schema_mismatch(link: Link, version: int | None, place: str) -> SchemaVersionError:
    """Return why the database's schema is not the one that this code works on."""
    if version is not None and version > SCHEMA_VERSION:
        return SchemaVersionError(
            f"{place}: the table is of an unknown schema version: {version}; this syncd knows {SCHEMA_VERSION}",
            hint="Use the newer syncd that migrated it.",
        )
    has_table, has_meta, has_ours = _found(link)
    if has_table and not has_ours:
        return SchemaVersionError(
            f"{place}: there is a backlog table that syncd did not make", hint="syncd db adopt --dry-run"
        )
    if not has_table and not has_meta:
        return SchemaVersionError(f"{place}: there is no backlog yet", hint="syncd db migrate")
    return SchemaVersionError(
        f"{place}: the schema has version {version or 0}, this syncd needs {SCHEMA_VERSION}", hint="syncd db migrate"
    )


def _found(link: Link) -> Sequence[bool]:
    return execute(link, "found").fetchall()[0]
