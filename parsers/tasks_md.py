"""Reading a task file: bytes -> Document.  Pure, and never an exception for any bytes.

The blocks are walked once; each is offered to the dialect that reads its kind.  A dialect is a module
with a reader that hands drafts to the reading, and a container class that writes; adding one means adding
it here and nowhere else.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from typing import Final

from syncd.parsers.blocks import Block, read_blocks
from syncd.parsers.checklists import Listed, read_checklists
from syncd.parsers.document import Document, Heading, ParseOptions, Problem
from syncd.parsers.front_matter import FrontBlock, read_front_matter, read_single_card
from syncd.parsers.headings import read_heading_task, read_sections
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.reading import Reading, finished
from syncd.parsers.reparse import with_changed_rows
from syncd.parsers.sections import Task
from syncd.parsers.source import Source
from syncd.parsers.tables import read_table, report_undelimited

PARSER_VERSION: Final = 1
"""Raised whenever the same bytes would give other cards, so that no file seems edited by an update."""

DEFAULT_OPTIONS: Final = ParseOptions()

_TEMPLATE_TITLE: Final = re.compile(r"\{\{[^{}]*\}\}|\[[A-Z][A-Z_ -]{2,}\](?!\()")


def parse(
    source: bytes,
    *,
    path: str = "TASKS.md",
    options: ParseOptions = DEFAULT_OPTIONS,
    previous: Document | None = None,
) -> Document:
    """Read a task file.

    Args:
        source: the file's bytes.
        path: how the file is called in problems.
        options: what the configuration says about reading it.
        previous: the document of an earlier content of the file; what did not change may be taken from it, which
            makes no difference but in time.

    Returns:
        A document with its cards in the order of the file.  What cannot be read is a problem in it; bytes
        that are no text give one problem and no cards.

    Holds: never raises, whatever the bytes; ``render(parse(source)) == source``.
    """
    if (problem := _unreadable(source, path, options)) is not None:
        return Document(path, source, options, problems=(problem,), readable=False)
    if previous is not None and (previous.path, previous.options) == (path, options):
        again = with_changed_rows(previous, source)
        if again is not None:
            return again
    text = Source(source.decode())
    block, front, error_line = read_front_matter(text)
    reading = Reading(path, text, Lexicon(options, front.statuses), front)
    is_single = False
    if block is not None:
        is_single = _take_front_matter(reading, block, error_line)
    blocks = [] if is_single else read_blocks(text.lines, block.end if block else 0)
    reading.headings += _headings(blocks, len(text.lines))
    is_template = bool(reading.headings) and _TEMPLATE_TITLE.search(reading.headings[0].text) is not None
    if is_template:
        reading.take("template", reading.headings[0].line, "the title is still to be filled in")
    else:
        _read(reading, blocks)
    reading.containers.sort(key=lambda each: each.tail({}) or 0)
    cards, homes = finished(reading)
    return Document(
        path,
        source,
        options,
        cards=cards,
        problems=tuple(sorted(reading.problems, key=lambda each: (each.line, each.column, each.code))),
        has_markers=_merge_marker(text, blocks),
        blocks=tuple(sorted(reading.taken, key=lambda each: each.line)),
        front=front,
        is_template=is_template,
        is_single=is_single,
        text=text,
        headings=tuple(reading.headings),
        containers=reading.containers,
        homes=homes,
    )


def _unreadable(source: bytes, path: str, options: ParseOptions) -> Problem | None:
    if len(source) > options.bytes_max:
        message = f"the file has {len(source)} bytes, the limit is {options.bytes_max}"
        return Problem(path, 1, 1, "too-large", message, "Split the file, or raise the limit in the configuration.")
    if (at := source.find(b"\0")) >= 0:
        line = source.count(b"\n", 0, at) + 1
        return Problem(path, line, 1, "nul-byte", "the file holds a NUL byte", "Save the file as text, in UTF-8.")
    try:
        source.decode()
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        message = f"byte {source[error.start]:#04x} is no UTF-8"
        return Problem(path, line, 1, "not-utf8", message, "Save the file in UTF-8.")
    return None


def _take_front_matter(reading: Reading, block: FrontBlock, error_line: int | None) -> bool:
    """Note what the front matter is; return whether it makes the file one card."""
    if error_line is not None:
        reading.report(
            error_line,
            0,
            "bad-front-matter",
            "the YAML block at the top cannot be read",
            "Mend the YAML between the two '---' lines; the rest of the file is read without it.",
        )
    is_single = read_single_card(reading, block)
    reading.take("front matter", 0, "the file is one card" if is_single else "settings of the file", int(is_single))
    return is_single


def _headings(blocks: list[Block], end: int) -> list[Heading]:
    found = [block for block in blocks if block.kind == "heading"]
    ends: dict[int, int] = {}
    behind: list[Block] = []
    for block in reversed(found):
        while behind and behind[-1].level > block.level:
            behind.pop()
        ends[block.first] = behind[-1].first if behind else end
        behind.append(block)
    return [Heading(block.text, block.level, block.first, ends[block.first]) for block in found]


def _read(reading: Reading, blocks: list[Block]) -> None:
    """Walk the blocks and hand each to its dialect."""
    headings = {heading.line: heading for heading in reading.headings}
    current: Heading | None = None
    ignored_end = 0
    lists: list[Listed] = []
    tasks: list[tuple[Task, str | None]] = []
    index = 0
    while index < len(blocks):
        block = blocks[index]
        index += 1
        if block.kind == "heading":
            current = headings[block.first]
            if reading.lexicon.is_ignored(current.text):
                ignored_end = max(ignored_end, current.end)
            if (found := read_heading_task(reading, blocks, index - 1)) is not None:
                task, index = found
                tasks.append((task, _above(reading.headings, current)))
        elif block.kind == "table":
            read_table(reading, block, current.text if current else None)
        elif block.kind == "paragraph":
            report_undelimited(reading, block)
        elif block.kind == "list":
            lists.append(Listed(block, current, block.first < ignored_end))
        elif block.kind in _NO_TASKS:
            reading.take(block.kind, block.first, _NO_TASKS[block.kind])
    read_sections(reading, tasks)
    read_checklists(reading, lists)


def _above(headings: list[Heading], heading: Heading) -> str | None:
    """Return the heading of the section in which a heading stands."""
    around = (each for each in reversed(headings) if each.line < heading.line and each.level < heading.level)
    return next((each.text for each in around), None)


_NO_TASKS: Final = {
    "fence": "code is no task",
    "code_block": "code is no task",
    "html_block": "HTML and comments are no tasks",
    "quote": "quotes are no tasks",
}


def _merge_marker(source: Source, blocks: list[Block]) -> int | None:
    """Return the line, from 1, of the first marker that an unfinished merge left; ``=======`` alone is a heading."""
    if "<<<<<<<" not in source.text and ">>>>>>>" not in source.text:
        return None
    fenced = {line for block in blocks if block.kind == "fence" for line in range(block.first, block.end)}
    found = [n for n, line in enumerate(source.lines) if n not in fenced and _MARKER.match(line)]
    if not any(source.lines[n][0] in "<>" for n in found):
        return None
    return found[0] + 1


_MARKER: Final = re.compile(r"<{7}(?: |$)|>{7}(?: |$)|={7}$|\|{7}(?: |$)")
