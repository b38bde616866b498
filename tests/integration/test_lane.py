"""The short way of a query: it does what a cursor does, and an interrupted wait leaves no half answer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from syncd.errors import BadValue
from syncd.ports import NewCard
from syncd.store.lane import Lane
from syncd.store.session import connect, execute
from tests.support.desk import until
from tests.support.migrated import Database

CARD = {"project": "default", "ids": ["A"]}


@pytest.fixture
def lane(database: Database) -> Iterator[Lane]:
    """A lane of a connection of its own, in a database with one card."""
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    with closing(connect(database.dsn)) as link:
        yield Lane(link)


def test_rows_are_those_of_a_cursor(lane: Lane) -> None:
    """The same query gives the same values, each time."""
    expected = execute(lane.link, "cards", **CARD).fetchall()
    assert [lane.fetch("cards", CARD) for _ in range(3)] == [expected] * 3
    assert lane.fetch("cards", {"project": "default", "ids": []}) == []


def _rolled_back(link: psycopg.Connection[Any]) -> None:
    """Have psycopg drop everything prepared, as it does after a rollback once it has prepared something itself."""
    for _ in range(4):
        link.execute("select %s::integer", [1])
    assert link.execute("select count(*) from pg_prepared_statements where name like '\\_pg%'").fetchone() != (0,)
    with pytest.raises(psycopg.errors.DivisionByZero), link.transaction():
        link.execute("select 1/0")
    link.execute("select 1")
    assert link.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_a_rolled_back_transaction_forgets_nothing_for_good(lane: Lane) -> None:
    """psycopg drops what was prepared after a rollback; the query is prepared again."""
    assert lane.fetch("cards", CARD)
    _rolled_back(lane.link)
    assert lane.fetch("cards", CARD)


def test_what_was_prepared_since_a_rollback_is_not_prepared_twice(lane: Lane) -> None:
    """A query that is new after a rollback and one that was forgotten in it both go on, in any order."""
    assert lane.fetch("cards", CARD)
    _rolled_back(lane.link)
    missing = {"project": "default", "id": "missing", "owner": None, "attempt": None}
    for _ in range(2):
        assert lane.fetch("complete", missing) == []
        assert lane.fetch("cards", CARD)


def test_an_error_is_the_one_of_a_cursor_and_the_lane_goes_on(database: Database, lane: Lane) -> None:
    """A refusal by the server is raised as psycopg's own class, and the next query works."""
    database.rows(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;"
        "create trigger refuse before update on backlog for each row execute function refuse()"
    )
    with pytest.raises(psycopg.errors.RaiseException, match="no"):
        lane.fetch("retry", {"project": "default", "id": "A"})
    assert lane.fetch("cards", CARD)


def test_a_value_that_postgres_cannot_hold(database: Database) -> None:
    """A text with a NUL is a bad value, and is not cut off at it."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    with pytest.raises(BadValue):
        store.block("A", "be\0fore")


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, whatever other tests of this process left."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupted_wait_closes_the_connection(database: Database, lane: Lane) -> None:
    """Ctrl-C while the server works ends the wait; nobody reads an answer that belongs to another question."""
    with psycopg.connect(database.dsn) as other:
        other.execute("select from backlog where id = 'A' for update")
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )

        def interrupt() -> None:
            try:
                until(lambda: database.one(waiting), "the lane waits for the row")
            finally:
                signal.raise_signal(signal.SIGINT)

        helper = threading.Thread(target=interrupt)
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            lane.fetch("retry", {"project": "default", "id": "A"})
        helper.join()
    assert lane.link.closed
    assert not lane.is_quiet
