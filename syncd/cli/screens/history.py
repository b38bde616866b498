"""What happened: entries of the audit trail, and a file that was put back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, Final

from syncd.cli.screen import Element, Screen, Span, Style, Table, command, line
from syncd.cli.screens import drift
from syncd.cli.screens.words import brief

Json = dict[str, Any]

_STYLES: Final[dict[str, Style]] = {"create": "green", "restore": "green", "remove": "red", "delete": "red"}
_QUIET: Final = frozenset({"deletedAt", "archivedAt", "createdAt"})
"""Fields that the entry's own word says already."""


def entries(found: Sequence[Json]) -> Screen:
    """Return entries of the audit trail, each with what it set from what to what."""
    if not found:
        return [line("No changes.")]
    screen: list[Element] = []
    for each in found:
        at = each["at"][:19].replace("T", " ") + "Z"
        screen.append(
            line(
                Span(each["id"], "bold"),
                "  ",
                Span(each["op"], _STYLES.get(each["op"], "")),
                Span(f"  version {each['version']}  {at}  {each['actor']} ({each['face']})", "dim"),
                hang=2,
            )
        )
        if rows := tuple(_change(change) for change in each["changes"] if change["field"] not in _QUIET):
            screen.append(Table(rows, indent=4))
    return screen


def undone(found: Json) -> Screen:
    """Return that a file was put back, where its last content is, and what the sync after it did."""
    return [
        line(Span(found["path"], "bold"), " is as it was before syncd's last write to it."),
        line(Span("What it was until now is kept; to take this back:", "dim"), indent=2),
        command(f"syncd undo {shlex.quote(found['path'])}", indent=6),
        *drift.cycle(found["sync"], is_dry=False),
    ]


def _change(change: Json) -> tuple[Span, ...]:
    return Span(change["field"], "dim"), Span(f"{brief(change['from'])} → {brief(change['to'])}")
