"""The geometry of a table row: where its cells stand, and how wide they look.  Imports nothing of syncd."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

_SEPARATOR: Final = re.compile(r"(?<!\\)\|")
_TICKS: Final = re.compile(r"`+")


def separators_of(line: str, width: int) -> list[int]:
    """Return where the row's cells are divided; outer pipes are among them.

    A pipe in a code span divides, as GFM has it, unless the row fits its table only when it does not.
    """
    found = [each.start() for each in _SEPARATOR.finditer(line)]
    if "`" in line and len(_between(line, found)) > width:
        outside = _outside(found, _code_spans(line))
        if len(_between(line, outside)) == width:
            return outside
    return found


def _code_spans(line: str) -> list[tuple[int, int]]:
    """Return the code spans of a line: from a run of backticks to the next one of the same length."""
    runs = [each.span() for each in _TICKS.finditer(line)]
    by_length: dict[int, list[int]] = {}
    for start, end in reversed(runs):
        by_length.setdefault(end - start, []).append(start)
    spans: list[tuple[int, int]] = []
    for start, end in runs:
        same = by_length[end - start]
        while same and same[-1] <= start:
            same.pop()
        if same and (not spans or start >= spans[-1][1]):
            spans.append((start, same[-1] + end - start))
    return spans


def _outside(positions: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
    starts = [start for start, _ in spans]
    result = []
    for at in positions:
        index = bisect_right(starts, at) - 1
        if index < 0 or at >= spans[index][1]:
            result.append(at)
    return result


def _between(line: str, separators: Sequence[int]) -> list[tuple[int, int]]:
    bounds = [-1, *separators, len(line)]
    spans = [(left + 1, right) for left, right in pairwise(bounds)]
    if separators and not line[: separators[0]].strip():
        del spans[0]
    if separators and spans and not line[separators[-1] + 1 :].strip():
        del spans[-1]
    return spans


def cell_spans(line: str, width: int) -> list[tuple[int, int]]:
    """Return where the cells of a row stand between their pipes, padding included."""
    return _between(line, separators_of(line, width))


def split_row(line: str, width: int) -> list[str]:
    """Return the texts of a row's cells, padding included."""
    if "\\" in line or "`" in line:
        return [line[start:end] for start, end in cell_spans(line, width)]
    cells = line.split("|")
    if not cells[0].strip():
        del cells[0]
    if cells and not cells[-1].strip():
        del cells[-1]
    return cells


def without_cell(line: str, index: int, width: int) -> str:
    """Return the texts of a row's cells but for one, parted by pipes."""
    cells = split_row(line, width)
    return "|".join((*cells[:index], *cells[index + 1 :]))


def display_width(text: str) -> int:
    """Return how many columns a text takes in a terminal or editor."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) or each in "\ufe0f\u200d" else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def padded(text: str, width: int) -> str:
    """Return a text with spaces behind it up to a display width."""
    return text + " " * max(0, width - display_width(text))
