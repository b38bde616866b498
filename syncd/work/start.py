"""From a command line's words to a worker at work, and back to an exit code.

May import ``syncd.api``, ``syncd.errors``, ``syncd.log`` and ``syncd.work``.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from syncd import api
from syncd.errors import NotFound, UsageError
from syncd.log import configure
from syncd.work.attempt import Workshop
from syncd.work.worker import Crew, Rules
from syncd.work.worktree import repository_of

EXIT_LEFT_OVER: Final = 1


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What ``syncd work`` is asked to do.

    Args:
        name: the worker's; its leases are held under this name and a few letters more.
        command: run for each card.
        folder: where it runs, the workspace by default.
        takes_assigned: claim nothing, run what is claimed in this worker's name.
    """

    name: str
    command: Sequence[str]
    concurrency: int = 5
    ttl_s: int = 900
    timeout_s: float | None = None
    kill_after_s: float = 10.0
    grace_s: float = 60.0
    output_max: int = 1 << 20
    folder: Path | None = None
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    has_worktrees: bool = False
    takes_assigned: bool = False
    until_done: bool = False


def work(path: Path | None, job: Job, *, mode: str | None, environ: Mapping[str, str], log_format: str = "text") -> int:
    """Work until told to end; return the exit code: 1 when ``until_done`` leaves cards that cannot go on.

    Raises: UsageError for a command, NotFound for a folder that is not there; what opening a workspace raises.
    """
    configure(log_format)
    with (
        api.open(path, mode=mode, environ=environ, actor=job.name, face="work") as workspace,
        api.open(path, mode=mode, environ=environ, actor=job.name, face="work") as beside,
    ):
        folder = workspace.root if job.folder is None else job.folder.resolve()
        if not folder.is_dir():
            raise NotFound(f"{folder} is no folder")
        environ = {**environ, **job.variables}
        _require_command(job.command[0], folder, environ)
        repository = repository_of(folder) if job.has_worktrees else None
        worker = workspace.workers.join(
            job.name, concurrency=job.concurrency, ttl_seconds=job.ttl_s, takes_assigned=job.takes_assigned
        )
        for each in (workspace, beside):
            each.act_as(worker.owner)
        workshop = Workshop(
            owner=worker.owner,
            command=job.command,
            environ=environ,
            folder=folder,
            root=workspace.root,
            attempts=workspace.workers.attempts_folder,
            repository=repository,
            worktrees=workspace.workers.worktrees_folder if job.has_worktrees else None,
            timeout_s=job.timeout_s,
            kill_after_s=job.kill_after_s,
            output_max=job.output_max,
        )
        rules = Rules(concurrency=job.concurrency, ttl_s=job.ttl_s, grace_s=job.grace_s, until_done=job.until_done)
        return 0 if asyncio.run(_run(Crew(workspace, beside, worker, workshop, rules))) else EXIT_LEFT_OVER


async def _run(crew: Crew) -> bool:
    return await crew.run()


def _require_command(name: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Refuse a command that cannot be run, before a card is claimed for it."""
    found = (folder / name).exists() if "/" in name else shutil.which(name, path=environ.get("PATH")) is not None
    if not found:
        raise UsageError(f"there is no command {name}", hint="syncd work --owner W -- CMD ARGUMENT…")
