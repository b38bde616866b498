"""What waits for a person: conflicts and holds, each with the command that settles it."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from syncd.cli.screen import BLANK, Element, Line, Screen, Span, Table, command, line
from syncd.cli.screens.words import brief, count, joined, more, value_text

Json = dict[str, Any]

_KEPT: Final = {
    "local": "the file's value stands",
    "remote": "the store's value stands",
    "none": "both sides stay as they are",
}
CARD_FIELD: Final = "*"

BRIEF_MAX: Final = 3
"""Entries that stand for many of their kind."""

_HELD: Final = {"deletions": "deletion", "removed": "removal", "time-travel": "step back"}
"""What one hold of a guard is called, where there are many; others are just holds."""


FIELDS_MAX: Final = 3
"""Fields that are named where several are changed."""

_DEEDS: Final = {
    ("create", False): "adds {what} to the store",
    ("create", True): "writes {what} into {path}",
    ("update", False): "changes {fields} of {what} in the store",
    ("update", True): "changes {fields} of {what} in {path}",
    ("claim", False): "claims {what}",
    ("archive", False): "archives {what}",
    ("remove", False): "deletes {what}",
    ("remove", True): "takes {what} out of {path}",
    ("restore", False): "brings back {what}",
    ("put-back", True): "puts {path} back as it was, with {what}",
}
"""What is done, by its kind and whether it is done in a file."""

_MENDS: Final = {
    "cycle": "take one of the dependencies out of {path}, or",
    "markers": "finish the merge: edit the markers out of {path}, or",
    "emptied": "see why nothing is read: syncd parse --explain {path}; mend it, or",
    "unreadable": "mend {path}, or",
}
"""What ends a hold beside the commands: an edit."""


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
        screen.append(line(Span(each["id"], "bold"), f"  {name}", Span(f"  {stands}{at}", "dim"), indent=2, hang=2))
        sides = (("base", each["base"]), ("file", each["local"]), ("store", each["remote"]))
        screen.append(Table(tuple((Span(side, "dim"), Span(text(value))) for side, value in sides), indent=6))
        if not (is_planned or each.get("settled")):
            screen.append(command(resolve_command(each), indent=6))
    return screen


def away(since: datetime | None) -> Screen:
    """Return what the conflicts do not tell while the database is away."""
    if since is None:
        return []
    said = (
        f"The database is away since {since.astimezone():%Y-%m-%d %H:%M}: what others clashed over since is not here."
    )
    return [BLANK, line(Span(said, "dim"))]


def resolve_command(conflict: Json) -> str:
    """Return the command that settles a conflict, ready for a shell."""
    words = f"{shlex.quote(conflict['id'])} --field {shlex.quote(conflict['field'])}"
    other = "" if conflict["field"] == CARD_FIELD else "|value:TEXT"
    return f"syncd resolve {words} --use local|remote{other}"


def resolved(cards: int, records: int) -> Screen:
    """Return how many cards and parts of missions had conflicts that are settled now."""
    said = [count(number, noun) for number, noun in ((cards, "card"), (records, "mission record")) if number]
    return [line(f"Settled the conflicts of {' and '.join(said)}." if said else "No conflicts.")]


def by_rule(entries: Sequence[Json]) -> Screen:
    """Return conflicts that need no hand, because a rule says which value stands: their number and the first few."""
    if not entries:
        return []
    heading = f"{count(len(entries), 'conflict')}, settled by rule: syncd conflicts"
    rows = []
    for each in entries[:BRIEF_MAX]:
        value = each[each["winner"]]
        name = "deleted or edited" if each["field"] == CARD_FIELD else each["field"]
        rows.append((Span(each["id"], "bold"), Span(name), Span(_KEPT[each["winner"]], "dim"), Span(brief(value))))
    return [BLANK, line(heading), Table(tuple(rows), indent=2)]


def held(entries: Sequence[Json], *, most: int | None = None) -> Screen:
    """Return holds: what is kept back, why, and how to release or undo it; many of one kind together.

    Args:
        most: how many groups are shown at most.
    """
    if not entries:
        return [line("Nothing is held.")]
    groups = hold_groups(entries)
    screen: list[Element] = []
    for group in groups[:most]:
        screen.append(_hold_heading(group))
        first = group[0]
        if len(group) > 1:
            chosen = f" {shlex.quote(first['path'])}" if len(groups) > 1 else ""
            screen.append(line(_first_ids(group), indent=6))
            screen += _ways(group, f"syncd accept{chosen}", f"syncd reject{chosen}")
            screen.append(line("one alone: ", Span(first["release"], "cyan"), indent=6))
        else:
            if mend := _MENDS.get(first["guard"]):
                screen.append(line(mend.format(path=first["path"]), indent=6))
            screen += _ways(group, first["release"], f"syncd reject {shlex.quote(first['id'])}")
    return [*screen, *more(sum(map(len, groups[most:])) if most is not None else 0, "syncd held")]


def _ways(group: Sequence[Json], accept: str, reject: str) -> Iterator[Element]:
    """Yield the commands that end these holds, each with what it will do."""
    ways = [(word, [each[side] for each in group]) for word, side in ((accept, "accepting"), (reject, "rejecting"))]
    alone = group[0]["id"] if len(group) == 1 and group[0]["id"] != group[0]["path"] else None
    rows = [(Span(word, "cyan"), Span(_deeds_text(told, alone))) for word, told in ways if None not in told]
    if rows:
        yield Table(tuple(rows), indent=6)
    else:
        yield command(accept, indent=6)


def _deeds_text(told: Sequence[Sequence[Json]], alone: str | None) -> str:
    """Return what deciding about several holds does, in numbers; ``alone`` is the card where it is about one."""
    counts: Counter[tuple[str, str, str | None]] = Counter()
    fields: dict[tuple[str, str, str | None], dict[str, None]] = defaultdict(dict)
    for deed in (each for deeds in told for each in deeds):
        key = (deed["kind"], deed["noun"], deed["path"])
        counts[key] += deed["count"]
        fields[key] |= dict.fromkeys(name for name in deed["fields"] if name != "extra.statusWord")
    said = []
    for (kind, noun, path), number in counts.items():
        what = alone if alone is not None and number == 1 else count(number, noun)
        names = [*fields[kind, noun, path]]
        which = joined(names) if len(names) <= FIELDS_MAX else f"{len(names)} fields"
        said.append(_DEEDS[kind, path is not None].format(what=what, path=path, fields=which))
    return joined(said) or "changes nothing"


def hold_groups(entries: Sequence[Json]) -> list[list[Json]]:
    """Return holds together that one guard has on cards of one file, where 'accept FILE' speaks of just them."""
    guards_of: dict[str | None, set[str]] = defaultdict(set)
    for each in entries:
        guards_of[each["path"]].add(each["guard"])
    groups: dict[Any, list[Json]] = {}
    for at, each in enumerate(entries):
        path = each["path"]
        is_alone = path is None or len(guards_of[path]) > 1 or not each["release"].startswith("syncd accept")
        groups.setdefault(at if is_alone else path, []).append(each)
    return list(groups.values())


def _hold_heading(group: Sequence[Json]) -> Line:
    first = group[0]
    if len(group) == 1:
        return line(
            Span(first["id"], "bold"), Span(f"  {first['guard']}", "yellow"), f"  {first['reason']}", indent=2, hang=2
        )
    others = len({each["reason"] for each in group}) - 1
    why = f"  {first['reason']}" + (f", and {count(others, 'other reason')}" if others else "")
    what = count(len(group), _HELD.get(first["guard"], "hold"))
    return line(
        Span(f"{what} in {first['path']}", "bold"), Span(f"  {first['guard']}", "yellow"), why, indent=2, hang=2
    )


def _first_ids(group: Sequence[Json]) -> str:
    """Return the ids of a group, the first few by name."""
    shown = ", ".join(each["id"] for each in group[:BRIEF_MAX])
    return shown + (f", … and {len(group) - BRIEF_MAX:,} more" if len(group) > BRIEF_MAX else "")


def decided(word: str, entries: Sequence[Json]) -> Screen:
    """Return what was accepted or rejected."""
    if not entries:
        return [line("Nothing is held.")]
    screen: list[Element] = [line(f"{word} {count(len(entries), 'hold')}.")]
    for group in hold_groups(entries):
        screen.append(_hold_heading(group))
        if len(group) > 1:
            screen.append(line(_first_ids(group), indent=6))
    return screen
