"""The single writer: order, errors, snapshots that skip for slow readers, and its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from syncd.engine.task_engine import TaskEngine, through_engine
from syncd.errors import Busy, NotFound, StaleVersion
from syncd.ports import NewCard, Store
from syncd.schemas.card import Status
from tests.support.memory_store import MemoryDatabase

DEADLINE_S = 10.0


class ActingStore:
    """A memory store that notes who acts."""

    def __init__(self) -> None:
        self._store = MemoryDatabase().store("shop", "here")
        self.actors: list[tuple[str, str]] = []

    def act_as(self, actor: str, face: str) -> None:
        self.actors.append((actor, face))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def run(work: Callable[[TaskEngine], Awaitable[None]], store: Any = None) -> None:
    """Run ``work`` beside an engine, and end the engine after it."""

    async def both() -> None:
        engine = TaskEngine(store or ActingStore())
        running = asyncio.create_task(engine.run())
        # It has begun before anybody asks.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await work(engine)
        finally:
            engine.close()
            async with asyncio.timeout(DEADLINE_S):
                await running

    asyncio.run(both())


def test_a_store_that_nobody_asks_is_closed_until_somebody_does() -> None:
    """Without requests for a while the connection is given back; the next request opens it again."""
    closed = threading.Event()
    store = ActingStore()
    store.close = closed.set  # type: ignore[attr-defined]

    async def ask() -> None:
        engine = TaskEngine(store, idle_s=0.01)  # type: ignore[arg-type]
        running = asyncio.create_task(engine.run())
        await engine.submit(lambda store: store.create(NewCard(id="A", title="a")))
        assert await asyncio.to_thread(closed.wait, DEADLINE_S)
        card = await engine.submit(lambda store: store.get("A"))
        assert card.id == "A"
        engine.close()
        async with asyncio.timeout(DEADLINE_S):
            await running

    asyncio.run(ask())


def test_what_nobody_waits_for_any_more_is_dropped() -> None:
    """A request that is cancelled while it runs holds up nobody after it; one that is not begun never is."""

    async def ask(engine: TaskEngine) -> None:
        await engine.submit(lambda store: store.create(NewCard(id="A", title="a")))
        has_begun, may_end = threading.Event(), threading.Event()
        done: list[Store] = []

        def slow(store: Store) -> None:
            has_begun.set()
            assert may_end.wait(DEADLINE_S)

        running, waiting = await asyncio.to_thread(lambda: (engine.begin(slow), engine.begin(done.append)))
        assert await asyncio.to_thread(has_begun.wait, DEADLINE_S)
        assert running.cancel()
        assert waiting.cancel()
        may_end.set()
        assert (await engine.submit(lambda store: store.get("A"))).id == "A"
        assert done == []

    run(ask)


def test_requests_are_applied_in_their_order() -> None:
    """Many requests handed in at once are applied one after another, in the order in which they came."""
    applied: list[int] = []
    inside = threading.Semaphore(1)

    def step(number: int) -> int:
        assert inside.acquire(blocking=False), "two requests at once"
        applied.append(number)
        inside.release()
        return number

    async def work(engine: TaskEngine) -> None:
        answers = await asyncio.gather(*(engine.submit(lambda _, n=n: step(n)) for n in range(50)))
        assert answers == applied == list(range(50))

    run(work)


def test_an_error_goes_to_the_one_who_asked() -> None:
    """A request that fails tells its caller alone; the next one is applied."""

    async def work(engine: TaskEngine) -> None:
        with pytest.raises(NotFound):
            await engine.submit(lambda store: store.get("nobody"))
        card = await engine.submit(lambda store: store.create(NewCard(id="A1", title="One")))
        assert card.id == "A1"
        with pytest.raises(StaleVersion):
            await engine.submit(lambda store: store.update("A1", {"title": "Two"}, if_version=card.version + 1))

    run(work)


def test_a_snapshot_follows_each_change() -> None:
    """After each change a new immutable snapshot is there; a reader that was slow sees the latest alone."""

    async def work(engine: TaskEngine) -> None:
        readings = engine.subscribe()
        assert (await anext(readings)).version == 0
        for number in range(3):
            await engine.submit(lambda store, n=number: store.create(NewCard(id=f"A{n}", title="One")))
        latest = await anext(readings)
        assert (latest.version, set(latest.cards)) == (3, {"A0", "A1", "A2"})
        with pytest.raises(TypeError):
            latest.cards["A9"] = latest.cards["A0"]  # type: ignore[index]
        await engine.submit(lambda store: store.complete("A1"))
        assert (await anext(readings)).cards["A1"].status is Status.DONE
        assert latest.cards["A1"].status is Status.READY
        await readings.aclose()

    run(work)


def test_reading_makes_no_snapshot() -> None:
    """A request that answers with no card leaves the snapshot as it is."""

    async def work(engine: TaskEngine) -> None:
        before = engine.snapshot
        await engine.submit(lambda store: store.stats())
        assert engine.snapshot is before

    run(work)


def test_faces_in_other_threads_act_in_their_own_names() -> None:
    """Through the engine a store can be used from any thread, and each call is recorded as its caller's."""
    store = ActingStore()

    async def work(engine: TaskEngine) -> None:
        def face(actor: str) -> str:
            return through_engine(engine, actor, "cli").create(NewCard(id=actor, title="One")).id

        loop = asyncio.get_running_loop()
        names = await asyncio.gather(*(loop.run_in_executor(None, face, name) for name in ("ann", "bob")))
        assert names == ["ann", "bob"]

    run(work, store)
    assert sorted(store.actors) == [("ann", "cli"), ("bob", "cli")]


def test_a_closed_engine_takes_nothing_more() -> None:
    """What waits when the engine is closed is done; what comes later is refused, and subscribers end."""

    async def both() -> None:
        engine = TaskEngine(ActingStore())
        running = asyncio.create_task(engine.run())
        last = asyncio.create_task(engine.submit(lambda store: store.create(NewCard(id="A1", title="One"))))
        readings = engine.subscribe()
        await anext(readings)
        await asyncio.wait({last}, timeout=0)
        engine.close()
        async with asyncio.timeout(DEADLINE_S):
            assert (await last).id == "A1"
        with pytest.raises(Busy):
            await engine.submit(lambda store: store.stats())
        with suppress(StopAsyncIteration):
            while True:
                async with asyncio.timeout(DEADLINE_S):
                    await anext(readings)
        async with asyncio.timeout(DEADLINE_S):
            await running

    asyncio.run(both())
