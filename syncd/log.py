"""Structured logs: an event's name and its fields, as text for people or JSON for machines, on stderr.

Card ids may stand in a log; passwords, card titles and bodies never do.  Imports nothing of syncd.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final

LOGGER: Final = logging.getLogger("syncd")

LISTED_MAX: Final = 50
"""Entries of a list that a structured event keeps."""

SHOWN_MAX: Final = 5
"""Ids that a line on a terminal shows."""

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
"""What could act on a terminal."""


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event such as ``cycle.done`` with its fields."""
    LOGGER.log(level, name, extra={"fields": fields})


def configure(log_format: str) -> None:
    """Send events to stderr as ``text`` or ``json``; text is one short line for each on a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    text = _Short() if sys.stderr.isatty() else _Text()
    handler.setFormatter(_Json() if log_format == "json" else text)
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


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


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _fields_of(record)
        words = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in fields.items())
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{at} {record.levelname.lower()} {record.getMessage()} {words}".rstrip()


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**head, **_fields_of(record)}, default=str)
