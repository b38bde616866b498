"""How long an edit takes to reach Postgres, and an update to reach the file: ``make bench``.

Each try is one status, changed on one side and waited for on the other, with ``syncd run`` going.  Prints
median and worst of each way, and writes them under ``bench-results/``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "01-first-sync"))

from stage import Stage, until  # noqa: E402 - the example's folder is no package

HEAD = "| id | status | title | depends_on |\n|----|--------|-------|------------|\n"
GOAL_MS = 50.0


def board(cards: int) -> str:
    """Return a task file of so many cards."""
    rows = (f"| B-{number:05} | not-started | Card {number} of the board | — |\n" for number in range(1, cards + 1))
    return f"# Bench\n\n{HEAD}{''.join(rows)}"


@contextlib.contextmanager
def fresh_database(url: str | None) -> Iterator[str | None]:
    """Make a database for this run on a served Postgres and drop it afterwards; None stays None."""
    if url is None:
        yield None
        return
    name = f"syncd_bench_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        try:
            yield make_conninfo(url, dbname=name)
        finally:
            connection.execute(f"drop database {name} with (force)")


def timed(change: Callable[[], None], has_arrived: Callable[[], object], what: str) -> float:
    """Return how many milliseconds a change takes to arrive."""
    started = time.perf_counter()
    change()
    until(has_arrived, what)
    return (time.perf_counter() - started) * 1000


def measure(stage: Stage, cards: int, tries: int) -> dict[str, list[float]]:
    """Change one status at a time, by turns from either side."""
    stage.syncd("init", "--yes")
    # Changes come one after another here; what is measured is their way, not the pause that is owed to editors.
    stage.syncd("config", "set", "file_write_interval_ms", "0")
    stage.start_daemon()
    until(lambda: stage.sql("select 1 from backlog having count(*) = %s", cards), f"{cards} cards arrive")
    took: dict[str, list[float]] = {"file → Postgres": [], "Postgres → file": []}
    query = "select 1 from backlog where id = %s and status = 'done'"
    for number in range(1, 2 * tries + 1, 2):
        edited, updated = f"B-{number:05}", f"B-{number + 1:05}"
        took["file → Postgres"].append(
            timed(
                lambda id=edited: stage.edit(f"| {id} | not-started |", f"| {id} | done |"),
                lambda id=edited: stage.sql(query, id),
                f"{edited} is done in Postgres",
            )
        )
        took["Postgres → file"].append(
            timed(
                lambda id=updated: stage.sql("update backlog set status = 'done' where id = %s", id),
                lambda id=updated: "done" in stage.line(f"| {id} |"),
                f"{updated} is done in the file",
            )
        )
    return took


def main() -> int:
    """Measure, print, and keep the figures; exit 1 when a median misses the goal."""
    options = argparse.ArgumentParser(description="Measure how long a change takes to arrive on the other side.")
    options.add_argument("--cards", type=int, default=100, help="cards on the board (100)")
    options.add_argument("--tries", type=int, default=20, help="changes each way (20)")
    options.add_argument("--database-url", help="a served Postgres; else a private embedded one")
    given = options.parse_args()
    cards = max(given.cards, 2 * given.tries)
    with tempfile.TemporaryDirectory() as folder, fresh_database(given.database_url) as url:
        (Path(folder) / "TASKS.md").write_text(board(cards), "utf-8")
        with Stage(url, Path(folder)) as stage:
            took = measure(stage, cards, given.tries)
    print(
        f"{cards} cards, {given.tries} changes each way, ms from the change to its arrival (goal: median {GOAL_MS:.0f})"
    )
    figures = {}
    for way, each in took.items():
        figures[way] = {"median_ms": round(statistics.median(each), 2), "max_ms": round(max(each), 2)}
        print(f"  {way}   median {figures[way]['median_ms']:7.2f}   worst {figures[way]['max_ms']:7.2f}")
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    kept = {"cards": cards, "tries": given.tries, "served": given.database_url is not None, "took": figures}
    (results / "latency.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return int(any(each["median_ms"] > GOAL_MS for each in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
