"""Asking a workspace's daemon over its socket; ``endpoint`` is the other end.

Imports little, since every command that is not run by the daemon begins with this.
May import ``syncd``, ``syncd.errors``.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from syncd import __version__
from syncd.errors import Stopping, SyncdError

PROTOCOL: Final = 1

AGAIN_S: Final = 0.05
PATIENCE_S: Final = 5.0
"""How long a daemon that begins or ends is asked again before it counts as none."""


class RemoteError(SyncdError):
    """An error that the daemon answered with; it carries the code and exit code of the original."""

    def __init__(self, message: str, *, hint: str | None, code: str, exit_code: int) -> None:
        super().__init__(message, hint=hint)
        self.code = code  # type: ignore[misc]  # the class attribute of the tree, per instance here
        self.exit_code = exit_code  # type: ignore[misc]  # likewise


def ask(path: Path, request: Mapping[str, Any], *, timeout_s: float) -> Any:
    """Return the daemon's answer, ``None`` when no daemon of this version listens there.

    One that begins or ends just now is asked again for a while, and then counts as none: it has done nothing.

    Raises: RemoteError with what the daemon answered; TimeoutError when it does not answer in time.
    """
    patient_until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _asked(path, request, timeout_s)
        except RemoteError as error:
            if error.code != Stopping.code:
                raise
            if time.monotonic() > patient_until:
                return None
        time.sleep(AGAIN_S)


def _asked(path: Path, request: Mapping[str, Any], timeout_s: float) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, PermissionError, NotADirectoryError):
            return None
        if not _is_trusted(connection):
            return None
        with connection.makefile("rwb") as stream:
            if json.loads(stream.readline() or b"{}") != {"syncd": PROTOCOL, "version": __version__}:
                return None
            stream.write(line(request))
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


def _is_trusted(connection: socket.socket) -> bool:
    """Say whether this user or root listens at the other end: in a shared folder anybody can put a socket there."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (os.getuid(), 0)


def line(value: Mapping[str, Any]) -> bytes:
    """Return what goes over the socket for a value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
