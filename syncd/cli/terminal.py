"""A screen on a terminal: colour, and lines that wrap under their indent.  Imported only where there is one."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from syncd.cli.screen import GAP, Element, Line, Screen, Span, Table, visible


def show(screen: Screen, stream: TextIO) -> None:
    """Print a screen; ``NO_COLOR``, ``TERM`` and the terminal's width are kept to, also of a caller elsewhere."""
    console = Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        width=getattr(stream, "columns", None),
        _environ=getattr(stream, "environ", None),
    )
    for element in screen:
        _show_element(console, element)


def _show_element(console: Console, element: Element) -> None:
    match element:
        case Line(is_whole=True):
            text = Text(" " * element.indent).append_text(_text(*element.spans))
            console.print(text, no_wrap=True, overflow="ignore", crop=False)
        case Line():
            console.print(Padding(_text(*element.spans), (0, 0, 0, element.indent)))
        case Table():
            console.print(Padding(_table(element), (0, 0, 0, element.indent)))


def _text(*spans: Span) -> Text:
    return Text.assemble(*((visible(span.text), span.style) for span in spans))


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
