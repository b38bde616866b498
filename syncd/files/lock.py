"""Who may work on a workspace: flock locks under ``.syncd/``, each with its holder's pid and host inside.

``daemon.lock`` is held for a daemon's life, ``lock`` for one cycle, ``TASKS.md.lock`` by scripts that
edit the file themselves (it works with ``flock(1)`` as well).  The kernel frees them when their holder
dies.  On network file systems flock may be local to the host; the store's versions still serialize.
May import ``syncd.errors``.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from filelock import FileLock, Timeout

from syncd.errors import Busy
from syncd.files.atomic import failure
from syncd.files.layout import Layout

_POLL_S: Final = 0.005
_PROBE_S: Final = 0.1
"""``holder`` takes a shared lock for a moment; who finds that one must not think of a daemon."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock."""

    pid: int
    host: str

    def __str__(self) -> str:
        here = socket.gethostname()
        return f"process {self.pid}" + ("" if self.host == here else f" on {self.host}")


class WorkspaceLock:
    """One lock of a workspace; a context manager, not reentrant.

    Args:
        path: the lock file; made when absent, never removed.
        what: what the lock stands for, as messages begin.
        deadline_s: how long to wait for it.
    """

    def __init__(self, path: Path, what: str, deadline_s: float) -> None:
        self._path = path
        self._what = what
        self._lock = FileLock(
            path,
            timeout=deadline_s,
            mode=0o600,
            thread_local=False,
            poll_interval=_POLL_S,
            fallback_to_soft=False,
            on_acquired=_write_holder,
        )

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            Busy: somebody else has it, who is named, or this object has it already.
            InputOutputError: the lock file cannot be opened.
        """
        if self._lock.is_locked:
            raise Busy(f"{self._what} is held by this very process.")
        try:
            self._lock.acquire()
        except Timeout as error:
            who = holder(self._path) or "another process"
            raise Busy(f"{self._what} is held by {who}.", hint="Try again later.") from error
        except OSError as error:
            raise failure(error, f"Cannot lock {self._path}") from error

    def release(self) -> None:
        """Give the lock back; not held is fine."""
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def daemon_lock(layout: Layout) -> WorkspaceLock:
    """Return the lock of a daemon's life; a second daemon is told at once."""
    return WorkspaceLock(layout.daemon_lock, "The daemon's place in this workspace", _PROBE_S)


def cycle_lock(layout: Layout, deadline_s: float = 10.0) -> WorkspaceLock:
    """Return the lock of one cycle."""
    return WorkspaceLock(layout.cycle_lock, "This workspace", deadline_s)


def advisory_lock(layout: Layout, deadline_s: float = 10.0) -> WorkspaceLock:
    """Return the lock that scripts take while they edit task files."""
    return WorkspaceLock(layout.advisory_lock, "The lock for editing task files", deadline_s)


def holder(path: Path) -> Holder | None:
    """Return who holds a lock, ``None`` when it is free.

    Effects: takes the lock in shared mode for some microseconds; ``acquire`` outlasts that.

    Raises:
        InputOutputError: the lock file cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failure(error, f"Cannot read {path}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read_holder(handle)
    finally:
        os.close(handle)


def _write_holder(handle: int) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n"
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)


def _read_holder(handle: int) -> Holder:
    """A holder that is about to write itself, or ``flock(1)``, has no name yet."""
    try:
        told = json.loads(os.pread(handle, 4096, 0))
        return Holder(int(told["pid"]), str(told["host"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, "an unknown host")
