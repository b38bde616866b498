"""What the guards look at beside the plan, and what they answer.

The engine measures (ages, hashes, the epoch) and passes facts; the guards judge.  So the guards ask
no clock and read no file.  May import ``syncd.core.plan``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from syncd.core.plan import BaseCard, FieldName, Hold, LocalCard, Plan, Policy, RemoteCard, Wait
from syncd.schemas.card import Value

Side: TypeAlias = Literal["store", "file"]

ACCEPT: Final = "accept"
REJECT: Final = "reject"

STORE: Final = "store"
"""The ``id`` of a hold on everything between the files and a store that went back."""


class FileSight(msgspec.Struct, frozen=True):
    """What is known of one task file now.

    Args:
        exists: False when it is gone.
        is_readable: False when nothing could be read from it: from its cards' absence nothing is concluded.
        changed_ms_ago: since its bytes last changed; ``None``: long ago.
        missing_ms: since it was first seen missing; ``None`` when it exists or was just missed.
        marker_line: the first line that git's merge left its markers on.
        version_rank: 0 for the newest version that syncd has seen, n for the n-th older one, ``None``
            for bytes never seen.
        head_moved: git's HEAD moved to another tree together with the change.
        bad_id_line: the first row whose id cannot be read: a card that vanished may stand there.
        repeated_line: the first row whose id is that of another row: a card that vanished may stand there.
        unread: cards that vanished while their text still stands, with its line: the table or list around it
            is none any more.
        git_wait_ms: how long git may still be at work on bytes that it has put back: HEAD moves after the files.
        is_truncation: the bytes look like the beginning of a write: a strict prefix of what was there
            before, or a last line without its end or with too few cells.
        has_past: a version of it was taken in once: the file can be put back.
    """

    path: str
    exists: bool = True
    is_readable: bool = True
    changed_ms_ago: int | None = None
    missing_ms: int | None = None
    marker_line: int | None = None
    version_rank: int | None = None
    head_moved: bool = False
    bad_id_line: int | None = None
    repeated_line: int | None = None
    unread: Mapping[str, int] = msgspec.field(default_factory=dict)
    is_truncation: bool = False
    git_wait_ms: int = 0
    has_past: bool = True


class OwnWrite(msgspec.Struct, frozen=True):
    """A value that syncd itself wrote to one side.

    Only cycles without a foreign writer of the store and without an editor count.  What a program put back in
    the file right after syncd had replaced it counts as a write to the store, whether it got there or not.
    """

    id: str
    field: FieldName
    side: Side
    value: Value


class Sight(msgspec.Struct, frozen=True):
    """Everything that the guards see.

    Args:
        base, local, remote, policy: what the plan was made from.
        files: the facts of each task file, by path.
        store_rewound: why the store is believed to have gone back in time; ``None``: it has not.
        parser_changed: another version of the parser read these files last time; stays True while a hold on
            that stands.
        own_writes: syncd's own writes of late, and what undid them, oldest first.
        short_lived: rows that went within 10 s of syncd's putting them into the file, with that time in seconds:
            an editor that had read the file before may have saved its old buffer.
        standing: the fingerprints of the holds that stood after the last cycle, and the marks of what was taken
            back.  What is held stays held until a decision or an edit, even when less than before now trips
            the guard.
    """

    base: Mapping[str, BaseCard]
    local: Mapping[str, LocalCard]
    remote: Mapping[str, RemoteCard]
    files: Mapping[str, FileSight] = msgspec.field(default_factory=dict)
    policy: Policy = msgspec.field(default_factory=Policy)
    store_rewound: str | None = None
    parser_changed: bool = False
    own_writes: tuple[OwnWrite, ...] = ()
    short_lived: Mapping[str, float] = msgspec.field(default_factory=dict)
    standing: frozenset[str] = frozenset()


class Thresholds(msgspec.Struct, frozen=True):
    """When the guards trip.  Units are in the names; a share is of a file's cards."""

    deletions_max: int = 3
    deletions_share: float = 0.20
    grace_s: float = 30.0
    settle_ms: int = 300
    settle_deletions_ms: int = 2000
    changed_share: float = 0.5
    changed_min: int = 20
    reverts_min: int = 2
    swings_max: int = 3


class Guarded(msgspec.Struct, frozen=True):
    """What the guards let through, and what not.

    ``plan`` may be carried out.  ``holds`` wait for a person, ``waits`` for time.  ``accepted`` and
    ``rejected`` were decided: the plan carries the decisions out, and once it is done they can be forgotten.
    ``marks`` name what is taken back without asking, as long as the files do not show that yet.
    ``planned`` is the whole plan that was judged: what the drift report reads.
    """

    plan: Plan
    holds: tuple[Hold, ...] = ()
    waits: tuple[Wait, ...] = ()
    rejected: tuple[Hold, ...] = ()
    accepted: tuple[Hold, ...] = ()
    marks: frozenset[str] = frozenset()
    planned: Plan = msgspec.field(default_factory=Plan)
