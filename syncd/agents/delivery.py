"""How one event reaches one receiver: a command, a webhook or a file.

Each courier delivers once and says how it ended: arrived, refused, or away.  May import
``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Protocol

from syncd.errors import ConfigError
from syncd.schemas.config import Outlet

Told = Mapping[str, Any]

OUTPUT_MAX: Final = 64 * 1024
SIGNATURE: Final = "X-Syncd-Signature"
_SHOWN: Final = 200
_CHUNK: Final = 1 << 16
_EOF_WAIT_S: Final = 1.0
"""So long after its time a command's output is still read: what it left behind elsewhere may hold it open."""

_TRY_LATER: Final = (408, 425, 429)


class Refused(Exception):
    """The receiver had the event and said no."""


class Away(Exception):
    """The receiver could not be reached, or asked to be tried later."""


class Courier(Protocol):
    """The way to one receiver; safe to use from several threads at once."""

    def deliver(self, told: Told) -> None:
        """Deliver one event.  Raises Refused, Away."""

    def abort(self) -> None:
        """Break off what is under way."""


def courier(outlet: Outlet, root: Path, environ: Mapping[str, str]) -> Courier:
    """Return the way to an outlet's receiver.  Raises ConfigError for a secret that is not in the environment."""
    if outlet.run:
        return CommandCourier(outlet, root, environ)
    if outlet.url:
        secret = environ.get(outlet.secret_env) if outlet.secret_env else None
        if outlet.secret_env and not secret:
            raise ConfigError(
                f"the webhook {outlet.label} is signed with ${outlet.secret_env}, which is not set",
                hint=f"export {outlet.secret_env}=…",
            )
        return WebhookCourier(outlet.url, secret, outlet.timeout_s)
    return FileCourier(root / str(outlet.file))


class CommandCourier:
    """Runs a command with the event as JSON on its standard input; exit 0 means arrived.

    A command that takes too long, or that is broken off, is ended with all in its session.
    """

    def __init__(self, outlet: Outlet, root: Path, environ: Mapping[str, str]) -> None:
        self._words = outlet.run
        self._timeout_s = outlet.timeout_s
        self._root = root
        self._environ = dict(environ)
        self._running: set[subprocess.Popen[bytes]] = set()

    def deliver(self, told: Told) -> None:
        """Run the command.  Raises Refused when it fails, takes too long, or cannot be started."""
        environ = {
            **self._environ,
            "SYNCD_EVENT": str(told["type"]),
            "SYNCD_EVENT_SEQ": str(told.get("seq") or ""),
            "SYNCD_CARD_ID": str(told.get("id") or ""),
            "SYNCD_WORKSPACE": str(self._root),
        }
        with tempfile.TemporaryFile() as given:
            given.write(_json(told) + b"\n")
            given.seek(0)
            try:
                process = subprocess.Popen(
                    self._words,
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=self._root,
                    env=environ,
                    start_new_session=True,
                )
            except OSError as error:
                raise Refused(f"{self._words[0]} cannot be run: {error.strerror}") from error
        self._running.add(process)
        timer = threading.Timer(self._timeout_s, _end, [process])
        timer.start()
        try:
            assert process.stdout is not None
            said = _read(process.stdout, time.monotonic() + self._timeout_s + _EOF_WAIT_S)
            code = process.wait()
        finally:
            timer.cancel()
            self._running.discard(process)
            _end(process)
        if code != 0:
            killed = f"ended after {self._timeout_s:g} s" if code == -signal.SIGKILL else f"ended by signal {-code}"
            how = f"exit {code}" if code > 0 else killed
            raise Refused(f"{how}: {said[-_SHOWN:]}" if said else how)

    def abort(self) -> None:
        """End the commands that run."""
        for each in list(self._running):
            _end(each)


class WebhookCourier:
    """Posts the event as JSON; any 2xx means arrived.

    With a secret the header ``X-Syncd-Signature: t=SECONDS,v1=HEX`` has the HMAC-SHA256 of ``SECONDS.BODY``.
    """

    def __init__(self, url: str, secret: str | None, timeout_s: float) -> None:
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_NoRedirects)

    def deliver(self, told: Told) -> None:
        """Post the event.  Raises Away without an answer and for 5xx and 429, Refused for any other answer."""
        body = _json(told)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "syncd",
            "X-Syncd-Event": str(told["type"]),
            "X-Syncd-Delivery": str(told.get("seq") or ""),
        }
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret, body, int(time.time()))
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read(OUTPUT_MAX)
        except urllib.error.HTTPError as error:
            with error:
                reason = f"{error.code} {error.reason}"
            raise (Away if error.code >= 500 or error.code in _TRY_LATER else Refused)(reason) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Away(str(error) or type(error).__name__) from error

    def abort(self) -> None:
        """Leave a request to its timeout: the thread that waits for it ends with the process."""


class FileCourier:
    """Appends the event as a line of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def deliver(self, told: Told) -> None:
        """Append a line, durably.  Raises Away when the disk is full or the place cannot be written."""
        try:
            with self._lock, self._path.open("ab") as file:
                file.write(_json(told) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Away(f"{self._path}: {error.strerror}") from error

    def abort(self) -> None:
        """Nothing is ever under way for long."""


def signature(secret: str, body: bytes, at_s: int) -> str:
    """Return the header by which a receiver knows that a body came from who shares the secret, and when."""
    digest = hmac.new(secret.encode(), b"%d.%s" % (at_s, body), hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A signed event goes to the address that was configured and nowhere else."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


def _json(told: Told) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _read(stream: IO[bytes], until: float) -> str:
    """Read a stream to its end, or until this time; return the end of what was said."""
    kept = bytearray()
    ready = select.poll()
    ready.register(stream, select.POLLIN)
    while ready.poll(max(0.0, until - time.monotonic()) * 1000) and (data := os.read(stream.fileno(), _CHUNK)):
        kept += data
        del kept[:-OUTPUT_MAX]
    stream.close()
    return kept.decode("utf-8", "replace").strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
