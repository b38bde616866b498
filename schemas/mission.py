"""The mission: what a ``mission.json`` says, as far as syncd reads it.  Imports nothing of syncd."""

from __future__ import annotations

import msgspec


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """One milestone; it matches the phase of cards by id or name."""

    id: str
    name: str | None = None
    status: str | None = None


class Mission(msgspec.Struct, frozen=True, kw_only=True):
    """A mission and its milestones, in the file's order."""

    id: str
    name: str | None = None
    status: str | None = None
    milestones: tuple[Milestone, ...] = ()
