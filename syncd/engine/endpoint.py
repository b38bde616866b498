"""The daemon's socket: one JSON line asked, one JSON line answered, after a greeting with the version.

Only the user can reach it (mode 0600).  A command that finds no daemon, or one of another version, does
its work itself.
May import ``syncd.errors``, ``syncd.log``.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from syncd.errors import SyncdError

PROTOCOL: Final = 1
REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024

Handler = Callable[[Mapping[str, Any]], Any]


class RemoteError(SyncdError):
    """An error that the daemon answered with; it carries the code and exit code of the original."""

    def __init__(self, message: str, *, hint: str | None, code: str, exit_code: int) -> None:
        super().__init__(message, hint=hint)
        self.code = code  # type: ignore[misc]  # the class attribute of the tree, per instance here
        self.exit_code = exit_code  # type: ignore[misc]


class Endpoint:
    """A listening socket that answers each request with a handler by its ``op``.

    Args:
        path: where the socket is made; a stale one is replaced.  Raises OSError when that fails.
        handlers: by operation; called in a thread of the connection.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(mask)
        self._socket.listen(16)
        self._thread = threading.Thread(target=self._accept, name="endpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
        self._thread.join(timeout=2)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="endpoint-connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream, suppress(OSError, ValueError):
            stream.write(_line({"syncd": PROTOCOL}))
            stream.flush()
            while request := stream.readline(REQUEST_BYTES_MAX):
                stream.write(_line(self._answer(json.loads(request))))
                stream.flush()

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        handler = self._handlers.get(str(request.get("op")))
        if handler is None:
            return {"error": {"code": "usage", "message": f"unknown operation {request.get('op')!r}", "exitCode": 2}}
        try:
            return {"ok": handler(request)}
        except SyncdError as error:
            return {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "hint": error.hint,
                    "exitCode": error.exit_code,
                }
            }


def ask(path: Path, request: Mapping[str, Any], *, timeout_s: float) -> Any:
    """Return the daemon's answer, ``None`` when no daemon of this protocol listens there.

    Raises: RemoteError with what the daemon answered; TimeoutError when it does not answer in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, PermissionError, NotADirectoryError):
            return None
        with connection.makefile("rwb") as stream:
            greeting = json.loads(stream.readline() or b"{}")
            if greeting.get("syncd") != PROTOCOL:
                return None
            stream.write(_line(request))
            stream.flush()
            answer = json.loads(stream.readline() or b"{}")
    if "ok" in answer:
        return answer["ok"]
    if "error" in answer:
        error = answer["error"]
        raise RemoteError(
            error["message"], hint=error.get("hint"), code=error["code"], exit_code=int(error.get("exitCode", 70))
        )
    return None


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
