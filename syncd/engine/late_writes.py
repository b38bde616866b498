"""A late write, taken in: what somebody wrote into a file that syncd had replaced under their hands.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from syncd.core.plan import Conflict
from syncd.engine.displaced import fold
from syncd.engine.placing import place
from syncd.log import event
from syncd.parsers.document import ParseOptions
from syncd.ports import LateWrite, StagedFile, State, TaskFiles


def take_in(
    late: LateWrite,
    files: TaskFiles,
    state: State,
    options: Callable[[str], ParseOptions],
    digest: Callable[[bytes], str],
) -> Sequence[Conflict] | None:
    """Write the edit into the file as it is now, where it is an edit like any other.

    Returns:
        What clashed and stays as the file has it; ``None`` for try again: one of the files is being written,
        or the standing one is not taken in yet, held, missing.

    Effects: replaces the task file.  The displaced file stays, for ``undo``.
    Holds: I2.
    """
    meant, before, now = (
        files.bytes_of(late.absolute),
        state.version_bytes(late.path, late.before),
        files.read(late.path),
    )
    if meant is None:
        return ()
    if now.digest is None and now.error is None and not _is_home(state, late.path):
        return _made_anew(late, meant, files, state, digest) if meant.strip() else ()
    if now.data is None or now.digest is None or digest(meant) != late.digest:
        return None
    if state.version_rank(late.path, now.digest) != 0:
        # Another edit, or half of one: the cycle takes it in first, or holds it.
        return None
    # Whoever holds the displaced file may save once more, from this; what stands stays the newest version.
    state.remember_version(late.path, late.digest, meant)
    state.remember_version(late.path, now.digest, now.data)
    folded = fold(before, meant, now.data, path=late.path, options=options(late.path))
    if not folded.is_whole:
        event("displaced.partly_merged", path=late.path, kept=late.absolute)
    if folded.data != now.data:
        files.make_durable(late.path)
        staged = StagedFile(late.path, files.stage(late.path, folded.data), now.digest, digest(folded.data))
        if not place(files, state, staged, folded.data, now.data):
            return None
    return folded.conflicts


def _is_home(state: State, path: str) -> bool:
    """Return whether cards are known to stand in a file; one that syncd itself took away has none."""
    return any(card.path == path for card in state.base().values())


def _made_anew(
    late: LateWrite, meant: bytes, files: TaskFiles, state: State, digest: Callable[[bytes], str]
) -> Sequence[Conflict] | None:
    """Make a file again that went while somebody wrote it: the edit lives, and its card comes back with it."""
    if digest(meant) != late.digest:
        return None
    staged = StagedFile(late.path, files.stage(late.path, meant), None, late.digest)
    if not place(files, state, staged, meant, None):
        return None
    event("displaced.came_back", path=late.path)
    return ()


class LateQueue:
    """The late writes of some files: each comes again until it counts as taken in."""

    def __init__(self, files: TaskFiles) -> None:
        self._files = files
        self._waiting: dict[str, LateWrite] = {}

    def are_there(self) -> bool:
        """Look at the displaced files that are due; return whether somebody wrote into one."""
        if (look_s := self._files.next_look_s()) is not None and look_s <= 0:
            self._note()
        return bool(self._waiting)

    def all(self) -> Sequence[LateWrite]:
        """Look at the displaced files, and return what was written into them and is not taken in yet."""
        self._note()
        return list(self._waiting.values())

    def count_in(self, late: Iterable[LateWrite]) -> None:
        """Note late writes that are in the file, with what clashed in the conflict record (from now or before)."""
        for each in late:
            self._files.taken_in(each)
            del self._waiting[each.absolute]

    def _note(self) -> None:
        self._waiting.update((late.absolute, late) for late in self._files.late_writes())


class LateWrites:
    """The late writes of one cycle's files."""

    def __init__(
        self,
        files: TaskFiles,
        state: State,
        options: Callable[[str], ParseOptions],
        digest: Callable[[bytes], str],
    ) -> None:
        self._files = files
        self._state = state
        self._options = options
        self._digest = digest
        self._queue = LateQueue(files)
        self.are_there = self._queue.are_there
        self.count_in = self._queue.count_in

    def take_in(self) -> Mapping[LateWrite, Sequence[Conflict]]:
        """Bring what was written into displaced files into the files that stand; return what clashed, to be recorded.

        One that clashed counts as taken in only when the conflict is recorded.
        """
        clashes: dict[LateWrite, Sequence[Conflict]] = {}
        for late in self._queue.all():
            found = take_in(late, self._files, self._state, self._options, self._digest)
            if found:
                clashes[late] = found
            elif found is not None:
                self.count_in([late])
        return clashes
