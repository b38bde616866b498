"""The registry of workers: who is there, what they are told, and what happens to those that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd import api
from syncd.core.worker import DEAD_S, STALE_S, WorkerState, worker_state
from syncd.errors import AlreadyExists, BadValue, NotOwner
from syncd.files.layout import Layout
from syncd.files.workspace import create
from syncd.ports import NewCard, Orders, Worker, WorkerCard
from syncd.schemas.card import Status
from syncd.store.flatfile.workers import FileRegistry, joined_file
from syncd.workers import state_of, this_machine
from tests.support.desk import DEADLINE_S
from tests.support.memory_store import MemoryDatabase
from tests.support.migrated import Database


def _worker(owner: str, **given: object) -> Worker:
    facts = {"name": owner.partition(".")[0], "host": "here", "machine": "m", "pid": 1, "concurrency": 2, "ttl_s": 60}
    return Worker(owner=owner, **{**facts, **given})  # type: ignore[arg-type]


def test_a_worker_is_entered_once_and_tells_its_cards(database: Database) -> None:
    """What a beat tells is what others read; an owner is given to one process only."""
    registry = database.store().registry
    registry.join(_worker("w.1"))
    with pytest.raises(AlreadyExists):
        registry.join(_worker("w.1"))
    card = WorkerCard("A1", 3, 42, datetime(2026, 1, 2, tzinfo=UTC))
    assert registry.beat("w.1", [card])
    (seen,) = registry.workers()
    assert (seen.name, seen.concurrency, seen.cards) == ("w", 2, (card,))
    assert 0 <= seen.age_s < DEADLINE_S
    registry.leave("w.1")
    registry.leave("w.1")
    assert registry.workers() == []
    assert not registry.beat("w.1", [])
    assert registry.orders("w.1") is None


def test_orders_reach_those_that_are_meant_and_wake_them(database: Database) -> None:
    """A drain or a kill is read by the worker that it names, whose listener hears of it; others go on."""
    registry = database.store().registry
    for owner in ("a.1", "b.1"):
        registry.join(_worker(owner))
    woken = threading.Event()
    other = database.store()
    with closing(other.listen(woken.set)) as listener:
        _until_live(listener, woken)
        assert registry.order_drain(["a.1", "gone"], "jane") == ["a.1"]
        assert woken.wait(DEADLINE_S)
    assert registry.order_kill(["b.1"], "joe") == ["b.1"]
    drained, killed = registry.orders("a.1"), registry.orders("b.1")
    assert drained is not None
    assert killed is not None
    assert (drained.must_drain, drained.must_die, drained.requested_by) == (True, False, "jane")
    assert (killed.must_drain, killed.must_die, killed.requested_by) == (False, True, "joe")


def _until_live(listener: object, woken: threading.Event) -> None:
    """Wait until notifications are believed in, and forget what woke until then."""
    from tests.support.desk import until

    until(lambda: getattr(listener, "mode", None) == "live", "the listener is live")
    woken.clear()


def test_the_leases_of_a_worker_come_with_its_orders(database: Database) -> None:
    """A worker reads which attempt of which card is leased to it."""
    store = database.store()
    registry = store.registry
    registry.join(_worker("w.1"))
    store.create_many([NewCard(id="A1", title="one"), NewCard(id="A2", title="two")])
    store.claim("w.1", 60, count=2)
    store.complete("A2")
    orders = registry.orders("w.1")
    assert orders is not None
    assert dict(orders.leases) == {"A1": 1}


def test_a_block_with_an_attempt_leaves_finished_work_alone(database: Database) -> None:
    """A kill that races with the end of the card loses: what is done stays done."""
    store = database.store()
    store.create(NewCard(id="A1", title="one"))
    (card,) = store.claim("w.1", 60)
    store.complete("A1")
    with pytest.raises(NotOwner):
        store.block("A1", "killed", attempt=card.attempts)
    assert store.get("A1").status is Status.DONE


def test_without_a_database_workers_are_files(tmp_path: Path) -> None:
    """In flatfile mode the same holds: entered once, beats, orders with leases, and nothing of it left afterwards."""
    store = MemoryDatabase().store()
    registry = FileRegistry(tmp_path / "workers", store)
    assert registry.workers() == []
    assert registry.orders("w.1") is None
    registry.join(_worker("w.1"))
    with pytest.raises(AlreadyExists):
        registry.join(_worker("w.1"))
    store.create(NewCard(id="A1", title="one"))
    store.claim("w.1", 60)
    card = WorkerCard("A1", 1, 42, datetime(2026, 1, 2, tzinfo=UTC))
    assert registry.beat("w.1", [card])
    assert not registry.beat("w.2", [])
    assert registry.order_drain(["w.1", "w.2"], "jane") == ["w.1"]
    (seen,) = registry.workers()
    assert (seen.owner, seen.name, seen.cards, seen.requested_by) == ("w.1", "w", (card,), "jane")
    assert seen.drain_requested_at is not None
    assert seen.kill_requested_at is None
    assert registry.order_kill(["w.1"], "joe") == ["w.1"]
    assert registry.orders("w.1") == Orders(True, True, "joe", {"A1": 1})
    registry.leave("w.1")
    registry.leave("w.1")
    assert list((tmp_path / "workers").iterdir()) == [joined_file(tmp_path / "workers")]


@pytest.mark.parametrize("kind", ["drain", "kill"])
def test_an_order_wakes_its_worker_where_there_is_no_database(tmp_path: Path, kind: str) -> None:
    """In flatfile mode an order is heard when it is given, not at the next beat; another's is not listened for."""
    woken, other = threading.Event(), threading.Event()
    create(Layout(tmp_path), {"mode": "flatfile"})
    with api.open(tmp_path, environ={}) as workspace:
        workers = workspace.workers
        for each in ("w.1", "w.2"):
            workers.join_again(_worker(each))
        with closing(workers.listen(woken.set, owner="w.1")), closing(workers.listen(other.set, owner="w.2")):
            for each in (woken, other):
                assert each.wait(DEADLINE_S), "a listener wakes once at the start"
                each.clear()
            registry = FileRegistry(workspace.root / ".syncd" / "workers", MemoryDatabase().store())
            assert (registry.order_drain if kind == "drain" else registry.order_kill)(["w.1"], "jane") == ["w.1"]
            assert woken.wait(DEADLINE_S), "the order is heard"
        assert not other.is_set()


