"""The async twin of the api: the same methods and errors, waits that end with their task, streams."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import syncd
from syncd import aio, api
from syncd.aio import AsyncWorkspace
from syncd.errors import NotFound, NotOwner
from syncd.mission_sessions import Sessions
from syncd.ports import NewCard
from tests.support.desk import DEADLINE_S, bare_environment, desk

WORKER_PROCESS = {"join", "join_again", "beat", "orders", "leave", "listen", "attempts_folder", "worktrees_folder"}
"""What only the process of `syncd work` does."""

PAIRS = [
    (aio.AsyncWorkspace, api.Workspace, {"close"}),
    (aio.AsyncBacklog, api.Backlog, {"give_back"}),
    (aio.AsyncPast, api.Past, set()),
    (aio.AsyncMissions, api.Missions, set()),
    (aio.AsyncSessions, Sessions, set()),
    (aio.AsyncDatabase, api.Database, set()),
    (aio.AsyncWorkers, api.Workers, WORKER_PROCESS),
]


@pytest.fixture
def opened(tmp_path: Path, postgres_dsn: str) -> Callable[[], AsyncWorkspace]:
    """Opens a workspace with three ready cards, of which A1 comes first."""
    made = desk(tmp_path / "shop", postgres_dsn, environ=bare_environment(tmp_path))
    made("sync")
    return lambda: syncd.aopen(made.root, environ=made.environ)


def run(work: Awaitable[Any]) -> Any:
    """Run a test's coroutine, but not for ever."""

    async def bounded() -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await work

    return asyncio.run(bounded())


@pytest.mark.parametrize(("face", "twin", "apart"), PAIRS)
def test_whatever_can_be_done_can_be_awaited(face: type, twin: type, apart: set[str]) -> None:
    """Each public name of the sync interface is one of the async interface (`name = away(Twin.name)`)."""

    def public(of: type) -> set[str]:
        return {name for name in dir(of) if not name.startswith("_")}

    assert public(twin) - public(face) == apart


def test_parameters_and_words_are_those_of_the_twin() -> None:
    """A method of the async interface shows the signature and the documentation of the one that it stands for."""
    face = aio.AsyncBacklog(aio.Thread(), None)
    assert list(inspect.signature(face.complete).parameters) == ["self", "id", "owner", "attempt"]
    assert face.complete.__doc__ == api.Backlog.complete.__doc__


def test_a_card_is_claimed_and_completed(opened: Callable[[], AsyncWorkspace]) -> None:
    """The verbs work, and what comes back are the records of the sync interface."""

    async def work() -> None:
        async with opened() as workspace:
            card = await workspace.backlog.claim("worker", 60)
            assert card is not None
            assert card.id == "A1"
            done = await workspace.backlog.complete("A1", attempt=card.attempts)
            assert done.status == "done"
            report = await workspace.sync()
            assert not report.held
            assert (await workspace.status()).in_sync
            assert [entry.id for entry in await workspace.past.history("A1", limit=1)] == ["A1"]

    run(work())


def test_errors_are_the_same(opened: Callable[[], AsyncWorkspace], tmp_path: Path) -> None:
    """What a method raises is raised where it is awaited; a folder without a workspace already when it is opened."""

    async def work() -> None:
        async with opened() as workspace:
            with pytest.raises(NotOwner):
                await workspace.backlog.renew("A1", "nobody")
        with pytest.raises(NotFound):
            async with syncd.aopen(tmp_path / "nothing"):
                pass

    run(work())


def test_a_loop_is_free_while_a_claim_waits(opened: Callable[[], AsyncWorkspace]) -> None:
    """A claim that waits gets the card that another call makes meanwhile."""

    async def work() -> None:
        async with opened() as workspace:
            first = await workspace.backlog.claim("worker", 60)
            assert first is not None
            waiting = asyncio.create_task(workspace.backlog.claim("worker", 60, wait_seconds=DEADLINE_S))
            await workspace.backlog.create(NewCard(id="B1", title="b", priority=9))
            card = await waiting
            assert card is not None
            assert card.id == "B1"

    run(work())


def test_a_cancelled_wait_ends(opened: Callable[[], AsyncWorkspace]) -> None:
    """A claim whose task is cancelled waits no longer, and takes no card that comes later."""

    async def work() -> None:
        async with opened() as workspace:
            await workspace.backlog.claim("worker", 60)
            waiting = asyncio.create_task(workspace.backlog.claim("worker", 60, wait_seconds=3600))
            await asyncio.wait([waiting], timeout=0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with opened() as workspace:
            await workspace.backlog.create(NewCard(id="B1", title="b"))
            assert (await workspace.backlog.show("B1")).status == "ready"

    run(work())


def test_a_card_claimed_for_nobody_is_given_back(opened: Callable[[], AsyncWorkspace]) -> None:
    """A claim that succeeds after its task was cancelled leaves no lease behind."""

    async def work() -> None:
        async with opened() as workspace:
            for _ in range(10):
                claiming = asyncio.create_task(workspace.backlog.claim("worker", 3600))
                await asyncio.wait([claiming], timeout=0)
                claiming.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await claiming
        async with opened() as workspace:
            assert (await workspace.backlog.stats()).counts["claimed"] == 0

    run(work())


def test_events_are_a_stream(opened: Callable[[], AsyncWorkspace]) -> None:
    """Events come as an async iterator, each once, while other calls go on; leaving it ends it."""

    async def work() -> None:
        async with opened() as workspace:
            last = [event.seq async for event in workspace.backlog.events()][-1]
            seen = []
            stream = workspace.backlog.follow_events(last)
            await workspace.backlog.block("A1", "why")
            async for event in stream:
                seen.append(event.type)
                if len(seen) == 1:
                    await workspace.backlog.unblock("A1")
                else:
                    break
            assert seen == ["task.blocked", "task.queued"]

    run(work())


def test_leaving_ends_what_waits(opened: Callable[[], AsyncWorkspace]) -> None:
    """The end of `async with` ends a claim that still waits: it has nothing."""

    async def work() -> None:
        async with opened() as workspace:
            await workspace.backlog.claim("worker", 60)
            waiting = asyncio.create_task(workspace.backlog.claim("worker", 60, wait_seconds=3600))
            await workspace.backlog.stats()
        assert await waiting is None

    run(work())
