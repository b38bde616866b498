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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import msgspec
from filelock import FileLock, Timeout

from syncd.errors import Busy
from syncd.files.atomic import failure
from syncd.files.layout import Layout

HELD_VARIABLE: Final = "SYNCD_LOCK_HELD"
"""Names, in the environment of a command under ``syncd with-lock``, the lock that is held for it."""

MANIFEST_WAIT_S: Final = 10.0
"""How long a writer of the manifest waits for another one."""

_EDITING: Final = "The lock for editing task files"
_AT_ONCE_S: Final = 0.02
_POLL_S: Final = 0.005
_PROBE_S: Final = 0.1
"""``holder`` takes a shared lock for a moment; who finds that one must not think of a daemon."""


class Holder(msgspec.Struct, frozen=True):
    """The process that holds a lock."""

    pid: int
    host: str

    def __str__(self) -> str:
        here = socket.gethostname()
        who = f"process {self.pid}" if self.pid else "another process"
        return who + ("" if self.host == here else f" on {self.host}")


class WorkspaceLock:
    """One lock of a workspace; a context manager, not reentrant.

    Args:
        path: the lock file; made when absent, never removed.
        what: what the lock stands for, as messages begin.
        deadline_s: how long to wait for it.
        said: what is said when ``{who}`` has it, in place of the usual words.
        hint: what to do then.
        is_named: whether its holder writes its name into it; the kernel names one of this machine anyhow, and
            writing costs what a lock that is taken for a millisecond cannot bear.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        deadline_s: float,
        *,
        said: str | None = None,
        hint: str = "Try again later.",
        is_named: bool = True,
    ) -> None:
        self._path = path
        self._what = what
        self._said = said or f"{what} is held by {{who}}."
        self._hint = hint
        self._lock = FileLock(
            path,
            timeout=deadline_s,
            mode=0o600,
            thread_local=False,
            poll_interval=_POLL_S,
            fallback_to_soft=False,
            on_acquired=_write_holder if is_named else None,
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
            # FileLock would make the folder: an empty mount point is no workspace.
            self._path.parent.stat()
            self._lock.acquire()
        except Timeout as error:
            who = holder(self._path) or "another process"
            raise Busy(self._said.format(who=who), hint=self._hint) from error
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
    return WorkspaceLock(
        layout.daemon_lock,
        "The daemon's place in this workspace",
        _PROBE_S,
        said="syncd run already runs here ({who})",
        hint="syncd status",
    )


def cycle_lock(layout: Layout, deadline_s: float = 10.0) -> WorkspaceLock:
    """Return the lock of one cycle."""
    return WorkspaceLock(layout.cycle_lock, "This workspace", deadline_s)


def manifest_lock(path: Path) -> WorkspaceLock:
    """Return the lock of a manifest's writers; ``flock(1)`` takes it too."""
    return WorkspaceLock(path, "The manifest", MANIFEST_WAIT_S, is_named=False)


def advisory_lock(layout: Layout, deadline_s: float = 10.0) -> WorkspaceLock:
    """Return the lock that scripts take while they edit task files."""
    return WorkspaceLock(layout.advisory_lock, _EDITING, deadline_s)


class AdvisoryLock:
    """The advisory lock as a process of syncd's takes it around one write; implements ``ports.EditLock``.

    Args:
        environ: tells whether this process runs under ``syncd with-lock`` already.
    """

    def __init__(self, layout: Layout, environ: Mapping[str, str]) -> None:
        self._path = layout.advisory_lock
        self._is_inherited = is_held_above(layout, environ)
        self._lock = WorkspaceLock(self._path, _EDITING, _AT_ONCE_S)

    def holder(self) -> str | None:
        """Return who holds it, in words; ``None`` when it is free, or held above this very process."""
        if self._is_inherited:
            return None
        found = holder(self._path)
        return None if found is None else str(found)

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Take it at once or not at all; give whether it is ours until the context ends."""
        if self._is_inherited:
            yield True
            return
        try:
            self._lock.acquire()
        except Busy:
            yield False
            return
        try:
            yield True
        finally:
            self._lock.release()


def is_held_above(layout: Layout, environ: Mapping[str, str]) -> bool:
    """Return whether a process runs under ``syncd with-lock``, or what does the same and says so, in this workspace."""
    return environ.get(HELD_VARIABLE) == str(layout.advisory_lock)


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


def _kernel_holder(lock: os.stat_result) -> int | None:
    """Return the process that holds a flock on a file of this machine; ``None`` where the kernel does not tell."""
    place = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for words in map(str.split, lines):
        if len(words) > 5 and words[1] == "FLOCK" and words[3] == "WRITE" and words[5] == place:
            pid = int(words[4])
            return pid if pid > 0 else None
    return None


def _write_holder(handle: int) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n"
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)


def _read_holder(handle: int) -> Holder:
    """Name the holder as the kernel knows it, else as it wrote itself; ``flock(1)`` writes nothing."""
    if (pid := _kernel_holder(os.fstat(handle))) is not None:
        return Holder(pid, socket.gethostname())
    try:
        told = json.loads(os.pread(handle, 4096, 0))
        return Holder(int(told["pid"]), str(told["host"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, socket.gethostname())
