"""How files and store stand to each other: ``status``, ``diff``, ``sync``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, Final

from syncd.cli.screen import BLANK, Element, Line, Screen, Span, Style, Table, command, line
from syncd.cli.screens import decisions
from syncd.cli.screens.words import age, brief, count, duration, joined, more, place, title, value_text

Json = dict[str, Any]

SHOWN_MAX: Final = 5
"""Entries of one kind on the status screen: what five seconds can take in."""

COPIES_MAX: Final = 20
LONG_GONE_DAYS: Final = 90
"""A working copy that was not heard of for so long is one to forget."""

_WAY: Final = {"to-store": "file → store", "to-file": "store → file", "conflict": "conflict", "held": "held"}

_WORD: Final = "extra.statusWord"

_SIGNS: Final = {"new": "+", "gone": "-"}
_COLOURS: Final[dict[str, Style]] = {"+": "green", "new": "green", "-": "red", "gone": "red"}


def status(report: Json, now: datetime) -> Screen:
    """Return the drift report: in sync or not and why, what needs a hand, and a quiet line of counts."""
    clashes = partial(decisions.conflicts, text=brief)
    undecided, ruled = _parted(_open(report["conflicts"]))
    drift, problems_left = _settled(report), _without_twins(report)
    report = {**report, "drift": _without_words(drift), "problems": problems_left}
    return [
        _headline(report, now),
        *_store_away(report["store"]),
        *_paused(report),
        *_daemon_failing(report["daemon"]),
        *_held(report["held"]),
        *_section("Problems", problems, report["problems"], "syncd status --json"),
        *_waiting(report),
        *_section("Conflicts", clashes, undecided, "syncd conflicts"),
        *decisions.by_rule(ruled),
        *_missions(report["missions"]),
        BLANK,
        _counts(report, now),
    ]


def _settled(report: Json) -> list[Json]:
    """Leave out what went from files that still settle: nothing of it goes anywhere before."""
    unsettled = {each["path"] for each in report["waits"]}
    return [each for each in report["drift"] if each["direction"] != "to-store" or each["path"] not in unsettled]


def _without_twins(report: Json) -> list[Json]:
    """Leave out the rows that stand twice because a merge is not finished: no other id would be right for them."""
    merging = {each["path"] for each in report["held"] if each["guard"] == "markers"}
    return [each for each in report["problems"] if each["code"] != "duplicate-id" or each["path"] not in merging]


def _without_words(entries: Sequence[Json]) -> list[Json]:
    """Leave out an author's own word for a state where the state itself is shown: it says the same twice."""
    states = {each["id"] for each in entries if each["field"] == "status"}
    return [each for each in entries if each["field"] != _WORD or each["id"] not in states]


def overview(found: Sequence[Json], now: datetime) -> Screen:
    """Return one line for each workspace: first those that need a hand, each with where to look."""
    if not found:
        return [line("No workspaces are known."), command("syncd init", indent=6)]
    calm = [each for each in found if each.get("inSync")]
    needy = [each for each in found if not each.get("inSync")]
    head = f"{len(calm)} of {count(len(found), 'workspace')} in sync"
    screen: list[Element] = [line(Span(head, "green" if not needy else "red"))]
    for each in needy:
        why = each["error"]["message"] if "error" in each else _headline(each, now).spans[-1].text.removeprefix(": ")
        screen += [BLANK, line(Span(each["workspace"], "bold"), f"  {why}", indent=2)]
        screen.append(command(f"syncd -C {shlex.quote(each['workspace'])} status", indent=6))
    if calm:
        rows = tuple((Span(each["workspace"], "bold"), Span(_who_syncs(each), "dim")) for each in calm)
        screen += [*title("In sync"), Table(rows, indent=2)]
    return [*screen, *_elsewhere(found, now)]


