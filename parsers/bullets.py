"""The ``- **Key**: value`` bullets under a task, and ``- key: value`` lists under its heading.

May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from syncd.parsers.blocks import Block
from syncd.parsers.source import Replacement, Source

_BULLET: Final = re.compile(
    r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+"
    r"(?:\*\*(?P<bold>[^*:|]{1,40}?)\s*(?::\*\*|\*\*\s*:)|(?P<plain>[^\W\d][\w /-]{0,39}?)\s*:(?=\s|$))[ \t]*"
)
_LINE: Final = re.compile(
    r"[ \t]*(?:\*\*(?P<bold>[^*:|]{1,40}?)\s*(?::\*\*|\*\*\s*:)|(?P<plain>[^\W\d][\w /-]{0,39}?)\s*:(?=\s|$))[ \t]*"
)
_NEXT_KEY: Final = re.compile(r"[ \t]*(?:[|·•][ \t]*|[ \t]{2}|[,;][ \t]+)(?=\*\*[^*:|]{1,40}?\s*(?::\*\*|\*\*\s*:))")
_HARD_BREAK: Final = re.compile(r"(?:[ \t]*\\)?[ \t]*$")
_ENTRY: Final = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")


class Bullet(msgspec.Struct, frozen=True):
    """A key with its value.

    ``lead`` is what stands before the value on line ``first``; ``entries`` are the lines of a list below it,
    when the value is one; ``stop`` is the column at which the value ends, where more stands on the line.
    """

    source: Source
    key: str
    is_bold: bool
    lead: str
    first: int
    end: int
    entries: tuple[int, ...] = ()
    stop: int | None = None

    @property
    def value_at(self) -> int:
        """The column at which the value begins."""
        return len(self.lead)

    @property
    def value_end(self) -> int:
        """The column behind the value's first line; a hard break of Markdown is no part of it."""
        line = self.source.lines[self.first]
        if self.stop is not None:
            return self.stop
        found = _HARD_BREAK.search(line, self.value_at)
        return found.start() if found else len(line)

    def values(self) -> tuple[str, ...] | None:
        """Return the texts of the list below the key, or ``None`` where the value stands beside it."""
        if not self.entries or self.source.lines[self.first][self.value_at :].strip():
            return None
        return tuple(_ENTRY.sub("", self.source.lines[line], count=1).strip() for line in self.entries)

    def text(self) -> str:
        """Return the value as text, further lines without their common indentation."""
        first = self.source.lines[self.first][self.value_at : self.value_end].strip()
        rest = self.source.lines[self.first + 1 : self.end]
        return "\n".join([first, *undented(rest)]).strip()

    def replaced(self, text: str) -> Replacement:
        """Return the replacement that gives the key another text, indented as it was."""
        lines = text.split("\n")
        line = self.source.lines[self.first]
        indent = _indent(self.source.lines[self.first + 1]) if self.end > self.first + 1 else _indent(line) + "  "
        ending = self.source.line_end_near(self.first)
        value = ending.join([lines[0], *(indent + each if each.strip() else "" for each in lines[1:])])
        at = self.source.starts[self.first] + self.value_at
        gap = " " if value and not self.lead.endswith((" ", "\t")) else ""
        last = self.source.lines[self.end - 1]
        width = max(self.value_at, self.value_end) if self.end == self.first + 1 else len(last.rstrip())
        return Replacement(at, self.source.starts[self.end - 1] + width, gap + value)

    def listed(self, values: Sequence[str]) -> list[Replacement]:
        """Return the replacements that give the list below the key other entries."""
        first = self.source.lines[self.entries[0]]
        entry = _ENTRY.match(first)
        lead = entry[0] if entry else _indent(first) + "- "
        return [
            *(self.source.deletion(line, line + 1) for line in self.entries),
            self.source.insertion(self.entries[0], [lead + each.replace("\n", " ") for each in values]),
        ]


def read_bullet(source: Source, item: Block) -> Bullet | None:
    """Return the key and value of a list item that is one."""
    found = _BULLET.match(source.lines[item.first])
    if found is None:
        return None
    entries = tuple(each.first for child in item.children if child.kind == "list" for each in child.children)
    key = found["bold"] or found["plain"]
    # Markdown lets a value go on in lines that are not indented; a person does not mean that.
    width = len(_indent(found[0]))
    loose = (n for n in range(item.first + 1, item.end) if len(_indent(source.lines[n])) <= width and source.lines[n])
    end = next(loose, item.end)
    while end - 1 > item.first and not source.lines[end - 1].strip():
        end -= 1
    return Bullet(source, key.strip(), found["bold"] is not None, found[0], item.first, end, entries)


def read_line(source: Source, line: int) -> list[Bullet]:
    """Return the keys and values of a plain line: ``Key: value``, or several with bold keys and ``|`` between."""
    text = source.lines[line]
    bullets: list[Bullet] = []
    at = 0
    while found := _LINE.match(text, at):
        is_bold = found["bold"] is not None
        gap = _NEXT_KEY.search(text, found.end()) if is_bold else None
        key = found["bold"] or found["plain"]
        end = gap.start() if gap else None
        bullets.append(Bullet(source, key.strip(), is_bold, text[: found.end()], line, line + 1, (), end))
        if gap is None:
            break
        at = gap.end()
    return bullets


def undented(lines: Sequence[str]) -> list[str]:
    """Return lines without the indentation that all of them share."""
    widths = [len(_indent(line)) for line in lines if line.strip()]
    common = min(widths, default=0)
    return [line[common:].rstrip() if line.strip() else "" for line in lines]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
