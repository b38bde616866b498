"""How long a change takes to arrive on the other side, and what a cycle costs: ``make bench``.

Each figure stands beside the floor of the same run: what the disk and the server take for the same write
without syncd.  Changes come one at a time, with ``syncd run`` going in a process of its own.  Works on the
Postgres of ``$DATABASE_URL``, else on an embedded one of its own.  Writes ``bench-results/latency.json``,
``.md`` and ``.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from syncd.parsers.document import ParseOptions
from syncd.parsers.tasks_md import parse
from syncd.store.embedded import EmbeddedServer
from tests.bench.picture import Line, picture
from tests.support.desk import Desk, desk, until
from tests.support.embedded import wait_until_stopped
from tests.support.postgres import fresh_database
from tests.support.workspace import Site, site

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
HEAD = "# Bench\n\n| id | status | title | depends_on |\n|----|--------|-------|------------|\n"
WORDS = ("not-started", "done")
STATES = {"not-started": "ready", "done": "done"}
STEP_S = 0.0002
REST_S = 0.05
"""Between two changes, so that each finds the daemon asleep."""


@dataclass(frozen=True)
class Figure:
    """One line of the table; times in milliseconds unless ``unit`` says otherwise, ``goal_ms`` for the median."""

    what: str
    cards: int
    tries: int
    median_ms: float
    p99_ms: float
    floor: str
    floor_ms: float
    goal_ms: float | None = None
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        """How many times the floor; 0 where there is none."""
        return self.median_ms / self.floor_ms if self.floor_ms else 0.0

    @property
    def has_missed(self) -> bool:
        """Whether the median is over its goal."""
        return self.goal_ms is not None and self.median_ms > self.goal_ms


def board(cards: int) -> str:
    """Return a task file of so many cards, 100 bytes each."""
    rows = (
        f"| B-{number:05} | not-started | Card {number} of the board, with a title as people write them | — |\n"
        for number in range(cards)
    )
    return HEAD + "".join(rows)


def figure(
    what: str, cards: int, took_s: Sequence[float], floor: str, floor_s: Sequence[float], **more: float
) -> Figure:
    """Return the figure of these times."""
    ordered = sorted(took_s)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    median, ground = statistics.median(ordered), statistics.median(floor_s)
    return Figure(what, cards, len(ordered), median * 1000, p99 * 1000, floor, ground * 1000, **more)


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds a piece of work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rest() -> None:
    """Let the daemon fall asleep."""
    over_at = time.monotonic() + REST_S
    until(lambda: time.monotonic() > over_at, "a moment has passed")


# --- floors --------------------------------------------------------------------------------------


class Floor:
    """What the same writes cost without syncd: on the same server, in the same folder."""

    def __init__(self, here: Desk, link: psycopg.Connection) -> None:
        self._link = link
        self._file = here.root / "floor.md"
        self._data = here.file.read_bytes()
        self._file.write_bytes(self._data)
        link.execute("create table if not exists bench_floor (like backlog)")
        link.execute("truncate bench_floor")
        link.execute("insert into bench_floor select * from backlog")
        link.execute("create unique index if not exists bench_floor_id on bench_floor (project, id)")

    def update(self) -> float:
        """Update one row and commit."""
        statement = "update bench_floor set title = title || '.' where project = 'default' and id = 'B-00001'"
        return timed(lambda: self._link.execute(statement))

    def replace(self) -> float:
        """Write a file of the same size, sync it to disk, and give it its name."""
        return timed(self._replace)

    def _replace(self) -> None:
        fresh = self._file.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(self._data)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._file)


# --- the daemon ----------------------------------------------------------------------------------


def edit_to_row(here: Desk, link: psycopg.Connection, number: int) -> float:
    """Change one cell of the file and wait for the commit of its row."""
    id, text = f"B-{number:05}", here.text
    word = WORDS[f"| {id} | not-started |" in text]
    saved = here.root / ".TASKS.md.swp"
    saved.write_text(text.replace(f"| {id} | {WORDS[word == WORDS[0]]} |", f"| {id} | {word} |"))
    link.execute("select 1")
    started = time.perf_counter()
    saved.rename(here.file)
    query = "select status::text from backlog where id = %s"
    until(lambda: link.execute(query, [id]).fetchall() == [(STATES[word],)], f"{id} is {word}", step_s=STEP_S)
    return time.perf_counter() - started


def row_to_file(here: Desk, link: psycopg.Connection, number: int) -> float:
    """Update one row and wait for the file that shows it."""
    id, before = f"B-{number:05}", here.file.stat().st_ino
    word = WORDS[f"| {id} | not-started |" in here.text]
    started = time.perf_counter()
    link.execute("update backlog set status = %s where id = %s", [STATES[word], id])
    until(lambda: here.file.stat().st_ino != before, f"the file is replaced for {id}", step_s=STEP_S)
    took_s = time.perf_counter() - started
    assert f"| {id} | {word} |" in here.text
    return took_s


def latencies(here: Desk, cards: int, tries: int) -> Iterator[Figure]:
    """Measure both ways, by turns, each try beside its floors."""
    goal_ms = 8.0 if cards <= 100 else 50.0
    edits, rows, updates, writes = [], [], [], []
    with psycopg.connect(here.dsn, autocommit=True) as link:
        floor = Floor(here, link)
        with here.daemon():
            for number in range(tries + 2):
                rest()
                edits.append(edit_to_row(here, link, number % cards))
                rest()
                rows.append(row_to_file(here, link, (number + cards // 2) % cards))
                updates.append(floor.update())
                writes.append(floor.replace())
    both = [update + write for update, write in zip(updates, writes, strict=True)]
    yield figure("edit → row", cards, edits[2:], "update + commit", updates, goal_ms=goal_ms)
    yield figure("row → file", cards, rows[2:], "update + write, fsync, rename", both, goal_ms=max(10.0, goal_ms))


# --- in process ----------------------------------------------------------------------------------


def copy(link: psycopg.Connection, table: str, cards: int) -> None:
    """Copy as many rows as the board has into a plain table."""
    with link.transaction(), link.cursor().copy(f"copy {table} (project, id, title, status) from stdin") as rows:
        for number in range(cards):
            rows.write_row(("default", f"B-{number:05}", f"Card {number} of the board", "ready"))


def cycles(here: Site, cards: int, tries: int) -> Iterator[Figure]:
    """Measure the first sync, cycles with nothing to do, and reading the file."""
    data = here.file.read_bytes()
    with psycopg.connect(here.dsn, autocommit=True) as link:
        link.execute("create table bench_copy (like backlog including indexes including defaults)")
        copied = [timed(lambda: copy(link, "bench_copy", cards))]
    first = [timed(here.cycle.run)]
    here.sync()
    quiet = [timed(here.cycle.run) for _ in range(10 * tries)]
    looks = [timed(here.file.stat) for _ in range(10 * tries)]
    parses = [timed(lambda: parse(data, path="TASKS.md", options=ParseOptions())) for _ in range(tries)]
    known = parse(data, path="TASKS.md", options=ParseOptions())
    edited = data.replace(b"not-started", b"blocked", 1)
    again = [
        timed(lambda: parse(edited, path="TASKS.md", options=ParseOptions(), previous=known)) for _ in range(2 * tries)
    ]
    reads = [timed(here.file.read_bytes) for _ in range(2 * tries)]
    yield figure("first sync", cards, first, "COPY of as many rows", copied)
    yield figure("cycle without news", cards, quiet, "stat of the file", looks, goal_ms=1.0)
    yield figure("parse", cards, parses, "read of the file", reads, goal_ms=60.0)
    yield figure("parse, one row changed", cards, again, "read of the file", reads, goal_ms=5.0)


# --- the run -------------------------------------------------------------------------------------


@contextmanager
def database(url: str | None, folder: Path) -> Iterator[str]:
    """Give an empty database: on the server that was named, else on one of our own."""
    with ExitStack() as life:
        if url is None:
            home = folder / "postgres"
            life.callback(wait_until_stopped, home)
            url = life.enter_context(EmbeddedServer.start(home, grace_s=0.2)).dsn
        yield life.enter_context(fresh_database(url))


def measure(url: str | None, cards: int, tries: int) -> Iterator[Figure]:
    """Measure everything at one size."""
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as name:
        place = Path(name)
        with database(url, place) as dsn:
            with site(place / "site", dsn, board(cards)) as here:
                yield from cycles(here, cards, tries)
            # What is measured is the way of a change, not the pause that is owed to editors.
            yield from latencies(desk(place / "site", dsn, None, file_write_interval_ms=0), cards, tries)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table for people."""
    lines = [
        "| what | cards | median | p99 | floor | floor ms | × floor | goal |",
        "|---|--:|--:|--:|---|--:|--:|--:|",
    ]
    for each in figures:
        goal = "" if each.goal_ms is None else f"{each.goal_ms:g}{' (missed)' if each.has_missed else ''}"
        floor = f"{each.floor_ms:.3f} | {each.ratio:.1f}" if each.floor_ms else " | "
        lines.append(
            f"| {each.what} | {each.cards} | {each.median_ms:.2f} {each.unit} | {each.p99_ms:.2f} | {each.floor}"
            f" | {floor} | {goal} |"
        )
    return "\n".join(lines) + "\n"


