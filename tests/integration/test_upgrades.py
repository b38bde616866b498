"""A store of an earlier schema, with work in it, is brought up to date: nothing is lost, and the queue goes on."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from syncd.ports import CardFilter
from syncd.store.migrate import apply, make_ledger, migrate, pending, pin_schema
from syncd.store.queries import SCHEMA_VERSION, migrations
from tests.integration.test_migrations import catalog, open_store
from tests.support.postgres import fresh_database

FIRST = 3
"""The first schema that a syncd worked on: triggers and history came with it."""


def _step(dsn: str, numbers: range) -> None:
    """Run some migrations, as the syncd of that time did."""
    with psycopg.connect(dsn) as link:
        pin_schema(link)
        make_ledger(link)
        for each in migrations():
            if each.number in numbers:
                apply(link, each)


def _work(dsn: str, at: int) -> None:
    """Leave what a team leaves: something done, something held, something that waits for it, something deleted."""
    with psycopg.connect(dsn, autocommit=True) as link:
        link.execute(
            "insert into backlog (id, title, status, priority, depends_on, extra) values"
            " (%(at)s || 'a', 'done', 'done', 5, '[]', '{\"branch\": \"x\"}'),"
            " (%(at)s || 'b', 'held', 'ready', 4, jsonb_build_array(%(at)s || 'a'), '{}'),"
            " (%(at)s || 'c', 'waits', 'ready', 3, jsonb_build_array(%(at)s || 'b'), '{}'),"
            " (%(at)s || 'd', 'gone', 'ready', 2, '[]', '{}')",
            {"at": f"S{at}"},
        )
        link.execute(
            "update backlog set status = 'claimed', claim_owner = 'ann', claim_ttl_seconds = 900, claimed_at = now(),"
            " attempts = attempts + 1 where id = %s",
            [f"S{at}b"],
        )
        link.execute("update backlog set title = 'waits longer' where id = %s", [f"S{at}c"])
        link.execute("delete from backlog where id = %s", [f"S{at}d"])


@pytest.fixture
def database(embedded_dsn: str) -> Iterator[str]:
    with fresh_database(embedded_dsn) as dsn:
        yield dsn


@pytest.mark.parametrize("start", range(FIRST, SCHEMA_VERSION))
def test_a_store_with_work_in_it_is_upgraded(database: str, start: int, embedded_dsn: str) -> None:
    """From each earlier schema, with cards written at each step on the way, the last one is as good as a new one."""
    _step(database, range(1, start + 1))
    _work(database, start)
    for each in range(start + 1, SCHEMA_VERSION):
        _step(database, range(each, each + 1))
        _work(database, each)
    assert len(pending(database)) == 1
    migrate(database)
    with fresh_database(embedded_dsn) as fresh:
        migrate(fresh)
        assert catalog(database) == catalog(fresh)
    store = open_store(database)
    try:
        cards = {each.id: each for each in store.list(CardFilter())}
        for at in range(start, SCHEMA_VERSION):
            done, held, waits = (cards[f"S{at}{letter}"] for letter in "abc")
            assert (done.status, done.extra) == ("done", {"branch": "x"})
            assert (held.claim_owner, held.attempts, held.unmet) == ("ann", 1, 0)
            assert (waits.title, waits.unmet) == ("waits longer", 1)
            assert f"S{at}d" not in cards
            assert [each.op for each in store.history(f"S{at}d", limit=2).entries] == ["create", "delete"]
            assert store.complete(f"S{at}b", owner="ann", attempt=1).status == "done"
        claimed = store.claim("ben", 900, count=10)
        assert sorted(each.id for each in claimed) == [f"S{at}c" for at in range(start, SCHEMA_VERSION)]
    finally:
        store.close()
