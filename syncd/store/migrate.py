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
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import errors

from syncd.errors import Busy, SchemaVersionError
from syncd.store.dsn import address, with_keepalives
from syncd.store.failures import query_failure
from syncd.store.queries import SCHEMA_VERSION, Migration, migrations
from syncd.store.session import Link, connect, execute, schema_mismatch

LOCK_WAIT_S: Final = 60.0
_LOCK_POLL_S: Final = 0.02

_LEDGER: Final = """
create table if not exists backlog_migration (
    number   integer not null constraint backlog_migration_pkey primary key,
    name     text not null,
    checksum text not null,
    at       timestamptz not null default now()
)"""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
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
    with _connected(dsn) as link:
        applied = _applied(link)
        return SchemaStatus(
            version=max(applied, default=None),
            known=SCHEMA_VERSION,
            pending=tuple(each.name for each in _pending(applied, address(dsn))),
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
    with _connected(dsn) as link:
        if not _pending(_applied(link), address(dsn)):
            return ()
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            with link.transaction():
                if _may_migrate(link):
                    return _migrate(link, address(dsn))
            if time.monotonic() > deadline:
                raise Busy(f"{address(dsn)}: another migration is running", hint="syncd db status")
            time.sleep(_LOCK_POLL_S)


def _migrate(link: Link, place: str) -> tuple[str, ...]:
    """Apply what is pending inside the transaction that holds the lock."""
    _pin_schema(link)
    applied = _applied(link)
    if not applied and _has_backlog(link):
        raise schema_mismatch(link, None, place)
    link.execute(_LEDGER)
    ran = _pending(applied, place)
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


def _pin_schema(link: Link) -> None:
    """Name the schema that is being migrated, so that functions pin it rather than a user's search path."""
    schema = link.execute("select current_schema()").fetchall()[0][0]
    link.execute("select set_config('search_path', quote_ident(%s), true)", [schema])


def _may_migrate(link: Link) -> bool:
    lock = "select pg_try_advisory_xact_lock(hashtext('syncd.migrate'), hashtext(current_schema()))"
    return bool(link.execute(lock).fetchall()[0][0])


def _applied(link: Link) -> dict[int, str]:
    """Return the checksums of the migrations that ran, by number."""
    if link.execute("select to_regclass('backlog_migration')").fetchall()[0][0] is None:
        return {}
    rows = link.execute("select number, checksum from backlog_migration").fetchall()
    return {row[0]: row[1] for row in rows}


def _has_backlog(link: Link) -> bool:
    return link.execute("select to_regclass('backlog')").fetchall()[0][0] is not None


def _pending(applied: dict[int, str], place: str) -> tuple[Migration, ...]:
    newest = max(applied, default=0)
    if newest > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{place}: the table is of an unknown schema version: {newest}; this syncd knows {SCHEMA_VERSION}",
            hint="Use the newer syncd that migrated it.",
        )
    for each in migrations():
        if applied.get(each.number, each.checksum) != each.checksum:
            raise SchemaVersionError(
                f"{place}: migration {each.name} ran in another form than this syncd has",
                hint="Use the syncd that migrated this database.",
            )
    return tuple(each for each in migrations() if each.number not in applied)


@contextlib.contextmanager
def _connected(dsn: str) -> Iterator[Link]:
    with contextlib.closing(connect(with_keepalives(dsn))) as link:
        try:
            yield link
        except errors.InvalidSchemaName as error:
            raise SchemaVersionError(
                f"{address(dsn)}: the search_path names no schema that exists", hint="create schema …"
            ) from error
        except psycopg.Error as error:
            raise query_failure(error, address(dsn)) from error
