"""The dependency graph drawn: as indented text, for Mermaid, for Graphviz.

All take the value of ``graph --json``.  Pure.
"""

from __future__ import annotations

from typing import Any, Final

from syncd.cli.screen import Element, Screen, Span, Style, line, visible

Json = dict[str, Any]

_STYLES: Final[dict[str | None, Style]] = {"claimed": "cyan", "blocked": "yellow", "done": "green", None: "red"}
_COLOURS: Final = {"ready": "#ffffff", "claimed": "#cfe8ff", "blocked": "#ffe3b3", "done": "#d3f2d3", None: "#ffd0d0"}
_UNKNOWN: Final = "unknown"


def text(found: Json) -> Screen:
    """Return the graph as a tree: under each card those that wait for it; what was shown above is not repeated."""
    cards = {each["id"]: each for each in found["cards"]}
    waiting: dict[str, list[str]] = {id: [] for id in cards}
    needs: dict[str, int] = dict.fromkeys(cards, 0)
    for each in found["dependencies"]:
        waiting[each["to"]].append(each["from"])
        needs[each["from"]] += 1
    shown: set[str] = set()
    screen: list[Element] = []
    # A knot has no card that waits for nothing: what no root leads to begins where the list has it first.
    for root in (*(id for id in cards if not needs[id]), *cards):
        if root not in shown:
            _branch(root, cards, waiting, shown, screen)
    return screen or [line("No cards.")]


def _branch(
    root: str, cards: dict[str, Json], waiting: dict[str, list[str]], shown: set[str], screen: list[Element]
) -> None:
    stack = [(root, 0)]
    while stack:
        id, depth = stack.pop()
        card, is_again = cards[id], id in shown
        status = card["status"] or _UNKNOWN
        tail = "  …" if is_again and waiting[id] else f"  {card['title']}" if card["title"] and not is_again else ""
        screen.append(
            line(Span(id, "bold"), "  ", Span(status, _STYLES.get(card["status"], "")), tail, indent=2 * depth)
        )
        if not is_again:
            shown.add(id)
            stack += [(each, depth + 1) for each in reversed(waiting[id])]


def mermaid(found: Json) -> str:
    """Return the graph for Mermaid: an arrow leads from a card to those that wait for it."""
    names = {each["id"]: f"c{number}" for number, each in enumerate(found["cards"])}
    lines = ["flowchart LR"]
    for each in found["cards"]:
        label = _for_mermaid(f"{each['id']}: {each['title']}" if each["title"] else each["id"])
        lines.append(f'    {names[each["id"]]}["{label}"]:::{each["status"] or _UNKNOWN}')
    lines += [f"    {names[each['to']]} --> {names[each['from']]}" for each in found["dependencies"]]
    lines += [f"    classDef {status or _UNKNOWN} fill:{colour},color:#000" for status, colour in _COLOURS.items()]
    return "\n".join(lines) + "\n"


def dot(found: Json) -> str:
    """Return the graph for Graphviz: an arrow leads from a card to those that wait for it."""
    lines = ["digraph backlog {", "    rankdir=LR;", "    node [shape=box, style=filled];"]
    for each in found["cards"]:
        label = f"{each['id']}\n{each['title']}" if each["title"] else each["id"]
        lines.append(
            f"    {_for_dot(each['id'])} [label={_for_dot(label)}, fillcolor={_for_dot(_COLOURS[each['status']])}];"
        )
    lines += [f"    {_for_dot(each['to'])} -> {_for_dot(each['from'])};" for each in found["dependencies"]]
    return "\n".join([*lines, "}"]) + "\n"


def _for_mermaid(label: str) -> str:
    """Return text in which nothing ends a quoted label or begins markup."""
    escaped = visible(" ".join(label.split()))
    return "".join(f"#{ord(each)};" if each in '"#<>&`' else each for each in escaped)


def _for_dot(label: str) -> str:
    escaped = "\\n".join(visible(each).replace("\\", "\\\\").replace('"', '\\"') for each in label.split("\n"))
    return f'"{escaped}"'
