"""One transaction of a manifest: what is true after it, ready to be applied by whoever reads the log.

May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from syncd.core.history import HistoryEntry
from syncd.ports import ConflictRecord
from syncd.schemas.card import Card


class Committed(msgspec.Struct, frozen=True, rename="camel"):
    """A batch of a cycle that was committed, and the cards that it left out."""

    at: datetime
    left_out: tuple[str, ...] = ()


class Replica(msgspec.Struct, frozen=True, rename="camel"):
    """A working copy that was here."""

    host: str
    path: str
    seen_at: datetime


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One change of a manifest.

    ``cards`` are as they are from then on, ``conflicts`` those that are new or were settled now, ``numbers`` the
    next free one of each prefix.  ``gone`` are rows that left no tombstone, ``forgotten`` the commits and
    working copies that were too old to keep.  ``entries`` go to the audit trail.
    """

    seq: int
    at: datetime
    cards: tuple[Card, ...] = ()
    gone: tuple[str, ...] = ()
    entries: tuple[HistoryEntry, ...] = ()
    conflicts: tuple[ConflictRecord, ...] = ()
    commits: Mapping[str, Committed] = {}
    numbers: Mapping[str, int] = {}
    replicas: Mapping[str, Replica] = {}
    forgotten: tuple[str, ...] = ()
    paused: bool | None = None
