"""What a daemon counts of its own work, for whoever measures it.

Plain numbers, always kept: they cost less than asking whether anybody wants them.  May import
``syncd.engine.report``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from syncd.engine.report import CycleReport

BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the durations of cycles that are told apart."""


@dataclass(slots=True)
class Meters:
    """Counts since the daemon started."""

    cycles: int = 0
    cycles_s: float = 0.0
    slow_cycles: int = 0
    conflicts: int = 0
    expired_leases: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS_S))
    steps_s: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def count(self, report: CycleReport, took_ms: float, steps_ms: Mapping[str, float], *, is_slow: bool) -> None:
        """Count a cycle that came to its end."""
        took_s = took_ms / 1000
        self.cycles += 1
        self.cycles_s += took_s
        self.slow_cycles += is_slow
        for at, bound in enumerate(BUCKETS_S):
            self.buckets[at] += took_s <= bound
        for step, spent_ms in steps_ms.items():
            self.steps_s[step] += spent_ms / 1000  # type: ignore[assignment]  # a Counter of seconds
        self.changes["to_store"] += len(report.to_store)
        self.changes["to_file"] += len(report.to_file)
        self.conflicts += len(report.conflicts)

    def to_json(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "cycles": self.cycles,
            "cyclesSeconds": round(self.cycles_s, 6),
            "cyclesBySeconds": [
                {"le": bound, "count": number} for bound, number in zip(BUCKETS_S, self.buckets, strict=True)
            ],
            "slowCycles": self.slow_cycles,
            "stepsSeconds": {step: round(spent, 6) for step, spent in self.steps_s.items()},
            "changes": {"toStore": self.changes["to_store"], "toFile": self.changes["to_file"]},
            "conflicts": self.conflicts,
            "failures": dict(self.failures),
            "expiredLeases": self.expired_leases,
        }
