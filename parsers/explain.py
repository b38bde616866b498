"""What each block of a file was taken for, and why the other dialects left it.  May import ``syncd.schemas``."""

from __future__ import annotations

from typing import Final

import msgspec

from syncd.parsers.dialects import DIALECTS
from syncd.parsers.document import Document, Taken


class Explanation(msgspec.Struct, frozen=True):
    """One block: ``dialect`` is whose cards it holds, if any; ``others`` say why each other dialect left it."""

    line: int
    kind: str
    dialect: str | None
    cards: int
    reason: str
    others: tuple[tuple[str, str], ...]


def explained(document: Document) -> list[Explanation]:
    """Return what each block was taken for."""
    return [_explanation(each) for each in document.blocks]


def _explanation(taken: Taken) -> Explanation:
    looked_at = _LOOKS_AT.get(taken.kind)
    others = tuple(
        (dialect.name, taken.reason if dialect.name == looked_at else f"reads {dialect.reads}")
        for dialect in DIALECTS
        if not (taken.cards and dialect.name == looked_at)
    )
    return Explanation(taken.line, taken.kind, looked_at if taken.cards else None, taken.cards, taken.reason, others)


_LOOKS_AT: Final = {
    "table": "table",
    "checklist": "checklist",
    "list": "checklist",
    "heading": "heading",
    "front matter": "front-matter",
}