def _elsewhere(found: Sequence[Json], now: datetime) -> Screen:
    """Return the working copies of the same projects that are none of these workspaces, those gone long last."""
    here = {each.get("replica") for each in found}
    others = {
        copy["replica"]: (each["project"], copy)
        for each in found
        for copy in each.get("replicas") or ()
        if copy["replica"] not in here
    }
    if not others:
        return []
    told = sorted(others.values(), key=lambda each: each[1]["lastSeenAt"], reverse=True)
    rows = tuple(
        (
            Span(project, "bold"),
            Span(f"{copy['host']}:{copy['path']}"),
            Span(f"seen {age(copy['lastSeenAt'], now)} ago", "dim"),
        )
        for project, copy in told[:COPIES_MAX]
    )
    screen: list[Element] = [*title("Other working copies"), Table(rows, indent=2)]
    screen += more(len(told) - COPIES_MAX, "syncd status --all --json")
    if any((now - datetime.fromisoformat(copy["lastSeenAt"])).days >= LONG_GONE_DAYS for _, copy in told):
        screen += [line(Span("those that are gone for good are forgotten by", "dim"), indent=6)]
        screen += [command(f"syncd db prune --days {LONG_GONE_DAYS}", indent=6)]
    return screen


def _who_syncs(report: Json) -> str:
    cards = count(report["cards"]["total"], "card")
    return f"{cards}, {'daemon ' + report['mode'] if report['daemon']['running'] else 'no daemon'}"


def diff(entries: Sequence[Json], unread: Sequence[Json] = ()) -> Screen:
    """Return the drift card by card, field by field; ``-`` is what goes, ``+`` is what comes.

    Args:
        unread: the problems of files that cannot be read, whose differences nobody knows.
    """
    screen: list[Element] = [line(Span("Cannot be read", "bold")), *problems(unread)] if unread else []
    entries = _without_words(entries)
    if not entries:
        return screen or [line("No differences.")]
    if screen:
        screen.append(BLANK)
    for _, group in groupby(entries, key=lambda each: each["id"]):
        fields = list(group)
        first = fields[0]
        at = place(first)
        screen += [line(Span(first["id"], "bold"), Span(f"  {at}" if at else "", "dim"))]
        for entry in fields:
            screen += _difference(entry)
        screen.append(BLANK)
    return screen[:-1]


def cycle(report: Json, *, is_dry: bool, most: int | None = None) -> Screen:
    """Return what a cycle did, or what it would do.

    Args:
        most: how many changes are shown; else all of a plan, and the first of what was done.
    """
    sides = (("to the store", report["toStore"]), ("to the files", report["toFile"]))
    parts = [f"{count(len(made), 'change')} {side}" for side, made in sides if made]
    done = ("Would make " if is_dry else "Made ") + joined(parts) if parts else "Nothing to do"
    screen: list[Element] = [line(Span(done + ".", "bold" if parts else ""))]
    changes = [("file → store", each) for each in report["toStore"]]
    changes += [("store → file", each) for each in report["toFile"]]
    if changes:
        shown = changes[: most or (len(changes) if is_dry else 2 * SHOWN_MAX)]
        screen.append(Table(tuple(_change_row(way, each) for way, each in shown), indent=2))
        where = "syncd sync --dry-run" if most else "syncd sync --json shows all of a cycle"
        screen += more(len(changes) - len(shown), where)
    clashes = partial(decisions.conflicts, text=brief, is_planned=is_dry)
    screen += _section("Conflicts", clashes, report["conflicts"], "syncd conflicts")
    screen += _held(report["held"])
    screen += _section("Problems", problems, report["problems"], "syncd status")
    return screen


def problems(entries: Sequence[Json]) -> Screen:
    """Return the problems of files, each with its place and what to do."""
    screen: list[Element] = []
    for each in entries:
        screen.append(line(Span(place(each), "yellow"), f"  {each['message']}", indent=2, hang=2))
        if each["hint"]:
            screen.append(line(Span(each["hint"], "dim"), indent=6))
    return screen


def _headline(report: Json, now: datetime) -> Line:
    """Return the first line: in sync or not, and why."""
    ways = Counter(each["direction"] for each in report["drift"])
    why = []
    store = report["store"]
    if not store["reachable"]:
        since = age(store.get("since"), now)
        away = f"the store has not answered for {since}" if since else "the store does not answer"
        why.append(away if report["mode"] == "offline" else "the store cannot be used")
    if report["daemon"].get("busy"):
        why.append("the daemon is busy")
    if ways["to-store"]:
        why.append(f"{count(ways['to-store'], 'edit')} {_wait(ways['to-store'])} for the store")
    if ways["to-file"]:
        why.append(f"{count(ways['to-file'], 'change')} {_wait(ways['to-file'])} for the files")
    clashes = max(len(_open(report["conflicts"])), ways["conflict"])
    if clashes:
        why.append(count(clashes, "conflict"))
    if held := len(report["held"]):
        why.append(f"{held} held")
    if broken := len(report["problems"]):
        why.append(count(broken, "problem"))
    if unsettled := len(report["waits"]):
        why.append(f"{count(unsettled, 'file')} to be looked at again")
    if report["inSync"]:
        rest = f", with {joined(why)}" if why else ""
        return line(Span("In sync", "yellow" if unsettled else "green"), rest)
    return line(Span("Not in sync", "red"), f": {', '.join(why)}" if why else "")


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def _open(conflicts: Sequence[Json]) -> list[Json]:
    return [each for each in conflicts if not each.get("settled")]


