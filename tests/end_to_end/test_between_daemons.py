"""Commands while a daemon begins, reads its settings anew, or ends: they wait a moment, and nobody sees an error."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import Desk, Running, desk, until

COMMANDS = (
    ("backlog", "list"),
    ("status",),
    ("sync",),
    ("backlog", "update", "A2", "priority=5"),
    ("backlog", "claim", "--owner", "w", "--id", "A1"),
    ("backlog", "release", "--owner", "w", "--id", "A1"),
    ("diff",),
)
RELOADS = 4


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Iterator[tuple[Desk, Running]]:
    """A workspace with a running daemon that has made its first sync."""
    here = desk(tmp_path / "shop", postgres_dsn, guards__settle_deletions_ms=20_000)
    with here.daemon() as running:
        yield here, running


def test_commands_outlast_reloads(shop: tuple[Desk, Running]) -> None:
    """While a daemon reads its settings again and again, every command does what it should."""
    here, running = shop
    is_over = threading.Event()

    def reload() -> None:
        for number in range(1, RELOADS + 1):
            running.process.send_signal(signal.SIGHUP)
            until(lambda number=number: len(running.events("daemon.started")) > number, "a daemon has begun anew")
        is_over.set()

    reloading = threading.Thread(target=reload)
    reloading.start()
    rounds = 0
    while rounds == 0 or not is_over.is_set():
        for words in COMMANDS:
            here(*words)
        rounds += 1
    reloading.join()
    assert here.sql("select status::text, attempts from backlog where id = 'A1'") == [("ready", rounds)]


def test_a_command_that_waits_holds_up_no_other(shop: tuple[Desk, Running]) -> None:
    """While a sync waits for a file that settles, cards are claimed."""
    here, _ = shop
    here.edit("| A3 | not-started | Write the docs | A1, A2 | 0 | |\n", "")
    waiting = here.start("sync", stdout=subprocess.DEVNULL)
    try:
        for _ in range(3):
            assert here.json("backlog", "claim", "--owner", "w", "--id", "A1")["id"] == "A1"
            here("backlog", "release", "--owner", "w", "--id", "A1")
        assert waiting.poll() is None
    finally:
        waiting.kill()
        waiting.wait()
