"""The drift report: what differs, what is held, what cannot be read, and how the store and the daemon are.

Looks only.  With the store away it still tells what the files say against the base.
May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from syncd.core.mission import MissionCard, cards_of, tallies
from syncd.core.plan import Presence, RemoteCard
from syncd.engine.cycle import Cycle
from syncd.engine.report import (
    DaemonStatus,
    StatusReport,
    StoreStatus,
    drift_json,
    hold_json,
    problem_json,
    record_json,
    wait_json,
)
from syncd.errors import StoreUnreachable, SyncdError
from syncd.ports import Absence, SyncStore
from syncd.schemas.card import Status, instant_json
from syncd.schemas.mission import Mission


class Identity(msgspec.Struct, frozen=True):
    """Which workspace a report is about."""

    workspace: str
    project: str
    replica: str


class AwayStore:
    """Stands for a store that could not even be opened: whatever is asked of it raises why."""

    def __init__(self, error: SyncdError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> NoReturn:
        raise self._error


def describe(
    identity: Identity,
    cycle: Cycle,
    store: SyncStore,
    *,
    kind: str,
    daemon: DaemonStatus,
    mode: str,
    absence: Callable[[], Absence | None],
    known: Absence | None,
    missions: Sequence[Mission],
) -> StatusReport:
    """Return the drift report.

    Args:
        kind: the store's kind, known even while it is away.
        mode: ``live`` or ``poll`` as a daemon sees it; ``poll`` without one.
        absence: since when the database is away, as this very look may have found out.
        known: the same, as it was known before.
        missions: what the mission files say, to be held against the cards.
    """
    conflicts, paused = [], False
    try:
        info = store.info()
        preview = cycle.preview()
        conflicts, paused = [record_json(each) for each in store.conflicts()], store.is_paused()
        found = StoreStatus(
            kind=kind, reachable=True, since=daemon.since, server_version=info.server_version, address=info.address
        )
    except SyncdError as error:
        preview = cycle.preview_alone()
        mode = "offline" if isinstance(error, StoreUnreachable) else mode
        found = StoreStatus(kind=kind, reachable=False, error=error.message, hint=error.hint)
    if (away := absence()) is not None:
        mode = "offline"
        when = _when(away, has_daemon=daemon.running)
        hint = f"Work goes on here, and is merged when the database answers: tried {when}, or now by syncd sync."
        # Who finds it away only now knows nothing of before.
        since = instant_json(away.since) if known is not None else None
        found = StoreStatus(kind=kind, reachable=False, since=since, error=away.reason, hint=hint)
    report = preview.report
    told = [mission_json(each, cycle.remote.remote, missions) for each in missions]
    return StatusReport(
        workspace=identity.workspace,
        project=identity.project,
        replica=identity.replica,
        mode=mode,
        in_sync=found.reachable and not preview.drift and not report.held,
        store=found,
        daemon=daemon,
        cards=card_counts(cycle),
        drift=[drift_json(each) for each in preview.drift],
        conflicts=conflicts,
        held=[hold_json(each) for each in report.held],
        problems=[problem_json(each) for each in report.problems],
        waits=[wait_json(each) for each in report.waits],
        mission=told[0] if told else None,
        missions=told,
        paused=paused,
    )


def mission_json(mission: Mission, remote: Mapping[str, RemoteCard], missions: Sequence[Mission]) -> dict[str, Any]:
    """Return a mission's milestones, each held against its cards; of several missions each has its own."""
    live = [MissionCard(id, card.path, card.fields) for id, card in remote.items() if card.presence is Presence.LIVE]
    return {
        "id": mission.id,
        "milestones": [
            {
                "id": each.milestone.id,
                "status": each.milestone.status,
                "cards": {"total": each.total, "done": each.done},
                "agrees": each.agrees,
            }
            for each in tallies(mission, cards_of(mission, live, missions))
        ],
    }


def _when(away: Absence, *, has_daemon: bool) -> str:
    """Return when a database that is away is tried again; without a daemon only commands try it."""
    if away.retry_at is None:
        return "with the next command"
    at = f"{away.retry_at.astimezone():%H:%M:%S}"
    return f"again at {at}" if has_daemon else f"with the next command after {at}"


def card_counts(cycle: Cycle) -> Mapping[str, int]:
    """Return how many live cards there are by state, as the store says (or the base, with the store away)."""
    live = Presence.LIVE
    counts = Counter(card.fields.get("status") for card in cycle.remote.remote.values() if card.presence is live)
    return {"total": counts.total(), **{status.value: counts[status.value] for status in Status}}
