"""Putting a task file back as it was before syncd's last write to it.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``, ``syncd.errors``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

import msgspec

from syncd.core.plan import RemoteCard
from syncd.core.values import CLAIM_OWNER, STATUS
from syncd.engine.displaced import with_given_ids
from syncd.engine.placing import MADE, place
from syncd.errors import NotFound, Refused, UsageError
from syncd.parsers.document import ParseOptions
from syncd.parsers.tasks_md import parse
from syncd.ports import StagedFile, State, TaskFiles
from syncd.schemas.card import Status


class Undone(msgspec.Struct, frozen=True):
    """A file that is again what it was; ``kept`` is where syncd keeps what it was until now."""

    path: str
    kept: str


class Leases(msgspec.Struct, frozen=True):
    """What the store says of a file's cards, and how the file is read."""

    remote: Mapping[str, RemoteCard]
    options: ParseOptions

    def keep(self, path: str, before: bytes, now: bytes) -> None:
        """Raise Refused when putting a file back would end a lease that the file shows."""
        was, shown = (parse(data, path=path, options=self.options) for data in (before, now))
        for card in shown.cards:
            there = self.remote.get(card.id) if card.id is not None else None
            if card.id is None or there is None or not there.has_live_lease:
                continue
            then = was.card_by_id(card.id)
            ends = then is None or then.fields.get(STATUS) != Status.CLAIMED
            if ends and card.fields.get(STATUS) == Status.CLAIMED:
                holder = str(there.fields.get(CLAIM_OWNER))
                release = f"syncd backlog release --id {shlex.quote(card.id)} --owner {shlex.quote(holder)}"
                raise Refused(f"{card.id} is leased by {holder}: undoing would end that", hint=f"{release}, first.")


def choose_file(files: TaskFiles, path: str | None) -> str:
    """Return the task file that is meant.

    Raises: NotFound when it is no task file, or syncd has written none; UsageError when it must be named.
    """
    paths = files.paths()
    if path is not None:
        if path not in paths and not files.names(path):
            raise NotFound(f"{path} is no task file of this workspace", hint="syncd config get tasks")
        return path
    written = [each for each in paths if files.last_displaced(each) is not None]
    if not written:
        raise NotFound("syncd has not written to a task file yet: there is nothing to undo")
    if len(written) > 1:
        raise UsageError(f"which file: {' or '.join(written)}", hint=f"syncd undo {shlex.quote(written[0])}")
    return written[0]


def undo(files: TaskFiles, state: State, digest: Callable[[bytes], str], path: str, leases: Leases) -> Undone:
    """Put a file back as it was before the last write of syncd, as a version that was never seen before.

    Ids that the write gave to rows stay: without them the rows would be other cards, and those that they are deleted.

    Raises: NotFound when syncd has not written it, or has given ids only; Refused when it was edited since, or shows
    a lease that would end.
    Effects: replaces the file; what it was until now is kept, and a second undo brings it back.
    """
    now = files.read(path)
    if now.digest is not None and now.digest == state.meta(MADE + path):
        raise NotFound(f"syncd made {path} anew when it was gone: there is nothing from before to put back")
    last = files.last_displaced(path)
    if last is None:
        raise NotFound(f"syncd has not written to {path} yet: there is nothing to undo")
    before = files.bytes_of(last.absolute)
    if before is None or now.data is None or now.digest is None:
        raise Refused(f"{path} cannot be put back: {now.error or 'it is gone'}", hint=_by_hand(path, last.absolute))
    is_written = state.version_rank(path, now.digest) == 0 and state.version_rank(path, last.digest) == 1
    if not is_written or digest(before) != last.digest:
        raise _edited(path, last.absolute)
    before = _with_ids(before, now.data, path, leases.options)
    if before == now.data:
        raise NotFound(f"syncd's last write to {path} gave rows their ids, and those stay: there is nothing to undo")
    leases.keep(path, before, now.data)
    staged = StagedFile(path, files.stage(path, before), now.digest, digest(before))
    # That makes it the newest version, an edit; as an older one it would be held as time travel.
    if not place(files, state, staged, before, now.data):
        raise _edited(path, last.absolute)
    kept = files.last_displaced(path)
    return Undone(path, kept.absolute if kept is not None else "")


def _with_ids(before: bytes, now: bytes, path: str, options: ParseOptions) -> bytes:
    """Return the file as it was, with the ids that its nameless rows have by now."""
    was, shown = (parse(data, path=path, options=options) for data in (before, now))
    return with_given_ids(was, was, shown) if was.readable and shown.readable else before


def _edited(path: str, kept: str) -> Refused:
    return Refused(f"{path} was edited since syncd's last write to it", hint=_by_hand(path, kept))


def _by_hand(path: str, kept: str) -> str:
    return f"To put back what it was before that write, over the edits: cp {shlex.quote(kept)} {shlex.quote(path)}"
