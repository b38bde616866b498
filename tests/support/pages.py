"""Pages in Markdown, as far as tests look into them: links, headings and blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

HIDDEN = re.compile(r"<!--\s*(run|until):\s*(.*?)\s*-->", re.DOTALL)
IMAGE = re.compile(r'<img[^>]*\ssrc="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: its info string, its text, the line where it begins, and the heading above it."""

    info: str
    text: str
    line: int
    heading: str


def links(text: str) -> list[str]:
    """Return the relative links of a page, those of pictures too."""
    found = [
        str(token.attrs.get("href") or token.attrs.get("src"))
        for token in _flat(_tokens(text))
        if token.type in ("link_open", "image")
    ]
    found += [each for token in _flat(_tokens(text)) if "html" in token.type for each in IMAGE.findall(token.content)]
    return [each for each in found if "://" not in each and not each.startswith("mailto:")]


def anchors(text: str) -> set[str]:
    """Return what a link may name after ``#``: the headings, as the site and code hosts spell them."""
    return {_slug(each) for each in _headings(text)}


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page in their order, and the comments that begin with ``run:`` or ``until:``."""
    found, heading = [], ""
    tokens = _tokens(text)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[index + 1].content
        elif token.type == "fence" and token.map:
            found.append(Block(token.info.strip(), token.content, token.map[0] + 1, heading))
        elif token.type == "html_block" and token.map:
            found += [Block(info, text, token.map[0] + 1, heading) for info, text in HIDDEN.findall(token.content)]
    return found


@cache
def _tokens(text: str) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse(text))


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])


def _headings(text: str) -> Iterator[str]:
    tokens = _tokens(text)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            children = tokens[index + 1].children or []
            yield "".join(each.content for each in children if each.type in ("text", "code_inline"))


def _slug(heading: str) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
