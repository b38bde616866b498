"""The queue: its pause, what a card waits for, and events."""

from __future__ import annotations

from typing import Any, Final

from syncd.cli.screen import Screen, Span, Style, line
from syncd.cli.screens.words import brief

Json = dict[str, Any]

_STYLES: Final[dict[str, Style]] = {
    "task.completed": "green",
    "task.failed": "red",
    "task.removed": "red",
    "task.retry": "yellow",
    "task.blocked": "yellow",
    "task.processing": "cyan",
}


def paused(is_paused: bool) -> Screen:
    """Return how the queue stands now."""
    return [line("Paused: no claims until 'syncd backlog resume'." if is_paused else "Resumed.")]


def why(id: str, found: Json) -> Screen:
    """Return what stands between a card and a claim."""
    if found["claimable"]:
        return [line(Span(id, "bold"), " can be claimed now.")]
    return [
        line(Span(id, "bold"), " cannot be claimed:"),
        *(line(each["message"], _until(each), indent=2) for each in found["reasons"]),
    ]


def event(found: Json) -> Screen:
    """Return one event on one line."""
    at = found["at"][:19].replace("T", " ") + "Z"
    change = f"  {found['from'] or '–'} → {found['to']}" if found["to"] else ""
    data = ", ".join(f"{name}={brief(value)}" for name, value in found["data"].items() if value is not None)
    return [
        line(
            Span(f"{found['seq']}  {at}  ", "dim"),
            Span(found["type"], _STYLES.get(found["type"], "")),
            "  ",
            Span(found["id"], "bold"),
            change,
            Span(f"  {found['actor']}" + (f"  {data}" if data else ""), "dim"),
        )
    ]


def _until(reason: Json) -> Span:
    return Span(f"  until {reason['until']}" if reason["until"] else "", "dim")
