"""Workers: who is there, and what a drain or a kill reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from syncd.cli.screen import Screen, Span, Style, Table, line
from syncd.cli.screens.words import count, duration, joined

Json = dict[str, Any]

_STYLES: Final[dict[str, Style]] = {"running": "green", "draining": "cyan", "stale": "yellow", "dead": "red"}


def workers(found: Sequence[Json], unheard: Mapping[str, Sequence[str]] | None) -> Screen:
    """Return a table of workers.

    Args:
        unheard: who held which cards when the database was last heard; ``None`` while it answers.
    """
    if unheard is None:
        return _table(found) if found else [line("Nobody works. syncd work --owner W -- CMD")]
    held = [f"{', '.join(ids)} by {owner}" for owner, ids in unheard.items()]
    told = [line(Span("The database is away: workers on other hosts are not heard of.", "yellow"))]
    if held:
        told.append(line(f"Held when it was last heard: {'; '.join(held)}."))
    return [*(_table(found) if found else [line("Nobody works on this machine.")]), *told]


def _table(found: Sequence[Json]) -> Screen:
    header = ("OWNER", "STATE", "HOST", "PID", "HEARD OF", "CARDS")
    rows = tuple(
        (
            Span(each["owner"], "bold"),
            Span(each["state"], _STYLES[each["state"]]),
            Span(each["host"]),
            Span(str(each["pid"])),
            Span(f"{duration(each['ageSeconds'])} ago"),
            Span(_cards(each)),
        )
        for each in found
    )
    return [Table(rows, header)]


def drained(found: Sequence[Json]) -> Screen:
    """Return who was told to finish and end."""
    if not found:
        return [line("Nobody works.")]
    return [line("Draining ", Span(each["owner"], "bold"), f" on {each['host']}: {_cards(each)}") for each in found]


def killed(found: Sequence[Json], id: str | None) -> Screen:
    """Return what a kill ended."""
    if not found:
        return [line(f"{id} is not claimed: nothing runs for it." if id else "Nobody works.")]
    return [line(*_killed(each)) for each in found]


def _killed(found: Json) -> list[Span | str]:
    cards = joined(found["cards"]) or "no card"
    place = f" on {found['host']}" if found["host"] else ""
    pid = f" (process {found['pid']})" if found["pid"] else ""
    if found["ended"]:
        return ["Ended ", Span(cards, "bold"), f" of {found['owner']}{place}{pid}"]
    still = Span(f"{found['owner']}{place}{pid} was told and has not ended yet: syncd workers", "yellow")
    return [Span(f"{cards}: ", "bold"), still]


def _cards(found: Json) -> str:
    ids = [each["id"] for each in found["cards"]]
    return f"{count(len(ids), 'card')} of {found['concurrency']}" + (f": {', '.join(ids)}" if ids else "")
