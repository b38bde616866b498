"""What the daemon tells the service manager that started it: ready, reloading, stopping, and that it is alive.

A few lines of text in a datagram to the socket that ``$NOTIFY_SOCKET`` names; without one nothing is sent, so
that the daemon is the same under any supervisor.  A manager that does not listen is no reason to stop: what
cannot be sent is dropped.  Imports nothing of syncd.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_STATUS_MAX: Final = 200
_MICRO: Final = 1_000_000


class ServiceManager:
    """The manager that started this process; silent where there is none.

    Args:
        environ: has ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` where a manager set them.
        pid: this process's: a watchdog that was meant for another is none of ours.

    Holds: ``alive_every_s`` is a third of the time after which the manager takes the process for hung.
    """

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._status = ""
        self.alive_every_s: Final = _watchdog_s(environ, pid) / 3 if self._address else 0.0

    def ready(self) -> None:
        """Say that the start, or the reload, is over."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read again; ``ready`` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.alive_every_s:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in a line how things stand; the same line twice is sent once."""
        line = " ".join(text.split())[:_STATUS_MAX]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)


def _address(named: str) -> bytes | None:
    """Return the socket's address; ``@`` begins a name that is in no file system."""
    if not named.startswith(("/", "@")):
        return None
    return os.fsencode(named) if named[0] == "/" else b"\0" + os.fsencode(named[1:])


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float:
    """Return after how many seconds of silence the manager takes this process for hung; 0 for never."""
    try:
        if int(environ.get("WATCHDOG_PID") or pid) != pid:
            return 0.0
        return max(0, int(environ.get("WATCHDOG_USEC") or 0)) / _MICRO
    except ValueError:
        return 0.0
