"""Reading a task file: bytes -> Document.  Pure, and never an exception for any bytes.

The blocks are walked once; each is offered to the dialects (``dialects.py``) that look at its kind.  What they
find is joined here.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from syncd.parsers.blocks import Block, read_blocks
from syncd.parsers.dialect import FRONT_MATTER, Dialect, Offer
from syncd.parsers.dialects import DIALECTS
from syncd.parsers.document import Document, Heading, ParseOptions, Problem
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.reading import Reading, finished
from syncd.parsers.reparse import with_changed_lines
from syncd.parsers.source import Source
from syncd.parsers.yaml_block import FrontBlock, read_front_matter

PARSER_VERSION: Final = 4
"""Raised whenever the same bytes would give other cards, so that no file seems edited by an update."""

DEFAULT_OPTIONS: Final = ParseOptions()

_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

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
    decoded = _decoded(source, path, options)
    if isinstance(decoded, Problem):
        return Document(path, source, options, problems=(decoded,), readable=False)
    is_known = previous is not None and previous.readable and (previous.path, previous.options) == (path, options)
    if previous is not None and is_known:
        again = previous.kept(source) or with_changed_lines(previous, source, decoded)
        if again is not None:
            return again
    text = Source(decoded)
    block, front, error_line = read_front_matter(text)
    reading = Reading(path, text, Lexicon(options, front.statuses), front)
    if previous is not None and is_known and previous.front == front:
        reading.recall(previous)
    if error_line is not None:
        _report_front_matter(reading, error_line)
    blocks, is_template = _read(reading, block)
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
        is_single=reading.is_single,
        text=text,
        headings=tuple(reading.headings),
        containers=reading.containers,
        homes=homes,
    )


def _decoded(source: bytes, path: str, options: ParseOptions) -> str | Problem:
    """Return the text, or why nothing is read from it."""
    if len(source) > options.bytes_max:
        message = f"the file has {len(source)} bytes, the limit is {options.bytes_max}"
        return Problem(path, 1, 1, "too-large", message, "Split the file, or raise the limit in the configuration.")
    if (at := source.find(b"\0")) >= 0:
        line = source.count(b"\n", 0, at) + 1
        if source.startswith(_UTF16_MARKS):
            return Problem(path, 1, 1, "nul-byte", "the file is in UTF-16", "Save the file in UTF-8.")
        return Problem(path, line, 1, "nul-byte", "the file holds a NUL byte", "Save the file as text, in UTF-8.")
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        message = f"byte {source[error.start]:#04x} is no UTF-8"
        return Problem(path, line, 1, "not-utf8", message, "Save the file in UTF-8.")


def _report_front_matter(reading: Reading, line: int) -> None:
    reading.report(
        line,
        0,
        "bad-front-matter",
        "the YAML block at the top cannot be read",
        "Mend the YAML between the two '---' lines; the rest of the file is read without it.",
    )


def _read(reading: Reading, front: FrontBlock | None) -> tuple[Sequence[Block], bool]:
    """Let the dialects read the file; return its blocks, and whether it is a form to be filled in."""
    dialects = [dialect(reading) for dialect in DIALECTS]
    if front is not None and _take_whole(dialects, front):
        return (), False
    blocks = [
        part
        for block in read_blocks(reading.source.lines, front.end if front else 0)
        for part in _parted(reading, block)
    ]
    reading.headings += _headings(blocks, len(reading.source.lines))
    if reading.headings and _TEMPLATE_TITLE.search(reading.headings[0].text):
        reading.take("template", reading.headings[0].line, "the title is still to be filled in")
        return blocks, True
    _offer(reading, dialects, blocks)
    return blocks, False


def _parted(reading: Reading, block: Block) -> Sequence[Block]:
    """Return a list in two where checkboxes begin within it: Markdown joins keys and the steps below them."""
    if block.kind != "list" or reading.item(block.children[0].first) is not None:
        return (block,)
    steps = next((n for n, each in enumerate(block.children) if reading.item(each.first) is not None), None)
    if steps is None:
        return (block,)
    keys, rest = block.children[:steps], block.children[steps:]
    return (
        Block(block.kind, block.first, keys[-1].end, children=keys),
        Block(block.kind, rest[0].first, block.end, children=rest),
    )


def _take_whole(dialects: Sequence[Dialect], front: FrontBlock) -> bool:
    """Offer the front matter; return whether it makes the whole file one card."""
    offer = Offer([Block(FRONT_MATTER, 0, front.end)], 0, None, is_ignored=False, front=front)
    return any(each.offer(offer) is not None for each in dialects if FRONT_MATTER in each.kinds)


def _headings(blocks: list[Block], end: int) -> list[Heading]:
    found = [block for block in blocks if block.kind == "heading"]
    ends: dict[int, int] = {}
    behind: list[Block] = []
    for block in reversed(found):
        while behind and behind[-1].level > block.level:
            behind.pop()
        ends[block.first] = behind[-1].first if behind else end
        behind.append(block)
    return [Heading(block.text, block.level, block.first, block.end, ends[block.first]) for block in found]


def _offer(reading: Reading, dialects: Sequence[Dialect], blocks: Sequence[Block]) -> None:
    """Walk the blocks and offer each to the dialects; what one takes, the others do not see."""
    headings = {heading.line: heading for heading in reading.headings}
    current: Heading | None = None
    ignored_end = 0
    index = 0
    while index < len(blocks):
        block = blocks[index]
        if block.kind == "heading":
            current = headings[block.first]
            if reading.lexicon.is_ignored(current.text):
                ignored_end = max(ignored_end, current.end)
        elif block.kind in _NO_TASKS:
            reading.take(block.kind, block.first, _NO_TASKS[block.kind])
        offer = Offer(blocks, index, current, block.first < ignored_end)
        taken = (each.offer(offer) for each in dialects if block.kind in each.kinds)
        behind = next((behind for behind in taken if behind is not None), index + 1)
        if block.kind == "list":
            for table in _tables_in(reading, block):
                inner = Offer([table], 0, current, offer.is_ignored)
                any(each.offer(inner) is not None for each in dialects if table.kind in each.kinds)
        index = behind
    for each in dialects:
        each.finish()


def _tables_in(reading: Reading, block: Block) -> Iterator[Block]:
    """Yield the tables that stand in the items of a list; below a checkbox one is text of that card."""
    for item in block.children:
        if any(child.kind != "paragraph" for child in item.children) and reading.item(item.first) is None:
            for child in item.children:
                if child.kind == "table":
                    yield child
                elif child.kind == "list":
                    yield from _tables_in(reading, child)


_NO_TASKS: Final = {
    "fence": "code is no task",
    "code_block": "code is no task",
    "html_block": "HTML and comments are no tasks",
    "quote": "quotes are no tasks",
}


def _merge_marker(source: Source, blocks: Sequence[Block]) -> int | None:
    """Return the line, from 1, of the first marker that an unfinished merge left; ``=======`` alone is a heading."""
    if "<<<<<<<" not in source.text and ">>>>>>>" not in source.text:
        return None
    fenced = {line for block in blocks if block.kind == "fence" for line in range(block.first, block.end)}
    found = [n for n, line in enumerate(source.lines) if n not in fenced and _MARKER.match(line)]
    if not any(source.lines[n][0] in "<>" for n in found):
        return None
    return found[0] + 1


_MARKER: Final = re.compile(r"<{7}(?: |$)|>{7}(?: |$)|={7}$|\|{7}(?: |$)")
