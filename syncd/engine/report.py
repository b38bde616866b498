"""What a cycle did and what ``status`` says: plain values with the JSON of the command line contract.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from syncd.core.plan import Change, Conflict, Deed, Hold, Wait
from syncd.parsers.document import Problem
from syncd.schemas.card import Value, instant_json

if TYPE_CHECKING:
    from syncd.core.drift import DriftEntry
    from syncd.core.history import HistoryEntry
    from syncd.core.standing import Obstacle
    from syncd.ports import ConflictRecord, QueueStats


class CycleReport(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle's plan as it was carried out, or as it would be."""

    to_store: tuple[Change, ...] = ()
    to_file: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    held: tuple[Hold, ...] = ()
    problems: tuple[Problem, ...] = ()
    waits: tuple[Wait, ...] = ()
    named: tuple[str, ...] = ()
    """Cards whose ids were written into rows that had none."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of ``syncd sync --json``."""
        return {
            "toStore": [change_json(each) for each in self.to_store],
            "toFile": [change_json(each) for each in self.to_file],
            "conflicts": [conflict_json(each) for each in self.conflicts],
            "held": [hold_json(each) for each in self.held],
            "problems": [problem_json(each) for each in self.problems],
        }

    def then(self, more: CycleReport) -> CycleReport:
        """Return the report of two passes: what both did, and what holds after the second."""
        return CycleReport(
            to_store=(*self.to_store, *more.to_store),
            to_file=(*self.to_file, *more.to_file),
            conflicts=(*self.conflicts, *(each for each in more.conflicts if each not in self.conflicts)),
            held=more.held,
            problems=more.problems,
            waits=more.waits,
            named=(*self.named, *more.named),
        )

    def beside(self, other: CycleReport) -> CycleReport:
        """Return the report of two parts of one cycle: what each did and what holds in each."""
        return CycleReport(
            to_store=(*self.to_store, *other.to_store),
            to_file=(*self.to_file, *other.to_file),
            conflicts=(*self.conflicts, *other.conflicts),
            held=(*self.held, *other.held),
            problems=(*self.problems, *other.problems),
            waits=(*self.waits, *other.waits),
            named=(*self.named, *other.named),
        )

    def to_wire(self) -> Any:
        """Return plain values for the daemon's socket; ``from_wire`` reads them."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_wire(cls, plain: Any) -> CycleReport:
        """Return the report that ``to_wire`` wrote."""
        return msgspec.convert(plain, cls)


class Preview(msgspec.Struct, frozen=True):
    """What a cycle would do, and what differs now."""

    report: CycleReport
    drift: tuple[DriftEntry, ...]

    def beside(self, other: Preview) -> Preview:
        """Return the preview of two parts of one cycle."""
        return Preview(self.report.beside(other.report), (*self.drift, *other.drift))


class Look(msgspec.Struct, frozen=True):
    """A look at both sides that writes nothing.

    ``unread`` is why files could not be read: what differs in them is not known.  ``knows`` tells whether a card
    of an id was seen on either side.
    """

    preview: Preview
    unread: tuple[Problem, ...]
    knows: Callable[[str], bool]


def change_json(change: Change) -> dict[str, Any]:
    """Return one change of a plan as JSON."""
    return {
        "kind": change.kind.value,
        "id": change.id,
        "path": change.path,
        "fields": {name: _plain(value) for name, value in change.fields.items()},
        "before": {name: _plain(value) for name, value in change.before.items()},
    }


def conflict_json(conflict: Conflict) -> dict[str, Any]:
    """Return a conflict as JSON, without what only a kept record knows."""
    return {
        "id": conflict.id,
        "field": conflict.field,
        "base": _plain(conflict.base),
        "local": _plain(conflict.local),
        "remote": _plain(conflict.remote),
        "winner": conflict.winner.value,
    }


def record_json(record: ConflictRecord) -> dict[str, Any]:
    """Return a kept conflict as JSON."""
    return {
        **conflict_json(record.conflict),
        "seq": record.seq,
        "replica": record.replica,
        "at": instant_json(record.at),
        "settled": record.settled,
        "settledAt": instant_json(record.settled_at),
    }


def drift_json(entry: DriftEntry) -> dict[str, Any]:
    """Return one difference between file and store as JSON."""
    return {
        "id": entry.id,
        "field": entry.field,
        "base": _plain(entry.base),
        "local": _plain(entry.local),
        "remote": _plain(entry.remote),
        "direction": entry.direction,
        "path": entry.path,
        "line": entry.line,
    }


def hold_json(hold: Hold) -> dict[str, Any]:
    """Return a hold as JSON."""
    return {
        "id": hold.id,
        "guard": hold.guard,
        "reason": hold.reason,
        "release": hold.release,
        "path": hold.path,
        "accepting": _deeds_json(hold.accepting),
        "rejecting": _deeds_json(hold.rejecting),
    }


def _deeds_json(deeds: Sequence[Deed] | None) -> list[dict[str, Any]] | None:
    """Return what a decision would do, side by side; ``None`` where it cannot be made."""
    if deeds is None:
        return None
    plain: list[dict[str, Any]] = msgspec.to_builtins(deeds)
    return plain


def wait_json(wait: Wait) -> dict[str, Any]:
    """Return a file that waits, as JSON."""
    return {"path": wait.path, "reason": wait.reason, "retryMs": wait.retry_ms, "hint": wait.hint}


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON."""
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }


