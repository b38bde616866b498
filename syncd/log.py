"""Structured logs: an event's name and its fields, as text for people or JSON for machines, on stderr.

Where systemd has connected stderr to the journal, text goes there with each field as one of the journal's own:
``journalctl SYNCD_EVENT=cycle.slow`` finds what a search in text would have to guess.

Card ids may stand in a log; passwords, card titles and bodies never do.  Imports nothing of syncd.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

LOGGER: Final = logging.getLogger("syncd")
_DRIVER: Final = logging.getLogger("psycopg")

LISTED_MAX: Final = 50
"""Entries of a list that a structured event keeps."""

SHOWN_MAX: Final = 5
"""Ids that a line on a terminal shows."""

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
"""What could act on a terminal."""


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event such as ``cycle.done`` with its fields."""
    LOGGER.log(level, name, extra={"fields": fields})


def configure(log_format: str, environ: Mapping[str, str] | None = None) -> None:
    """Send events to stderr as ``text`` or ``json``; text is one short line for each on a terminal.

    Args:
        environ: tells whether stderr is the journal; ``None`` where that does not matter.
    """
    handler: logging.Handler
    if log_format != "json" and _is_journal(environ or {}):
        handler = JournalHandler()
    else:
        handler = logging.StreamHandler(sys.stderr)
        text = _Short() if sys.stderr.isatty() else _Text()
        handler.setFormatter(_Json() if log_format == "json" else text)
    for each in LOGGER.handlers:
        each.close()
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    if not _DRIVER.handlers:
        # What the database's driver warns of, it raises as well: nothing of it belongs between a command's messages.
        _DRIVER.addHandler(logging.NullHandler())


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return an event's fields; of a long list the first entries, and how many there are."""
    fields: dict[str, Any] = {}
    for key, value in getattr(record, "fields", {}).items():
        fields[key] = value
        if isinstance(value, list) and len(value) > LISTED_MAX:
            fields |= {key: value[:LISTED_MAX], f"{key}_count": len(value)}
    return fields


class _Short(logging.Formatter):
    """One line for a person who watches: the local time, and what happened."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        if record.getMessage() == "cycle.done":
            return f"{at} {self._cycle(fields)}"
        words = " ".join(self._word(key, value) for key, value in fields.items() if value not in (None, []))
        return _UNSAFE.sub("?", f"{at} {record.getMessage().replace('.', ' ')} {words}".rstrip())

    def _cycle(self, fields: dict[str, Any]) -> str:
        ways = (("to_store", "file → store"), ("to_file", "store → file"), ("conflicts", "conflicts"))
        done = [f"{way} {_some(fields[key])}" for key, way in ways if fields.get(key)]
        return _UNSAFE.sub("?", f"{'; '.join(done)} ({fields['ms']:.0f} ms)")

    def _word(self, key: str, value: Any) -> str:
        shown = _some(value) if isinstance(value, list) else str(value)
        return shown if key in ("message", "ids", "code", "guard", "path") else f"{key} {shown}"


def _some(ids: list[str]) -> str:
    """Return the first ids, and how many more there are."""
    shown = ", ".join(ids[:SHOWN_MAX])
    return shown + (f" … and {len(ids) - SHOWN_MAX:,} more" if len(ids) > SHOWN_MAX else "")


def _words(record: logging.LogRecord) -> str:
    """Return an event and its fields on one line."""
    words = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in _fields_of(record).items())
    return f"{record.getMessage()} {words}".rstrip()


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{at} {record.levelname.lower()} {_words(record)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**head, **_fields_of(record)}, default=str)


_JOURNAL: Final = "/run/systemd/journal/socket"
_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def _is_journal(environ: Mapping[str, str]) -> bool:
    """Return whether stderr is the stream that systemd made to the journal, and not one that was put in its place."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    is_stream = environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
    return is_stream and os.path.exists(_JOURNAL)  # noqa: PTH110 - pathlib would have to be loaded


class JournalHandler(logging.Handler):
    """Sends events to the journal in its own protocol; what it does not take goes to stderr, as text.

    Source: systemd.io/JOURNAL_NATIVE_PROTOCOL.
    """

    def __init__(self, address: str = _JOURNAL) -> None:
        super().__init__()
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one event."""
        try:
            self._socket.sendto(b"".join(_journal_fields(record)), self._address)
        except OSError:
            print(_words(record), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
        super().close()


def _journal_fields(record: logging.LogRecord) -> Iterator[bytes]:
    """Yield an event's fields as the journal reads them: the name, and a value with its length before it."""
    fields = {
        "MESSAGE": _words(record),
        "PRIORITY": _PRIORITIES.get(record.levelno, 6),
        "SYSLOG_IDENTIFIER": "syncd",
        "SYNCD_EVENT": record.getMessage(),
    }
    for name, value in _fields_of(record).items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        fields[f"SYNCD_{re.sub('[^A-Z0-9]', '_', name.upper())}"] = text
    for name, value in fields.items():
        data = str(value).encode("utf-8", "backslashreplace")
        yield b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
