"""Cards: one, many, what happened to one, and the counts of the queue."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, Final

from syncd.cli.screen import BLANK, Element, Screen, Span, Style, Table, line
from syncd.cli.screens.words import count, duration, place, value_text

Json = dict[str, Any]

_STYLES: Final[dict[str, Style]] = {"ready": "", "claimed": "cyan", "blocked": "yellow", "done": "green"}


def cards(found: Sequence[Json], *, next_page: str | None = None) -> Screen:
    """Return a table of cards; ``next_page`` is the id that the next page goes on after."""
    if not found:
        return [line("No cards.")]
    has_owner = any(each["claimOwner"] for each in found)
    has_phase = any(each["phase"] for each in found)
    header = ("ID", "STATUS", "PRIO", *(["PHASE"] if has_phase else []), *(["OWNER"] if has_owner else []), "TITLE")
    rows = []
    for each in found:
        row = [Span(each["id"], "bold"), _state(each), Span(str(each["priority"]))]
        row += [Span(each["phase"] or "")] if has_phase else []
        row += [Span(each["claimOwner"] or "")] if has_owner else []
        rows.append((*row, Span(each["title"])))
    screen: list[Element] = [Table(tuple(rows), header)]
    if next_page:
        screen.append(line(Span(f"more: syncd backlog list --cursor {shlex.quote(next_page)} …", "dim")))
    return screen


def card(found: Json) -> Screen:
    """Return one card with all that is known of it."""
    facts = [
        ("status", _status_text(found)),
        ("phase", found["phase"]),
        ("priority", str(found["priority"])),
        ("depends on", ", ".join(found["dependsOn"]) or None),
        ("claimed by", _claim_text(found)),
        ("attempts", str(found["attempts"]) if found["attempts"] else None),
        ("last error", found["lastError"]),
        *((f"extra.{key}", value_text(value)) for key, value in found["extra"].items()),
        ("where", place(found) or None),
        ("project", found["project"]),
        ("version", str(found["version"])),
        ("created", found["createdAt"]),
        ("updated", found["updatedAt"]),
    ]
    rows = tuple((Span(name, "dim"), Span(text)) for name, text in facts if text)
    screen: list[Element] = [line(Span(found["id"], "bold"), f"  {found['title']}"), Table(rows)]
    if found["acceptance"]:
        criteria = found["acceptance"]
        texts = criteria if isinstance(criteria, list) else [criteria]
        screen += [BLANK, line(Span("acceptance", "dim"))]
        screen += [line(f"- {value_text(each)}", indent=2) for each in texts]
    if found["body"]:
        screen += [BLANK, *(line(each) for each in found["body"].split("\n"))]
    return screen


def changed(word: str, found: Json, *, is_deleted: bool = False) -> Screen:
    """Return one line about a card that a command changed."""
    state = "deleted" if is_deleted else _status_text(found)
    return [line(f"{word} ", Span(found["id"], "bold"), f"  {found['title']}  ", _dim(state))]


def created(number: int) -> Screen:
    """Return how many cards were made."""
    return [line(f"Created {count(number, 'card')}.")]


def claimed(found: Sequence[Json]) -> Screen:
    """Return what was claimed."""
    if not found:
        return [line("Nothing to claim.")]
    return [
        line("Claimed ", Span(each["id"], "bold"), f"  {each['title']}  ", _dim(f"attempt {each['attempts']}"))
        for each in found
    ]


def reclaimed(ids: Sequence[str]) -> Screen:
    """Return which leases went back."""
    return [line(f"Reclaimed {', '.join(ids)}." if ids else "No lease has expired.")]


def stats(found: Json) -> Screen:
    """Return the counts of the queue."""
    counts = ", ".join(f"{number} {name}" for name, number in found["counts"].items())
    queue = ", ".join(f"{number} {name}" for name, number in found["queue"].items())
    screen: list[Element] = [line(f"{count(found['total'], 'card')}: {counts}"), line(f"Queue: {queue}")]
    if found["oldestReadyAgeSeconds"] is not None:
        screen.append(line(f"The oldest ready card waits for {duration(found['oldestReadyAgeSeconds'])}."))
    if found["expiredClaimCount"]:
        screen.append(
            line(
                Span(
                    f"{count(found['expiredClaimCount'], 'lease has', 'leases have')} expired: syncd backlog reclaim",
                    "yellow",
                )
            )
        )
    if found["paused"]:
        screen.append(line(Span("Paused: no claims.", "yellow")))
    return screen


def _state(found: Json) -> Span:
    """Return the state; a card that is ready and yet waits for others is none to be claimed."""
    if found["status"] == "ready" and found["unmet"]:
        return Span("ready, waits", "dim")
    return Span(found["status"], _STYLES[found["status"]])


def _status_text(found: Json) -> str:
    if found["status"] == "ready" and found["unmet"]:
        return f"ready, waits for {count(found['unmet'], 'dependency', 'dependencies')}"
    return str(found["status"])


def _claim_text(found: Json) -> str | None:
    if not found["claimOwner"]:
        return None
    ttl = found["claimTtlSeconds"]
    return f"{found['claimOwner']} at {found['claimedAt']}" + (f" for {duration(ttl)}" if ttl else "")


def _dim(text: str) -> Span:
    return Span(text, "dim")
