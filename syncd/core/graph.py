"""The dependency graph: cycles in it, edges that would close one, and dependencies on nobody.

A graph is a mapping from a card's id to the ids that it depends on.  Ids that are no keys are cards
that are not there; they end every path.  May import nothing of syncd.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

DependsOn: TypeAlias = Mapping[str, Collection[str]]

Path: TypeAlias = tuple[str, ...]
"""Ids, each depending on the next; a cycle's last one depends on its first."""


def find_cycles(depends_on: DependsOn) -> list[Path]:
    """Return one cycle of each knot of cards that wait for one another: a shortest one through its first card.

    First is by the mapping's order; the list is in it too.

    Shape: n cards and e dependencies in O(n + e), plus a search in each knot.
    """
    rank = {id: at for at, id in enumerate(depends_on)}
    cycles: list[Path] = []
    for knot in find_knots(depends_on):
        first = min(knot, key=rank.__getitem__)
        inside = {id: [each for each in depends_on[id] if each in knot] for id in knot}
        cycle = _path(inside, inside[first], first)
        if cycle is not None:
            cycles.append((first, *cycle[:-1]))
    return sorted(cycles, key=lambda cycle: rank[cycle[0]])


def would_close(depends_on: DependsOn, id: str, needed: Collection[str]) -> Path | None:
    """Return the cycle that would close if the card depended on ``needed``, else ``None``.

    What the graph says of the card's own dependencies does not count: ``needed`` takes their place.
    The path begins and ends with the card.
    """
    closing = _path(depends_on, needed, id)
    return None if closing is None else (id, *closing)


def circle_text(circle: Sequence[str]) -> str:
    """Return how a circle of dependencies reads, the same from whichever of its cards it is found.

    Args:
        circle: its cards in order; the first may stand at its end again.
    """
    cards = list(dict.fromkeys(circle))
    first = cards.index(min(cards))
    return f"a circle of dependencies: {' → '.join((*cards[first:], *cards[:first], cards[first]))}"


def _path(depends_on: DependsOn, starts: Collection[str], goal: str) -> Path | None:
    """Return a shortest path from one of ``starts`` to ``goal``, both included."""
    came_from: dict[str, str | None] = dict.fromkeys(starts)
    queue = list(came_from)
    for id in queue:
        if id == goal:
            path: list[str] = []
            step: str | None = id
            while step is not None:
                path.append(step)
                step = came_from[step]
            return tuple(reversed(path))
        for each in depends_on.get(id, ()):
            if each not in came_from:
                came_from[each] = id
                queue.append(each)
    return None


def find_knots(depends_on: DependsOn) -> Iterator[frozenset[str]]:
    """Yield the knots: the largest sets of cards that all wait for one another.

    They are the strongly connected components of more than one card, and cards that depend on themselves.

    Source: R. Tarjan, "Depth-first search and linear graph algorithms", 1972; with a stack of its own
    because a chain of dependencies may be longer than Python's recursion allows.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_ids: dict[str, None] = {}
    for root in depends_on:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_ids[root] = None
        work = [(root, iter(depends_on[root]))]
        while work:
            id, rest = work[-1]
            for each in rest:
                if each not in depends_on:
                    continue
                if each not in index:
                    index[each] = low[each] = len(index)
                    open_ids[each] = None
                    work.append((each, iter(depends_on[each])))
                    break
                if each in open_ids:
                    low[id] = min(low[id], index[each])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[id])
                if low[id] == index[id]:
                    knot = _close(open_ids, id)
                    if len(knot) > 1 or id in depends_on[id]:
                        yield knot


def _close(open_ids: dict[str, None], root: str) -> frozenset[str]:
    """Take a finished component off the open ids: everything from its root on."""
    knot: set[str] = set()
    while root not in knot:
        knot.add(open_ids.popitem()[0])
    return frozenset(knot)
