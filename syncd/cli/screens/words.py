"""Small words that all screens share: counts, values, ages, places."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from syncd.cli.screen import BLANK, Element, Span, line

SHORT: Final = 40
"""Cells that a value gets where it stands beside others."""

EMPTY: Final = "—"

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 card``, ``2 cards``."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def joined(parts: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def value_text(value: Any) -> str:
    """Return a field's value as a person writes it."""
    match value:
        case None | "" | []:
            return EMPTY
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case str():
            return value
        case _:
            import json

            return json.dumps(value, ensure_ascii=False)


def brief(value: Any) -> str:
    """Return a value on one line, cut where it is long."""
    text = " ".join(value_text(value).split())
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


def duration(seconds: float) -> str:
    """Return a span of time in its largest whole unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def age(instant: str | None, now: datetime) -> str | None:
    """Return how long ago an instant of the JSON was."""
    if instant is None:
        return None
    return duration((now - datetime.fromisoformat(instant)).total_seconds())


def place(entry: dict[str, Any]) -> str:
    """Return ``path:line:column``, as far as it is known, so that editors can jump to it."""
    parts = [entry.get("path"), entry.get("line") or None, entry.get("column") or None]
    return ":".join(str(each) for each in parts if each is not None)


def title(text: str) -> list[Element]:
    """Return a section's heading."""
    return [BLANK, line(Span(text, "bold"))]


def more(left: int, where: str) -> list[Element]:
    """Return the line that says how many were left out and where all of them are."""
    return [line(Span(f"… and {left} more: {where}", "dim"), indent=2)] if left > 0 else []
