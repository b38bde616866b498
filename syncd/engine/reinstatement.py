"""Rows and files that come back as they were: with their own bytes, in their own place.

What the store holds is less than what an author wrote: the order of rows and columns, the words for the
states, the text around them.  So a row that comes back comes from the newest version of its file in which
it stood, and only what the store changed since is written into it.  Pure, but for the versions asked for.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from syncd.core.card_merge import merge_card
from syncd.core.plan import BaseCard, Policy, RemoteCard
from syncd.core.reconcile import render
from syncd.core.text_merge import matches
from syncd.engine.edits import new_bytes
from syncd.engine.observe import local_card
from syncd.parsers.document import Document, Edit, FileCard, InsertCard, ParseOptions, RemoveCard, SetField
from syncd.parsers.render import apply, can_show
from syncd.parsers.source import Replacement, patch
from syncd.parsers.tasks_md import parse
from syncd.schemas.card import STATUS_WORD, Fields

_BY_PLACE = frozenset({"phase", "extra.parent"})
"""What a card says by where it stands; bringing back a row beside it may change that."""


class Past(msgspec.Struct, frozen=True):
    """What rows that come back are made from: the known versions of a path, newest first, and both sides' cards.

    ``names`` tells whether the configuration names a path as a task file, an absent one too.
    """

    versions: Callable[[str], Iterable[bytes]] = lambda _: ()
    base: Mapping[str, BaseCard] = msgspec.field(default_factory=dict)
    remote: Mapping[str, RemoteCard] = msgspec.field(default_factory=dict)
    names: Callable[[str], bool] = lambda _: False


def lost_file(
    past: Past, document: Document | None, path: str, options: ParseOptions, ids: Collection[str]
) -> Document | None:
    """Return the version that was taken in last of a file that has lost all its cards, these among them.

    ``None`` where the file has cards, or the version that is known is another file: it gets rows one by one.
    """
    if not ids or (document is not None and document.cards):
        return None
    newest = newest_version(past, path, options)
    return newest if newest is not None and any(newest.card_by_id(id) for id in ids) else None


def removed_file(past: Past, there: Collection[str], id: str, options: Callable[[str], ParseOptions]) -> str | None:
    """Return the task file that went with a card which comes back, and is not among those that are ``there``."""
    card = past.remote.get(id)
    path = card.path if card is not None else None
    if path is None or path in there or not past.names(path) or not _may_have_stood(past, id):
        return None
    return path if lost_file(past, None, path, options(path), (id,)) is not None else None


def newest_version(past: Past, path: str, options: ParseOptions) -> Document | None:
    """Return the version of a file that was taken in last, ``None`` when none is known."""
    data = next(iter(past.versions(path)), None)
    document = None if data is None else parse(data, path=path, options=options)
    return document if document is not None and document.readable else None


def put_back(past: Past, version: Document, ids: Collection[str]) -> bytes:
    """Return a version of a file as it would be today, with exactly these cards in it."""
    edits: list[Edit] = [RemoveCard(card.key) for card in version.cards if card.id is not None and card.id not in ids]
    edits += _news(past, version, ids)
    edits += [
        InsertCard(id, render(there, version.path).fields)
        for id, there in past.remote.items()
        if id in ids and version.card_by_id(id) is None
    ]
    return apply(version, edits)


def edited(past: Past, document: Document | None, path: str, options: ParseOptions, edits: Sequence[Edit]) -> bytes:
    """Return a file's bytes with the edits made; a row that stood in it before comes back as it was."""
    inserts = {each.id: each for each in edits if isinstance(each, InsertCard)}
    left = {id for id in inserts if _may_have_stood(past, id)}
    if document is None or not left:
        return new_bytes(document, path, options, edits)
    rest = [each for each in edits if not isinstance(each, InsertCard)]
    now = parse(new_bytes(document, path, options, rest), path=path, options=options)
    back: set[str] = set()
    for before in _versions_with(past, path, options, left):
        now = parse(reinstated(before, now, left), path=path, options=options)
        found = {id for id in left if now.card_by_id(id)}
        back |= found
        left -= found
        if not left:
            break
    anew = [each for id, each in inserts.items() if id not in back]
    return new_bytes(now, path, options, [*_news(past, now, back), *anew])


