"""The metrics of a workspace, as Prometheus reads them."""

from __future__ import annotations

from pathlib import Path

from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from syncd.cli.schemas import bundle
from tests.support.desk import Desk, desk, until


def samples(page: str) -> dict[tuple[str, str], float]:
    """Return each sample of a page by its name and its own label."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            own = [each for name, each in sample.labels.items() if name not in ("workspace", "project")]
            found[sample.name, "".join(own)] = sample.value
    return found


def test_a_daemon_counts_its_work(tmp_path: Path, postgres_dsn: str) -> None:
    """Beside a daemon the page has what status tells and what the daemon counted, each step's time among it."""
    here: Desk = desk(tmp_path / "shop", postgres_dsn)
    with here.daemon():
        here.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: here.cell("status", "A1") == "done", "the edit is in the store")
        Draft202012Validator(bundle("metrics")).validate(here.json("metrics"))
        found = samples(here("metrics").stdout)
    assert found["syncd_daemon_up", ""] == 1
    assert found["syncd_cards", "done"] == 1
    assert found["syncd_changes_total", "to_store"] >= 4
    assert found["syncd_step_seconds_total", "commit"] > 0
    assert found["syncd_cycle_seconds_count", ""] == found["syncd_cycle_seconds_bucket", "+Inf"] >= 2


def test_without_a_daemon_the_status_is_measured(tmp_path: Path, postgres_dsn: str) -> None:
    """Without a daemon the page says so, and can be written into a file at once."""
    here = desk(tmp_path / "shop", postgres_dsn)
    page = tmp_path / "syncd.prom"
    here("metrics", "--textfile", str(page))
    found = samples(page.read_text())
    assert found["syncd_daemon_up", ""] == 0
    assert found["syncd_drift", ""] == 3
    assert found["syncd_in_sync", ""] == 0
    assert here.json("metrics")["daemon"] is None