def _parted(conflicts: Sequence[Json]) -> tuple[list[Json], list[Json]]:
    """Return the conflicts in which neither side stands, and those that a rule has settled for now."""
    undecided = [each for each in conflicts if each["winner"] == "none"]
    return undecided, [each for each in conflicts if each["winner"] != "none"]


def _held(entries: Sequence[Json]) -> list[Element]:
    return [*title("Held"), *decisions.held(entries, most=SHOWN_MAX)] if entries else []


def _store_away(store: Json) -> list[Element]:
    """Return why the store does not answer."""
    if store["reachable"]:
        return []
    screen: list[Element] = [*title(f"Store ({store['kind']})")]
    if store.get("error"):
        screen.append(line(store["error"], indent=2))
    if store.get("hint"):
        screen.append(line(Span(store["hint"], "cyan"), indent=6))
    return screen


def _paused(report: Json) -> list[Element]:
    """Return that nobody is given a card, which a person who waits for one wonders about."""
    if not report.get("paused"):
        return []
    return [
        *title("Queue"),
        line("paused: nobody is given a card", indent=2),
        command("syncd backlog resume", indent=6),
    ]


def _daemon_failing(daemon: Json) -> list[Element]:
    """Return why the daemon's last cycle failed; it tries again by itself.  Or that it had no time to look."""
    if daemon.get("busy"):
        return [*title("Daemon"), line("it is busy; what was last known is shown", indent=2)]
    error = daemon.get("error")
    return [*title("Daemon"), line(f"its last cycle failed: {error}", indent=2)] if error else []


def _waiting(report: Json) -> list[Element]:
    """Return the edits and changes that only wait for a cycle, a clash that it will settle included."""
    waiting = [each for each in report["drift"] if each["direction"] != "held"]
    files = [element for each in report["waits"] for element in _wait_lines(each)]
    if not waiting:
        return [*title("Waiting"), *files] if files else []
    rows = tuple(_drift_row(each) for each in waiting[:SHOWN_MAX])
    screen: list[Element] = [*title("Waiting"), Table(rows, indent=2)]
    screen += more(len(waiting) - SHOWN_MAX, "syncd diff")
    screen += files
    if report["daemon"]["running"]:
        screen.append(line(Span("the daemon carries them over", "dim"), indent=6))
    elif report["store"]["reachable"]:
        screen.append(command("syncd sync", indent=6))
    return screen


def _wait_lines(wait: Json) -> Iterator[Element]:
    """Yield a file that is looked at again by itself; what becomes of it then, where there is a choice."""
    left_s = f" ({duration(wait['retryMs'] / 1000)} more)" if wait.get("hint") else ""
    yield line(Span(wait["path"], "yellow"), f"  {wait['reason']}{left_s}", indent=2, hang=2)
    if wait.get("hint"):
        yield line(wait["hint"], indent=6)


def _drift_row(entry: Json) -> tuple[Span, ...]:
    was, becomes = _sides(entry)
    if entry["field"] is None:
        what = Span("card")
        change = Span(_card_word(entry))
    else:
        what = Span(entry["field"])
        between = "→" if entry["direction"] != "conflict" else "against the store's"
        change = Span(f"{brief(was)} {between} {brief(becomes)}")
    way = Span(_WAY[entry["direction"]], "dim")
    return Span(entry["id"], "bold"), what, way, Span(place(entry), "dim"), change


def _card_word(entry: Json) -> str:
    """Return what became of a card that one side does not show; the file shows it where it has a line."""
    is_in_file = entry["line"] is not None
    match entry["direction"]:
        case "to-store":
            return "new" if is_in_file else "gone"
        case "to-file":
            return "gone" if is_in_file else "new"
        case _:
            return "only in the file" if is_in_file else "only in the store"