def reinstated(before: Document, now: Document, ids: Collection[str]) -> bytes:
    """Return the bytes of ``now`` with the rows of these cards as ``before`` has them, between their neighbours.

    Where a row alone would be no card (its table went with it), what went with it comes back too.  A card
    that cannot come back without changing another one stays away.
    """
    wanted = {id for id in ids if before.card_by_id(id) is not None and now.card_by_id(id) is None}
    if not wanted or not (before.readable and now.readable):
        return now.source
    for with_text in (False, True):
        data = patch(now.text.text, _returning(before, now, wanted, with_text=with_text)).encode()
        again = parse(data, path=now.path, options=now.options)
        if _is_faithful(before, now, again, wanted):
            return data
    if len(wanted) == 1:
        return now.source
    for id in [card.id for card in before.cards if card.id is not None and card.id in wanted]:
        now = parse(reinstated(before, now, {id}), path=now.path, options=now.options)
    return now.source


def _may_have_stood(past: Past, id: str) -> bool:
    """Return whether a card is no new one: only such a one can have stood in a file."""
    there = past.remote.get(id)
    return id in past.base or (there is not None and there.version > 1)


def _versions_with(past: Past, path: str, options: ParseOptions, ids: Collection[str]) -> Iterator[Document]:
    """Yield the versions of a file, newest first, in which one of these cards may stand."""
    for data in past.versions(path):
        if any(id.encode() in data for id in ids):
            document = parse(data, path=path, options=options)
            if document.readable:
                yield document


def _news(past: Past, document: Document, ids: Collection[str]) -> Iterator[SetField]:
    """Yield what the store says otherwise of these cards than their rows: nobody edited the rows since."""
    for card in document.cards:
        there = past.remote.get(card.id) if card.id in ids and card.id is not None else None
        if there is None:
            continue
        here = local_card(there.id, document.path, card)
        known = past.base[there.id].fields if there.id in past.base else there.fields
        agreed = {name: (known if name in here.weak else here.fields).get(name) for name in here.fields}
        base = BaseCard(there.id, agreed, there.version, document.path, here.heading)
        for name, value in merge_card(base, here, there, Policy(), {}).to_file.items():
            if name == STATUS_WORD or can_show(document, card.key, name, value):
                yield SetField(card.key, name, value)


def _returning(
    before: Document, now: Document, wanted: Collection[str | None], *, with_text: bool
) -> list[Replacement]:
    """Return the replacements that put the lines of the wanted cards where they stood, as a line diff tells it."""
    own: set[int] = set()
    for card, (container, position) in zip(before.cards, before.homes, strict=True):
        if card.id in wanted:
            own.update(range(*container.extent(position)))
    same = matches(_marks(before), _marks(now))
    result: list[Replacement] = []
    at = line = 0
    while line < len(before.text.lines):
        if line in same:
            at = same[line] + 1
            line += 1
            continue
        end = line
        while end < len(before.text.lines) and end not in same:
            end += 1
        gap = range(line, end)
        is_deletion = at == same.get(end, len(now.text.lines))
        chosen = [each for each in gap if each in own]
        if chosen and with_text and is_deletion:
            chosen = list(gap)
        if chosen:
            result.append(now.text.insertion(at, [before.text.lines[each] for each in chosen]))
        line = end
    return result


def _marks(document: Document) -> list[str]:
    """Return a document's lines, those with a named card as that card: an edited row is still the same one."""
    marks = list(document.text.lines)
    for card in document.cards:
        if card.id is not None:
            marks[card.line - 1] = f"\0{card.id}"
    return marks


def _is_faithful(before: Document, now: Document, again: Document, wanted: Collection[str | None]) -> bool:
    """Return whether all wanted cards are back as they were, and every other card is as it is."""

    def said(card: FileCard) -> tuple[str | None, Fields]:
        return card.id, {name: value for name, value in card.fields.items() if name not in _BY_PLACE}

    back = {id: fields for id, fields in map(said, again.cards) if id in wanted}
    was = {id: fields for id, fields in map(said, before.cards) if id in wanted}
    others = [said(card) for card in again.cards if card.id not in wanted]
    return (
        back == was
        and others == [said(card) for card in now.cards]
        and len(again.problems) <= (len(now.problems) + len(before.problems))
    )
