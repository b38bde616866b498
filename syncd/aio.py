"""The async twin of ``syncd.api``: the same workspace, for programs where asyncio is at home.

    async with syncd.aopen(".") as workspace:
        card = await workspace.backlog.claim(owner="worker-1", wait_seconds=60)

No rule stands here.  A method of the twin is the method of the workspace itself, run in a thread that belongs to
it, with the same parameters, results and errors: ``away`` makes one of the other, and type checkers see both.
What waits (a claim, a stream of events) has a thread of its own meanwhile, and ends when its task is cancelled:
a card that was claimed for nobody is given back.  Any other call that has begun is carried out.
May import ``syncd.api`` and everything below it.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from syncd import api
from syncd.api import Backlog, Database, Missions, Past, Workers, Workspace
from syncd.engine.waiting import Stop
from syncd.mission_sessions import Sessions
from syncd.schemas.config import Config

P = ParamSpec("P")
T = TypeVar("T")

_ENDED: Final = object()


class _Wait(Generic[T]):
    """A call in a thread of its own, whose result goes to whoever awaits it, or is given back."""

    def __init__(self, call: Callable[[], T], stop: Stop, give_back: Callable[[T], object] | None) -> None:
        self.done: Final[Future[T]] = Future()
        self.stop: Final = stop
        self._call = call
        self._give_back = give_back
        self._lock = threading.Lock()
        self._is_awaited = True

    def carry_out(self) -> None:
        """Make the call; what nobody awaits any more is given back first."""
        try:
            result = self._call()
            with self._lock:
                if self._is_awaited:
                    self.done.set_result(result)
                    return
            self._return(result)
            self.done.set_result(result)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            self.done.set_exception(error)

    def abandon(self) -> Callable[[], None]:
        """Stop the call; return what is left to do for a result that came already."""
        with self._lock:
            self._is_awaited = False
            is_late = self.done.done() and self.done.exception() is None
        self.stop.set()
        return lambda: self._return(self.done.result()) if is_late else None

    def _return(self, result: T) -> None:
        if self._give_back is not None:
            self._give_back(result)


class Thread:
    """Where the calls of one workspace run: one thread for all of them, and one more for each that waits."""

    def __init__(self) -> None:
        self._one = ThreadPoolExecutor(1, thread_name_prefix="syncd")
        self._waits: set[_Wait[Any]] = set()

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns."""
        return await asyncio.get_running_loop().run_in_executor(self._one, call)

    async def wait(self, call: Callable[[], T], stop: Stop, give_back: Callable[[T], object] | None = None) -> T:
        """Return what a call returns that may take long; cancelled, stop it, and give back what it got after all."""
        wait = _Wait(call, stop, give_back)
        self._waits.add(wait)
        wait.done.add_done_callback(lambda _: self._waits.discard(wait))
        threading.Thread(target=wait.carry_out, name="syncd-wait", daemon=True).start()
        try:
            return await asyncio.shield(asyncio.wrap_future(wait.done))
        except asyncio.CancelledError:
            self._one.submit(wait.abandon())
            raise

    async def close(self, last: Callable[[], None]) -> None:
        """End what waits, then make the last call."""
        waits = tuple(self._waits)
        for each in waits:
            each.stop.set()
        await asyncio.gather(*(asyncio.wrap_future(each.done) for each in waits), return_exceptions=True)
        await self.run(last)
        self._one.shutdown()


class Face:
    """What an async face is made of: the object that it stands for, and the thread in which that one works."""

    def __init__(self, thread: Thread, twin: Any) -> None:
        self._thread = thread
        self._twin = twin


class away(Generic[P, T]):  # noqa: N801 - it stands where a decorator would
    """A method of the twin: the same, awaited."""

    def __init__(self, method: Callable[Concatenate[Any, P], T]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, face: Face, of: type[Face]) -> Callable[P, Awaitable[T]]:
        """Return the method of this face."""

        @functools.wraps(self._method)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return await face._thread.run(lambda: self._method(face._twin, *args, **kwargs))

        return call