def test_workers_not_heard_of_for_a_day_are_forgotten(database: Database) -> None:
    """Who comes takes out those that are long gone, and nobody else."""
    registry = database.store().registry
    for owner in ("old.1", "new.1"):
        registry.join(_worker(owner))
    database.rows("update worker set seen_at = now() - interval '25 hours' where owner = 'old.1'")
    registry.join(_worker("w.1"))
    assert [each.owner for each in registry.workers()] == ["new.1", "w.1"]


def test_an_owner_that_cannot_be_stored_is_refused(database: Database) -> None:
    """A NUL is told, not raised by the database."""
    with pytest.raises(BadValue):
        database.store().registry.join(_worker("w.1", name="a\0b"))


def test_a_worker_is_as_old_as_its_last_beat() -> None:
    """Running, then stale, then dead; a process that is known to be gone is dead at once."""

    def state(age_s: float, **given: bool) -> WorkerState:
        return worker_state(age_s, **{"is_gone": False, "is_ordered_out": False, **given})

    assert state(STALE_S) is WorkerState.RUNNING
    assert state(0, is_ordered_out=True) is WorkerState.DRAINING
    assert state(STALE_S + 1, is_ordered_out=True) is WorkerState.STALE
    assert state(DEAD_S + 1) is WorkerState.DEAD
    assert state(0, is_gone=True) is WorkerState.DEAD


def test_a_process_is_looked_for_on_its_own_machine_only() -> None:
    """The same process id on another machine says nothing."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert state_of(_worker("w.1", machine=this_machine(), pid=ended.pid)) is WorkerState.DEAD
    assert state_of(_worker("w.1", machine=this_machine(), pid=os.getpid())) is WorkerState.RUNNING
    assert state_of(_worker("w.1", machine="elsewhere", pid=ended.pid)) is WorkerState.RUNNING
