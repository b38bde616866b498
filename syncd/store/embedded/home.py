"""The folder of the embedded server: its places and its locks.

``data`` is the data folder of PostgreSQL, ``server.log`` what the server says, and three lock files say who
is there.  They are flocks, which the kernel releases when a process ends, however it ends:

- ``clients.lock``: shared by every client; exclusive for the watcher while it stops the server.
- ``watcher.lock``: exclusive for whoever starts the server, and handed on to the watcher for its life.
- ``server.lock``: exclusive for the server; all its processes inherit it.  Free, it proves that none of them
  is left, which no number in a pid file can.

May import ``syncd.errors`` and the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.errors import Busy, InputOutputError

DATA_VARIABLE: Final = "SYNCD_DATA_DIR"
"""Names another folder than the usual one."""

DISK_FULL: Final = ("No space left on device", "Disk quota exceeded", "File too large")
"""What the operating system says of a disk that takes no more, in the server's words as well."""

_POLL_S: Final = 0.01
_LOG_BYTES_MAX: Final = 1_000_000


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder of the embedded server, which all workspaces of a user share.

    ``$SYNCD_DATA_DIR``, else ``$XDG_DATA_HOME/syncd/postgres``, else ``~/.local/share/syncd/postgres``.
    """
    if given := environ.get(DATA_VARIABLE):
        return Path(given).expanduser().absolute()
    shared = environ.get("XDG_DATA_HOME", "")
    if not shared.startswith("/"):
        shared = f"{environ.get('HOME') or Path.home()}/.local/share"
    return Path(shared) / "syncd" / "postgres"


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant of the monotonic clock that nothing waits past."""

    at_s: float

    @classmethod
    def after(cls, timeout_s: float) -> Deadline:
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + timeout_s)

    @property
    def left_s(self) -> float:
        """Return the seconds left, not below a tenth, so that they serve as a timeout."""
        return max(0.1, self.at_s - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Say whether the time is up."""
        return time.monotonic() >= self.at_s


@dataclass(frozen=True, slots=True)
class Home:
    """The places of one embedded server."""

    folder: Path

    @property
    def cluster(self) -> Path:
        """Return the data folder of PostgreSQL."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Return the file that the server's messages go to."""
        return self.folder / "server.log"

    @property
    def clients_lock(self) -> Path:
        """Return the lock that clients share."""
        return self.folder / "clients.lock"

    @property
    def watcher_lock(self) -> Path:
        """Return the lock of the starter, then of the watcher."""
        return self.folder / "watcher.lock"

    @property
    def server_lock(self) -> Path:
        """Return the lock that all processes of the server hold."""
        return self.folder / "server.lock"

    def make(self) -> None:
        """Make the folder, private to its user, where it is missing.

        Raises:
            InputOutputError: it cannot be made.
        """
        with reported(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def join_clients(self, deadline: Deadline) -> int:
        """Take a share of the clients' lock and return its descriptor; closing it gives the share back.

        Raises:
            Busy: the server was being stopped until the deadline.
            InputOutputError: the lock file cannot be opened.
        """
        clients = self._opened(self.clients_lock)
        try:
            self._wait_for_share(clients, deadline)
            with reported(self.clients_lock):
                touch(clients)
        except BaseException:
            os.close(clients)
            raise
        return clients

    def _wait_for_share(self, clients: int, deadline: Deadline) -> None:
        while not _is_locked(clients, fcntl.LOCK_SH, self.clients_lock):
            if deadline.is_over:
                raise Busy(
                    f"the embedded server in {self.folder} is being stopped and does not come to an end",
                    hint=f"see {self.log}, and try again",
                )
            time.sleep(_POLL_S)

    def try_lock(self, path: Path) -> int | None:
        """Take a lock for ourselves and return its descriptor; None when somebody holds it.

        Raises:
            InputOutputError: the lock file cannot be opened.
        """
        lock = self._opened(path)
        try:
            if _is_locked(lock, fcntl.LOCK_EX, path):
                return lock
        except InputOutputError:
            os.close(lock)
            raise
        os.close(lock)
        return None

    def open_log(self) -> int:
        """Open the server's log for writing at its end, and return the descriptor.

        Effects: a log of more than 1 MB becomes ``server.log.1``.

        Raises:
            InputOutputError: it cannot be opened.
        """
        with reported(self.log):
            if self.log_bytes() > _LOG_BYTES_MAX:
                self.log.replace(self.log.with_suffix(".log.1"))
        return self._opened(self.log, os.O_APPEND)

    def log_bytes(self) -> int:
        """Return the size of the server's log, which may not be there yet."""
        return self.log.stat().st_size if self.log.exists() else 0

    def _opened(self, path: Path, flags: int = 0) -> int:
        """Open a file of ours; one that root makes in a user's folder becomes the user's."""
        with reported(path):
            owner = self.folder.stat()
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
            if os.geteuid() == 0 and owner.st_uid != 0:
                os.fchown(opened, owner.st_uid, owner.st_gid)
            return opened


def touch(clients: int) -> None:
    """Leave a trace on the clients' lock, so that the watcher's grace starts anew."""
    os.utime(clients)


def _is_locked(lock: int, kind: int, path: Path) -> bool:
    with reported(path):
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def reported(place: Path) -> Iterator[None]:
    """Turn an error of the operating system into one that names the place and a way out.

    Raises:
        InputOutputError: in place of the OSError.
    """
    try:
        yield
    except OSError as failure:
        raise InputOutputError(
            f"the embedded server cannot use {failure.filename or place}: {failure.strerror or failure}",
            hint=way_out(str(failure.strerror), place),
        ) from failure


def way_out(complaint: str, place: Path) -> str:
    """Return the hint for a complaint of the disk about this place."""
    if "shared memory" in complaint:
        return "free memory, or give this machine (or container) a larger /dev/shm"
    if any(sign in complaint for sign in DISK_FULL):
        return f"free some space where {place} lies (see df -h), or set SYNCD_DATA_DIR to another disk"
    return f"check the owner and the mode of {place}, or set SYNCD_DATA_DIR to a folder of your own"
