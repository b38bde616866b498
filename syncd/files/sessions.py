"""Which process a session is, whether it still lives, and a command that runs as a session.

A process is named for good by boot, pid and the clock tick at which it started.  A command that runs as a
session holds a lock under ``.syncd/sessions/`` that the kernel frees when the last process of it is gone,
however it ends.  May import ``syncd.core``, ``syncd.errors``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from syncd.core.session import Proof
from syncd.errors import Busy, NotFound
from syncd.files import forwarding
from syncd.files.atomic import failure
from syncd.files.layout import Layout, private_folder
from syncd.files.workspace import make_dot

BEAT_S: Final = 60.0
"""How often a command that runs as a session says that it is there."""

SESSION_VARIABLE: Final = "SYNCD_SESSION"
MISSION_VARIABLE: Final = "SYNCD_MISSION"

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_STARTED: Final = 19
"""Where a process's start stands in ``/proc/PID/stat``, counted behind its name."""


def boot_id() -> str | None:
    """Return the name of this boot of this machine; ``None`` where the kernel does not tell."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return None


def started(pid: int) -> int | None:
    """Return the clock tick at which a process started; ``None`` when there is no such process that runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if state[0] in "ZX" else int(state[_STARTED])


def proof_of(pid: int | None, *, has_lock: bool = False) -> Proof:
    """Return what names a process of this machine.  Raises NotFound when there is none of that number."""
    here = socket.gethostname()
    if pid is None:
        return Proof(host=here)
    if (at := started(pid)) is None:
        raise NotFound(f"no process {pid} runs here", hint="--pid $$ names the shell that you are in.")
    return Proof(host=here, boot=boot_id(), pid=pid, process_started=at, has_lock=has_lock)


def lock_path(layout: Layout, mission: str, session: str) -> Path:
    """Return the lock of a session; an id may hold what a file name cannot."""
    name = hashlib.blake2b(f"{mission}\0{session}".encode(), digest_size=12).hexdigest()
    return layout.dot / "sessions" / f"{name}.lock"


def is_alive(layout: Layout, mission: str, session: str, proof: Proof) -> bool | None:
    """Return whether a session's process lives; ``None`` where that cannot be told from here."""
    if proof.host != socket.gethostname() or proof.pid is None:
        return None
    if proof.boot != boot_id():
        return False
    if proof.has_lock and (is_held := _is_held(lock_path(layout, mission, session))) is not None:
        return is_held
    return started(proof.pid) == proof.process_started


def _is_held(path: Path) -> bool | None:
    """Return whether anybody holds a lock; ``None`` when its file is not here."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def session_lock(layout: Layout, mission: str, session: str) -> Iterator[int]:
    """Hold a session's lock; give its descriptor, which a command may inherit.  Raises Busy, InputOutputError."""
    path = lock_path(layout, mission, session)
    try:
        make_dot(layout)
        private_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise failure(error, f"Cannot lock {path}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"the session {session} runs already", hint="syncd mission session list") from None
        yield handle
    finally:
        os.close(handle)


def run_command(
    command: Sequence[str], environ: Mapping[str, str], lock: int, beat: Callable[[], None], *, beat_s: float = BEAT_S
) -> int:
    """Run a command as a session, saying at intervals that it is there; return its exit code.

    Args:
        lock: the session's lock, which the command inherits: it stays held while any process of it lives.
        beat: called in a thread of its own; what it raises ends the heartbeat, not the command.

    Raises: as ``forwarding.run``.
    """
    is_over = threading.Event()

    def beating() -> None:
        while not is_over.wait(beat_s):
            beat()

    heart = threading.Thread(target=beating, name="heartbeat", daemon=True)
    try:
        return forwarding.run(command, environ, pass_fds=(lock,), begun=heart.start)
    finally:
        is_over.set()
