"""The single writer of a process: requests in a queue, applied one after another, and snapshots for subscribers.

Whoever wants something changed hands in a piece of work and gets its result or its error.  After each
change an immutable snapshot with a version is published; a subscriber that is slow sees the latest, not a
backlog.  Between processes the store arbitrates.
May import ``syncd.engine.awaiting``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from syncd.engine.awaiting import awaited
from syncd.errors import Busy, Stopping
from syncd.ports import Absence, Actable, KeepsMissions, KeepsWorkers, MissionStore, Store, WorkerRegistry
from syncd.schemas.card import Card

T = TypeVar("T")

IDLE_S: Final = 15.0
"""Without requests for so long, a daemon keeps its two other connections only: a server has fifty daemons to serve."""

READS: Final = frozenset(
    {"conflicts", "get", "has_commit", "history", "info", "is_paused", "left_out", "list"}
    | {"mission_cards", "next_due_s", "orders"}
    | {"place", "read", "replicas", "sessions", "standing", "stats", "trail", "workers"}
)
"""What changes nothing: it may be given up at any time."""


class Snapshot(msgspec.Struct, frozen=True):
    """The project's cards after one change; ``version`` grows by one with each."""

    version: int = 0
    cards: Mapping[str, Card] = msgspec.field(default_factory=lambda: MappingProxyType({}))


@dataclass(slots=True)
class _Request(Generic[T]):
    work: Callable[[Store], T]
    done: asyncio.Future[T]


class TaskEngine:
    """Applies requests to a store, one at a time, in the order in which they came.

    Args:
        idle_s: after so long without a request the store is closed until the next one.

    Lives in one event loop; ``call`` is for other threads.  The store works in a thread, so the loop
    stays free to take requests.
    """

    def __init__(self, store: Store, *, idle_s: float = IDLE_S) -> None:
        self._store = store
        self._idle_s = idle_s
        self._requests: asyncio.Queue[_Request[Any] | None] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribers: set[asyncio.Event] = set()
        self._is_closed = False
        self.snapshot = Snapshot()

    async def run(self) -> None:
        """Apply requests until ``close``, those that wait then included."""
        self._loop = asyncio.get_running_loop()
        while (request := await self._next()) is not None:
            if request.done.cancelled():
                continue
            try:
                result = await asyncio.to_thread(request.work, self._store)
            except asyncio.CancelledError:
                request.done.set_exception(Busy("the daemon ended while it did this", hint="syncd status"))
                raise
            except BaseException as error:  # noqa: BLE001 - the one who asked gets it
                if not request.done.cancelled():
                    request.done.set_exception(error)
            else:
                if not request.done.cancelled():
                    request.done.set_result(result)
                self.publish(_cards_in(result))

    async def _next(self) -> _Request[Any] | None:
        """Return the next request; when none comes for a while, the store's connection is given back meanwhile."""
        try:
            async with asyncio.timeout(self._idle_s):
                return await self._requests.get()
        except TimeoutError:
            await asyncio.to_thread(self._store.close)
            return await self._requests.get()

    async def submit(self, work: Callable[[Store], T]) -> T:
        """Queue a piece of work and return its result, or raise its error.  Raises Stopping once closed."""
        if self._is_closed:
            raise Stopping("the daemon is stopping", hint="Try again.")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._requests.put(_Request(work, done))
        return await done

    def begin(self, work: Callable[[Store], T]) -> Future[T]:
        """Do the same from another thread, which may wait, or cancel it: what is not begun is dropped then.

        Raises: Stopping while the engine does not run yet.
        """
        if self._loop is None:
            raise Stopping("the daemon is starting", hint="Try again.")
        return asyncio.run_coroutine_threadsafe(self.submit(work), self._loop)

    def publish(self, changed: Iterable[Card]) -> None:
        """Make a new snapshot with these cards in it (in the engine's loop); without any there is none."""
        cards = {card.id: card for card in changed}
        if cards:
            merged = MappingProxyType({**self.snapshot.cards, **cards})
            self.snapshot = Snapshot(self.snapshot.version + 1, merged)
            for subscriber in self._subscribers:
                subscriber.set()

    async def subscribe(self) -> AsyncIterator[Snapshot]:
        """Yield the snapshot as it is, and then each newer one, skipping those that a slow reader missed."""
        news = asyncio.Event()
        self._subscribers.add(news)
        try:
            while not self._is_closed:
                news.clear()
                yield self.snapshot
                await news.wait()
        finally:
            self._subscribers.discard(news)

    def close(self) -> None:
        """Take no more requests and end ``run`` after those that wait (in the engine's loop)."""
        self._is_closed = True
        self._requests.put_nowait(None)
        for subscriber in self._subscribers:
            subscriber.set()


class _Through:
    """A store, or a part of it, whose every call goes through a TaskEngine, in somebody's name."""

    def __init__(
        self,
        engine: TaskEngine,
        acting: tuple[str, str],
        hangs: Callable[[], bool],
        part: Callable[[Store], object] = lambda store: store,
    ) -> None:
        self._engine = engine
        self._acting = acting
        self._hangs = hangs
        self._part = part

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def through(*args: Any, **named: Any) -> Any:
            def work(store: Store) -> Any:
                cast(Actable, store).act_as(*self._acting)
                return getattr(self._part(store), name)(*args, **named)

            begun = self._engine.begin(work)
            return awaited(begun, self._hangs) if name in READS else begun.result()

        return through

    def _asked(self, look: Callable[[Store], T]) -> T:
        return awaited(self._engine.begin(look), self._hangs)


class _EngineStore(_Through):
    """The store as a whole, with what is no call."""

    @property
    def missions(self) -> MissionStore | None:
        """The missions' half, where there is one now."""
        has_one = self._asked(lambda store: getattr(store, "missions", None) is not None)
        half = _Through(self._engine, self._acting, self._hangs, lambda store: cast(KeepsMissions, store).missions)
        return cast(MissionStore, half) if has_one else None

    @property
    def absence(self) -> Absence | None:
        """Since when the database is away."""
        return self._asked(lambda store: getattr(store, "absence", None))

    @property
    def registry(self) -> WorkerRegistry:
        """The registry of workers beside the cards."""
        part = _Through(self._engine, self._acting, self._hangs, lambda store: cast(KeepsWorkers, store).registry)
        return cast(WorkerRegistry, part)


def through_engine(engine: TaskEngine, actor: str, face: str, hangs: Callable[[], bool] = lambda: False) -> Store:
    """Return the engine's store as one caller inside the daemon sees it; its doings are recorded as the actor's.

    Args:
        hangs: whether the server answers nobody: then a read is given up with StoreUnreachable.
    """
    return cast(Store, _EngineStore(engine, (actor, face), hangs))


def _cards_in(result: Any) -> list[Card]:
    """Return the cards that a request answered with."""
    if isinstance(result, Card):
        return [result]
    if isinstance(result, list | tuple):
        return [each for each in result if isinstance(each, Card)]
    return []
