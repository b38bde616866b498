"""Waiting for the daemon's own threads: a server that answers nobody ends it, one that is slow does not."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from syncd.engine import awaiting
from syncd.engine.awaiting import awaited
from syncd.errors import Busy, StoreUnreachable


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "ANSWER_S", 0.01)


def test_a_server_that_answers_nobody_is_not_waited_for() -> None:
    """The work is given up, and dropped when nobody has begun it."""
    work: Future[None] = Future()
    with pytest.raises(StoreUnreachable, match="does not answer"):
        awaited(work, lambda: True)
    assert work.cancelled()


def test_a_server_that_answers_is_waited_for() -> None:
    """It is looked at again and again, and the result comes when it comes."""
    work: Future[str] = Future()
    looks: list[None] = []

    def hangs() -> bool:
        looks.append(None)
        if len(looks) == 3:
            work.set_result("done")
        return False

    assert awaited(work, hangs) == "done"


def test_a_daemon_that_is_busy_is_not_waited_for_for_ever() -> None:
    """Whoever has a limit is told when it is over."""
    with pytest.raises(Busy):
        awaited(Future[None](), lambda: False, timeout_s=0.0)
