"""The write of one pass, put together: which edits go to which file, and what goes to the store.

A file that may not be written now (held, unsettled, written a moment ago, no permission) takes nothing,
and its nameless rows stay nameless: an id goes to the store only in the pass that also writes it into
the file, so that a crash never makes a second card.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from syncd.core.parts import without_writes
from syncd.core.plan import Change, ChangeKind, Plan, Presence
from syncd.core.sight import Guarded
from syncd.core.trips import MARKERS
from syncd.engine import edits as edit
from syncd.engine import reinstatement
from syncd.engine.observe import LocalView
from syncd.engine.reinstatement import Past
from syncd.errors import InputOutputError
from syncd.parsers.document import Edit, InsertCard, ParseOptions, Problem
from syncd.parsers.padding import repadded
from syncd.parsers.tasks_md import parse
from syncd.ports import StagedFile, TaskFiles
from syncd.schemas.card import Fields

RowId = tuple[str, int]
"""A nameless row: its file and its key in that file's document."""


@dataclass(slots=True)
class Draft:
    """What one pass writes.

    ``put_back`` are files that come back as a whole, each with the cards that it is to show.
    ``plan`` is what is really going to happen; ``written`` the fields that each file gets and the store
    holds; ``bytes`` the new content by path, ``staged`` the files beside them.
    """

    view: LocalView
    plan: Plan
    ids: Mapping[RowId, str]
    bytes: dict[str, bytes] = field(default_factory=dict)
    written: dict[str, Mapping[str, Fields]] = field(default_factory=dict)
    staged: dict[str, StagedFile] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    put_back: Mapping[str, frozenset[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def closed_by(guarded: Guarded) -> frozenset[str]:
    """Return the files that are not to be written: held as a whole, or not settled."""
    held = (hold.path for hold in guarded.holds if hold.path is not None and hold.id == hold.path and not hold.fields)
    return frozenset((*held, *(wait.path for wait in guarded.waits)))


def draft(
    view: LocalView,
    guarded: Guarded,
    ids: Mapping[RowId, str],
    *,
    closed: frozenset[str],
    options: Callable[[str], ParseOptions],
    past: Past,
) -> Draft:
    """Return the pass's write, not yet staged; ``closed`` files are not written."""
    damaged = {each.id for each in guarded.rejected if each.guard == MARKERS and each.id not in closed}
    # With no good version known there is nothing to put back, and the damaged text is not to be written into.
    closed |= {path for path in damaged if reinstatement.newest_version(past, path, options(path)) is None}
    to_file, homeless, postponed = [], [], []
    for change in guarded.plan.to_file:
        if change.kind is ChangeKind.CREATE:
            if (path := reinstatement.removed_file(past, view.reads, change.id, options)) is not None:
                view = view.with_absent(path)
            change = replace(change, path=path or edit.place(view, change, closed))
        if change.path is None:
            homeless.append(change)
        elif change.path in closed:
            postponed.append(change)
        elif change.fields or change.kind is ChangeKind.REMOVE:
            to_file.append(change)
    result = Draft(view, replace(without_writes(guarded.plan, postponed), to_file=tuple(to_file)), ids, past=past)
    result.put_back = {path: _cards_of(view, past, path) for path in damaged - closed}
    for path in (*closed, *result.put_back):
        _leave_nameless(result, path)
    result.problems.extend(_homeless(view, homeless, closed))
    _write_bytes(result, options)
    return result


def stage(write: Draft, files: TaskFiles, digest: Callable[[bytes], str]) -> None:
    """Write the new bytes beside each file, durably; a file that refuses drops out with a problem."""
    for path, data in list(write.bytes.items()):
        try:
            staged = files.stage(path, data)
        except InputOutputError as error:
            _drop(write, path)
            write.problems.append(
                Problem(path, 1, 1, "cannot-write", error.message, error.hint or "Make the folder writable again.")
            )
            continue
        document = write.view.documents.get(path)
        is_removal = not data and document is not None and document.is_single
        write.staged[path] = StagedFile(path, staged, write.view.reads[path].digest, digest(data), is_removal)


def restage(
    write: Draft,
    failed: frozenset[str],
    files: TaskFiles,
    options: Callable[[str], ParseOptions],
    digest: Callable[[bytes], str],
) -> None:
    """Make the staged files again without what the store did not take: these cards, and ids given to them."""
    for staged in write.staged.values():
        files.discard(staged.staged)
    write.staged.clear()
    write.bytes.clear()
    write.written.clear()
    write.ids = {row: id for row, id in write.ids.items() if id not in failed}
    write.plan = replace(write.plan, to_file=tuple(each for each in write.plan.to_file if each.id not in failed))
    _write_bytes(write, options)
    stage(write, files, digest)


def _write_bytes(write: Draft, options: Callable[[str], ParseOptions]) -> None:
    edits = edit.file_edits(write.view, write.plan.to_file, write.ids)
    for path in dict.fromkeys((*edits.edits, *write.put_back)):
        wanted = edits.edits.get(path, ())
        document = write.view.documents.get(path)
        data = _new_bytes(write, path, options(path), wanted)
        if document is None or data != document.source:
            if options(path).repad:
                data = repadded(parse(data, path=path, options=options(path)))
            write.bytes[path] = data
            write.written[path] = edits.shown.get(path, {})


def _new_bytes(write: Draft, path: str, options: ParseOptions, wanted: Sequence[Edit]) -> bytes:
    """Return what a file is to hold: its edited text, or its last good version where it was lost or damaged."""
    document = write.view.documents.get(path)
    if path in write.put_back:
        ids = write.put_back[path]
        version = reinstatement.newest_version(write.past, path, options)
    else:
        ids = frozenset(each.id for each in wanted if isinstance(each, InsertCard))
        version = reinstatement.lost_file(write.past, document, path, options, ids)
    if version is not None:
        return reinstatement.put_back(write.past, version, ids)
    return reinstatement.edited(write.past, document, path, options, wanted)


def _cards_of(view: LocalView, past: Past, path: str) -> frozenset[str]:
    """Return the live cards that stand in a file, or stood in it and stand in no other."""
    places = {id: card.path for id, card in past.base.items()} | {id: card.path for id, card in view.local.items()}
    live = (id for id, card in past.remote.items() if card.presence is Presence.LIVE)
    return frozenset(id for id in live if places.get(id) == path)


def _drop(write: Draft, path: str) -> None:
    """Take a file that cannot be written out of the pass, with the new cards whose ids it would have got."""
    del write.bytes[path]
    write.written.pop(path, None)
    _leave_nameless(write, path)
    write.plan = without_writes(write.plan, [each for each in write.plan.to_file if each.path == path])


def _leave_nameless(write: Draft, path: str) -> None:
    """Give the rows of a file no ids in this pass, and make no cards of them."""
    unnamed = {id for row, id in write.ids.items() if row[0] == path}
    if unnamed:
        write.ids = {row: id for row, id in write.ids.items() if row[0] != path}
        write.plan = replace(
            write.plan,
            to_store=tuple(each for each in write.plan.to_store if each.id not in unnamed),
            conflicts=tuple(each for each in write.plan.conflicts if each.id not in unnamed),
        )


def _homeless(view: LocalView, changes: list[Change], closed: frozenset[str]) -> list[Problem]:
    if not changes or not view.reads:
        return []
    path = next(iter(view.reads))
    if path in closed:
        return []
    return [
        Problem(
            path=path,
            line=1,
            column=1,
            code="no-task-table",
            message=f"{len(changes)} card(s) of the store stand in no file: nothing in {path} looks like a task list",
            hint="Add a table with the header | id | status | title | to the file; the cards go there.",
        )
    ]
