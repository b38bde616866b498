"""What a workspace costs that stands: an idle daemon, with a database and without, and fifty of them on one Postgres.

Part of ``make bench``.  CPU is the processes' own, user and system together, so that a busy machine does not count;
memory is what only the process has (``Pss`` of ``smaps_rollup``), since many daemons share their libraries.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psycopg

from tests.bench.latency import Figure, board, database, rest, written
from tests.support.desk import Desk, bare_environment, desk, until

TICKS: Final = os.sysconf("SC_CLK_TCK")
IDLE_CPU_GOAL_PERCENT: Final = 0.2
IDLE_MEMORY_GOAL_MIB: Final = 60
MANY_MEMORY_GOAL_MIB: Final = 50
CONNECTIONS_GOAL: Final = 2
FIRST_SYNC_MAX_S: Final = 300


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def wakeups(pid: int) -> int:
    """Return how often a process's threads gave the processor away by themselves."""
    threads = Path(f"/proc/{pid}/task").glob("*/status")
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", each.read_text(), re.M)[1]) for each in threads)


def memory_mib(pid: int) -> float:
    """Return the memory of a process: all of its own, and its part of what it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+)", text, re.M)
    return int(found[1]) / 1024 if found else 0.0


def wait_s(seconds: float) -> None:
    """Let time pass."""
    over_at = time.monotonic() + seconds
    until(lambda: time.monotonic() > over_at, "time has passed", deadline_s=seconds + 60, step_s=0.2)


def single(what: str, cards: int, value: float, unit: str, goal: float | None = None) -> Figure:
    """Return a figure that is one value, and has no floor."""
    return Figure(what, cards, 1, value, value, "–", 0.0, goal, unit)


def synced(here: Desk) -> Desk:
    """Return the working copy after its first sync, so that its daemon has nothing to do."""
    assert here.start("sync", stdout=subprocess.DEVNULL).wait(FIRST_SYNC_MAX_S) == 0
    return here


def idle(here: Desk, cards: int, seconds: float, what: str = "idle daemon") -> Iterator[Figure]:
    """Measure a daemon with nothing to do, when the first sync is over."""
    synced(here)
    with here.daemon() as running:
        rest()
        wait_s(2.0)
        pid = running.pid
        used, woken, started = cpu_s(pid), wakeups(pid), time.monotonic()
        wait_s(seconds)
        took_s = time.monotonic() - started
        yield single(f"{what}, CPU", cards, (cpu_s(pid) - used) / took_s * 100, "%", IDLE_CPU_GOAL_PERCENT)
        yield single(f"{what}, wake-ups", cards, (wakeups(pid) - woken) / took_s, "/s")
        yield single(f"{what}, memory", cards, memory_mib(pid), "MiB", IDLE_MEMORY_GOAL_MIB)


def in_files(root: Path, cards: int) -> Desk:
    """Make a working copy whose cards are in files alone."""
    root.mkdir(parents=True)
    (root / "TASKS.md").write_text(board(cards), "utf-8")
    here = Desk(root, bare_environment(root.parent))
    here("init", "--yes", "--mode", "flatfile")
    return here


def many(place: Path, dsn: str, count: int, seconds: float) -> Iterator[Figure]:
    """Measure many workspaces, each with a daemon of its own, on one Postgres."""
    with ExitStack() as life:
        desks = [synced(desk(place / f"many-{n}", dsn, board(20), project=f"many-{n}")) for n in range(count)]
        runs = [life.enter_context(each.daemon()) for each in desks]
        wait_s(2.0)
        used, started = sum(cpu_s(each.pid) for each in runs), time.monotonic()
        wait_s(seconds)
        took_s = time.monotonic() - started
        shares = sorted(memory_mib(each.pid) for each in runs)
        with psycopg.connect(dsn, autocommit=True) as link:
            query = (
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            )
            ((connections,),) = link.execute(query).fetchall()
        idle_percent = (sum(cpu_s(each.pid) for each in runs) - used) / took_s * 100 / count
        what = f"{count} workspaces, each"
        yield single(f"{what}: memory", 20, statistics.median(shares), "MiB", MANY_MEMORY_GOAL_MIB)
        yield single(f"{what}: connections", 20, connections / count, "", CONNECTIONS_GOAL)
        yield single(f"{what}: CPU", 20, idle_percent, "%", IDLE_CPU_GOAL_PERCENT)


def measure(url: str | None, given: argparse.Namespace) -> Iterator[Figure]:
    """Measure everything."""
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as name:
        place = Path(name)
        for cards in given.cards:
            (place / str(cards)).mkdir()
            with database(url, place / str(cards)) as dsn:
                yield from idle(desk(place / f"idle-{cards}", dsn, board(cards)), cards, given.seconds)
            here = in_files(place / f"files-{cards}", cards)
            yield from idle(here, cards, given.seconds, "idle daemon without a database")
        (place / "many").mkdir()
        with database(url, place / "many") as dsn:
            yield from many(place, dsn, given.workspaces, min(given.seconds, 20.0))


def main() -> int:
    """Measure, print, and keep the figures."""
    options = argparse.ArgumentParser(description="Measure what a workspace costs that stands.")
    options.add_argument("--cards", type=int, nargs="+", default=[100, 10_000], help="cards on the board (100 10000)")
    options.add_argument("--seconds", type=float, default=60.0, help="how long to look at an idle daemon (60)")
    options.add_argument("--workspaces", type=int, default=50, help="how many on one Postgres (50)")
    options.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="a Postgres ($DATABASE_URL)")
    given = options.parse_args()
    written("standing", list(measure(given.database_url, given)), given.database_url is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
