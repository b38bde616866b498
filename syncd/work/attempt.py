"""One attempt at a card: its command, in a session of its own, from start to the last of its processes.

An attempt ends by itself, by its time limit, or because it is stopped; then every process of it is asked
to end and, a little later, made to.  It knows nothing of leases: whoever runs it says what its end means.
May import ``syncd.schemas``, ``syncd.errors``, ``syncd.log`` and ``syncd.work``.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import IO, Final

import msgspec

from syncd.errors import InputOutputError
from syncd.schemas.card import Card, card_json
from syncd.work import worktree
from syncd.work.output import Output, attempt_file
from syncd.work.processes import MARK, find, marked, signal_all
from syncd.work.worktree import Worktree

TIMEOUT_FIELD: Final = "timeout"
"""The extra field with which a card sets its own time limit, in seconds."""

_LOOK_S: Final = 0.02
_LOOK_MAX_S: Final = 0.25
_EOF_WAIT_S: Final = 1.0


class Stop(Enum):
    """Why an attempt is ended from outside."""

    LEASE_LOST = auto()
    """The lease is somebody else's, or about to end: nothing of this attempt counts."""
    RELEASE = auto()
    """The worker ends: the card is for others."""


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended: done, failed with an error, or stopped."""

    error: str | None = None
    stopped: Stop | None = None

    @property
    def is_done(self) -> bool:
        return self.error is None and self.stopped is None


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts of a worker have in common.

    Args:
        folder: where commands run.
        worktrees: where fresh worktrees go, when each attempt gets one of the repository.
        output_max: bytes of output that are kept of an attempt.
    """

    owner: str
    command: Sequence[str]
    environ: Mapping[str, str]
    folder: Path
    root: Path
    attempts: Path
    repository: Path | None = None
    worktrees: Path | None = None
    timeout_s: float | None = None
    kill_after_s: float = 10.0
    output_max: int = 1 << 20


@dataclass(slots=True)
class Attempt:
    """One attempt at a card; ``run`` may be awaited once.

    ``on_start`` is called when its process runs.
    """

    card: Card
    workshop: Workshop
    mark: str
    on_start: Callable[[], None] = lambda: None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    pid: int | None = None
    log: Path | None = None
    is_reporting: bool = False
    """Its processes have ended, and the store is being told."""
    kill_after_s: float = 0.0
    _stopped: Stop | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.kill_after_s = self.workshop.kill_after_s

    @property
    def key(self) -> tuple[str, int]:
        """Which attempt at which card."""
        return self.card.id, self.card.attempts

    def stop(self, why: Stop) -> None:
        """End it; a lost lease weighs more than a wish."""
        if self._stopped is None or why is Stop.LEASE_LOST:
            self._stopped = why
        self._stop.set()

    async def run(self) -> Outcome:
        """Run the command to its end and return how that was; no process of it is left then."""
        shop = self.workshop
        copy: Worktree | None = None
        try:
            if shop.repository is not None and shop.worktrees is not None:
                copy = await asyncio.to_thread(worktree.make, shop.repository, shop.worktrees, *self.key)
            self.log = await asyncio.to_thread(attempt_file, shop.attempts, *self.key)
            with Output(self.log, shop.output_max) as output:
                return await self._run(output, copy)
        except (OSError, InputOutputError) as error:
            return Outcome(error=f"cannot run {shop.command[0]}: {error}")
        finally:
            if copy is not None:
                with suppress(InputOutputError):
                    await asyncio.to_thread(copy.put_away)

    async def _run(self, output: Output, copy: Worktree | None) -> Outcome:
        process = self._spawn(copy)
        self.pid = process.pid
        self.on_start()
        readers = [
            asyncio.create_task(output.take(await _stream(process.stdout), is_errors=False)),
            asyncio.create_task(output.take(await _stream(process.stderr), is_errors=True)),
        ]
        ended = asyncio.create_task(asyncio.to_thread(process.wait))
        try:
            limit_s = self._limit_s()
            is_over_time = await self._until_ended(ended, limit_s)
        finally:
            await self._end_all(process.pid)
            code = await ended
            await asyncio.wait(readers, timeout=_EOF_WAIT_S)
            for each in readers:
                each.cancel()
        if self._stopped is not None:
            return Outcome(stopped=self._stopped)
        if is_over_time:
            return Outcome(error=_with_tail(f"ended after its time limit of {limit_s:g} s", output))
        if code == 0:
            return Outcome()
        return Outcome(error=_with_tail(f"exit {code}" if code > 0 else f"ended by {_signal_name(-code)}", output))

    def _spawn(self, copy: Worktree | None) -> subprocess.Popen[bytes]:
        """Start the command as a session of its own, with the card to read."""
        # A file and no pipe: a command that does not read it blocks nobody.
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(card_json(self.card), ensure_ascii=False).encode() + b"\n")
            given.seek(0)
            return subprocess.Popen(
                self.workshop.command,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.workshop.folder if copy is None else copy.folder,
                env=self._environ(copy),
                start_new_session=True,
            )

    def _environ(self, copy: Worktree | None) -> dict[str, str]:
        environ = {
            **self.workshop.environ,
            "SYNCD_CARD_ID": self.card.id,
            "SYNCD_ATTEMPT": str(self.card.attempts),
            "SYNCD_OWNER": self.workshop.owner,
            "SYNCD_ACTOR": self.workshop.owner,
            "SYNCD_WORKSPACE": str(self.workshop.root),
        }
        if copy is not None:
            environ |= {"SYNCD_WORKTREE": str(copy.folder), "SYNCD_BRANCH": copy.branch}
        return {**environ, MARK: marked(self.mark, environ)}

    def _limit_s(self) -> float | None:
        """Return the card's own time limit, else the worker's."""
        try:
            own = float(self.card.extra.get(TIMEOUT_FIELD) or 0)
        except (TypeError, ValueError):
            own = 0.0
        return own if own > 0 else self.workshop.timeout_s

    async def _until_ended(self, ended: asyncio.Task[int], limit_s: float | None) -> bool:
        """Wait for the command's end, a stop, or the time limit; return whether it was the last."""
        stopped = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait({ended, stopped}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        return not done

    async def _end_all(self, session: int) -> None:
        """End every process of the attempt: asked first, killed after ``kill_after_s``."""
        began, number = time.monotonic(), signal.SIGTERM
        asked: set[int] = set()
        pause_s = _LOOK_S
        while left := await asyncio.to_thread(find, lambda mark: mark == self.mark, session):
            if time.monotonic() - began >= self.kill_after_s:
                number, asked = signal.SIGKILL, set()
            signal_all(left - asked, number)
            asked |= left
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LOOK_MAX_S)


async def _stream(pipe: IO[bytes] | None) -> asyncio.StreamReader:
    """Return a pipe's end as something to await."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _with_tail(how: str, output: Output) -> str:
    tail = output.last_errors()
    return f"{how}: {tail}" if tail else how


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
