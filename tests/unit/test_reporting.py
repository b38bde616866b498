"""What a worker tells the store when an attempt has ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from syncd.api import Backlog
from syncd.ports import NewCard
from syncd.schemas.card import Card, Status
from syncd.work.attempt import Attempt, Outcome, Workshop
from syncd.work.reporting import report
from tests.support.memory_store import MemoryDatabase


class Desk:
    """As much of a backlog as a report needs, on a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryDatabase().store()
        self.store.create(NewCard(id="A1", title="One"))

    def claim(self, owner: str, ttl: int = 60, *, id: str | None = None) -> Card | None:
        return next(iter(self.store.claim(owner, ttl, id=id)), None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def _report(desk: Desk, card: Card, outcome: Outcome) -> None:
    """Report an attempt of the worker w.1."""
    here = Path()
    shop = Workshop(owner="w.1", command=["true"], environ={}, folder=here, root=here, attempts=here)
    asyncio.run(report(cast(Backlog, desk), Attempt(card, shop, "w.1~1"), outcome, lambda: False))


@pytest.fixture
def desk() -> Desk:
    """A backlog with one card."""
    return Desk()


def test_finished_work_counts_though_the_store_forgot_the_claim(desk: Desk) -> None:
    """A card that nobody else has taken is done, whatever became of the lease; a failure is not told twice."""
    card = desk.claim("w.1")
    assert card is not None
    desk.reclaim("A1")
    _report(desk, card, Outcome(error="no"))
    assert (desk.get("A1").status, desk.get("A1").failures) == (Status.READY, 0)
    _report(desk, card, Outcome())
    assert desk.get("A1").status is Status.DONE


def test_finished_work_of_a_lost_lease_changes_nothing(desk: Desk) -> None:
    """A card that somebody else has, or that was blocked, stays as it is."""
    card = desk.claim("w.1")
    assert card is not None
    desk.reclaim("A1")
    other = desk.claim("other")
    assert other is not None
    _report(desk, card, Outcome())
    assert (desk.get("A1").claim_owner, desk.get("A1").attempts) == ("other", other.attempts)
    desk.block("A1", "killed", attempt=other.attempts)
    _report(desk, card, Outcome())
    assert desk.get("A1").status is Status.BLOCKED
