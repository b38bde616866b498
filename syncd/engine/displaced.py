"""An edit that syncd's write displaced, brought into the file as it is now.

Three texts: ``expected`` is what syncd had read, ``displaced`` what an editor made of it without
seeing syncd's write, ``current`` what stands in the file today.  They are merged as git's versions are
(``file_merge``), so that a title edited here and a status written there both stay though they share a
line.  What cannot be merged stays as ``current`` has it and becomes a conflict, so it is never lost;
a card that one side took out and the other edited stays.  Pure.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set

import msgspec
from msgspec.structs import replace

from syncd.core.plan import Conflict, Winner
from syncd.core.values import PHASE, is_empty
from syncd.engine.file_merge import FileMerge, Hunk, Piece, merge_files
from syncd.parsers.document import AssignId, Document, Edit, FileCard, InsertCard, ParseOptions, SetField
from syncd.parsers.render import apply, can_show
from syncd.parsers.tasks_md import parse
from syncd.schemas.card import STATUS_WORD, Value


class Folded(msgspec.Struct, frozen=True):
    """The file with the displaced edit in it.  ``is_whole`` is False when some text could not be merged."""

    data: bytes
    conflicts: tuple[Conflict, ...]
    is_whole: bool


def fold(expected: bytes | None, displaced: bytes, current: bytes, *, path: str, options: ParseOptions) -> Folded:
    """Return ``current`` with what changed from ``expected`` to ``displaced``.

    Args:
        expected: ``None`` when nobody knows any more what the editor had read (a lost state).  Then, as
            without a base, what only ``displaced`` has is added, and what differs is a conflict.

    Holds: I2, I11.
    """
    if expected is None:
        return _united(displaced, current, path=path, options=options)
    was, meant, now = (parse(data, path=path, options=options) for data in (expected, displaced, current))
    if not (was.readable and meant.readable and now.readable):
        return Folded(current, (), is_whole=False)
    expected, displaced = (with_given_ids(each, was, now) for each in (was, meant))
    was, meant = (parse(data, path=path, options=options) for data in (expected, displaced))
    merge = merge_files(expected, displaced, current, path=path, options=options)
    merged = parse(_standing(merge), path=path, options=options)
    conflicts = [replace(each, winner=_winner(each)) for each in merge.conflicts]
    edits, more = _lost(was, meant, merged, {(each.id, each.field) for each in conflicts})
    data = apply(merged, edits)
    more += _unshown(parse(data, path=path, options=options), edits)
    return Folded(data, (*conflicts, *more), all(each.is_row for each in merge.hunks))


def _united(displaced: bytes, current: bytes, *, path: str, options: ParseOptions) -> Folded:
    was, meant, now = (parse(data, path=path, options=options) for data in (b"", displaced, current))
    if not (meant.readable and now.readable):
        return Folded(current, (), is_whole=False)
    meant = parse(with_given_ids(meant, was, now), path=path, options=options)
    edits, conflicts = _lost(was, meant, now, set())
    data = apply(now, edits)
    return Folded(data, (*conflicts, *_unshown(parse(data, path=path, options=options), edits)), is_whole=True)


def with_given_ids(document: Document, was: Document, now: Document) -> bytes:
    """Return a version with the ids that its nameless rows were given since: they are those rows, by their titles.

    Args:
        was: what the version was made of; ids that stand there were not given since.
        now: the file, in which the ids stand.
    """
    given = {_title(card): card.id for card in now.cards if card.id is not None and was.card_by_id(card.id) is None}
    counts = Counter(_title(card) for version in (document, now) for card in version.cards)
    return apply(
        document,
        [
            AssignId(card.key, id)
            for card in document.cards
            if card.id is None and counts[_title(card)] == 2 and (id := given.get(_title(card))) is not None
        ],
    )


def _title(card: FileCard) -> Value:
    return card.fields.get("title")


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


def _lost(
    was: Document, meant: Document, merged: Document, recorded: Set[tuple[str, str]]
) -> tuple[list[Edit], list[Conflict]]:
    """Return what the editor added or changed and the merged text has not: as edits, or else as conflicts."""
    edits: list[Edit] = []
    conflicts: list[Conflict] = []
    known = Counter(card.text for card in (*was.cards, *merged.cards))
    for card in meant.cards:
        if card.id is None:
            if not known[card.text]:
                edits.append(InsertCard("", card.fields))
            continue
        before, target = was.card_by_id(card.id), merged.card_by_id(card.id)
        if target is None:
            if before is None or before.fields != card.fields:
                edits.append(InsertCard(card.id, card.fields))
            continue
        for name, value in card.fields.items():
            old = before.fields.get(name) if before is not None else None
            there = target.fields.get(name)
            if name in card.weak or (card.id, name) in recorded or value in (old, there):
                continue
            if name in target.fields and there == old and can_show(merged, target.key, name, value):
                edits.append(SetField(target.key, name, value))
            elif not is_empty(name, value):
                conflicts.append(Conflict(card.id, name, old, value, there, Winner.REMOTE))
    return edits, conflicts


def _unshown(merged: Document, edits: Sequence[Edit]) -> list[Conflict]:
    """Return what added rows have no place for in the table that they came to."""
    added = [(each, merged.card_by_id(each.id)) for each in edits if isinstance(each, InsertCard) and each.id]
    return [
        Conflict(edit.id, name, None, value, None, Winner.REMOTE)
        for edit, card in added
        for name, value in edit.fields.items()
        if name not in (STATUS_WORD, PHASE) and not is_empty(name, value) and (card is None or name not in card.fields)
    ]
