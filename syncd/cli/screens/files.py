"""What syncd reads in a file, and the names of the JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncd.cli.screen import BLANK, Element, Screen, Span, Table, line
from syncd.cli.screens.drift import problems
from syncd.cli.screens.words import EMPTY, brief, count, title, value_text

Json = dict[str, Any]

_PLACE = frozenset({"id", "line", "column", "dialect", "weak", "extra", "title"})


def parsed(path: str, found: Json, *, why: str = "") -> Screen:
    """Return the cards of a file with their lines, its problems, and when explained the why of both.

    Args:
        why: why there are no cards.
    """
    is_explained = "blocks" in found
    total = f"{path}: {count(len(found['cards']), 'card')}, {count(len(found['problems']), 'problem')}"
    screen: list[Element] = [line(Span(total, "bold"))]
    if why:
        screen.append(line(why, indent=2))
    if is_explained:
        for card in found["cards"]:
            screen += _explained(card)
        if found["blocks"]:
            screen += title("Parts of the file")
            screen.append(Table(tuple(map(_block_row, found["blocks"])), indent=2))
            screen += title("What each dialect reads")
            screen.append(Table(tuple((Span(name, "bold"), Span(reads)) for name, reads in _dialects(found)), indent=2))
    elif found["cards"]:
        screen.append(Table(tuple(map(_row, found["cards"])), indent=2))
    if found["problems"]:
        screen += [*title("Problems"), *problems(found["problems"])]
    return screen


def formatted(found: Sequence[Json], *, is_check: bool) -> Screen:
    """Return which task files were padded, or would be."""
    changed = [each["path"] for each in found if each["changed"]]
    if not changed:
        return [line(f"{count(len(found), 'task file')}, padded already")]
    word = "Would pad" if is_check else "Padded"
    return [line(f"{word} {path}") for path in changed]


def schema_names(titles: Mapping[str, str]) -> Screen:
    """Return which schemas there are."""
    return [Table(tuple((Span(name, "bold"), Span(said)) for name, said in sorted(titles.items())))]


def _row(card: Json) -> tuple[Span, ...]:
    return (
        Span(str(card["line"]), "dim"),
        Span(card["id"] or EMPTY, "bold"),
        Span(card.get("status") or EMPTY),
        Span(brief(card.get("title"))),
    )


def _dialects(found: Json) -> list[tuple[str, str]]:
    """Return the dialects, each with what it would have taken."""
    said = {each["dialect"]: each["reason"] for block in found["blocks"] for each in block["others"]}
    return sorted((name, reason) for name, reason in said.items() if reason.startswith("reads "))


def _block_row(block: Json) -> tuple[Span, ...]:
    cards = count(block["cards"], "card") if block["cards"] else ""
    return Span(f"line {block['line']}", "dim"), Span(block["kind"]), Span(cards), Span(block["reason"])


def _explained(card: Json) -> list[Element]:
    """Return every field of a card and where it was read."""
    at = f"line {card['line']}, {card['dialect']}"
    fields = {name: value for name, value in card.items() if name not in _PLACE}
    fields |= {f"extra.{key}": value for key, value in card["extra"].items()}
    rows = tuple(
        (
            Span(name, "dim"),
            Span(value_text(value)),
            Span("from its surroundings" if name in card["weak"] else "", "dim"),
        )
        for name, value in fields.items()
    )
    head = line(Span(card["id"] or "no id", "bold"), f"  {card.get('title', '')}", Span(f"  {at}", "dim"))
    return [BLANK, head, *([Table(rows, indent=2)] if rows else [])]
