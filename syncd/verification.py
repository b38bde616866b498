"""``syncd verify``: files, base and store compared anew, each difference explained.

Nothing that a daemon remembers is taken on trust: files are read, every row of the store is read, and the same
reconcile as in a cycle says what each difference means.  Reads only.  May import everything below the faces.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import msgspec

from syncd.core.drift import DriftEntry
from syncd.core.plan import Hold, Presence, Wait
from syncd.parsers.document import Problem
from syncd.parsers.tasks_md import parse
from syncd.wiring import Wiring


class Difference(msgspec.Struct, frozen=True):
    """One difference, why it is there, and the command that ends it; ``None`` where nothing has to be done."""

    entry: DriftEntry
    because: str
    command: str | None


class Verification(msgspec.Struct, frozen=True):
    """How many cards each side has, and what differs.

    ``unread`` are the problems of files that could not be read: nothing is known of their cards.
    """

    in_files: Mapping[str, int]
    in_base: int
    in_store: int
    differences: tuple[Difference, ...]
    unread: tuple[Problem, ...]

    @property
    def agrees(self) -> bool:
        """Whether all three say the same."""
        return not self.differences and not self.unread


def verify(wiring: Wiring) -> Verification:
    """Compare the three sides of a workspace.

    Raises: the errors of a store: with one that is away there is nothing to compare with.
    """
    wiring.store(may_make=False).info()
    cycle = wiring.cycle(may_make=False)
    look = cycle.look()
    preview = look.preview
    holds = preview.report.held
    waits = {wait.path: wait for wait in preview.report.waits}
    return Verification(
        in_files={path: _cards_in(wiring, path) for path in wiring.files.paths()},
        in_base=len(wiring.state(may_write=False).base()),
        in_store=sum(card.presence is Presence.LIVE for card in cycle.remote.remote.values()),
        differences=tuple(_explained(entry, holds, waits) for entry in preview.drift),
        unread=look.unread,
    )


def _cards_in(wiring: Wiring, path: str) -> int:
    data = wiring.files.read(path).data
    return 0 if data is None else len(parse(data, path=path, options=wiring.files.parse_options(path)).cards)


def _explained(entry: DriftEntry, holds: Sequence[Hold], waits: Mapping[str, Wait]) -> Difference:
    hold = next((each for each in holds if each.id in (entry.id, entry.path)), None)
    if entry.direction == "held" or hold is not None:
        reason = hold.reason if hold else "a guard keeps it back"
        return Difference(entry, f"held: {reason}", hold.release if hold else "syncd held")
    if entry.path is not None and (wait := waits.get(entry.path)) is not None:
        return Difference(entry, f"the file settles: {wait.reason}", None)
    if entry.direction == "conflict":
        command = f"syncd resolve {shlex.quote(entry.id)} --field {shlex.quote(entry.field or '*')} --use local|remote"
        return Difference(entry, "both sides changed it, differently, since they last agreed", command)
    if entry.field is None:
        side, other = ("file", "store") if entry.direction == "to-store" else ("store", "file")
        return Difference(
            entry, f"the card came or went in the {side}, and the {other} does not know yet", "syncd sync"
        )
    if entry.direction == "to-store":
        return Difference(entry, "the file was edited since both sides agreed", "syncd sync")
    return Difference(entry, "the store was changed since both sides agreed", "syncd sync")