def _sides(entry: Json) -> tuple[Any, Any]:
    """Return the value that goes and the value that comes."""
    if entry["direction"] == "to-store":
        return entry["remote"], entry["local"]
    return entry["local"], entry["remote"]


def _difference(entry: Json) -> Iterator[Element]:
    """Yield one field's difference."""
    way = Span(_WAY[entry["direction"]], "dim")
    if entry["direction"] in ("conflict", "held") and entry["field"] is not None:
        yield line(f"{entry['field']}  ", way, indent=2)
        sides = (("base", entry["base"]), ("file", entry["local"]), ("store", entry["remote"]))
        yield Table(tuple((Span(name, "dim"), Span(brief(value))) for name, value in sides), indent=4)
        return
    if entry["field"] is None:
        word = _card_word(entry)
        yield line(Span(f"{_SIGNS.get(word, ' ')} card is {word}  ", _COLOURS.get(word, "")), way, indent=2)
        return
    was, becomes = _sides(entry)
    yield line(f"{entry['field']}  ", way, indent=2)
    for sign, text in _lines_of(was, becomes):
        yield line(Span(f"{sign} {text}", _COLOURS.get(sign, "dim")), indent=4)


def _lines_of(was: Any, becomes: Any) -> Iterator[tuple[str, str]]:
    """Yield the lines that go and come; of long text only those that differ and one around them."""
    before, after = value_text(was).split("\n"), value_text(becomes).split("\n")
    if len(before) == len(after) == 1:
        yield "-", before[0]
        yield "+", after[0]
        return
    from difflib import unified_diff

    for each in list(unified_diff(before, after, n=1, lineterm=""))[2:]:
        if not each.startswith("@@"):
            yield each[0], each[1:]


def _change_row(way: str, change: Json) -> tuple[Span, ...]:
    is_edit = change["kind"] in ("update", "claim")
    fields = [f"{name} {brief(value)}" for name, value in change["fields"].items()]
    what = ", ".join(fields) if is_edit else brief(change["fields"].get("title", ""))
    return Span(change["id"], "bold"), Span(change["kind"]), Span(way, "dim"), Span(what)


def _section(name: str, draw: Callable[[Sequence[Json]], Screen], entries: Sequence[Json], where: str) -> list[Element]:
    """Return a section of the first entries, or nothing."""
    if not entries:
        return []
    return [*title(name), *draw(entries[:SHOWN_MAX]), *more(len(entries) - SHOWN_MAX, where)]


def _missions(missions: Sequence[Json]) -> list[Element]:
    """Return the milestones whose state and cards disagree; of several missions each is named."""
    found = [(mission, each) for mission in missions for each in mission["milestones"] if not each["agrees"]]
    if not found:
        return []
    screen: list[Element] = [*title("Mission")]
    for mission, each in found[:SHOWN_MAX]:
        cards = each["cards"]
        whose = f"{mission['id']}: " if len(missions) > 1 else ""
        said = f"{whose}{each['id']} says {each['status'] or 'nothing'}, but {cards['done']} of "
        said += f"{count(cards['total'], 'card')} "
        screen.append(line(said + ("is done" if cards["done"] == 1 else "are done"), indent=2))
    return [*screen, *more(len(found) - SHOWN_MAX, "syncd mission status")]


def _counts(report: Json, now: datetime) -> Line:
    """Return the quiet last line."""
    cards, store, daemon = report["cards"], report["store"], report["daemon"]
    states = ", ".join(f"{cards[name]} {name}" for name in ("ready", "claimed", "blocked", "done") if cards.get(name))
    parts = [count(cards["total"], "card") + (f" ({states})" if states else "")]
    version = f" {store['serverVersion']}" if store.get("serverVersion") else ""
    state = "away" if not store["reachable"] else "in .syncd/" if store["kind"] == "flatfile" else "answers"
    parts.append(f"{store['kind']}{version}, {state}")
    if daemon["running"]:
        last = age(daemon.get("lastCycleAt"), now)
        took = f" in {daemon['lastCycleMs']:.1f} ms" if daemon.get("lastCycleMs") is not None else ""
        parts.append(f"daemon {daemon['pid']} ({report['mode']}" + (f", cycle {last} ago{took})" if last else ")"))
    else:
        parts.append("no daemon")
    return line(Span(" · ".join(parts), "dim"))
