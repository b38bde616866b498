"""What stands where in a Markdown file: headings, tables and lists, by markdown-it-py.

Only block structure is asked for.  The stock table rule would emit a dozen tokens for every row, which
is nearly the whole cost of a big file; the rule here recognises a table as the stock one does and
emits one token for all of it.  May import markdown-it-py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

_DELIMITER_ROW: Final = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_SEPARATOR: Final = re.compile(r"(?<!\\)\|")
_NESTING_MAX: Final = 60
_FLAT_LIST: Final = "flat_list"
_FLAT_MARKERS: Final = frozenset({"- [", "* [", "+ ["})
_FLAT_ITEM: Final = re.compile(r"[-*+] \[[^\[\]\\\n]\] [^\s].*(?:\n|$)")
_FLAT_MIN: Final = 2


@dataclass(slots=True)
class Block:
    """One block and what stands in it; lines count from 0, ``end`` is exclusive.

    ``kind`` is heading, table, list, item, paragraph, quote, or markdown-it's name of anything else.
    """

    kind: str
    first: int
    end: int
    level: int = 0
    text: str = ""
    children: list[Block] = field(default_factory=list)


def row_width(line: str) -> int:
    """Count the cells of a table row."""
    cells = _SEPARATOR.split(line.strip())
    return len(cells) - (cells[0] == "") - (len(cells) > 1 and cells[-1] == "")


def _table_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Recognise a table and emit one token for it.

    A delimiter row with fewer cells than the header is let through where both begin with a pipe: real
    files have it, their authors mean a table, and the reader reports it.
    """
    if start_line + 2 > end_line or state.sCount[start_line + 1] < state.blkIndent:
        return False
    if state.is_code_block(start_line) or state.is_code_block(start_line + 1):
        return False
    delimiter = _line(state, start_line + 1)
    # "- " begins a list item, whatever follows.
    if (
        not delimiter
        or delimiter[0] not in "|-:"
        or delimiter.startswith("- ")
        or not _DELIMITER_ROW.fullmatch(delimiter)
    ):
        return False
    header = _line(state, start_line)
    if "|" not in header:
        return False
    wide, marked = row_width(header), row_width(delimiter)
    if wide != marked and not (header[0] == delimiter[0] == "|" and 0 < marked < wide):
        return False
    if silent:
        return True
    token = state.push("table", "", 0)
    state.line = _table_end(state, start_line + 2, end_line)
    token.map = [start_line, state.line]
    return True


def _table_end(state: StateBlock, line: int, end_line: int) -> int:
    terminators = state.md.block.ruler.getRules("blockquote")
    while line < end_line and state.sCount[line] >= state.blkIndent:
        begin = state.bMarks[line] + state.tShift[line]
        if begin >= state.eMarks[line] or state.is_code_block(line):
            break
        # No other block begins with a pipe, so that most rows need no further look.
        if state.src[begin] != "|" and any(rule(state, line, end_line, True) for rule in terminators):
            break
        line += 1
    return line


def _flat_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Recognise a list in which every line is an item with a checkbox, and emit one token for it.

    Only where no line can mean anything else: nothing nested, nothing below an item, and what follows begins no
    further item.  Every other list is the stock rule's.
    """
    if silent or state.level or state.blkIndent or state.sCount[start_line] or state.parentType != "root":
        return False
    src, begins = state.src, state.bMarks
    marker = src[begins[start_line] : begins[start_line] + 3]
    if marker not in _FLAT_MARKERS:
        return False
    line = start_line
    while line < end_line and _FLAT_ITEM.match(src, begins[line]) and src.startswith(marker, begins[line]):
        line += 1
    behind = state.skipEmptyLines(line)
    if line - start_line < _FLAT_MIN or (behind == line and line < end_line):
        return False
    if behind < end_line and (state.sCount[behind] or src[begins[behind]] in "-*+0123456789"):
        return False
    token = state.push(_FLAT_LIST, "", 0)
    state.line = line
    token.map = [start_line, line]
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip(" \t")


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"maxNesting": _NESTING_MAX})
    markdown.block.ruler.at("table", _table_rule, {"alt": ["paragraph", "reference"]})
    markdown.block.ruler.enable("table")
    markdown.block.ruler.before("list", _FLAT_LIST, _flat_rule)
    markdown.core.ruler.enableOnly(["block"])
    return markdown


def read_blocks(lines: Sequence[str], first: int = 0) -> list[Block]:
    """Return the top-level blocks of the lines from ``first`` on.

    Args:
        lines: without their line ends.
        first: the line behind the front matter.

    Returns:
        The blocks in order; what stands inside a quote is left out.
    """
    tokens = _markdown().parse("\n".join(lines[first:] if first else lines))
    root = Block("root", 0, len(lines))
    stack = [root]
    quotes = 0
    for index, token in enumerate(tokens):
        if token.type == "blockquote_open":
            if not quotes:
                stack[-1].children.append(_block(token, "quote", first))
            quotes += 1
        elif token.type == "blockquote_close":
            quotes -= 1
        elif quotes or token.type == "inline":
            continue
        elif token.type == _FLAT_LIST:
            stack[-1].children.append(_flat_list(token, first))
        elif token.nesting < 0:
            _trim(stack.pop(), lines)
        else:
            block = _block(token, _KINDS.get(token.type, token.type), first)
            stack[-1].children.append(block)
            if token.nesting > 0:
                stack.append(block)
            if block.kind == "heading":
                block.level = int(token.tag[1])
                block.text = tokens[index + 1].content.strip()
    return root.children


_KINDS: Final = {
    "heading_open": "heading",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "item",
    "paragraph_open": "paragraph",
}


def _block(token: Token, kind: str, offset: int) -> Block:
    begin, end = token.map or (0, 0)
    return Block(kind, begin + offset, end + offset)


def _flat_list(token: Token, offset: int) -> Block:
    block = _block(token, "list", offset)
    block.children = [
        Block("item", line, line + 1, children=[Block("paragraph", line, line + 1)])
        for line in range(block.first, block.end)
    ]
    return block


def _trim(block: Block, lines: Sequence[str]) -> None:
    """Take the blank lines, which markdown-it counts to a list, off its end."""
    while block.end - 1 > block.first and not lines[block.end - 1].strip():
        block.end -= 1
