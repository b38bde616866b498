"""The queues that a user would otherwise pick, called by their own Python interface: procrastinate, pgqueuer.

Both are asynchronous; a job is taken and finished by two awaited calls in an event loop that is kept.  They are not
needed by anything but the bench: without them (``make bench`` installs them) their lines are left out.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

NAMES = ("procrastinate", "pgqueuer")
STEP = 5_000


def installed() -> list[str]:
    """Return which of them are there."""
    return [each for each in NAMES if find_spec(each) is not None]


def fill(name: str, dsn: str, jobs: int) -> None:
    """Make its tables, and enqueue this many jobs of equal priority."""
    asyncio.run({"procrastinate": _fill_procrastinate, "pgqueuer": _fill_pgqueuer}[name](dsn, jobs))


def operation(name: str, dsn: str, life: ExitStack) -> Callable[[], object]:
    """Return a call that takes a job and finishes it; it returns ``None`` when there is none."""
    loop = asyncio.new_event_loop()
    life.callback(loop.close)
    make = {"procrastinate": _procrastinate, "pgqueuer": _pgqueuer}[name]
    work, close = loop.run_until_complete(make(dsn))
    life.callback(lambda: loop.run_until_complete(close()))
    return lambda: loop.run_until_complete(work())


async def _fill_procrastinate(dsn: str, jobs: int) -> None:
    from procrastinate import App, PsycopgConnector

    async with App(connector=PsycopgConnector(conninfo=dsn)).open_async() as app:
        await app.schema_manager.apply_schema_async()
        defer = app.configure_task("bench")
        for first in range(0, jobs, STEP):
            await defer.batch_defer_async(*({"n": n} for n in range(first, min(first + STEP, jobs))))


async def _procrastinate(dsn: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from procrastinate import App, PsycopgConnector
    from procrastinate.jobs import Status

    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=1))
    await app.open_async()
    manager = app.job_manager
    worker = await manager.register_worker()

    async def work() -> object:
        job = await manager.fetch_job(queues=None, worker_id=worker)
        if job is not None:
            await manager.finish_job(job, Status.SUCCEEDED, delete_job=False)
        return job

    return work, app.close_async


async def _pgqueuer_queries(dsn: str) -> tuple[Any, Any]:
    import psycopg
    from pgqueuer.queries import Queries

    link = await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=2)
    return Queries.from_psycopg_connection(link), link


async def _fill_pgqueuer(dsn: str, jobs: int) -> None:
    queries, link = await _pgqueuer_queries(dsn)
    async with link:
        await queries.install()
        for first in range(0, jobs, STEP):
            count = min(STEP, jobs - first)
            await queries.enqueue(["bench"] * count, [b"{}"] * count, [0] * count)


async def _pgqueuer(dsn: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from pgqueuer.ports.repository import EntrypointExecutionParameter

    queries, link = await _pgqueuer_queries(dsn)
    entrypoints = {"bench": EntrypointExecutionParameter(concurrency_limit=0)}
    manager = uuid.uuid4()

    async def work() -> object:
        jobs = await queries.dequeue(
            batch_size=1,
            entrypoints=entrypoints,
            queue_manager_id=manager,
            global_concurrency_limit=None,
            heartbeat_timeout=timedelta(seconds=60),
        )
        if not jobs:
            return None
        await queries.log_jobs([(job, "successful", None) for job in jobs])
        return jobs

    return work, link.close
