"""From a plan's changes for the files to the new bytes of each file.

A change says what a card should show; this module asks the document whether the card's place can show
it, chooses the file for a new card, and lets the parsers write.  Pure.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from syncd.core.plan import Change, ChangeKind, Plan, RemoteCard
from syncd.engine.observe import LocalView
from syncd.parsers.document import AssignId, Document, Edit, InsertCard, ParseOptions, RemoveCard, SetField
from syncd.parsers.render import apply, can_show, has_place, starter
from syncd.parsers.tasks_md import parse
from syncd.schemas.card import STATUS_WORD, Fields


class FileEdits(msgspec.Struct, frozen=True):
    """The edits of every file, and the changes that no file can take (``homeless``)."""

    edits: Mapping[str, Sequence[Edit]]
    homeless: tuple[Change, ...] = ()
    shown: Mapping[str, Mapping[str, Fields]] = msgspec.field(default_factory=dict)
    """By path and card: the fields that the file will show and the store holds."""


def showable(view: LocalView, plan: Plan) -> Plan:
    """Return the plan less what the places of cards in files cannot show."""
    return replace(plan, to_file=tuple(_showable(view, change) for change in plan.to_file))


def _showable(view: LocalView, change: Change) -> Change:
    if change.kind is not ChangeKind.UPDATE or change.id not in view.keys:
        return change
    path, key = view.keys[change.id]
    document = view.documents[path]
    fields = {
        name: value
        for name, value in change.fields.items()
        if name == STATUS_WORD or can_show(document, key, name, value)
    }
    return replace(change, fields={} if fields.keys() <= {STATUS_WORD} else fields, path=path)


def unshown(view: LocalView, id: str, remote: RemoteCard) -> frozenset[str]:
    """Return the fields of a card whose stored value its place cannot show: they stay in the store."""
    path, key = view.keys[id]
    document = view.documents[path]
    card = document.cards[key]
    return frozenset(
        name
        for name in card.weak
        if name in remote.fields
        and remote.fields[name] != card.fields.get(name)
        and not can_show(document, key, name, remote.fields[name])
    )


def place(view: LocalView, change: Change, frozen: frozenset[str]) -> str | None:
    """Return the file in which a card of the store is to appear, ``None`` when there is none for it now.

    Its own file when the workspace has it, else the first.  A file with text in which nothing was ever
    recognised is not syncd's to write; an absent or blank one gets a table, and so does one that has lost it:
    a change that names its file names one that is known to hold cards.
    """
    wanted = [change.path] if change.path in view.reads else list(view.reads)[:1]
    for path in wanted:
        if path is None or path in frozen:
            return None
        document = view.documents.get(path)
        is_known = path == change.path and document is not None and document.can_insert
        if document is None or not document.source.strip() or is_known or has_place(document):
            return path
    return None


def file_edits(view: LocalView, changes: Iterable[Change], ids: Mapping[tuple[str, int], str]) -> FileEdits:
    """Turn changes (already showable, with their paths) and new ids into edits for each file."""
    edits: dict[str, list[Edit]] = defaultdict(list)
    shown: dict[str, dict[str, Fields]] = defaultdict(dict)
    homeless: list[Change] = []
    for (path, key), id in ids.items():
        edits[path].append(AssignId(key, id))
    for change in changes:
        if change.path is None:
            homeless.append(change)
            continue
        if change.kind is ChangeKind.CREATE:
            edits[change.path].append(InsertCard(change.id, change.fields))
        elif change.id not in view.keys:
            continue
        elif change.kind is ChangeKind.REMOVE:
            edits[change.path].append(RemoveCard(view.keys[change.id][1]))
        else:
            key = view.keys[change.id][1]
            edits[change.path].extend(SetField(key, name, value) for name, value in change.fields.items())
        shown[change.path][change.id] = change.fields
    return FileEdits(dict(edits), tuple(homeless), dict(shown))


def new_bytes(document: Document | None, path: str, options: ParseOptions, edits: Sequence[Edit]) -> bytes:
    """Return a file's bytes with the edits made; an absent or blank file begins as a starter table."""
    if document is None or not document.source.strip():
        document = parse(starter(), path=path, options=options)
    return apply(document, edits)
