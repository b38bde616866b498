"""The change feed on a real server: no gap whatever the order of commits, and notifications as hints."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from syncd.ports import NewCard
from syncd.store.listener import POLL_MIN_S, PostgresListener
from syncd.store.queries import query
from tests.support.feeds import caught_up
from tests.support.migrated import Database

DEADLINE_S = 60.0
HEARTBEAT_S = 2.0


class Wakes:
    """Counts wake-ups, so that a test can wait for one more."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_beyond(self, count: int) -> int:
        """Wait until there were more than ``count`` wake-ups; return how many there are."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count > count, DEADLINE_S), "nobody woke the subscriber"
            return self.count


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once a condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        threading.Event().wait(0.01)


@pytest.fixture
def wakes() -> Wakes:
    """A subscriber."""
    return Wakes()


@pytest.fixture
def listener(database: Database, wakes: Wakes) -> Iterator[PostgresListener]:
    """A listener that is live."""
    listener = PostgresListener(database.dsn, project="default", wake=wakes, heartbeat_s=HEARTBEAT_S)
    wait_until(lambda: listener.mode == "live")
    yield listener
    listener.close()


def test_case_52_commits_out_of_order_leave_no_gap(database: Database) -> None:
    """A transaction that began earlier and commits later than a read is in the next read."""
    store = database.store()
    with psycopg.connect(database.dsn) as slow:
        slow.execute("insert into backlog (id, title) values ('slow', 's')")
        database.rows("insert into backlog (id, title) values ('fast', 'f')")
        first = store.read(None)
        assert first.cards.keys() == {"fast"}
        database.rows("insert into backlog (id, title) values ('later', 'l')")
        second = store.read(first.cursor)
        assert "later" in second.cards
        slow.commit()
    third = store.read(second.cursor)
    assert "slow" in third.cards
    database.rows("delete from backlog where id = 'slow'")
    assert store.read(third.cursor).gone == {"slow"}


def test_a_long_transaction_holds_nobody_up(database: Database) -> None:
    """While a writer stays open, other changes are read at once, at worst more than once."""
    store = database.store()
    with psycopg.connect(database.dsn) as slow:
        slow.execute("insert into backlog (id, title) values ('slow', 's')")
        cursor = store.read(None).cursor
        for number in range(3):
            store.create(NewCard(id=f"T{number}", title="t"))
            feed = store.read(cursor)
            assert f"T{number}" in feed.cards
            cursor = feed.cursor


def test_an_idle_read_has_nothing(database: Database) -> None:
    """With nothing changed, a read gives nothing and stays where it is."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    cursor = caught_up(store)
    feed = store.read(cursor)
    assert (dict(feed.cards), feed.gone, feed.is_full) == ({}, frozenset(), False)


