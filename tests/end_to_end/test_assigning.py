"""The monitor assigns cards to workers by the rules of the configuration."""

from __future__ import annotations

from pathlib import Path

from syncd.agents.monitor import IDLE_S
from syncd.files.layout import Layout
from tests.support.crew import script, working
from tests.support.desk import Desk, Running, bare_environment, desk, until

TASKS = """\
| id | status | title | milestone | agent | labels |
|----|--------|-------|-----------|-------|--------|
| A1 | not-started | One | M1 | | |
| A2 | not-started | Two | M2 | opus | |
| A3 | not-started | Three | M2 | | docs, later |
| A4 | not-started | Four | M2 | | |
"""
RULES = """\
monitor: true
assign:
  - {worker: builder, phase: M1}
  - {worker: thinker, agent: "op*"}
  - {worker: "w*", labels: [docs]}
"""


def test_cards_go_to_the_workers_that_the_rules_name(tmp_path: Path, postgres_dsn: str) -> None:
    """By phase, by agent and by label; a card that no rule is about stays for whoever claims for himself."""
    shop = desk(tmp_path / "shop", postgres_dsn, TASKS)
    Layout(shop.root).config.write_text(RULES)
    shop("sync")
    command = script(shop, 'echo "${SYNCD_OWNER%.*} $SYNCD_CARD_ID" >> ../done')
    done = tmp_path / "done"
    with (
        shop.daemon(),
        working(shop, command, "--assigned", owner="builder"),
        working(shop, command, "--assigned", owner="thinker"),
        working(shop, command, "--assigned", owner="writer"),
    ):
        until(lambda: done.exists() and done.read_text().count("\n") == 3, "three cards are done")
        assert sorted(done.read_text().splitlines()) == ["builder A1", "thinker A2", "writer A3"]
        until(lambda: "| A3 | done |" in shop.unpadded, "the file has it")
        assert shop.cell("status", "A4") == "ready"


def test_without_a_database_a_new_worker_is_heard_of_at_once(tmp_path: Path) -> None:
    """A worker that joins while nothing else happens gets its card right away, and not with the monitor's next look."""
    shop = Desk(tmp_path / "shop", bare_environment(tmp_path))
    shop.root.mkdir()
    shop.file.write_text(TASKS)
    shop("--mode", "flatfile", "init", "--yes")
    with Layout(shop.root).config.open("a") as config:
        config.write(RULES)
    command = script(shop, "true")
    with shop.daemon() as daemon, working(shop, command, "--assigned", owner="builder"):
        until(lambda: "| A1 | done |" in shop.unpadded, "the first worker has done its card")
        until(lambda: shop.json("status")["inSync"], "everything is at rest")
        with working(shop, command, "--assigned", owner="writer"):
            until(lambda: _assigned(daemon) == ["A1", "A3"], "the second one got its card", deadline_s=IDLE_S / 3)


def _assigned(daemon: Running) -> list[str]:
    return [each["id"] for each in daemon.events("card.assigned")]
