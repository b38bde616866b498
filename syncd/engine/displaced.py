"""An edit that syncd's write displaced, brought into the file as it is now.

Three texts: ``expected`` is what syncd had read, ``displaced`` what an editor made of it without
seeing syncd's write, ``current`` what stands in the file today.  Cards are merged field by field, so
that a title edited here and a status written there both stay though they share a line; the text
around the cards is merged by lines.  What cannot be merged stays as ``current`` has it and becomes a
conflict, so it is never lost.  Pure.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncd.core.plan import CARD_FIELD, Conflict, Winner
from syncd.core.text_merge import merge3
from syncd.parsers.document import Document, Edit, FileCard, InsertCard, ParseOptions, SetField
from syncd.parsers.render import apply, can_show
from syncd.parsers.tasks_md import parse


@dataclass(frozen=True, slots=True)
class Folded:
    """The file with the displaced edit in it.  ``is_whole`` is False when some text could not be merged."""

    data: bytes
    conflicts: tuple[Conflict, ...]
    is_whole: bool


def fold(expected: bytes, displaced: bytes, current: bytes, *, path: str, options: ParseOptions) -> Folded:
    """Return ``current`` with what changed from ``expected`` to ``displaced``.

    A row that was deleted there and changed here stays, with a conflict.
    Holds: I2, I11.
    """
    was, meant, now = (parse(data, path=path, options=options) for data in (expected, displaced, current))
    if not (was.readable and meant.readable and now.readable):
        return Folded(current, (), is_whole=False)
    text, is_whole = _fold_text(was, meant, now)
    merged = parse(text, path=path, options=options)
    edits: list[Edit] = []
    conflicts: list[Conflict] = []
    for card in meant.cards:
        if card.id is None:
            continue
        before, target = was.card_by_id(card.id), merged.card_by_id(card.id)
        if target is None:
            if before is None:
                edits.append(InsertCard(card.id, card.fields))
            continue
        for name, value in card.fields.items():
            if name in card.weak or name not in target.fields or before is None or before.fields.get(name) == value:
                continue
            there = target.fields[name]
            if there == before.fields.get(name) and can_show(merged, target.key, name, value):
                edits.append(SetField(target.key, name, value))
            elif there != value:
                conflicts.append(Conflict(card.id, name, before.fields.get(name), value, there, Winner.REMOTE))
    conflicts.extend(_undone_deletions(was, meant, merged))
    return Folded(apply(merged, edits), tuple(conflicts), is_whole)


def _fold_text(was: Document, meant: Document, now: Document) -> tuple[bytes, bool]:
    """Merge the text around the cards: the displaced edit with its field changes taken back, line by line."""
    back: list[Edit] = []
    for card in meant.cards:
        before = was.card_by_id(card.id) if card.id is not None else None
        if before is not None:
            back.extend(_reverted(card, before, meant))
    merged = merge3(was.source.decode(), now.source.decode(), apply(meant, back).decode())
    return merged.text.encode(), merged.is_clean


def _reverted(card: FileCard, before: FileCard, meant: Document) -> list[Edit]:
    return [
        SetField(card.key, name, before.fields[name])
        for name, value in card.fields.items()
        if name in before.fields
        and name not in card.weak
        and before.fields[name] != value
        and can_show(meant, card.key, name, before.fields[name])
    ]


def _undone_deletions(was: Document, meant: Document, merged: Document) -> list[Conflict]:
    return [
        Conflict(card.id, CARD_FIELD, None, None, None, Winner.REMOTE)
        for card in was.cards
        if card.id is not None and meant.card_by_id(card.id) is None and merged.card_by_id(card.id) is not None
    ]
