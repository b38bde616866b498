"""A client's way to a server that answers: join it, wait for it, or start it.

May import ``syncd.errors``, its sibling modules ``embedded_*``, and the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from syncd.errors import ConfigError, InputOutputError, StoreUnreachable
from syncd.store.embedded import binaries, cluster, sockets
from syncd.store.embedded.binaries import Account, Binaries
from syncd.store.embedded.home import DISK_FULL, Deadline, Home, reported, way_out
from syncd.store.embedded.sockets import Answer, Probe

_AGAIN_S: Final = 0.01
_AGAIN_MAX_S: Final = 0.05
_LAUNCHES_MAX: Final = 5
"""A server that ends without a complaint was killed; whoever does that may do so a few times."""

MUTE_S: Final = 5.0
"""A server that is asked and says nothing for so long hangs; one that starts says so."""

_FREE_BYTES_MIN: Final = 1_000_000
_WATCHER: Final = Path(__file__).with_name("watcher.py")

_SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(sockets.PORT),
    "unix_socket_directories": cluster.HERE,
    "unix_socket_permissions": "0700",
    "cluster_name": "syncd",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Card bodies stand in statements and in details of errors: they stay out of the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "max_connections": "200",
    "max_wal_size": "256MB",
}


class Arrival:
    """One client that holds a share of the clients' lock and looks for the server.

    Args:
        grace_s: how long the server stays after its last client, if this client is the one to start it.
        may_start: without it, only a server that runs already is waited for.
    """

    def __init__(self, home: Home, deadline: Deadline, *, grace_s: float, may_start: bool) -> None:
        self._home = home
        self._deadline = deadline
        self._grace_s = grace_s
        self._may_start = may_start
        self._launches = 0
        self._log_start = 0
        self._ended: int | None = None
        """Becomes readable when the server that we launched has ended; None when there is none."""

    def wait(self) -> Probe | None:
        """Return when the server takes queries, whoever started it; None when it may not be started.

        Raises:
            ConfigError: there are no programs for this machine, or the data folder is not syncd's.
            SchemaVersionError: the data folder was made by another major version.
            InputOutputError: the disk is full, a permission is missing, or the server gave up.
            Busy: a foreign server runs there.
            StoreUnreachable: it did not take queries in time.
        """
        pause_s = _AGAIN_S
        try:
            while True:
                probe = sockets.probe(self._home.cluster, timeout_s=min(MUTE_S, self._deadline.left_s))
                match probe.answer:
                    case Answer.READY:
                        return probe
                    case Answer.STRANGER:
                        raise self._not_ours(probe)
                    case Answer.MUTE if self._ended is None:
                        raise self._too_late(probe)
                    case Answer.SILENT if not self._may_start:
                        return None
                    case Answer.SILENT if self._ended is None:
                        self._launch()
                    case Answer.SILENT | Answer.STARTING | Answer.MUTE:
                        pass
                if self._deadline.is_over:
                    raise self._too_late(probe)
                self._rest(pause_s)
                pause_s = min(_AGAIN_MAX_S, pause_s * 1.2)
        finally:
            self._forget()

    def _rest(self, pause_s: float) -> None:
        """Wait a moment, or until the server that we launched has ended.

        Raises:
            InputOutputError: it ended with a complaint, or for no reason once too often.
        """
        if self._ended is None:
            time.sleep(pause_s)
        elif select.select([self._ended], [], [], pause_s)[0]:
            self._forget()
            complaint = self._complaint()
            if complaint or self._launches == _LAUNCHES_MAX:
                raise self._gave_up(complaint)

    def _forget(self) -> None:
        """Look no longer after the server that we launched."""
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None

    def _launch(self) -> None:
        """Start the watcher and its server, unless another process is at it or a server has yet to end."""
        home = self._home
        with contextlib.ExitStack() as starting:
            watcher = home.try_lock(home.watcher_lock)
            if watcher is None:
                return
            starting.callback(os.close, watcher)
            server = home.try_lock(home.server_lock)
            if server is None:
                return
            starting.callback(os.close, server)
            if sockets.probe(home.cluster).answer is not Answer.SILENT:
                return
            account = binaries.server_account(home.cluster, home.folder)
            programs = binaries.find(account)
            cluster.prepare(home, programs, account, self._deadline, watcher)
            log = home.open_log()
            starting.callback(os.close, log)
            self._ended, alive = os.pipe()
            starting.callback(os.close, alive)
            self._launches += 1
            self._log_start = home.log_bytes()
            self._spawn(programs, account, log=log, server=server, handed_on=(watcher, server, alive))

    def _spawn(
        self, programs: Binaries, account: Account | None, *, log: int, server: int, handed_on: tuple[int, ...]
    ) -> None:
        """Run the watcher until it has left our session."""
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        order = {
            "command": [str(programs.folder / "postgres"), "-D", cluster.HERE, *settings],
            "folder": str(self._home.cluster),
            "environment": binaries.ENVIRONMENT,
            "clients": str(self._home.clients_lock),
            "grace_s": self._grace_s,
            "server_fd": server,
            "uid": None if account is None else account.uid,
            "gid": None if account is None else account.gid,
        }
        try:
            with reported(Path(sys.executable)):
                subprocess.run(
                    [*_scope(), sys.executable, "-I", "-S", _WATCHER, json.dumps(order)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=handed_on,
                    timeout=self._deadline.left_s,
                    check=False,
                )
        except subprocess.TimeoutExpired as failure:
            raise StoreUnreachable(
                f"the watcher of the embedded server in {self._home.folder} did not start in time",
                hint=f"try again; its log is {self._home.log}",
            ) from failure

    def _too_late(self, probe: Probe) -> StoreUnreachable:
        return StoreUnreachable(
            f"the embedded server in {self._home.folder} takes no queries: "
            f"{probe.detail or 'another process starts it, or the last server has yet to end'}",
            hint=f"try again; its log is {self._home.log}",
        )

    def _not_ours(self, probe: Probe) -> ConfigError:
        return ConfigError(
            f"the server in {self._home.cluster} is not one that syncd made: {probe.detail}",
            hint=f"move {self._home.cluster} away, or set SYNCD_DATA_DIR to another folder",
        )

    def _complaint(self) -> str:
        """Return the gravest of what the server said since it was started; empty when it was killed."""
        home = self._home
        with reported(home.log):
            said = home.log.read_bytes()[self._log_start :].decode(errors="replace")
            complaint = cluster.last_complaint(said)
            # On a full disk the server's last words are lost as well.
            if not complaint and shutil.disk_usage(home.folder).free < _FREE_BYTES_MIN:
                complaint = DISK_FULL[0]
        return complaint.replace(cluster.HERE, str(home.cluster))

    def _gave_up(self, complaint: str) -> InputOutputError:
        home = self._home
        way = way_out(complaint, home.folder) if complaint else "see what kills it (is the memory used up?)"
        return InputOutputError(
            f"the embedded server in {home.folder} did not start: {complaint or 'it was killed each time'}",
            hint=f"{way}; its log is {home.log}",
        )


def _scope() -> list[str]:
    """Return the words that start a command in a systemd scope of its own, where a systemd service is what starts it.

    The server serves other workspaces too: it must neither count against the limits of the service that came
    first, nor end with it.
    """
    if "INVOCATION_ID" not in os.environ:
        return []
    words = ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--description=syncd: embedded PostgreSQL"]
    try:
        probe = subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return words if probe.returncode == 0 else []
