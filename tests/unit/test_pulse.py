"""The heartbeats of a worker, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from syncd.api import Workspace
from syncd.ports import Worker, WorkerCard
from syncd.work.pulse import Pulse

DEADLINE_S = 30.0


def test_a_pulse_that_is_ended_beats_no_more() -> None:
    """A change in the very moment in which the worker ends its pulse keeps neither of them alive."""

    async def life() -> None:
        beaten = asyncio.Event()
        loop = asyncio.get_running_loop()

        def beat(_owner: str, _cards: Sequence[WorkerCard]) -> bool:
            loop.call_soon_threadsafe(beaten.set)
            return True

        workspace = cast(Workspace, SimpleNamespace(workers=SimpleNamespace(beat=beat)))
        pulse = Pulse(workspace, cast(Worker, SimpleNamespace(owner="w.1")), {}, lambda: None)
        beating: asyncio.Task[Any] = asyncio.create_task(pulse.run())
        await beaten.wait()
        # Its thread is free when the beat is over, and then it waits for the next.
        await loop.run_in_executor(pulse._thread, lambda: None)
        for _ in range(5):
            await asyncio.wait({beating}, timeout=0)
        pulse.tell_change()
        beating.cancel()
        await asyncio.wait({beating}, timeout=DEADLINE_S)
        assert beating.cancelled()

    asyncio.run(life())