def test_a_new_connection_reads_everything(database: Database) -> None:
    """After a cut, a row is seen although its transaction id lies below the cursor, as after a crash of the server."""
    store = database.store()
    cursor = store.read(store.read(None).cursor).cursor
    with psycopg.connect(database.dsn, autocommit=True) as link:
        link.execute("set session_replication_role = replica")
        link.execute(
            "insert into backlog (id, title, version, changed_xid) values ('A', 'a', 1, %s::text::xid8)",
            [str(cursor.xmin - 1)],
        )
    assert not store.read(cursor).cards
    database.rows(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    after = store.read(cursor)
    assert (after.is_full, set(after.cards)) == (True, {"A"})
    assert not store.read(after.cursor).is_full


def test_case_48_a_table_made_anew_is_another_history(database: Database) -> None:
    """After a restore that made the table again, a cursor of before reads everything."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    cursor = store.read(None).cursor
    database.rows("update backlog_meta set value = gen_random_uuid()::text where key = 'epoch'")
    feed = store.read(cursor)
    assert feed.is_full
    assert feed.cursor.epoch != cursor.epoch


def test_a_change_by_anybody_wakes_the_listener(database: Database, listener: PostgresListener, wakes: Wakes) -> None:
    """A live listener hears of a plain SQL change, and its heartbeat alone wakes nobody."""
    count = wakes.count
    beats = threading.Event().wait(1.2 * HEARTBEAT_S)
    assert (beats, wakes.count, listener.mode) == (False, count, "live")
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    wakes.wait_beyond(count)


def test_case_51_a_cut_listener_comes_back_and_looks(
    database: Database, listener: PostgresListener, wakes: Wakes
) -> None:
    """When its connection is cut, the listener reconnects and wakes its subscriber, as it may have missed some."""
    count = wakes.count
    database.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and query like '%%pg_notify%%' and pid <> pg_backend_pid()"
    )
    wakes.wait_beyond(count)
    wait_until(lambda: listener.mode == "live")
    count = wakes.count
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    wakes.wait_beyond(count)


def test_any_error_of_the_database_means_polling(database: Database, wakes: Wakes) -> None:
    """A listener whose statements fail tells to poll, tries again without hurry, and is live when they work again."""
    listener = PostgresListener(database.dsn, project="default", wake=wakes, heartbeat_s=0.05)
    try:
        wait_until(lambda: listener.mode == "live")
        database.rows("alter table backlog rename to away")
        wait_until(lambda: listener.mode == "poll")
        count = wakes.count
        wakes.wait_beyond(count)
        began, count = time.monotonic(), wakes.count
        wakes.wait_beyond(count + 2)
        assert time.monotonic() - began > POLL_MIN_S / 2
        database.rows("alter table away rename to backlog")
        wait_until(lambda: listener.mode == "live")
        count = wakes.count
        database.rows("insert into backlog (id, title) values ('A', 'a')")
        wakes.wait_beyond(count)
    finally:
        listener.close()


def lease(link: psycopg.Connection, owner: str) -> str:
    """Claim a card in a transaction that stays open."""
    ((id, *_),) = link.execute(query("claim"), {"project": "default", "owner": owner, "ttl": 60}).fetchall()
    return str(id)


def test_one_lease_speaks_for_those_under_way_with_it(database: Database, wakes: Wakes) -> None:
    """Of claims that overlap one notifies; the subscriber is woken again when the others have ended."""
    listener = PostgresListener(database.dsn, project="default", wake=wakes, heartbeat_s=600.0)
    database.rows("insert into backlog (id, title) values ('A', 'a'), ('B', 'b')")
    with psycopg.connect(database.dsn) as first, psycopg.connect(database.dsn) as second:
        assert (lease(first, "w1"), lease(second, "w2")) == ("A", "B")
        wait_until(lambda: listener.mode == "live")
        count = wakes.count
        first.commit()
        wakes.wait_beyond(count)
        count = wakes.count
        assert database.one("select count(*) from backlog where status = 'claimed'") == 1
        second.commit()
        wakes.wait_beyond(count)
    listener.close()


def test_a_change_whose_speaker_died_is_found_by_the_heartbeat(
    database: Database, listener: PostgresListener, wakes: Wakes
) -> None:
    """When the one transaction that was to notify is rolled back, the others' changes are still heard of."""
    database.rows("insert into backlog (id, title) values ('A', 'a'), ('B', 'b')")
    beats = threading.Event().wait(1.2 * HEARTBEAT_S)
    with psycopg.connect(database.dsn) as first, psycopg.connect(database.dsn) as second:
        assert (lease(first, "w1"), lease(second, "w2")) == ("A", "B")
        count = wakes.count
        second.commit()
        first.rollback()
        wakes.wait_beyond(count)
    assert (beats, listener.mode) == (False, "live")


def test_case_53_without_listen_it_polls(database: Database, wakes: Wakes) -> None:
    """Behind a transaction pooler the subscriber is woken by the clock."""
    store = database.store(pooled=True)
    listener = store.listen(wakes)
    wakes.wait_beyond(1)
    assert listener.mode == "poll"
    listener.close()
    count = wakes.count
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    assert wakes.count == count


def test_a_server_out_of_reach_is_tried_again(wakes: Wakes) -> None:
    """A listener without a server polls, and ends at once when it is closed."""
    listener = PostgresListener("host=127.0.0.1 port=1", project="default", wake=wakes)
    assert listener.mode == "poll"
    started = time.monotonic()
    listener.close()
    assert time.monotonic() - started < 5


def test_a_listener_that_is_hurried_does_not_sit_out_its_pause(wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever knows that the server is back says so, and the listener tries again long before its pause is over."""
    monkeypatch.setattr("syncd.store.listener.POLL_MIN_S", 120.0)
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(DEADLINE_S)
        port = door.getsockname()[1]
        listener = PostgresListener(f"host=127.0.0.1 port={port}", project="default", wake=wakes)
        door.accept()[0].close()
        listener.hurry()
        door.accept()[0].close()
        listener.close()