def stats_json(stats: QueueStats) -> dict[str, Any]:
    """Return the counts of a project."""
    return {
        "counts": dict(stats.counts),
        "total": stats.total,
        "oldestReadyAgeSeconds": stats.oldest_ready_age_s,
        "expiredClaimCount": stats.expired_claim_count,
        "queue": dict(stats.queue),
        "paused": stats.paused,
    }


def history_json(entry: HistoryEntry) -> dict[str, Any]:
    """Return one entry of the audit trail."""
    return {
        "seq": entry.seq,
        "at": instant_json(entry.at),
        "id": entry.id,
        "version": entry.version,
        "op": entry.op.value,
        "actor": entry.actor,
        "face": entry.face,
        "changes": [{"field": each.field, "from": each.before, "to": each.after} for each in entry.changes],
    }


def why_json(obstacles: Sequence[Obstacle]) -> dict[str, Any]:
    """Return what stands between a card and a claim."""
    reasons = [
        {
            "code": each.reason.value,
            "message": each.message,
            "id": each.id,
            "owner": each.owner,
            "until": instant_json(each.until),
        }
        for each in obstacles
    ]
    return {"claimable": not reasons, "reasons": reasons}


def _plain(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The store as ``status`` shows it; ``error`` says why it is not reachable."""

    kind: str
    reachable: bool
    since: str | None = None
    server_version: str | None = None
    address: str | None = None
    error: str | None = None
    hint: str | None = None


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The daemon as ``status`` shows it; one that is ``busy`` had no time to look, and what was last known is shown."""

    running: bool
    pid: int | None = None
    since: str | None = None
    last_cycle_at: str | None = None
    last_cycle_ms: float | None = None
    error: str | None = None
    busy: bool = False


class StatusReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The drift report.  ``drift``, ``conflicts``, ``held``, ``problems``, ``waits`` hold JSON already."""

    workspace: str
    project: str
    replica: str
    mode: str
    in_sync: bool
    store: StoreStatus
    daemon: DaemonStatus
    cards: Mapping[str, int]
    drift: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    held: list[dict[str, Any]]
    problems: list[dict[str, Any]]
    waits: list[dict[str, Any]]
    mission: dict[str, Any] | None = None
    missions: list[dict[str, Any]] = []
    paused: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of ``syncd status --json``."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_wire(cls, plain: Any) -> StatusReport:
        """Return the report that ``to_json`` wrote."""
        return msgspec.convert(plain, cls)
