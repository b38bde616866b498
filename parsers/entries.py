"""One checklist item with all that belongs to it.  May import ``syncd.schemas``."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.parsers.bullets import Bullet
from syncd.parsers.fields import read_priority
from syncd.parsers.items import ItemLine, Token
from syncd.parsers.source import Source
from syncd.parsers.words import PRIORITY_SIGNS

LEADING_STYLES: Final = frozenset({"plain", "bold", "open", "code", "bracket", "paren"})
"""How an id is written that stands before its title."""


class Entry(msgspec.Struct):
    """One item with a checkbox; lines count from 0, ``end`` is exclusive and behind all that is nested.

    ``body`` are the ranges of its own text lines; ``nested`` the positions of the items right below it.
    """

    first: int
    end: int
    item: ItemLine
    parent: int | None
    bullets: dict[str, Bullet] = msgspec.field(default_factory=dict)
    body: list[tuple[int, int]] = msgspec.field(default_factory=list)
    nested: list[int] = msgspec.field(default_factory=list)
    is_card: bool = True

    def with_source(self, source: Source) -> Entry:
        """Return the entry with its bullets in another text of the same lines."""
        return replace(self, bullets={name: replace(each, source=source) for name, each in self.bullets.items()})

    @property
    def indent(self) -> int:
        """The characters before the item's list marker."""
        return len(self.item.line) - len(self.item.line.lstrip())


def spelled_id(token: str, style: str, model: Entry | None) -> str:
    """Return an id as it stands in a line, in the manner of another entry."""
    own = model.item.find("id") if model else None
    if own is not None and model is not None and own.style == style and style not in ("comment", "open"):
        line = model.item.line
        before = line[own.start : own.value_start].replace("~~", "")
        if style in LEADING_STYLES:
            before = before[max(before.rfind(" "), before.rfind("\t")) + 1 :]
        after = line[own.value_end : own.end].replace("~~", "")
        return before + token + (after if style not in LEADING_STYLES or after[-1:] in (" ", "\t") else after + " ")
    if style == "open":
        return f"**{token}** "
    return f"<!-- id: {token} -->" if style == "comment" else f"{token} "


def next_lead(lead: str) -> str:
    """Return the list marker of the item behind another: the next number in a numbered list."""
    number = lead.strip()[:-1]
    if not number.isdigit():
        return lead
    return lead.replace(number, str(int(number) + 1), 1)


def priority_of(token: Token, item: ItemLine) -> int | None:
    """Return the priority that a token says."""
    text = item.value(token)
    return PRIORITY_SIGNS.get(text.rstrip("\ufe0f")) if token.style == "sign" else read_priority(text)
