"""A line to a database that can be cut: a relay on loopback, which everything that the laptop says goes through."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

CHUNK = 65536


class Line:
    """A relay to a server.  Cut, it drops what runs over it and refuses what comes.

    Args:
        reach: opens a connection to the server.
    """

    def __init__(self, reach: Callable[[], socket.socket]) -> None:
        self._reach = reach
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Cut the line."""
        self._is_cut = True
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Mend the line."""
        self._is_cut = False

    def close(self) -> None:
        """Take the relay away."""
        self.cut()
        self._door.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._door.accept()
                try:
                    server = None if self._is_cut else self._reach()
                except OSError:
                    server = None
                if server is None:
                    caller.close()
                    continue
                for source, target in ((caller, server), (server, caller)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        """Hand on what one end says until it, or the line, has ended."""
        self._open.add(source)
        with contextlib.suppress(OSError):
            while not self._is_cut and (data := source.recv(CHUNK)):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()
