"""A late write, taken in: what somebody wrote into a file that syncd had replaced under their hands.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncd.core.plan import Conflict
from syncd.engine.displaced import fold
from syncd.log import event
from syncd.parsers.document import ParseOptions
from syncd.ports import LateWrite, State, TaskFiles


def take_in(
    late: LateWrite,
    files: TaskFiles,
    state: State,
    options: Callable[[str], ParseOptions],
    digest: Callable[[bytes], str],
) -> Sequence[Conflict] | None:
    """Write the edit into the file as it is now, where it is an edit like any other.

    Returns:
        What clashed and stays as the file has it; ``None`` when the file changed meanwhile: try again.

    Effects: replaces the task file.  The displaced file stays, for ``undo``.
    Holds: I2.
    """
    meant, before, now = (
        files.bytes_of(late.absolute),
        state.version_bytes(late.path, late.before),
        files.read(late.path),
    )
    if meant is None or before is None or now.data is None:
        event("displaced.kept", path=late.path, kept=late.absolute)
        return ()
    folded = fold(before, meant, now.data, path=late.path, options=options(late.path))
    if not folded.is_whole:
        event("displaced.partly_merged", path=late.path, kept=late.absolute)
    if folded.data != now.data:
        staged = files.stage(late.path, folded.data)
        outcome = files.replace(late.path, staged, now.digest)
        if not outcome.matched:
            if outcome.displaced is None:
                files.discard(staged)
            elif not files.swap_back(late.path, outcome.displaced, digest(folded.data)):
                files.report_late(late.path, outcome.displaced, now.digest or "")
            return None
    return folded.conflicts
