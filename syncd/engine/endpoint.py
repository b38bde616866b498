"""The daemon's socket: one JSON line asked, one answered, after a greeting with protocol and version.

Only the user can reach it (mode 0600).  A command that finds no daemon, or one of another version, does
its work itself.  A whole command line is answered with what it prints, so that a hot command costs its
caller no more than a round trip.
May import ``syncd``, ``syncd.errors``, ``syncd.engine.asker``.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from syncd import __version__
from syncd.engine.asker import PROTOCOL, line
from syncd.errors import Stopping, SyncdError

REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
WORKERS_MAX: Final = 64
"""Requests at a time: those that wait for the store must leave room for who asks how things stand."""

ANSWER_S: Final = 1.5
"""How long, at the end, what was begun may take to be answered."""

Handler = Callable[[Mapping[str, Any]], Any]


class Printed(msgspec.Struct, frozen=True):
    """What a command line that the daemon ran has printed, and its exit code."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Endpoint:
    """A listening socket that answers each request with a handler by its ``op``.

    Args:
        path: where the socket is made; a stale one is replaced.
        handlers: by operation; each called in a worker thread, so that one that waits does not hold up the others.
        beside: what else runs in the endpoint's event loop for as long as it does.

    Raises: OSError when the socket cannot be made.
    """

    def __init__(
        self, path: Path, handlers: Mapping[str, Handler], *, beside: Coroutine[Any, Any, None] | None = None
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._socket = _listening(path)
        self._loop = asyncio.new_event_loop()
        self._workers = ThreadPoolExecutor(WORKERS_MAX, "endpoint")
        self._is_closing = False
        self._beside = beside
        self._connections: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="endpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, let what is being answered end, end what runs in the loop, and remove the socket."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2 * ANSWER_S)
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_unix_server(self._serve, sock=self._socket, limit=REQUEST_BYTES_MAX)
        )
        beside = self._loop.create_task(self._beside) if self._beside is not None else None
        try:
            self._loop.run_forever()
        finally:
            self._is_closing = True
            server.close()
            if self._answering:
                self._loop.run_until_complete(asyncio.wait(self._answering, timeout=ANSWER_S))
            tasks = [task for task in (beside, *self._connections) if task is not None]
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._workers.shutdown(wait=False, cancel_futures=True)
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            writer.write(line({"syncd": PROTOCOL, "version": __version__}))
            while not self._is_closing and (request := await reader.readline()):
                self._answering.add(task)
                writer.write(await self._answer(json.loads(request)))
                await writer.drain()
                self._answering.discard(task)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            return
        finally:
            self._connections.discard(task)
            self._answering.discard(task)
            with suppress(OSError):
                writer.close()

    async def _answer(self, request: Mapping[str, Any]) -> bytes:
        name = str(request.get("op"))
        handler = self._handlers.get(name)
        if handler is None:
            error = {"code": "usage", "message": f"unknown operation {name!r}", "exitCode": 2}
            return line({"error": error})
        try:
            if self._is_closing:
                raise Stopping("the daemon is stopping", hint="Try again.")
            answer = await asyncio.get_running_loop().run_in_executor(self._workers, handler, request)
        except SyncdError as error:
            said = {"code": error.code, "message": error.message, "hint": error.hint, "exitCode": error.exit_code}
            return line({"error": said})
        if isinstance(answer, Printed):
            head = line({"ok": [answer.exit_code, len(answer.stdout), len(answer.stderr)]})
            return head + answer.stdout + answer.stderr
        return line({"ok": answer})


def _listening(path: Path) -> socket.socket:
    """Return a socket that listens at a path and that only its user can reach."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        made.bind(str(path))
    finally:
        os.umask(mask)
    made.listen(16)
    return made
