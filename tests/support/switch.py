"""A running Postgres server that a test may stop, kill and start again, whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.support.desk import until
from tests.support.embedded import is_alive


class Switch:
    """The switch of a server.

    Args:
        data: its data folder.  What it takes to start it again is read from its process, as it runs now.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        process = Path(f"/proc/{self.pid}")
        self._command = process.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        self._place = process.joinpath("cwd").readlink()
        found = process.stat()
        self._account = {"user": found.st_uid, "group": found.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        self._started: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process number."""
        return int((self._data / "postmaster.pid").read_text().split("\n")[0])

    def off(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server, with SIGINT as for a restart, and wait until it is gone."""
        pid = self.pid
        os.kill(pid, number)
        until(lambda: not is_alive(pid), "the server has ended")
        if self._started is not None:
            self._started.wait()
            self._started = None

    def close(self) -> None:
        """End the server that ``on`` started, if it runs."""
        if self._started is not None:
            self.off()

    def on(self) -> None:
        """Start the server again, and wait until it takes connections."""
        self._started = subprocess.Popen(
            self._command,
            cwd=self._place,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._account,
        )
        until(self._is_ready, "the server is ready")

    def _is_ready(self) -> bool:
        """Return whether the server that ``on`` started says in its file that it takes connections."""
        try:
            said = (self._data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:  # it has none yet
            return False
        return self._started is not None and said[0] == str(self._started.pid) and "ready" in "".join(said[7:])
