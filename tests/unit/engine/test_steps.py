"""The clock of a cycle's steps."""

from __future__ import annotations

from syncd.engine.steps import Step, StepClock


def test_steps_add_up_over_the_passes() -> None:
    """What a step took in each pass is added, in the order in which steps came; each beginning is a sign of life."""
    times = iter([0.0, 1.0, 1.0, 3.0, 3.0, 3.5])
    signs: list[int] = []
    clock = StepClock(lambda: next(times), lambda: signs.append(1))
    clock.start()
    clock.begin(Step.PLAN)
    clock.begin(Step.COMMIT)
    clock.begin(Step.PLAN)
    clock.end()
    assert clock.took_ms == {"plan": 1500.0, "commit": 2000.0}
    assert len(signs) == 3
    clock.start()
    assert clock.took_ms == {}
