"""Padding the tables of a task file, and nothing else: ``syncd fmt``, and ``repad: true`` in the configuration.

Every cell gets the width of its column as a terminal or an editor shows it; what cells say, columns, lines and
everything outside task tables stay.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from syncd.parsers.cells import cell_spans, display_width, padded, separators_of
from syncd.parsers.document import Document
from syncd.parsers.rows import Table
from syncd.parsers.source import Replacement, patch

_RULE: Final = re.compile(r"(:?)-+(:?)")
_RULE_MIN: Final = 3


def repadded(document: Document) -> bytes:
    """Return the document with its task tables padded.

    Returns:
        The new bytes.  A table in which a row has too few or too many cells is left as it is, and so is a
        document that is not readable or has merge markers.

    Holds: the same cards, problems and places; twice is once.
    """
    if not document.readable or document.has_markers is not None:
        return document.source
    replacements = [each for table in document.containers if isinstance(table, Table) for each in _padded(table)]
    return patch(document.text.text, replacements).encode() if replacements else document.source


def _padded(table: Table) -> list[Replacement]:
    """Return the replacements that pad the lines of a table."""
    source = table.source
    lines = [table.first, table.first + 1, *range(table.first + 2, table.last + 1)]
    rows: list[list[str]] = []
    for line in lines:
        spans = cell_spans(source.lines[line], table.width)
        if len(spans) != table.width:
            return []
        rows.append([source.lines[line][start:end].strip() for start, end in spans])
    rules = [_RULE.fullmatch(text) for text in rows[1]]
    if not all(rules):
        return []
    texts = [rows[0], *rows[2:]]
    widths = [max(_RULE_MIN, *(display_width(row[column]) for row in texts)) for column in range(table.width)]
    rows[1] = [_rule(rule, width) for rule, width in zip(rules, widths, strict=True)]
    result = []
    for line, cells in zip(lines, rows, strict=True):
        old = source.lines[line]
        new = _row(old, table.width, cells, widths)
        if new != old:
            result.append(Replacement(source.starts[line], source.end(line), new))
    return result


def _rule(rule: re.Match[str] | None, width: int) -> str:
    left, right = (rule[1], rule[2]) if rule else ("", "")
    return left + "-" * (width - len(left) - len(right)) + right


def _row(line: str, width: int, cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row with its cells padded; outer pipes stand where they stood."""
    outer = separators_of(line, width)
    indent = line[: len(line) - len(line.lstrip())]
    has_left = bool(outer) and not line[: outer[0]].strip()
    has_right = bool(outer) and not line[outer[-1] + 1 :].strip() and len(outer) > (1 if has_left else 0)
    shown = [padded(cell, size) for cell, size in zip(cells, widths, strict=True)]
    text = " | ".join(shown)
    text = f"| {text}" if has_left else text
    text = f"{text} |" if has_right else text.rstrip()
    return indent + text
