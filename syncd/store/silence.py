"""What ends a wait that no timeout of the network ends: a server whose machine hangs still takes every packet.

A statement that is slow, waits for a row, or writes ten thousand cards is silent just the same.  So a connection that
hears nothing for a while only has the server asked on another one (``probe``): a server that is well answers there,
and is waited for as long as it takes.  One that answers nobody ends the wait, as a connection that broke does.
Nothing of it runs, and no connection is made, unless somebody waits.
May import the store's own modules.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
from psycopg import OperationalError

from syncd.store.probe import SLICE_S, Question

PATIENCE_S: Final = 1.0
"""How long a connection is silent before the server is asked on another one."""

AGAIN_S: Final = 5.0
"""How long a server that was well is waited for before it is asked again."""

FRESH_S: Final = 2.0
"""How long the finding of one connection holds for others that hear nothing either."""


class ServerHangs(OperationalError):
    """The server takes what it is sent, and answers nobody."""

    def __init__(self) -> None:
        super().__init__("the server takes what it is sent, and does not answer")


class LeftBehind(msgspec.Struct, frozen=True):
    """The server's side of a connection that was given up: it may yet do what it had been sent.

    ``made_at`` is when the connection stood, by this process's clock.
    """

    pid: int
    made_at: float


class Vigil:
    """What the connections of a process know of one server that says nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._question: Question | None = None
        self._hung_at: float | None = None
        self._left: list[LeftBehind] = []

    def ask(self, begin: Callable[[], Question]) -> Question:
        """Return the question that is under way; without one, begin it."""
        with self._lock:
            if self._question is None or self._question.answered() is not None:
                self._question = begin()
            return self._question

    @property
    def has_just_hung(self) -> bool:
        """Whether another connection has found the server hanging a moment ago."""
        hung_at = self._hung_at
        return hung_at is not None and time.monotonic() - hung_at < FRESH_S

    def hangs(self) -> None:
        """Note that the server hangs."""
        self._hung_at = time.monotonic()

    def answers(self) -> None:
        """Note that the server has let somebody in."""
        self._hung_at = None

    def leave(self, *backends: LeftBehind) -> None:
        """Note what a connection leaves behind that was given up."""
        with self._lock:
            self._left.extend(backends)

    def take_left(self) -> list[LeftBehind]:
        """Return what was left behind since the last call; nearly always nothing."""
        if not self._left:
            return []
        with self._lock:
            left, self._left = self._left, []
            return left


class Silence:
    """One wait for a server, from when it was last heard.

    Args:
        begin: asks the same server on another connection.
    """

    def __init__(self, vigil: Vigil, begin: Callable[[], Question]) -> None:
        self._vigil = vigil
        self._begin = begin
        self._question: Question | None = None
        self._slices = 0
        self._due = round(PATIENCE_S / SLICE_S)

    def lasts(self) -> None:
        """Count a slice in which nothing was heard.  Raises ServerHangs."""
        self._slices += 1
        if self._question is None:
            if self._vigil.has_just_hung:
                raise ServerHangs
            if self._slices >= self._due:
                self._question = self._vigil.ask(self._begin)
            return
        answered = self._question.answered()
        if answered is False:
            self._vigil.hangs()
            raise ServerHangs
        if answered:
            self._question, self._due = None, self._slices + round(AGAIN_S / SLICE_S)
