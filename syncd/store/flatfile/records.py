"""One transaction of a manifest: what is true after it, ready to be applied by whoever reads the log.

May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from syncd.core.history import HistoryEntry
from syncd.core.session import Proof
from syncd.ports import ConflictRecord
from syncd.schemas.card import Card, Value
from syncd.schemas.mission import RecordKey, RecordKind


class Committed(msgspec.Struct, frozen=True, rename="camel"):
    """A batch of a cycle that was committed, and the cards that it left out."""

    at: datetime
    left_out: tuple[str, ...] = ()


class KeptReplica(msgspec.Struct, frozen=True, rename="camel"):
    """A working copy that was here."""

    host: str
    path: str
    seen_at: datetime


class MissionRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A mission, milestone or session as it is kept; of one that is gone the version stays."""

    kind: RecordKind
    mission: str
    id: str = ""
    fields: Mapping[str, Value] = {}
    version: int
    position: int = 0
    path: str | None = None
    proof: Proof | None = None
    seen_at: datetime | None = None
    is_gone: bool = False

    @property
    def key(self) -> RecordKey:
        """Which record it is."""
        return RecordKey(self.kind, self.mission, self.id)


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One change of a manifest.

    ``cards`` are as they are from then on, ``conflicts`` those that are new or were settled now, ``numbers`` the
    next free one of each prefix.  ``gone`` are rows that left no tombstone, ``forgotten`` the commits and
    working copies that were too old to keep.  ``entries`` go to the audit trail,
    ``mission_entries`` to that of missions.
    """

    seq: int
    at: datetime
    cards: tuple[Card, ...] = ()
    gone: tuple[str, ...] = ()
    entries: tuple[HistoryEntry, ...] = ()
    conflicts: tuple[ConflictRecord, ...] = ()
    commits: Mapping[str, Committed] = {}
    numbers: Mapping[str, int] = {}
    replicas: Mapping[str, KeptReplica] = {}
    forgotten: tuple[str, ...] = ()
    paused: bool | None = None
    missions: tuple[MissionRow, ...] = ()
    mission_entries: tuple[HistoryEntry, ...] = ()
