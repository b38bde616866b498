"""What a command costs from start to end, beside bare starts of Python in the same run: part of ``make bench``.

Hot commands go the short way to the daemon and have ``python -c pass`` as their floor; the others start the whole
command line, and have an empty typer program.  Everything is measured by turns, output into a pipe, as a script has
it.  Writes ``bench-results/commands.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from tests.bench.latency import Figure, board, database, figure, rest, timed, written
from tests.bench.standing import single, synced
from tests.support.desk import Desk, desk

BARE: Final = "python -c pass"
TYPER: Final = "empty typer program"
CONNECT: Final = "python, psycopg, connect"
FLOORS: Final[Mapping[str, str]] = {
    BARE: "pass",
    TYPER: "import typer\napp = typer.Typer()\n@app.command()\ndef main() -> None: pass\napp()",
    CONNECT: "import os, psycopg\npsycopg.connect(os.environ['DATABASE_URL']).close()",
}
HOT: Final = (
    "status",
    "backlog show B-00003",
    "backlog list --limit 100",
    "backlog list",
    "backlog stats",
    "backlog why B-00003",
    "backlog claim --owner bench --id B-00001",
    "backlog complete --id B-00001",
    "backlog update B-00001 status=ready",
)
OTHERS: Final = (
    "--version",
    "sync",
    "diff",
    "held",
    "conflicts",
    "config get project",
    "doctor",
    "verify",
    "log --limit 20",
    "log B-00003",
    "parse TASKS.md",
    "backlog graph",
    "backlog events",
    "mission list",
    "mission status",
    "workers",
    "db status",
    "schema card",
)
HOT_RATIO_GOAL: Final = 2.0
OTHERS_GOAL_MS: Final = 100.0
ALONE_GOAL_MS: Final = 300.0
AGENT: Final = "mcp"
AGENT_GOAL_MS: Final = 1000.0
INITIALIZE: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


def program() -> list[str]:
    """Return how ``syncd`` is started: the script that an installation makes."""
    script = Path(sysconfig.get_path("scripts")) / "syncd"
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "syncd"]


def ran(words: Sequence[str], here: Desk) -> None:
    """Run a program to its end; whatever it answers, it must not be the end of a bug or of a daemon."""
    ended = subprocess.run(words, cwd=here.root, env=_environ(here), capture_output=True, check=False)
    assert ended.returncode in (0, 1, 3), (words, ended)


def _environ(here: Desk) -> dict[str, str]:
    """Return the environment of a user, whose Python keeps what it compiled."""
    return {
        name: value for name, value in here.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    }


def imports(here: Desk, words: str) -> float:
    """Return how many milliseconds a command spends on imports, as ``-X importtime`` says."""
    command = [sys.executable, "-X", "importtime", "-m", "syncd", *words.split()]
    ended = subprocess.run(command, cwd=here.root, env=_environ(here), capture_output=True, text=True, check=False)
    own = re.findall(r"^import time:\s+(\d+) \|", ended.stderr, re.M)
    return sum(map(int, own)) / 1000


def commands(here: Desk, cards: int, tries: int, chosen: Sequence[str], *, has_daemon: bool) -> Iterator[Figure]:
    """Measure commands and floors by turns, with a daemon or with none."""
    syncd = program()
    took: dict[str, list[float]] = {words: [] for words in chosen}
    floors: dict[str, list[float]] = {name: [] for name in FLOORS}
    with here.daemon() if has_daemon else nullcontext():
        for _ in range(tries + 1):
            for name, code in FLOORS.items():
                floors[name].append(timed(lambda code=code: ran([sys.executable, "-c", code], here)))
            for words in chosen:
                rest()
                took[words].append(timed(lambda words=words: ran([*syncd, *words.split()], here)))
    bare_ms = statistics.median(floors[BARE][1:]) * 1000
    for words, times in took.items():
        is_hot = words in HOT
        floor = BARE if has_daemon and is_hot else TYPER if has_daemon else CONNECT
        goal_ms = ALONE_GOAL_MS if not has_daemon else HOT_RATIO_GOAL * bare_ms if is_hot else OTHERS_GOAL_MS
        what = f"`syncd {words}`" + ("" if has_daemon else ", no daemon")
        yield figure(what, cards, times[1:], floor, floors[floor][1:], goal_ms=round(goal_ms, 1))


def first_answers(here: Desk, cards: int, tries: int) -> Iterator[Figure]:
    """Measure how long an agent waits for the server's first answer, beside the import of the SDK as a whole."""
    took, floor = [], []
    for _ in range(tries + 1):
        floor.append(timed(lambda: ran([sys.executable, "-c", "import mcp"], here)))
        took.append(timed_answer([*program(), AGENT], here))
    what = f"`syncd {AGENT}` until `initialize` is answered"
    yield figure(what, cards, took[1:], "import mcp", floor[1:], goal_ms=AGENT_GOAL_MS)


def timed_answer(words: Sequence[str], here: Desk) -> float:
    """Return how many seconds a server on stdio takes from its start until it has answered its first request."""
    began = time.perf_counter()
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=here.root, env=_environ(here), text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps(INITIALIZE), file=server.stdin, flush=True)
        answer = json.loads(server.stdout.readline())
        took_s = time.perf_counter() - began
        server.stdin.close()
        server.wait()
    assert answer["result"]["serverInfo"]["name"] == "syncd", answer
    return took_s


def measure(url: str | None, given: argparse.Namespace) -> Iterator[Figure]:
    """Measure everything, at each size."""
    chosen = [each for each in (*HOT, *OTHERS) if not given.only or any(word in each for word in given.only)]
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as name:
        for cards in given.cards:
            place = Path(name) / str(cards)
            place.mkdir()
            with database(url, place) as dsn:
                here = synced(desk(place / "board", dsn, board(cards)))
                yield from commands(here, cards, given.tries, chosen, has_daemon=True)
                if not given.only or AGENT in given.only:
                    yield from first_answers(here, cards, given.tries)
                if not given.daemon_only:
                    yield from commands(here, cards, max(1, given.tries // 3), chosen, has_daemon=False)
                    for words in chosen:
                        took_ms = statistics.median(imports(here, words) for _ in range(3))
                        yield single(f"imports of `syncd {words}`, no daemon", cards, took_ms, "ms")


def main() -> int:
    """Measure, print, and keep the figures; with ``--check`` exit 1 when a median misses its goal."""
    options = argparse.ArgumentParser(description="Measure whole commands beside bare starts of Python.")
    options.add_argument("--cards", type=int, nargs="+", default=[100, 10_000], help="cards on the board (100 10000)")
    options.add_argument("--tries", type=int, default=15, help="starts of each command (15)")
    options.add_argument("--only", nargs="+", default=[], metavar="WORD", help="commands with one of these words")
    options.add_argument("--daemon-only", action="store_true", help="leave out commands without a daemon, and imports")
    options.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="a Postgres ($DATABASE_URL)")
    options.add_argument("--check", action="store_true", help="exit with 1 when a median misses its goal")
    given = options.parse_args()
    missed = written("commands", list(measure(given.database_url, given)), given.database_url is not None)
    return missed if given.check else 0


if __name__ == "__main__":
    sys.exit(main())
