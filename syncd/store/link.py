"""A connection to Postgres on which nobody waits for a server that hangs.

May import the store's own modules.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final, TypeVar

from psycopg import Connection, Error
from psycopg.conninfo import make_conninfo

from syncd.store.dsn import parse
from syncd.store.probe import Question
from syncd.store.rows import Row
from syncd.store.silence import LeftBehind, ServerHangs, Silence, Vigil

T = TypeVar("T")

ANSWER_S: Final = 2.0
"""How long a server may be silent that is asked because another connection is."""

ANSWER_POOLED_S: Final = 5.0
"""The same behind a pooler, which has those wait who come while all its connections are in use."""

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""The option of a socket that is closed without sending what is still to be sent."""


class Link(Connection[Row]):
    """A connection; every wait for the server goes through ``wait``, that of a ``Lane`` through ``silence``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._vigil = Vigil()
        self._dsn = ""
        self._has_backend = False
        self._made_at = time.monotonic()

    def watch(self, dsn: str, vigil: Vigil, *, pooled: bool) -> None:
        """Say how the server is reached on another connection, and who else waits for it."""
        vigil.answers()
        self._dsn, self._vigil, self._has_backend = dsn, vigil, not pooled

    def silence(self) -> Silence:
        """Return what is to be told of each slice of time in which the server says nothing."""
        return Silence(self._vigil, self._asked)

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **options: Any) -> T:
        """Wait as psycopg does, but not for a server that hangs: then the connection is cut.

        Raises: ServerHangs, and what psycopg raises.
        """
        try:
            return super().wait(self._heard(gen), *arguments, **options)
        except ServerHangs:
            self.cut()
            raise

    def cut(self) -> None:
        """End the connection at once, and remember its other end."""
        if self.closed:
            return
        if self._has_backend:
            self._vigil.leave(LeftBehind(self.info.backend_pid, self._made_at))
        with suppress(Error, OSError), socket.socket(fileno=os.dup(self.fileno())) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.close()

    def _heard(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Pass on what ``gen`` waits for, and count the slices in which nothing came."""
        silence = None
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready:
                    silence = silence or self.silence()
                    silence.lasts()
                wanted = gen.send(ready)
        except StopIteration as ended:
            result: T = ended.value
            return result

    def _asked(self) -> Question:
        """Ask this server on another connection, and give it the time that its address gives it to let somebody in."""
        least_s = ANSWER_S if self._has_backend else ANSWER_POOLED_S
        return Question(self._same_server(), silent_s=max(least_s, float(parse(self._dsn).get("connect_timeout") or 0)))

    def _same_server(self) -> str:
        """Return the connection string with the one server of several, and the address of its name, that this is."""
        info = self.info
        place = {"host": info.host, "port": str(info.port)}
        if info.hostaddr and not info.host.startswith(("/", "@")):
            place["hostaddr"] = info.hostaddr
        return make_conninfo(self._dsn, **place)
