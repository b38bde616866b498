"""Missions: how far they are, what contradicts itself, who works on them, and what is next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from syncd.cli.screen import BLANK, Element, Screen, Span, Style, Table, command, line
from syncd.cli.screens.words import EMPTY, age, brief, count, title

Json = dict[str, Any]

_COLOURS: Final[dict[str, Style]] = {"running": "green", "stale": "yellow", "dead": "red", "ended": "dim"}


def missions(found: Sequence[Json]) -> Screen:
    """Return one line for each mission."""
    if not found:
        return [line("There is no mission yet."), command('syncd mission init --name "…"', indent=6)]
    rows = [
        (
            Span(each["id"], "bold"),
            Span(each["status"] or EMPTY),
            Span(_progress(each["cards"])),
            Span(_alive(each["sessions"]), "dim"),
            Span(brief(each["name"] or "")),
        )
        for each in found
    ]
    return [Table(tuple(rows), ("mission", "status", "cards", "sessions", "name"))]


def status(mission: Json, now: datetime) -> Screen:
    """Return how a mission is, milestone by milestone."""
    head = line(Span(mission["id"], "bold"), f"  {mission['status'] or EMPTY}  {_progress(mission['cards'])}")
    screen: list[Element] = [head]
    if mission["name"] and mission["name"] != mission["id"]:
        screen.append(line(mission["name"]))
    rows = [
        (
            Span(each["id"], "bold"),
            Span(each["status"] or EMPTY, "" if each["agrees"] else "yellow"),
            Span(_progress(each["cards"])),
            Span(brief(each["name"] or "")),
        )
        for each in mission["milestones"]
    ]
    if rows:
        screen += [BLANK, Table(tuple(rows), ("milestone", "status", "cards", "name"))]
    wrong = [each for each in mission["milestones"] if not each["agrees"]]
    if wrong:
        screen += title("Contradictions")
        for each in wrong:
            screen.append(line(Span(each["id"], "yellow"), f"  {each['drift']}", indent=2))
            if each["cards"]["done"] == each["cards"]["total"]:
                screen.append(command(f"syncd mission milestone complete {shlex.quote(each['id'])}", indent=6))
    open_ones = [each for each in mission["sessions"] if each["state"] != "ended"]
    if open_ones:
        screen += [*title("Sessions"), *sessions(open_ones, now)]
    return screen


def sessions(found: Sequence[Json], now: datetime) -> Screen:
    """Return one line for each session."""
    if not found:
        return [line("There are no sessions.")]
    rows = []
    for each in found:
        where = f"{each['pid']} on {each['host']}" if each["pid"] else each["host"] or EMPTY
        heard = age(each["endedAt"] or each["seenAt"], now)
        last = f"ended {heard} ago: {each['endedReason']}" if each["endedAt"] else f"heard of {heard} ago"
        rows.append(
            (
                Span(each["id"], "bold"),
                Span(each["state"], _COLOURS[each["state"]]),
                Span(each["runtime"] or EMPTY),
                Span(where, "dim"),
                Span(each["milestone"] or EMPTY),
                Span(last, "dim"),
            )
        )
    screen: list[Element] = [Table(tuple(rows), ("session", "state", "runtime", "process", "milestone", ""))]
    if any(each["state"] == "dead" for each in found):
        screen.append(command("syncd mission session end ID", indent=6))
    return screen


def session(found: Json, now: datetime) -> Screen:
    """Return one session."""
    return sessions([found], now)


def next_card(found: Json) -> Screen:
    """Return what is next, or why nothing is."""
    done = f"{found['progress']['done']} of {count(found['progress']['total'], 'card')} done"
    card = found["card"]
    if card is not None:
        milestone = found["milestone"]
        where = f"  {milestone['id']}" if milestone else ""
        screen: list[Element] = [
            line(Span(card["id"], "bold"), f"  {card['title']}", Span(f"{where}  {done}", "dim")),
            command(f"syncd backlog claim --id {shlex.quote(card['id'])} --owner NAME", indent=6),
        ]
    else:
        screen = [_outlook(found["state"], done)]
        rows = [(Span(each["id"], "bold"), Span(each["reason"])) for each in found["reasons"]]
        screen += [Table(tuple(rows), indent=2)] if rows else []
    if found["capsule"]:
        screen.append(line(Span(f"written to {found['capsule']}", "dim"), indent=2))
    return screen


def _outlook(state: str, done: str) -> Element:
    match state:
        case "done":
            return line(Span("All done", "green"), f": {done}.")
        case "waiting":
            return line(Span("Nothing to claim now", "bold"), f": {done}; others are at work.")
        case _:
            return line(Span("Deadlock", "red"), f": {done}, and nothing that is left can be claimed.")


def _progress(cards: Json) -> str:
    return f"{cards['done']}/{cards['total']}"


def _alive(found: Sequence[Json]) -> str:
    running = sum(each["state"] == "running" for each in found)
    return f"{running} running" if running else EMPTY
