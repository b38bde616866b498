"""Section boards: checklists whose heading is the state (``## Doing``), so that a change moves lines.

A file is a board when most of the headings with items are status words and the marks do not say otherwise.
May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from syncd.parsers.document import Heading
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.source import Source
from syncd.parsers.statuses import section_state, section_word
from syncd.parsers.words import DEFAULT_WORDS, MARK_STATES, fold
from syncd.schemas.card import Status, Value

_CONTRADICTIONS_MAX: Final = 1 / 3
_TICKED_MAX: Final = 1 / 2
_SECTIONS_MIN: Final = 2
_TEXT: Final = re.compile(r"[ ]{0,3}(?:\w|\*\*|_|`\w|\(|\[)")


class Section(msgspec.Struct, frozen=True):
    """A heading that is a state, with the lines under it; ``below`` is the first of them."""

    text: str
    state: Status
    line: int
    below: int
    end: int

    @property
    def word(self) -> str | None:
        """The heading as ``extra.statusWord``: ``None`` when it is the default word of its state."""
        return None if fold(self.text) == fold(DEFAULT_WORDS[self.state]) else self.text


class Board:
    """The sections of one file; ``items`` are the lines of the cards that stand in them."""

    def __init__(self, source: Source, sections: Sequence[Section]) -> None:
        self.source = source
        self.sections = sections
        self.items: list[tuple[int, int]] = []

    def section_at(self, line: int) -> Section | None:
        """Return the innermost section in which a line stands."""
        return next((each for each in reversed(self.sections) if each.line < line < each.end), None)

    def section_of(self, state: Status | None, word: Value) -> Section | None:
        """Return the section for a state: by the author's word, else its plain word, else the first."""
        if isinstance(word, str):
            for section in self.sections:
                if fold(section.text) == fold(word) and state in (None, section.state):
                    return section
        fitting = [section for section in self.sections if section.state is state]
        plain = [section for section in fitting if section.word is None]
        return next(iter(plain or fitting), None)

    def heads(self) -> list[tuple[int, int]]:
        """Return the lines of the headings."""
        return [(each.line, each.below) for each in self.sections]

    def tail(self, section: Section) -> int:
        """Return the line behind the last item of a section; in one without items behind what introduces it."""
        ends = [end for first, end in self.items if self.section_at(first) is section]
        end = max(ends, default=0) or self._intro_end(section)
        if end is None:
            return min(section.below + 1, section.end) if self.source.is_blank(section.below) else section.below
        while self.source.is_blank(end - 1):
            end -= 1
        return end

    def _intro_end(self, section: Section) -> int | None:
        """Return the line behind the text below a heading, when that is a sentence and no machinery of a tool."""
        first = section.below
        while first < section.end and self.source.is_blank(first):
            first += 1
        end = first
        while end < section.end and not self.source.is_blank(end):
            end += 1
        is_text = first < end and _TEXT.match(self.source.lines[first]) and end < section.end
        return end if is_text else None

    def mark_for(self, section: Section, mark: str, marks: Mapping[str, int]) -> str:
        """Return the mark that an item has in a section: none that contradicts it."""
        if section.state is Status.DONE:
            done = [each for each in "xX" if marks.get(each)]
            return mark if mark in "xX" else (done or ["x"])[0]
        return mark if MARK_STATES.get(mark) is section.state else " "


def read_board(
    source: Source, lexicon: Lexicon, headings: Sequence[Heading], items: Sequence[tuple[Heading | None, str]]
) -> Board | None:
    """Return the board of a file, or ``None`` when its headings are no states.

    Args:
        items: the heading and the mark of each item that is no other's child.
    """
    states = {heading.line: section_state(heading.text, lexicon) for heading in headings}
    # A board stays one when its cards move: a section that has become empty counts, and where a card stands does not.
    meant = {line for line, state in states.items() if state is not None}
    used = {heading.line for heading, _ in items if heading is not None}
    sections = [
        Section(section_word(heading.text, lexicon), state, heading.line, heading.below, heading.end)
        for heading in headings
        if (state := states[heading.line]) is not None
    ]
    distinct = {section.state for section in sections}
    if not meant & used or len(meant) * 2 < len(meant | used) or len(distinct) < _SECTIONS_MIN:
        return None
    marked = [(states[heading.line], mark) for heading, mark in items if heading and heading.line in meant]
    # Under "Done" any mark will do; what tells is whether items are ticked off where they stand elsewhere.  A mark for
    # which the board has no section says the state where a section cannot.
    undone = [(state, mark) for state, mark in marked if state is not Status.DONE]
    against = sum(mark != " " and MARK_STATES.get(mark) in distinct - {state} for state, mark in undone)
    # Measured on all cards, it is the same wherever they have moved.
    is_against = against > len(marked) * _CONTRADICTIONS_MAX or against > len(undone) * _TICKED_MAX
    return None if is_against else Board(source, sections)
