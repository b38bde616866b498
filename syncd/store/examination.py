"""What a database says of its own health: schema, triggers, indexes, counters, old snapshots, dead rows, clock.

Looks only, on a connection of its own that gives up fast; ``mend`` makes the counters anew.  What should be there
is read from the reference schema, so that it cannot be forgotten here.
May import ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import psycopg

from syncd.store.dsn import address, with_keepalives
from syncd.store.failures import query_failure
from syncd.store.queries import query, sql_file
from syncd.store.session import Link, connect

_PATIENCE: Final = "set statement_timeout = '5s'; set lock_timeout = '1s'"
_TRIGGER: Final = re.compile(r"^create (?:constraint )?trigger (\w+).*?\bon (\w+)", re.MULTILINE | re.DOTALL)
_INDEX: Final = re.compile(r"^create (?:unique )?index (\w+)", re.MULTILINE)


class Examination(msgspec.Struct, frozen=True):
    """What was found.

    ``missing_triggers`` are ``name on table``; ``off_triggers`` exist and are disabled; ``wrong_counts`` are cards
    whose count of unmet dependencies is not what their dependencies say; ``oldest_snapshot_s`` is the age of the
    oldest transaction that keeps dead rows alive; ``clock_off_s`` is how far the database's clock is ahead.
    """

    missing_triggers: tuple[str, ...]
    off_triggers: tuple[str, ...]
    missing_indexes: tuple[str, ...]
    invalid_indexes: tuple[str, ...]
    wrong_counts: tuple[str, ...]
    oldest_snapshot_s: float
    oldest_snapshot: str
    live_rows: int
    dead_rows: int
    clock_off_s: float
    connections: int
    connections_max: int


def examine(dsn: str, project: str) -> Examination:
    """Look at a database whose schema is current.  Raises: the errors of ``failures``."""
    with _connected(dsn) as link:
        triggers = {f"{row[0]} on {row[1]}": row[2] for row in link.execute(query("examine_triggers"))}
        indexes = {row[0]: row[1] for row in link.execute(query("examine_indexes"))}
        expected_triggers = {f"{name} on {table}" for name, table in _TRIGGER.findall(sql_file("schema.sql"))}
        expected_indexes = set(_INDEX.findall(sql_file("schema.sql")))
        wrong = tuple(row[0] for row in link.execute(query("examine_counts"), {"project": project}))
        snapshot_s, snapshot = _one(link, "examine_snapshots")
        live, dead = _one(link, "examine_rows")
        used, most = _one(link, "examine_connections")
        return Examination(
            missing_triggers=tuple(sorted(expected_triggers - triggers.keys())),
            off_triggers=tuple(sorted(name for name in expected_triggers & triggers.keys() if triggers[name] == "D")),
            missing_indexes=tuple(sorted(expected_indexes - indexes.keys())),
            invalid_indexes=tuple(sorted(name for name, is_valid in indexes.items() if not is_valid)),
            wrong_counts=wrong,
            oldest_snapshot_s=float(snapshot_s or 0),
            oldest_snapshot=str(snapshot or ""),
            live_rows=live,
            dead_rows=dead,
            clock_off_s=_clock_off_s(link),
            connections=used,
            connections_max=most,
        )


def mend(dsn: str, project: str) -> tuple[str, ...]:
    """Make the counts of unmet dependencies anew; return the cards whose count was wrong.

    Effects: one transaction that locks the project's cards; safe to repeat.
    """
    with _connected(dsn) as link:
        return tuple(row[0] for row in link.execute("select backlog_mend(%s)", [project]))


@contextmanager
def _connected(dsn: str) -> Iterator[Link]:
    place = address(dsn)
    try:
        with connect(with_keepalives(dsn), pooled=True) as link:
            link.execute(_PATIENCE)
            yield link
    except psycopg.Error as error:
        raise query_failure(error, place) from error


def _one(link: Link, name: str) -> Any:
    return link.execute(query(name)).fetchall()[0]


def _clock_off_s(link: Link) -> float:
    """Return how far the database's clock is ahead of this machine's, less half of the way to it."""
    began, before = time.monotonic(), datetime.now(UTC)
    told: datetime = link.execute("select clock_timestamp()").fetchall()[0][0]
    way_s = time.monotonic() - began
    return (told - before).total_seconds() - way_s / 2