class patient(Generic[P, T]):  # noqa: N801 - used as a decorator is
    """A method of the twin that may wait, and ends at a ``stop``.

    Args:
        give_back: what is done with a result that came when nobody awaited it any more.
    """

    def __init__(
        self, method: Callable[Concatenate[Any, P], T], give_back: Callable[[Any, T], object] | None = None
    ) -> None:
        self._method = method
        self._give_back = give_back
        self.__doc__ = method.__doc__

    def __get__(self, face: Face, of: type[Face]) -> Callable[P, Awaitable[T]]:
        """Return the method of this face."""

        @functools.wraps(self._method)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            stop = Stop()
            kwargs.setdefault("stop", stop)
            give_back = self._give_back and functools.partial(self._give_back, face._twin)
            return await face._thread.wait(lambda: self._method(face._twin, *args, **kwargs), stop, give_back)

        return call


class stream(Generic[P, T]):  # noqa: N801 - used as a decorator is
    """A method of the twin that yields one after another until a ``stop``: an async iterator."""

    def __init__(self, method: Callable[Concatenate[Any, P], Iterator[T]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, face: Face, of: type[Face]) -> Callable[P, AsyncIterator[T]]:
        """Return the method of this face."""

        @functools.wraps(self._method)
        async def call(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            stop = Stop()
            kwargs.setdefault("stop", stop)
            found = await face._thread.run(lambda: self._method(face._twin, *args, **kwargs))
            try:
                while (each := await face._thread.wait(lambda: next(found, None), stop)) is not None:
                    yield each
            finally:
                stop.set()

        return call


class AsyncBacklog(Face):
    """``Backlog``, awaited."""

    create = away(Backlog.create)
    create_many = away(Backlog.create_many)
    list = away(Backlog.list)
    show = away(Backlog.show)
    update = away(Backlog.update)
    claim = patient(Backlog.claim, Backlog.give_back)
    claim_many = patient(Backlog.claim_many, Backlog.give_back)
    renew = away(Backlog.renew)
    release = away(Backlog.release)
    complete = away(Backlog.complete)
    fail = away(Backlog.fail)
    retry = away(Backlog.retry)
    block = away(Backlog.block)
    unblock = away(Backlog.unblock)
    reclaim = away(Backlog.reclaim)
    link = away(Backlog.link)
    unlink = away(Backlog.unlink)
    remove = away(Backlog.remove)
    stats = away(Backlog.stats)
    pause = away(Backlog.pause)
    resume = away(Backlog.resume)
    why = away(Backlog.why)
    next_due_s = away(Backlog.next_due_s)
    events = stream(Backlog.events)
    follow_events = stream(Backlog.follow_events)


class AsyncPast(Face):
    """``Past``, awaited."""

    history = away(Past.history)
    follow = stream(Past.follow)
    restore = away(Past.restore)
    undo = away(Past.undo)


class AsyncWorkers(Face):
    """``Workers``, awaited."""

    all = away(Workers.all)
    unheard = away(Workers.unheard)
    drain = away(Workers.drain)
    kill_card = away(Workers.kill_card)
    kill = away(Workers.kill)
    bury = away(Workers.bury)


class AsyncSessions(Face):
    """``Sessions`` of missions, awaited."""

    list = away(Sessions.list)
    start = away(Sessions.start)
    beat = away(Sessions.beat)
    end = away(Sessions.end)
    run = away(Sessions.run)


class AsyncMissions(Face):
    """``Missions``, awaited."""

    all = away(Missions.all)
    status = away(Missions.status)
    next = away(Missions.next)
    history = away(Missions.history)
    init = away(Missions.init)
    add_milestone = away(Missions.add_milestone)  # type: ignore[arg-type]  # "self" could be one of its fields
    start_milestone = away(Missions.start_milestone)
    complete_milestone = away(Missions.complete_milestone)
    resolve = away(Missions.resolve)
    settle = away(Missions.settle)
    write_capsule = away(Missions.write_capsule)

    @property
    def sessions(self) -> AsyncSessions:
        """The sessions that work on missions."""
        return AsyncSessions(self._thread, self._twin.sessions)


class AsyncDatabase(Face):
    """``Database``, awaited."""

    status = away(Database.status)
    migrate = away(Database.migrate)
    adopt = away(Database.adopt)
    prune = away(Database.prune)
    replicas = away(Database.replicas)
    backup = away(Database.backup)
    restore = away(Database.restore)
    upgrade = away(Database.upgrade)
    move = away(Database.move)


class AsyncWorkspace(Face):
    """``Workspace``, awaited; open between ``async with`` and its end."""

    def __init__(self, open: Callable[[], Workspace]) -> None:
        super().__init__(Thread(), None)
        self._open = open

    async def __aenter__(self) -> AsyncWorkspace:
        self._twin = await self._thread.run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._thread.close(self._twin.close)

    @property
    def root(self) -> Path:
        """The workspace's folder."""
        return self._workspace.root

    @property
    def config_path(self) -> Path:
        """The workspace's settings."""
        return self._workspace.config_path

    @property
    def away_since(self) -> datetime | None:
        """Since when the database is away; ``None`` while it is not."""
        return self._workspace.away_since

    @property
    def is_away(self) -> bool:
        """Whether the database did not answer when it was last asked, so that work goes on here."""
        return self._workspace.is_away

    @property
    def project(self) -> str:
        """Whose cards these are in the store."""
        return self._workspace.project

    @property
    def backlog(self) -> AsyncBacklog:
        """The queue of cards."""
        return AsyncBacklog(self._thread, self._workspace.backlog)

    @property
    def past(self) -> AsyncPast:
        """The audit trail, and the ways back."""
        return AsyncPast(self._thread, self._workspace.past)

    @property
    def missions(self) -> AsyncMissions:
        """The missions."""
        return AsyncMissions(self._thread, self._workspace.missions)

    @property
    def database(self) -> AsyncDatabase:
        """The store's schema and size."""
        return AsyncDatabase(self._thread, self._workspace.database)

    @property
    def workers(self) -> AsyncWorkers:
        """Who works on the cards, on any host."""
        return AsyncWorkers(self._thread, self._workspace.workers)

    @property
    def _workspace(self) -> Workspace:
        assert isinstance(self._twin, Workspace), "open it with `async with`"
        return self._twin

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._workspace.config

    async def is_trusted(self) -> bool:
        """Return whether a person said that events may go where the settings send them."""
        return await self._thread.run(lambda: self._workspace.is_trusted)

    async def replica(self) -> str:
        """Return this working copy's id."""
        return await self._thread.run(lambda: self._workspace.replica)

    act_as = away(Workspace.act_as)
    service_install = away(Workspace.service_install)
    task_files = away(Workspace.task_files)
    mission_files = away(Workspace.mission_files)
    read_file = away(Workspace.read_file)
    file_signature = away(Workspace.file_signature)
    trust = away(Workspace.trust)
    recall = away(Workspace.recall)
    remember = away(Workspace.remember)
    format = away(Workspace.format)
    metrics = away(Workspace.metrics)
    metrics_text = away(Workspace.metrics_text)
    write_metrics = away(Workspace.write_metrics)
    sync = away(Workspace.sync)
    verify = away(Workspace.verify)
    status = away(Workspace.status)
    diff = away(Workspace.diff)
    known_cards = away(Workspace.known_cards)
    unread = away(Workspace.unread)
    conflicts = away(Workspace.conflicts)
    resolve = away(Workspace.resolve)
    resolve_all = away(Workspace.resolve_all)
    held = away(Workspace.held)
    accept = away(Workspace.accept)
    reject = away(Workspace.reject)
    edit = away(Workspace.edit)
    run_locked = away(Workspace.run_locked)
    git_install = away(Workspace.git_install)
    git_uninstall = away(Workspace.git_uninstall)
    settings = away(Workspace.settings)
    config_get = away(Workspace.config_get)
    config_set = away(Workspace.config_set)


def aopen(
    path: str | Path | None = None,
    *,
    mode: str | None = None,
    environ: Mapping[str, str] | None = None,
    actor: str | None = None,
    face: str = "api",
) -> AsyncWorkspace:
    """Return the workspace that ``path`` is, or that the current folder lies in, to be opened by ``async with``.

    Args, Raises (there): as ``open``.
    """
    return AsyncWorkspace(lambda: api.open(path, mode=mode, environ=environ, actor=actor, face=face))
