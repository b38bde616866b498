"""A screen on a terminal: colour, and lines that wrap under their indent.  Imported only where there is one.

A table that a narrow terminal cannot take is shown row by row instead: nothing of it is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from syncd.cli.screen import GAP, Element, Line, Screen, Span, Table, visible, width

ROW_HANG: Final = 2
"""How much further in a row goes on that is shown by itself."""

LAST_MIN: Final = 24
"""Cells that the last column of a table gets at least: below that its text would stand on end."""


def show(screen: Screen, stream: TextIO) -> None:
    """Print a screen; ``NO_COLOR``, ``TERM`` and the terminal's width are kept to, also of a caller elsewhere."""
    console = _console(stream)
    for element in screen:
        is_whole = isinstance(element, Line) and element.is_whole
        for each in _drawn(element, console):
            if is_whole:
                console.print(each, no_wrap=True, overflow="ignore", crop=False)
            else:
                console.print(each)


@contextmanager
def live(stream: TextIO) -> Iterator[Callable[[Screen], None]]:
    """Give what draws a screen in place of the one before; the terminal is as it was when the context ends."""
    console = _console(stream)
    with Live(console=console, screen=True, auto_refresh=False) as shown:

        def redraw(screen: Screen) -> None:
            parts = [each for element in screen for each in _drawn(element, console)]
            shown.update(Group(*parts), refresh=True)

        yield redraw


def _console(stream: TextIO) -> Console:
    return Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        width=getattr(stream, "columns", None),
        _environ=getattr(stream, "environ", None),
    )


def _drawn(element: Element, console: Console) -> Iterator[RenderableType]:
    match element:
        case Line(is_whole=True):
            yield Text(" " * element.indent, no_wrap=True, overflow="ignore").append_text(_text(*element.spans))
        case Line():
            yield from _wrapped(_text(*element.spans), element.indent, element.hang, console)
        case Table() if _fits(element, console.width):
            yield Padding(_table(element), (0, 0, 0, element.indent))
        case Table():
            for row in element.rows:
                cells = [each for cell in row if cell.text for each in (cell, Span(" " * GAP))]
                yield from _wrapped(_text(*cells[:-1]), element.indent, ROW_HANG, console)


def _wrapped(text: Text, indent: int, hang: int, console: Console) -> Iterator[RenderableType]:
    """Yield a text that wraps under its indent, from its second line on ``hang`` cells further in."""
    first = text.wrap(console, max(1, console.width - indent))[0] if hang else text
    rest = text[len(first) :]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip(" ")) :]
    yield Padding(text[: len(first)], (0, 0, 0, indent))
    if rest:
        yield Padding(rest, (0, 0, 0, indent + hang))


def _text(*spans: Span) -> Text:
    return Text.assemble(*((visible(span.text), span.style) for span in spans))


def _fits(table: Table, columns: int) -> bool:
    """Return whether every column but the last can be shown whole, and the last at a readable width."""
    rows = [[visible(cell.text) for cell in row] for row in table.rows]
    if table.header:
        rows.append(list(table.header))
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    fixed = table.indent + sum(widths[:-1]) + GAP * (len(widths) - 1)
    return fixed + min(LAST_MIN, widths[-1]) <= columns if widths else True


def _table(table: Table) -> RichTable:
    columns = len(table.rows[0]) if table.rows else len(table.header)
    drawn = RichTable(box=None, show_header=bool(table.header), padding=(0, GAP, 0, 0), pad_edge=False)
    for index in range(columns):
        is_last = index == columns - 1
        title = table.header[index] if table.header else ""
        drawn.add_column(title, no_wrap=not is_last, overflow="fold", header_style="dim")
    for row in table.rows:
        drawn.add_row(*(_text(cell) for cell in row))
    return drawn
