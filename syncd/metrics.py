"""Metrics of a workspace in the text that Prometheus reads.

The numbers are the daemon's own counts and what ``status`` tells; without a daemon only the latter.  The library that
writes the format is an extra (``syncd[metrics]``).  May import ``syncd.extras``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from syncd.extras import missing

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Json = Mapping[str, Any]
Values = Mapping[tuple[str, ...], float]
"""Samples by the values of their own labels."""

LABELS = ("workspace", "project")


def text(snapshot: Json) -> str:
    """Return a snapshot as a page for Prometheus.  Raises ConfigError without the library."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        raise missing("the page for Prometheus", "metrics") from None

    class _Collected:
        def collect(self) -> Iterator[Metric]:
            yield from _families(snapshot)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected())
    return generate_latest(registry).decode()


def _families(snapshot: Json) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    status, counts = snapshot["status"], snapshot["daemon"]
    where = [status["workspace"], status["project"]]

    def gauge(name: str, help: str, values: Values, *labels: str) -> Metric:
        made = GaugeMetricFamily(f"syncd_{name}", help, labels=[*LABELS, *labels])
        for key, value in values.items():
            made.add_metric([*where, *key], value)
        return made

    def counter(name: str, help: str, values: Values, *labels: str) -> Metric:
        made = CounterMetricFamily(f"syncd_{name}", help, labels=[*LABELS, *labels])
        for key, value in values.items():
            made.add_metric([*where, *key], value)
        return made

    states: Values = {(state,): status["cards"][state] for state in ("ready", "claimed", "blocked", "done")}
    yield gauge("cards", "Live cards by state.", states, "state")
    yield gauge("in_sync", "1 when files and store agree and nothing is held.", {(): status["inSync"]})
    yield gauge("store_up", "1 when the store answers.", {(): status["store"]["reachable"]})
    yield gauge("daemon_up", "1 when a daemon keeps the workspace in sync.", {(): status["daemon"]["running"]})
    for name in ("drift", "held", "problems", "conflicts"):
        yield gauge(name, f"How much of what status shows: {name}.", {(): len(status[name])})
    if counts is None:
        return
    duration = HistogramMetricFamily("syncd_cycle_seconds", "Duration of cycles.", labels=LABELS)
    bounds = [(f"{each['le']:g}", each["count"]) for each in counts["cyclesBySeconds"]]
    duration.add_metric(where, [*bounds, ("+Inf", counts["cycles"])], sum_value=counts["cyclesSeconds"])
    yield duration
    steps: Values = {(step,): spent for step, spent in counts["stepsSeconds"].items()}
    yield counter("step_seconds", "Time spent in each step of the cycle.", steps, "step")
    ways: Values = {("to_store",): counts["changes"]["toStore"], ("to_file",): counts["changes"]["toFile"]}
    yield counter("changes", "Changes carried over.", ways, "way")
    yield counter("cycle_conflicts", "Conflicts that cycles recorded.", {(): counts["conflicts"]})
    yield counter("slow_cycles", "Cycles that took longer than 250 ms.", {(): counts["slowCycles"]})
    failures: Values = {(code,): number for code, number in counts["failures"].items()}
    yield counter("cycle_failures", "Cycles that failed.", failures, "code")
    yield counter("expired_leases", "Leases that the daemon put back.", {(): counts["expiredLeases"]})
