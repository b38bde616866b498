"""The text of a file by lines, every line end remembered.

Lines end with ``\\r\\n``, ``\\n`` or ``\\r`` as Markdown has it, and never with the other characters
that ``str.splitlines`` knows.  A byte order mark is no part of line 0.  Imports nothing of syncd.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate, zip_longest
from typing import Final, NamedTuple

_CHUNK: Final = 8192
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


class Replacement(NamedTuple):
    """``text`` in the place of the characters ``start`` to ``end``."""

    start: int
    end: int
    text: str


class Source:
    """A file's text and where its lines begin; offsets count characters."""

    __slots__ = ("lines", "starts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        offset = 1 if text.startswith("\ufeff") else 0
        body = text[offset:] if offset else text
        if "\r" not in body:
            self.lines = body.split("\n")
            self.starts = list(accumulate((len(line) + 1 for line in self.lines), initial=offset))
        else:
            self.lines, self.starts = [], [offset]
            at = 0
            for end in _LINE_END.finditer(body):
                self.lines.append(body[at : end.start()])
                at = end.end()
                self.starts.append(at + offset)
            self.lines.append(body[at:])
            self.starts.append(len(text))
        if not self.lines[-1]:
            self.lines.pop()
            self.starts.pop()
        else:
            self.starts[-1] = len(text)

    def edited(self, text: str) -> tuple[Source, int, int, int] | None:
        """Return the source of a text that differs from this one in a few lines.

        Returns:
            The source, the first line that may differ, and the line behind the last one here and there; ``None`` where
            line ends are mixed or the change reaches the end of the text.
        """
        if "\r" in text or "\r" in self.text or text.startswith("\ufeff") != self.text.startswith("\ufeff"):
            return None
        same = _common_prefix(self.text, text)
        behind = _common_suffix(self.text, text, min(len(text), len(self.text)) - same)
        first = max(0, bisect_right(self.starts, same) - 1)
        end = bisect_right(self.starts, len(self.text) - behind)
        if end >= len(self.lines):
            return None
        shift = len(text) - len(self.text)
        begin = self.starts[first]
        lines = text[begin : self.starts[end] + shift].split("\n")[:-1]
        new = Source("")
        new.text = text
        new.lines = [*self.lines[:first], *lines, *self.lines[end:]]
        new.starts = [*self.starts[:first], *accumulate((len(line) + 1 for line in lines), initial=begin)]
        rest = self.starts[end + 1 :]
        new.starts += [start + shift for start in rest] if shift else rest
        return new, first, end, first + len(lines)

    def end(self, line: int) -> int:
        """Return the offset at which a line's text ends, before its line end."""
        return self.starts[line] + len(self.lines[line])

    def line_end(self, line: int) -> str:
        """Return the characters that end a line: empty only on the last."""
        return self.text[self.end(line) : self.starts[line + 1]]

    def line_end_near(self, line: int) -> str:
        """Return the line end used at a line or, where that has none, by the nearest one above."""
        for each in range(min(line, len(self.lines) - 1), -1, -1):
            if found := self.line_end(each):
                return found
        return "\n"

    def slice(self, first: int, end: int) -> str:
        """Return the lines ``first`` to ``end`` (exclusive) with their line ends."""
        return self.text[self.starts[first] : self.starts[end]]

    def insertion(self, line: int, texts: list[str]) -> Replacement:
        """Return the replacement that puts lines before a line, with the line ends of those above it.

        Behind a last line without a line end that line gains one, and the new last line has none.
        """
        ending = self.line_end_near(line - 1)
        at = self.starts[line]
        if line == len(self.lines) and line and not self.line_end(line - 1):
            return Replacement(at, at, "".join(ending + text for text in texts))
        return Replacement(at, at, "".join(text + ending for text in texts))

    def deletion(self, first: int, end: int) -> Replacement:
        """Return the replacement that takes lines out."""
        return Replacement(self.starts[first], self.starts[end], "")

    def is_blank(self, line: int) -> bool:
        """Tell whether a line holds white space alone; lines outside the file count as blank."""
        return not 0 <= line < len(self.lines) or not self.lines[line].strip()


def _common_prefix(text: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    most = min(len(text), len(other))
    low = next((at for at in range(0, most, _CHUNK) if not other.startswith(text[at : at + _CHUNK], at)), most)
    high = min(low + _CHUNK, most)
    while low < high:
        middle = (low + high + 1) // 2
        if text[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(text: str, other: str, most: int) -> int:
    """Return how many characters two texts end with in common, at most so many."""
    size, size_other = len(text), len(other)
    low = 0
    while low + _CHUNK <= most:
        high = low + _CHUNK
        if not other.startswith(text[size - high : size - low], size_other - high):
            break
        low = high
    high = min(low + _CHUNK, most)
    while low < high:
        middle = (low + high + 1) // 2
        if text[size - middle : size - low] == other[size_other - middle : size_other - low]:
            low = middle
        else:
            high = middle - 1
    return low


def patch(text: str, replacements: list[Replacement], offset: int = 0) -> str:
    """Return ``text`` with all replacements made at once.

    Args:
        replacements: in any order; of those at one place, what begins a new line comes last and else the
            first given first; one that begins inside another is left out.
        offset: where ``text`` begins in the coordinates of the replacements.
    """
    parts: list[str] = []
    at = 0
    is_cut = False
    for start, end, new in sorted(replacements, key=_order):
        if start - offset < at:
            continue
        if is_cut and new.startswith(("\n", "\r")):
            # The last line, whose missing end this brings, was taken out.
            new = new[2:] if new.startswith("\r\n") else new[1:]
        parts += (text[at : start - offset], new)
        at = end - offset
        is_cut = at == len(text) and start < end and not new and _is_closed(parts)
    parts.append(text[at:])
    return "".join(parts)


def outdented(text: str, model: str) -> str:
    """Return lines without the white space with which another line begins, as far as they have it too."""
    lead = model[: len(model) - len(model.lstrip(" \t"))]
    if not lead:
        return text
    starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
    return "".join(text[start + _shared(text, start, lead) : end] for start, end in zip_longest(starts, starts[1:]))


def _shared(text: str, start: int, lead: str) -> int:
    return next((n for n, each in enumerate(lead) if not text.startswith(each, start + n)), len(lead))


def _is_closed(parts: list[str]) -> bool:
    """Return whether the text so far is empty or ends with a line end."""
    return next((part for part in reversed(parts) if part), "\n").endswith(("\n", "\r"))


def _order(replacement: Replacement) -> tuple[int, int, bool]:
    return replacement.start, replacement.end, replacement.text.startswith(("\n", "\r"))
