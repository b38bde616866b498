"""An edit that syncd's write displaced, brought into the file as it is now.

Three texts: ``expected`` is what syncd had read, ``displaced`` what an editor made of it without
seeing syncd's write, ``current`` what stands in the file today.  They are merged as git's versions are
(``file_merge``), so that a title edited here and a status written there both stay though they share a
line.  What cannot be merged stays as ``current`` has it and becomes a conflict, so it is never lost;
a card that one side took out and the other edited stays.  Pure.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from syncd.core.plan import Conflict, Winner
from syncd.engine.file_merge import FileMerge, Hunk, Piece, merge_files
from syncd.parsers.document import Document, InsertCard, ParseOptions
from syncd.parsers.render import apply
from syncd.parsers.tasks_md import parse


@dataclass(frozen=True, slots=True)
class Folded:
    """The file with the displaced edit in it.  ``is_whole`` is False when some text could not be merged."""

    data: bytes
    conflicts: tuple[Conflict, ...]
    is_whole: bool


def fold(expected: bytes, displaced: bytes, current: bytes, *, path: str, options: ParseOptions) -> Folded:
    """Return ``current`` with what changed from ``expected`` to ``displaced``.

    Holds: I2, I11.
    """
    was, meant, now = (parse(data, path=path, options=options) for data in (expected, displaced, current))
    if not (was.readable and meant.readable and now.readable):
        return Folded(current, (), is_whole=False)
    merge = merge_files(expected, displaced, current, path=path, options=options)
    data = _standing(merge)
    conflicts = (replace(each, winner=_winner(each)) for each in merge.conflicts)
    is_whole = all(each.is_row for each in merge.hunks)
    if not is_whole:
        data = _with_lost_cards(parse(data, path=path, options=options), was, meant)
    return Folded(data, tuple(conflicts), is_whole)


def _standing(merge: FileMerge) -> bytes:
    """Return the merged file, with the side that stands where nothing decides."""

    def text(piece: Piece) -> str:
        match piece:
            case Hunk(is_survival=True):
                return piece.local or piece.remote
            case Hunk():
                return piece.remote
            case _:
                return piece

    return merge.closed("".join(map(text, merge.pieces)))


def _winner(conflict: Conflict) -> Winner:
    return Winner.REMOTE if conflict.winner is Winner.NONE else conflict.winner


def _with_lost_cards(merged: Document, was: Document, meant: Document) -> bytes:
    """Return the file with the cards that the editor added or edited, and that text which stays has no place for."""
    lost = [
        InsertCard(card.id, card.fields)
        for card in meant.cards
        if card.id is not None and merged.card_by_id(card.id) is None and _is_news(card.id, was, meant)
    ]
    return apply(merged, lost)


def _is_news(id: str, was: Document, meant: Document) -> bool:
    before, after = was.card_by_id(id), meant.card_by_id(id)
    return before is None or after is None or before.fields != after.fields
