"""Whether all is well: the doctor's checks, and what differs between the three sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from syncd.cli.screen import BLANK, Element, Line, Screen, Span, Style, Table, command, line
from syncd.cli.screens.drift import problems
from syncd.cli.screens.words import brief, count, more, place, title

Json = dict[str, Any]

_STYLES: Final[dict[str, Style]] = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red"}
_WORDS: Final = {"ok": "ok", "note": "note", "warning": "warning", "error": "wrong"}
DIFFERENCES_MAX: Final = 20


def checks(found: Sequence[Json]) -> Screen:
    """Return the checks: first what is wrong with its remedy, then what is well."""
    counts = Counter(each["health"] for each in found)
    screen: list[Element] = [_verdict(counts, len(found))]
    for kind in ("error", "warning", "note"):
        for each in found:
            if each["health"] == kind:
                screen += [BLANK, *_trouble(each)]
    well = [each for each in found if each["health"] == "ok"]
    if well:
        rows = tuple(
            (Span(each["name"], "dim"), Span(each["message"], "green" if each["fixed"] else "")) for each in well
        )
        screen += [*title("Well"), Table(rows, indent=2)]
    return screen


def verification(found: Json) -> Screen:
    """Return whether files, base and store agree, and why where they do not."""
    in_files = sum(each["cards"] for each in found["files"])
    sides = f"{count(in_files, 'card')} in files, {found['base']} in the base, {found['store']} in the store"
    if found["agrees"]:
        return [line(Span("They agree", "green"), f": {sides}.")]
    head = count(len(found["differences"]), "difference") if found["differences"] else "not all could be read"
    screen: list[Element] = [line(Span("They do not agree", "red"), f": {head}; {sides}.")]
    if found["unread"]:
        screen += [*title("Cannot be read"), *problems(found["unread"])]
    for each in found["differences"][:DIFFERENCES_MAX]:
        screen += _difference(each)
    return [*screen, *more(len(found["differences"]) - DIFFERENCES_MAX, "syncd verify --json")]


def _verdict(counts: Counter[str], total: int) -> Line:
    if counts["error"]:
        wrong = count(counts["error"], "thing does", "things do")
        rest = f", {count(counts['warning'], 'warning')}" if counts["warning"] else ""
        return line(Span(f"{wrong} not work", "red"), rest)
    if counts["warning"]:
        return line(Span(f"It works, with {count(counts['warning'], 'warning')}", "yellow"))
    notes = f", with {count(counts['note'], 'note')}" if counts["note"] else ""
    return line(Span("All is well", "green"), f": {count(total, 'check')}{notes}")


def _trouble(check: Json) -> list[Element]:
    word = Span(f"{_WORDS[check['health']]}  ", _STYLES[check["health"]])
    screen: list[Element] = [line(word, Span(check["name"], "bold"), f"  {check['message']}", hang=6)]
    if remedy := check["remedy"]:
        screen.append(command(remedy, indent=6) if _is_command(remedy) else line(Span(remedy, "cyan"), indent=6))
    return screen


def _is_command(remedy: str) -> bool:
    return remedy.startswith(("syncd ", "sudo ", "chmod ", "df ", "ls ", "kill ", "systemctl ", "loginctl ", "ulimit "))


def _difference(found: Json) -> list[Element]:
    what = found["field"] or "card"
    at = place(found)
    screen: list[Element] = [BLANK, line(Span(found["id"], "bold"), f"  {what}", Span(f"  {at}" if at else "", "dim"))]
    if found["field"] is not None:
        sides = (("base", found["base"]), ("file", found["local"]), ("store", found["remote"]))
        screen.append(Table(tuple((Span(name, "dim"), Span(brief(value))) for name, value in sides), indent=2))
    screen.append(line(found["because"], indent=2))
    if found["command"]:
        screen.append(command(found["command"], indent=6))
    return screen
