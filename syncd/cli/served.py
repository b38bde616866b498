"""A command line that the daemon runs for its caller: the same commands, printing into a page instead of a terminal."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from syncd.errors import Stopping

if TYPE_CHECKING:
    from syncd.api import Workspace

_LENT: Final[ContextVar[Workspace | None]] = ContextVar("lent", default=None)
_PAGES: Final[ContextVar[Mapping[str, Page] | None]] = ContextVar("pages", default=None)
_STREAMS: Final = ("stdout", "stderr")


class Page(io.TextIOWrapper):
    """What a command prints: bytes in memory, that look to it like its caller's terminal or pipe.

    ``environ`` has what the caller's environment says of its terminal; ``columns`` is its width.
    """

    def __init__(self, *, is_terminal: bool, columns: int | None, environ: Mapping[str, str]) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
        self.environ = dict(environ)
        self.columns = columns
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Return whether the caller prints to a terminal."""
        return self._is_terminal

    @property
    def data(self) -> bytes:
        """What was printed."""
        self.flush()
        found = self.buffer
        assert isinstance(found, io.BytesIO)
        return found.getvalue()


class _Streams:
    """``sys.stdout`` and ``sys.stderr`` while commands run: for each command's thread its pages, for others as ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commands = 0
        self._real: dict[str, Any] = {}

    @contextmanager
    def paged(self, pages: Mapping[str, Page]) -> Iterator[None]:
        """Have what this thread prints go to its pages."""
        with self._lock:
            if self._commands == 0:
                self._real = {name: getattr(sys, name) for name in _STREAMS}
                for name, stream in self._real.items():
                    setattr(sys, name, _Switch(name, stream))
            self._commands += 1
        token = _PAGES.set(pages)
        try:
            yield
        finally:
            _PAGES.reset(token)
            with self._lock:
                self._commands -= 1
                if self._commands == 0:
                    for name, stream in self._real.items():
                        setattr(sys, name, stream)


class _Switch:
    """A stream that is, for each thread, the page of its command."""

    def __init__(self, name: str, real: Any) -> None:
        self._name = name
        self._real = real

    def __getattr__(self, name: str) -> Any:
        pages = _PAGES.get()
        return getattr(self._real if pages is None else pages[self._name], name)


_streams: Final = _Streams()


def lent_workspace() -> Workspace | None:
    """Return the workspace on which this command runs, ``None`` outside a daemon."""
    return _LENT.get()


def run_served(workspace: Workspace, request: Mapping[str, Any]) -> tuple[int, bytes, bytes]:
    """Run one command line on a daemon's workspace; return its exit code and what it prints.

    Several may run at a time, each in a thread of its own.

    Args:
        request: ``arguments``; ``terminal`` with whether stdout is one, ``columns`` and ``environ``.

    Raises: Stopping when the daemon ends and nothing of the command was begun.
    """
    from syncd.cli.app import run
    from syncd.cli.failures import report

    words = [str(each) for each in request["arguments"]]
    terminal = request.get("terminal") or {}
    columns = terminal.get("columns")
    stdout = Page(
        is_terminal=bool(terminal.get("is_terminal")),
        columns=int(columns) if columns else None,
        environ=terminal.get("environ") or {},
    )
    stderr = Page(is_terminal=False, columns=None, environ={})
    with _lent(workspace), _streams.paged({"stdout": stdout, "stderr": stderr}):
        try:
            code = run(words)
        except Stopping:
            raise
        except BaseException as error:  # noqa: BLE001 - as in the process of its own that this stands for
            code = report(error, words)
    return code, stdout.data, stderr.data


@contextmanager
def _lent(workspace: Workspace) -> Iterator[None]:
    token = _LENT.set(workspace)
    try:
        yield
    finally:
        _LENT.reset(token)
