"""The schema's migrations: what would run, and running it, safe with two at once.

Everything that is pending runs in one transaction under an advisory lock that is polled, never waited
for (a session that blocks on one inside a transaction deadlocks with index builds).  Each migration is
recorded with its checksum, so that a changed file is noticed.  May import ``syncd.errors`` and the
store's own modules.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import msgspec
import psycopg
from psycopg import errors

from syncd.errors import Busy, SchemaVersionError
from syncd.store.dsn import address, with_keepalives
from syncd.store.failures import query_failure
from syncd.store.queries import SCHEMA_VERSION, Migration, migrations
from syncd.store.session import Link, connect, execute, schema_mismatch

LOCK_WAIT_S: Final = 60.0
_LOCK_POLL_S: Final = 0.02

_LOCK: Final = "select pg_try_advisory_xact_lock(hashtext('syncd.migrate'), hashtext(current_schema()))"

_LEDGER: Final = """
create table if not exists backlog_migration (
    number   integer not null constraint backlog_migration_pkey primary key,
    name     text not null,
    checksum text not null,
    at       timestamptz not null default now()
)"""


class SchemaStatus(msgspec.Struct, frozen=True):
    """What schema a database has.  ``version`` is ``None`` where there is none of syncd's."""

    version: int | None
    known: int
    pending: tuple[str, ...]
    server_version: str
    address: str


def status(dsn: str) -> SchemaStatus:
    """Return the schema's version and the migrations that would run; reads only.

    Raises: StoreUnreachable, CredentialsError, ConfigError, SchemaVersionError.
    """
    with connected(dsn) as link:
        ran = applied(link)
        return SchemaStatus(
            version=max(ran, default=None),
            known=SCHEMA_VERSION,
            pending=tuple(each.name for each in _pending(ran, address(dsn))),
            server_version=str(execute(link, "server").fetchall()[0][0]),
            address=address(dsn),
        )


def pending(dsn: str) -> tuple[str, ...]:
    """Return the names of the migrations that would run; reads only."""
    return status(dsn).pending


def migrate(dsn: str) -> tuple[str, ...]:
    """Bring the schema to the version that this code knows; return the names of the migrations that ran.

    Effects: one transaction; safe to repeat, and with two at once.

    Raises: SchemaVersionError for a table that is not syncd's, or a schema from a newer one; Busy when
        another migration runs for long.
    """
    with connected(dsn) as link:
        if not _pending(applied(link), address(dsn)):
            return ()
        with hold_lock(link, address(dsn)):
            return _migrate(link, address(dsn))


def arrive(dsn: str) -> bool:
    """Make a dump from another server at home in this one; return whether there was anything to do."""
    with connected(dsn) as link, link.transaction():
        link.execute("set local statement_timeout = 0")
        return bool(link.execute("select backlog_arrive()").fetchall()[0][0])


def _migrate(link: Link, place: str) -> tuple[str, ...]:
    """Apply what is pending inside the transaction that holds the lock."""
    pin_schema(link)
    ran_before = applied(link)
    if not ran_before and _has_backlog(link):
        raise schema_mismatch(link, None, place)
    make_ledger(link)
    ran = _pending(ran_before, place)
    for each in ran:
        apply(link, each)
    return tuple(each.name for each in ran)


def apply(link: Link, migration: Migration, *, sql: str | None = None) -> None:
    """Run one migration (or ``sql`` in its place) and record it."""
    link.execute(sql or migration.sql, prepare=False)
    link.execute(
        "insert into backlog_migration (number, name, checksum) values (%s, %s, %s)",
        [migration.number, migration.name, migration.checksum],
    )
    if migration.number > 1:
        link.execute(
            "insert into backlog_meta (project, key, value) values ('*', 'schema_version', %s)"
            " on conflict (project, key) do update set value = excluded.value",
            [str(migration.number)],
        )


def pin_schema(link: Link) -> None:
    """Name the schema that is being migrated, so that functions pin it rather than a user's search path."""
    schema = link.execute("select current_schema()").fetchall()[0][0]
    link.execute("select set_config('search_path', quote_ident(%s), true)", [schema])


def make_ledger(link: Link) -> None:
    """Make the table that records migrations."""
    link.execute(_LEDGER)


@contextlib.contextmanager
def hold_lock(link: Link, place: str) -> Iterator[None]:
    """Open a transaction that holds the migration lock.  Raises Busy when another one does for long."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        with link.transaction():
            if link.execute(_LOCK).fetchall()[0][0]:
                yield
                return
        if time.monotonic() > deadline:
            raise Busy(f"{place}: another migration is running", hint="syncd db status")
        time.sleep(_LOCK_POLL_S)


def applied(link: Link) -> dict[int, str]:
    """Return the checksums of the migrations that ran, by number."""
    if link.execute("select to_regclass('backlog_migration')").fetchall()[0][0] is None:
        return {}
    rows = link.execute("select number, checksum from backlog_migration").fetchall()
    return {row[0]: row[1] for row in rows}


def _has_backlog(link: Link) -> bool:
    return link.execute("select to_regclass('backlog')").fetchall()[0][0] is not None


def _pending(ran: dict[int, str], place: str) -> tuple[Migration, ...]:
    newest = max(ran, default=0)
    if newest > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{place}: the table is of an unknown schema version: {newest}; this syncd knows {SCHEMA_VERSION}",
            hint="Use the newer syncd that migrated it.",
        )
    for each in migrations():
        if ran.get(each.number, each.checksum) != each.checksum:
            raise SchemaVersionError(
                f"{place}: migration {each.name} ran in another form than this syncd has",
                hint="Use the syncd that migrated this database.",
            )
    return tuple(each for each in migrations() if each.number not in ran)


@contextlib.contextmanager
def connected(dsn: str) -> Iterator[Link]:
    """Connect for work on the schema.  Raises the errors of a store, but asks for no schema."""
    # Nothing is prepared here: it may be a pooler that answers.
    with contextlib.closing(connect(with_keepalives(dsn), pooled=True)) as link:
        try:
            yield link
        except errors.InvalidSchemaName as error:
            raise SchemaVersionError(
                f"{address(dsn)}: the search_path names no schema that exists", hint="create schema …"
            ) from error
        except psycopg.Error as error:
            raise query_failure(error, address(dsn)) from error
