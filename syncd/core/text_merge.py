"""Line-wise three-way merge of long text (diff3).

Lines of the base that both sides kept are stable; between two stable lines stands a chunk.  A chunk that
one side left alone takes the other side's lines, a chunk that both changed alike is taken once, and
a chunk that both changed differently is a clash.  May import nothing of syncd.

Source: S. Khanna, K. Kunal, B. C. Pierce, "A Formal Investigation of Diff3", FSTTCS 2007.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import msgspec


class Clash(msgspec.Struct, frozen=True):
    """One overlapping hunk: the base's lines and what each side made of them."""

    base: str
    a: str
    b: str


class Merge(msgspec.Struct, frozen=True):
    """The merged text; where the sides clash it holds the lines of ``a``."""

    text: str
    clashes: tuple[Clash, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True when no hunks overlapped."""
        return not self.clashes


Lines = Sequence[str]


def merge3(base: str, a: str, b: str) -> Merge:
    """Merge two descendants of a text line by line; where both changed the same lines ``a`` wins.

    Holds: ``merge3(o, a, o) == a``, ``merge3(o, o, b) == b``, ``merge3(o, a, a) == a``; a clean merge
    is the same with the sides swapped, and a clash is one either way.
    """
    merged: list[str] = []
    clashes: list[Clash] = []
    for o_chunk, a_chunk, b_chunk in chunks(_lines(base), _lines(a), _lines(b)):
        if a_chunk == o_chunk:
            merged += b_chunk
        elif b_chunk in (o_chunk, a_chunk):
            merged += a_chunk
        else:
            merged += a_chunk
            clashes.append(Clash("\n".join(o_chunk), "\n".join(a_chunk), "\n".join(b_chunk)))
    return Merge("\n".join(merged), tuple(clashes))


def chunks(base: Lines, a: Lines, b: Lines) -> Iterator[tuple[Lines, Lines, Lines]]:
    """Yield corresponding runs of three texts: changed ones and, between them, single stable lines."""
    in_a, in_b = matches(base, a), matches(base, b)
    at = at_a = at_b = 0
    for line in range(len(base)):
        if line not in in_a or line not in in_b:
            continue
        if at < line or at_a < in_a[line] or at_b < in_b[line]:
            yield base[at:line], a[at_a : in_a[line]], b[at_b : in_b[line]]
        at, at_a, at_b = line + 1, in_a[line] + 1, in_b[line] + 1
        yield base[line:at], base[line:at], base[line:at]
    if at < len(base) or at_a < len(a) or at_b < len(b):
        yield base[at:], a[at_a:], b[at_b:]


def matches(base: Lines, other: Lines) -> dict[int, int]:
    """Return which line of the base is which line of the other text, in rising order of both."""
    head = 0
    while head < min(len(base), len(other)) and base[head] == other[head]:
        head += 1
    tail = 0
    while tail < min(len(base), len(other)) - head and base[-1 - tail] == other[-1 - tail]:
        tail += 1
    middle = SequenceMatcher(None, base[head : len(base) - tail], other[head : len(other) - tail], autojunk=False)
    same = {step: step for step in range(head)}
    for first, second, size in middle.get_matching_blocks():
        same.update((head + first + step, head + second + step) for step in range(size))
    same.update((len(base) - step, len(other) - step) for step in range(tail, 0, -1))
    return same


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []
