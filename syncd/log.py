"""Structured logs: an event's name and its fields, as text for people or JSON for machines, on stderr.

Card ids may stand in a log; passwords, card titles and bodies never do.  Imports nothing of syncd.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

LOGGER: Final = logging.getLogger("syncd")


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event such as ``cycle.done`` with its fields."""
    LOGGER.log(level, name, extra={"fields": fields})


def configure(log_format: str) -> None:
    """Send events to stderr as ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        words = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in fields.items())
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{at} {record.levelname.lower()} {record.getMessage()} {words}".rstrip()


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**head, **getattr(record, "fields", {})}, default=str)
