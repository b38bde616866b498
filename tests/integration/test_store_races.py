"""Two writers at the same moment: what one of them has not committed yet stalls the other, and is then respected."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from syncd.core.plan import Change, ChangeKind
from syncd.errors import CycleRefused
from syncd.ports import Batch, BatchResult, NewCard
from syncd.store.listener import PostgresListener
from syncd.store.postgres import PostgresStore
from tests.support.desk import until
from tests.support.migrated import Database

Link = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


@contextmanager
def open_transaction(database: Database, statement: str) -> Iterator[Link]:
    """A foreign client in the middle of a transaction; committed at the end."""
    with closing(psycopg.connect(database.dsn)) as link:
        link.execute(statement)  # type: ignore[call-overload]
        yield link
        link.commit()


def waiting(database: Database) -> int:
    """Return how many connections wait for a lock."""
    asked = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return int(database.one(asked))


def stalled(database: Database) -> None:
    """Wait until a connection waits for a lock."""
    until(lambda: waiting(database) > 0, "a connection waits for a lock")


def commit(store: PostgresStore, id: str, kind: ChangeKind = ChangeKind.UPDATE, **fields: object) -> BatchResult:
    """Commit one change of a card that was seen at version 1."""
    version = None if kind is ChangeKind.CREATE else 1
    change = Change(kind, id, fields, version=version)  # type: ignore[arg-type]
    return store.commit(Batch(f"c-{id}-{threading.get_ident()}", (change,), ()))


def test_a_change_beside_an_open_transaction(database: Database, pool: ThreadPoolExecutor) -> None:
    """A batch waits for a writer of its row, and then finds that the row has moved: nothing is written over."""
    store = database.store()
    store.create(NewCard(id="A", title="seen"))
    with open_transaction(database, "update backlog set title = 'theirs' where id = 'A'"):
        result = pool.submit(commit, store, "A", title="mine")
        stalled(database)
    assert result.result().moved == {"A"}
    assert database.one("select title from backlog where id = 'A'") == "theirs"


def test_a_new_card_beside_an_open_transaction(database: Database, pool: ThreadPoolExecutor) -> None:
    """A card that somebody else is making under the same id is theirs: the batch is told that it moved."""
    store = database.store()
    with open_transaction(database, "insert into backlog (id, title) values ('A', 'theirs')"):
        result = pool.submit(commit, store, "A", ChangeKind.CREATE, title="mine")
        stalled(database)
    assert result.result().moved == {"A"}
    assert database.one("select title from backlog where id = 'A'") == "theirs"


def by_batch(store: PostgresStore, id: str, needed: str) -> bool:
    return not commit(store, id, dependsOn=(needed,)).refused


def by_link(store: PostgresStore, id: str, needed: str) -> bool:
    try:
        store.link(id, needed)
    except CycleRefused:
        return False
    return True


@pytest.mark.parametrize("depend", [by_batch, by_link], ids=["batch", "link"])
def test_two_dependencies_that_close_a_cycle_together(
    database: Database, pool: ThreadPoolExecutor, depend: Callable[[PostgresStore, str, str], bool]
) -> None:
    """Of two writers whose dependencies would close a cycle only together, one is refused."""
    one, other = database.store(), database.store(replica="r2")
    for id in ("A", "B"):
        one.create(NewCard(id=id, title=id))
    database.rows("insert into backlog_node (project, id) values ('default', 'B')")
    with open_transaction(database, "select from backlog_node where id = 'B' for update"):
        # The first has looked for cycles, and waits for the node while it writes; the second looks meanwhile.
        first: Future[bool] = pool.submit(depend, one, "A", "B")
        stalled(database)
        second: Future[bool] = pool.submit(depend, other, "B", "A")
        until(lambda: second.done() or waiting(database) == 2, "the second has looked, or waits for its turn")
    assert sorted([first.result(), second.result()]) == [False, True]


def test_a_deadlock_with_a_foreign_writer(database: Database, pool: ThreadPoolExecutor) -> None:
    """A batch that the server breaks off, since it and a foreign writer wait for one another, is tried again."""
    store = database.store()
    for id in ("A", "B"):
        store.create(NewCard(id=id, title="seen"))
    changes = tuple(Change(ChangeKind.UPDATE, id, {"priority": 7}) for id in ("A", "B"))
    with open_transaction(database, "update backlog set title = 'theirs' where id = 'B'") as link:
        # Who waits longest without looking for a deadlock is not the one that is broken off.
        link.execute("set deadlock_timeout = '60s'")
        result = pool.submit(store.commit, Batch("c1", changes, ()))
        stalled(database)
        link.execute("update backlog set title = 'theirs' where id = 'A'")
    assert not result.result().moved
    assert database.rows("select title, priority from backlog order by id") == [("theirs", 7)] * 2


def test_two_claims_of_one_card(database: Database) -> None:
    """A claimer does not wait for a card that somebody is claiming: it takes the next one."""
    store = database.store()
    for id in ("A", "B", "C"):
        store.create(NewCard(id=id, title="t"))
    claim = "update backlog set status = 'claimed', claim_owner = 'svc', claimed_at = now() where id = 'A'"
    with open_transaction(database, claim):
        assert [card.id for card in store.claim("ann", 60)] == ["B"]
        assert [card.id for card in store.claim("ann", 60, count=2)] == ["C"]


def test_a_card_that_is_done_is_not_written_again(database: Database) -> None:
    """Completing a done card touches its row no more."""
    store = database.store()
    store.create(NewCard(id="A", title="t"))
    store.complete("A")
    written = database.one("select xmin::text from backlog")
    store.complete("A")
    assert database.one("select xmin::text from backlog") == written


def test_a_listener_whose_heartbeat_is_lost_polls(database: Database) -> None:
    """A listener that does not hear itself any more believes in no silence: it polls, and says so."""
    with closing(PostgresListener(database.dsn, project="default", wake=lambda: None, heartbeat_s=0.5)) as listener:
        until(lambda: listener.mode == "live", "the heartbeat comes back")
        # A pooler that hands the connection on loses what it listens to.
        listener._beat_channel = "nobody"
        until(lambda: listener.mode == "poll", "the lost heartbeat is noticed")


def test_serialization_failures_are_retried(database: Database, pool: ThreadPoolExecutor) -> None:
    """On a server whose transactions are serializable by default, workers that race all get through."""
    dsn = make_conninfo(database.dsn, options="-c default_transaction_isolation=serializable")
    database.store().create_many([NewCard(id=f"C{n}", title="c", depends_on=("C0",) * (n > 0)) for n in range(40)])

    def work(name: str) -> int:
        store = PostgresStore(dsn, project="default", actor=name, face="test", replica=name)
        done = 0
        with closing(store):
            deadline = time.monotonic() + 60
            while store.stats().counts["done"] < 40 and time.monotonic() < deadline:
                for card in store.claim(name, 60):
                    store.complete(card.id, owner=name, attempt=card.attempts)
                    done += 1
        return done

    assert sum(pool.map(work, ["w1", "w2"])) == 40
    assert database.one("select count(*) from backlog where status = 'done' and attempts = 1") == 40
    assert database.wrong_counts() == []
