"""What waits for a person: conflicts and holds, each with the command that settles it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final

from syncd.cli.screen import Element, Screen, Span, Table, command, line
from syncd.cli.screens.words import count, value_text

Json = dict[str, Any]

_KEPT: Final = {
    "local": "the file's value stands",
    "remote": "the store's value stands",
    "none": "both sides stay as they are",
}
CARD_FIELD: Final = "*"


def conflicts(entries: Sequence[Json], *, text: Callable[[Any], str] = value_text, is_planned: bool = False) -> Screen:
    """Return conflicts: both values, which one stands, and how to settle it.

    Args:
        text: how a value is written; ``words.brief`` where space is short.
        is_planned: nothing of it is recorded yet, so nothing can be settled.
    """
    if not entries:
        return [line("No conflicts.")]
    screen: list[Element] = []
    for each in entries:
        is_card = each["field"] == CARD_FIELD
        name = "deleted on one side, edited on the other" if is_card else each["field"]
        stands = f"settled: {each['settled']}" if each.get("settled") else _KEPT[each["winner"]]
        at = f"  {each['at'][:16].replace('T', ' ')}Z" if each.get("at") else ""
        screen.append(line(Span(each["id"], "bold"), f"  {name}", Span(f"  {stands}{at}", "dim"), indent=2))
        sides = (("base", each["base"]), ("file", each["local"]), ("store", each["remote"]))
        screen.append(Table(tuple((Span(side, "dim"), Span(text(value))) for side, value in sides), indent=6))
        if not (is_planned or each.get("settled")):
            screen.append(command(resolve_command(each), indent=6))
    return screen


def resolve_command(conflict: Json) -> str:
    """Return the command that settles a conflict, ready for a shell."""
    words = f"{shlex.quote(conflict['id'])} --field {shlex.quote(conflict['field'])}"
    return f"syncd resolve {words} --use local|remote|value:TEXT"


def held(entries: Sequence[Json]) -> Screen:
    """Return holds: what is kept back, why, and how to release or undo it."""
    if not entries:
        return [line("Nothing is held.")]
    screen: list[Element] = []
    for each in entries:
        screen.append(
            line(Span(each["id"], "bold"), Span(f"  {each['guard']}", "yellow"), f"  {each['reason']}", indent=2)
        )
        screen.append(command(each["release"], indent=6))
        screen.append(command(f"syncd reject {shlex.quote(each['id'])}", indent=6))
    return screen


def decided(word: str, entries: Sequence[Json]) -> Screen:
    """Return what was accepted or rejected."""
    if not entries:
        return [line("Nothing is held.")]
    rows = tuple((Span(each["id"], "bold"), Span(each["guard"]), Span(each["reason"])) for each in entries)
    return [line(f"{word} {count(len(entries), 'hold')}."), Table(rows, indent=2)]
