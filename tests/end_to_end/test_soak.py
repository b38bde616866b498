"""A daemon under edits of both sides for long: memory and latency stay flat, and nothing clashes."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import pytest

from tests.bench.latency import STATES, WORDS, board
from tests.bench.standing import memory_mib
from tests.support.desk import desk, until

SOAK_S = float(os.environ.get("SYNCD_SOAK_S", "6"))
"""How long; ``make soak`` gives it an hour."""

CARDS = 100
EVERY_S = 1 / 20
GROWTH_MAX_MIB = 12
"""What the memory may grow by from the first quarter to the end: pools and caches that fill once."""

LATER_MAX = 4
"""How many times what an edit took at best in the first quarter it may take at best in the last.

At best, since a machine that is busy with more for a while makes the median of it longer, and not this."""


@pytest.mark.timeout(SOAK_S + 110)
def test_both_sides_edit_for_long(tmp_path: Path, postgres_dsn: str) -> None:
    """Edits of the file and updates of the table, twenty a second each where the machine is fast enough."""
    here = desk(tmp_path / "shop", postgres_dsn, board(CARDS), file_write_interval_ms=0)
    took: list[float] = []
    sizes: list[float] = []
    with here.daemon() as daemon:
        over_at = time.monotonic() + SOAK_S
        number = 0
        while time.monotonic() < over_at:
            begun = time.monotonic()
            mine, theirs = number % (CARDS // 2), CARDS // 2 + number % (CARDS // 2)
            word = WORDS[number // (CARDS // 2) % 2 == 0]
            here.sql("update backlog set priority = %s where id = %s", number, f"B-{theirs:05}")
            here.edit(f"| B-{mine:05} | {WORDS[word == WORDS[0]]} |", f"| B-{mine:05} | {word} |")
            until(lambda: here.cell_now("status", f"B-{mine:05}") == STATES[word], "the edit is in the table")  # noqa: B023 - called within the round
            took.append(time.monotonic() - begun)
            sizes.append(memory_mib(daemon.pid))
            until(lambda: time.monotonic() > begun + EVERY_S, "it is time for the next")  # noqa: B023 - called within the round
            number += 1
        until(lambda: here.ask("status")["inSync"], "both sides agree")
        status = here.ask("status")
        assert (status["conflicts"], status["problems"], status["held"]) == ([], [], [])
        assert here.sql("select count(*) from backlog where priority > 0") != [(0,)]
    quarter = max(1, len(took) // 4)
    assert max(sizes[-quarter:]) < statistics.median(sizes[:quarter]) + GROWTH_MAX_MIB
    assert _at_best(took[-quarter:]) < _at_best(took[:quarter]) * LATER_MAX


def _at_best(took: list[float]) -> float:
    """Return what the quickest tenth took at most."""
    return sorted(took)[len(took) // 10]
