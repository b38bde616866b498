"""What a screen is made of: lines and tables of styled text, and how they read as plain text.

A screen is data, so that a test can compare it.  ``visible`` stands between any text and the
terminal: both renderings pass every span through it.  Imports nothing of syncd.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

Style: TypeAlias = Literal["", "bold", "dim", "red", "green", "yellow", "cyan"]

GAP: Final = 2
"""Cells between two columns of a table."""

UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences begin here
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of what follows
    "\u2028\u2029\ufeff\ud800-\udfff"  # other line ends, and what is no character at all
    "\u00ad\u180e\u200b\u2060-\u2064\U000e0000-\U000e007f]"  # shows nothing: words for a program that no person sees
)


class Span(NamedTuple):
    """Text in one style; a tuple, since a long list has one for each of its cells."""

    text: str
    style: Style = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; on a narrow terminal it wraps under its indent, unless it is to be copied ``whole``.

    What wraps stands ``hang`` cells further in, so that it is not taken for a line of its own.
    """

    spans: tuple[Span, ...] = ()
    indent: int = 0
    is_whole: bool = False
    hang: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of aligned columns; the last column takes what space is left."""

    rows: tuple[tuple[Span, ...], ...]
    header: tuple[str, ...] = ()
    indent: int = 0


Element: TypeAlias = Line | Table
Screen: TypeAlias = Sequence[Element]

BLANK: Final = Line()


def line(*parts: str | Span, indent: int = 0, hang: int = 0) -> Line:
    """Return a line of these parts."""
    return Line(tuple(Span(each) if isinstance(each, str) else each for each in parts), indent, hang=hang)


def command(text: str, *, indent: int) -> Line:
    """Return a line with a command to be copied."""
    return Line((Span(text, "cyan"),), indent, is_whole=True)


def visible(text: str) -> str:
    """Return text with every character that could act on a terminal written out, as ``\\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def width(text: str) -> int:
    """Return how many cells a terminal gives to a text."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def plain(screen: Screen) -> str:
    """Return a screen as text without styles, each line with its end."""
    return "".join(f"{each.rstrip()}\n" for element in screen for each in _plain_lines(element))


def _plain_lines(element: Element) -> Iterator[str]:
    match element:
        case Line():
            yield " " * element.indent + "".join(visible(span.text) for span in element.spans)
        case Table():
            rows = [tuple(visible(cell.text) for cell in row) for row in element.rows]
            if element.header:
                rows.insert(0, element.header)
            columns = [_padded(column) for column in zip(*rows, strict=True)]
            margin, gap = " " * element.indent, " " * GAP
            for row in zip(*columns, strict=True):
                yield margin + gap.join(row)


def _padded(column: Sequence[str]) -> list[str]:
    """Return a column's texts, all as wide as the widest."""
    widths = [width(text) for text in column]
    cells = max(widths)
    return [text + " " * (cells - own) for text, own in zip(column, widths, strict=True)]
