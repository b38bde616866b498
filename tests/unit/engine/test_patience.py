"""Waiting for task files that somebody is writing."""

from __future__ import annotations

import pytest

from syncd.core.plan import Wait
from syncd.engine import patience
from syncd.engine.report import CycleReport
from syncd.errors import Busy


@pytest.mark.parametrize(
    ("wait", "hint"),
    [
        (
            Wait("TASKS.md", "TASKS.md is missing", 24_300, "Then it is written again."),
            "TASKS.md is missing (25 s more). Then it is written again.",
        ),
        (Wait("TASKS.md", "rows just went", 1_000), "rows just went (1 s more); try again."),
    ],
)
def test_a_decision_that_comes_too_early_is_told_what_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, wait: Wait, hint: str
) -> None:
    """Whoever decides while a file still settles learns for how long, and what becomes of it by itself."""
    monkeypatch.setattr(patience, "HOLDS_WAIT_S", 0.0)
    with pytest.raises(Busy) as refused:
        patience.settled_holds(lambda: CycleReport(waits=(wait,)))
    assert refused.value.hint == hint
