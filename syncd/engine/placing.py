"""Putting a staged file in a task file's place, so that whatever an editor does to either can be told later.

The versions that may come out are remembered first: what stood there, and what is put there, since an
editor may open the new file in the moment before it is taken back, and save into it long after.
May import ``syncd.ports``.
"""

from __future__ import annotations

from typing import Final

from syncd.ports import StagedFile, State, TaskFiles

MADE: Final = "file.made:"
"""With a path behind it, the fact that the last write of syncd made that file, with the digest of what it wrote."""


def place(files: TaskFiles, state: State, staged: StagedFile, data: bytes, before: bytes | None) -> bool:
    """Replace a task file; return whether nobody had written in between.

    Args:
        data: the bytes of the staged file.
        before: those that the task file is expected to have; ``None`` for absent.

    Effects: with somebody's save in between, that save is the file again and is planned as any other; where
    it cannot be put back it is reported as a late write.  What syncd had written came from the store, so
    nothing is lost by taking it out.  A file that is to go is empty for a moment.

    Raises: InputOutputError.
    Holds: I2.
    """
    if not staged.is_removal:
        state.remember_version(staged.path, staged.new, data)
    if before is not None and staged.expected is not None:
        state.remember_version(staged.path, staged.expected, before)
    outcome = files.replace(staged.path, staged.staged, staged.expected)
    if outcome.matched and staged.is_removal:
        files.remove(staged.path, staged.new)
    elif outcome.matched:
        state.remember_version(staged.path, staged.new, data)
        _note_made(state, staged)
    elif outcome.displaced is None:
        files.discard(staged.staged)
    elif not files.swap_back(staged.path, outcome.displaced, staged.new):
        files.report_late(staged.path, outcome.displaced, staged.expected or "")
    return outcome.matched


def _note_made(state: State, staged: StagedFile) -> None:
    """Remember whether this write made a file that was not there: nothing was displaced that could be put back."""
    made = staged.new if staged.expected is None else None
    if state.meta(MADE + staged.path) != made:
        state.set_meta(MADE + staged.path, made)
