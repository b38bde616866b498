"""What a workspace counts, in the text format of Prometheus.

May import what ``syncd.api`` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from syncd.errors import SyncdError

if TYPE_CHECKING:
    from syncd.engine.report import StatusReport
    from syncd.ports import QueueStats

Samples = Mapping[Any, float]
"""Values by their labels: pairs of name and value."""


def metrics_text(report: StatusReport, stats: Callable[[], QueueStats]) -> str:
    """Return all metrics; those of the queue only while the store answers."""
    return "".join(_lines(report, stats))


def _lines(report: StatusReport, stats: Callable[[], QueueStats]) -> Iterator[str]:
    yield from _metric("syncd_up", "Whether the store answers.", {(): float(report.store.reachable)})
    yield from _metric("syncd_in_sync", "Whether files and store agree.", {(): float(report.in_sync)})
    yield from _metric("syncd_daemon_up", "Whether the daemon runs.", {(): float(report.daemon.running)})
    cards = {(("status", name),): float(count) for name, count in report.cards.items() if name != "total"}
    yield from _metric("syncd_cards", "Live cards.", cards)
    parts = (
        ("drift", report.drift),
        ("held", report.held),
        ("problem", report.problems),
        ("conflict", report.conflicts),
    )
    yield from _metric(
        "syncd_open", "What waits for a cycle or a hand.", {(("kind", name),): len(each) for name, each in parts}
    )
    if report.daemon.last_cycle_ms is not None:
        yield from _metric(
            "syncd_cycle_seconds", "How long the last cycle took.", {(): report.daemon.last_cycle_ms / 1000}
        )
    try:
        found = stats()
    except SyncdError:
        return
    queue = {(("state", name),): float(count) for name, count in found.queue.items()}
    yield from _metric("syncd_queue", "Cards by their state in the queue.", queue)
    yield from _metric("syncd_queue_paused", "Whether no cards are handed out.", {(): float(found.paused)})
    yield from _metric("syncd_expired_leases", "Leases that have ended.", {(): float(found.expired_claim_count)})
    if found.oldest_ready_age_s is not None:
        text = "How long the oldest ready card waits."
        yield from _metric("syncd_oldest_ready_seconds", text, {(): found.oldest_ready_age_s})


def _metric(name: str, text: str, samples: Samples) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in samples.items():
        said = ",".join(f'{key}="{each}"' for key, each in labels)
        yield f"{name}{{{said}}} {value:g}\n" if said else f"{name} {value:g}\n"
