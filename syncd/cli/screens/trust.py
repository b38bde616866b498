"""Where events go, and whether they may."""

from __future__ import annotations

from typing import Any

from syncd.cli.screen import Screen, Span, Table, line

Json = dict[str, Any]


def outlets(found: Json) -> Screen:
    """Return where the settings send events."""
    if not found["events"]:
        return [line("The settings send no events anywhere.")]
    rows = tuple(
        (Span(each["kind"], "dim"), Span(each["target"], "bold"), Span(", ".join(each["on"]), "dim"))
        for each in found["events"]
    )
    return [Table(rows, ("KIND", "WHERE", "WHICH EVENTS"))]


def trusted(found: Json) -> Screen:
    """Return whether events may go there."""
    word = "The daemon sends events there." if found["trusted"] else "The daemon sends nothing."
    return [*outlets(found), *([line(word)] if found["events"] else [])]
