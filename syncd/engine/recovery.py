"""What a crash left behind: a write that may have happened on one side, on both, or on none.

Recovery comes before anything else is overwritten.  It decides nothing new: it finds out what is
durable, lets the base take over what was on both sides at once, and brings an edit that was displaced
back as an edit.
May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from syncd.core.plan import BaseCard, Presence, RemoteCard
from syncd.core.values import is_same
from syncd.ports import Journal, StagedFile, State, SyncStore, TaskFiles
from syncd.schemas.card import Fields


def recover(
    files: TaskFiles, store: SyncStore, state: State, stored: Callable[[], Mapping[str, RemoteCard]]
) -> Mapping[tuple[str, str], str]:
    """Finish or forget the write that the journal names; return the ids that it had given to nameless rows.

    The journal keeps those ids, and nothing else, until their rows show them.  A value that was sent and stands in
    the store now was on both sides, whatever became of the batch: what stands in for a database that is away knows
    the cards that a batch made, and not of the batch.  So was on neither side what was to go, and is not there now.

    Args:
        stored: looks at the store's cards.

    Raises: StoreUnreachable: the outcome of the write is still unknown, nothing was touched.
    Holds: I9 (no extra card, no extra conflict), I2.
    """
    journal = state.journal()
    if journal is None:
        return {}
    asked = journal.sent.keys() | journal.removed
    is_committed = bool(asked) and store.has_commit(journal.commit_id)
    # What the batch had to leave out never was in the store.
    left_out = store.left_out(journal.commit_id) if is_committed else asked
    agreed: dict[str, Fields] = {
        id: fields if id not in left_out else _standing(fields, stored().get(id)) for id, fields in journal.sent.items()
    }
    places = dict(journal.places)
    for staged in journal.staged:
        if was_replaced(files, staged):
            files.make_durable(staged.path)
            if staged.is_removal:
                files.remove(staged.path, staged.new)
            for id, fields in journal.written.get(staged.path, {}).items():
                agreed[id] = {**agreed.get(id, {}), **fields}
                places[id] = staged.path
    gone = {id for id in journal.removed if id not in left_out or not _is_live(stored().get(id))}
    _take_over(state, agreed, places, gone)
    # What was taken over must not be taken over again, when both sides have moved on.
    if journal.ids:
        state.write_journal(Journal(commit_id="", staged=(), ids=journal.ids, sent={}, written={}))
    else:
        state.clear_journal()
    return journal.ids


def _standing(sent: Fields, card: RemoteCard | None) -> Fields:
    """Return what of the values that were sent the store shows."""
    if card is None or not _is_live(card):
        return {}
    return {name: value for name, value in sent.items() if is_same(name, card.fields.get(name), value)}


def _is_live(card: RemoteCard | None) -> bool:
    return card is not None and card.presence is Presence.LIVE


def was_replaced(files: TaskFiles, staged: StagedFile) -> bool:
    """Return whether the staged file became the task file, after putting a displaced edit back."""
    found = files.digest_of(staged.staged)
    if found is None:
        return files.read(staged.path).digest == staged.new
    if found == staged.new:
        files.discard(staged.staged)
        return False
    if found == staged.expected and files.read(staged.path).digest == staged.expected:
        # A second name of the file that was to be replaced, from an exchange by links that went no further.
        files.discard(staged.staged)
        return False
    if found == staged.expected:
        files.set_aside(staged.path, staged.staged)
        return True
    # What syncd had written came from the store, so nothing is lost by taking it out.
    if files.swap_back(staged.path, staged.staged, staged.new):
        return False
    files.report_late(staged.path, staged.staged, staged.expected or "")
    return True


def _take_over(state: State, agreed: Mapping[str, Fields], places: Mapping[str, str], gone: Collection[str]) -> None:
    base = state.base()
    cards = []
    for id, fields in agreed.items():
        if not fields:
            continue
        card = base.get(id) or BaseCard(id=id, fields={}, version=0, path=places.get(id))
        cards.append(replace(card, fields={**card.fields, **fields}))
    forgotten = base.keys() & gone
    if cards or forgotten:
        state.advance(cards, forgotten, state.cursor())
