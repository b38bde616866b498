"""Workers for tests: real ones, and commands for them that wait until a test lets them go."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.desk import DEADLINE_S, Desk, events_in, until


@dataclass
class Working:
    """A worker's process, and its log."""

    process: subprocess.Popen[str]
    log: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name so far."""
        return events_in(self.log.read_text(), name)

    def ended(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@contextmanager
def working(desk: Desk, command: Sequence[str], *options: str, owner: str = "w") -> Iterator[Working]:
    """Run a worker from when it is entered; whatever it left is ended afterwards."""
    log = desk.root.parent / f"{owner}.{len(list(desk.root.parent.glob('*.work')))}.work"
    words = ["--log-format", "json", "work", "--owner", owner, "--kill-after", "2", *options, "--", *command]
    with log.open("w") as said:
        process = desk.start(*words, stdout=said, stderr=subprocess.STDOUT)
    worker = Working(process, log)
    try:
        until(lambda: worker.events("worker.started") or process.poll() is not None, "the worker is up", deadline_s=90)
        yield worker
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)


def script(desk: Desk, text: str, name: str = "do.sh") -> list[str]:
    """Write a shell script beside the working copy and return the words that run it."""
    path = desk.root.parent / name
    path.write_text("set -eu\n" + text)
    return ["sh", str(path)]


def is_alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def pid_in(path: Path) -> int:
    """Wait until a script has written a process id into a file, and return it."""
    return int(until(lambda: path.exists() and path.read_text().strip(), f"{path.name} is there"))


def end(pid: int) -> None:
    """End a process that a test started, if it still runs."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