def drawn(figures: Sequence[Figure]) -> str:
    """Return the picture of cost against size: each way's share of the time that its goal allows."""
    names = [each.what for each in figures if each.goal_ms and each.unit == "ms"]
    lines = [
        Line(
            name,
            [(each.cards, each.median_ms / each.goal_ms) for each in figures if each.what == name and each.goal_ms],
        )
        for name in dict.fromkeys(names)
    ]
    return picture("Median, as a share of what the goal allows", "cards on the board", lines)


def written(name: str, figures: Sequence[Figure], is_served: bool) -> int:
    """Print the figures and keep them under ``bench-results/``; return 1 when a median misses its goal."""
    shown = table(figures)
    print(shown, end="")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(shown, "utf-8")
    kept = {"served": is_served, "figures": [{**asdict(each), "ratio": each.ratio} for each in figures]}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return int(any(each.has_missed for each in figures))


def main() -> int:
    """Measure, print, and keep the figures; with ``--check`` exit 1 when a median misses its goal."""
    options = argparse.ArgumentParser(description="Measure how long a change takes to arrive on the other side.")
    options.add_argument("--cards", type=int, nargs="+", default=[100, 10_000], help="cards on the board (100 10000)")
    options.add_argument("--tries", type=int, default=30, help="changes each way (30)")
    options.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="a Postgres ($DATABASE_URL)")
    options.add_argument("--check", action="store_true", help="exit with 1 when a median misses its goal")
    given = options.parse_args()
    figures = [each for cards in given.cards for each in measure(given.database_url, cards, given.tries)]
    missed = written("latency", figures, given.database_url is not None)
    (RESULTS / "latency.svg").write_text(drawn(figures), "utf-8")
    return missed if given.check else 0


if __name__ == "__main__":
    sys.exit(main())
