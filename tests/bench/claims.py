"""What a claim costs at any size of the backlog: the second part of ``make bench``.

Everything that one line of the table compares ran in the same seconds, in turns of a tenth of a second, beside the
floor: a single-row update with commit through an ordinary psycopg cursor, by as many clients.  The third column of
shares is what remains of the same statements without triggers (no history, no counts, no notification).  Writes
``bench-results/claims.json``, ``.md`` and ``.svg``; ``--check`` fails below the bounds of this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import psycopg

from syncd.store.migrate import migrate
from tests.bench import rivals
from tests.bench.clients import Gate, Task, come, work
from tests.bench.picture import Line, picture
from tests.support.postgres import fresh_database
from tests.support.servers import server

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
CHECKED_SIZES = (1_000, 100_000)
CLAIMERS = (1, 8)
CLAIM_MIN = {1: 0.65, 8: 0.45}
JOB_MIN = 0.5
"""The least share of the floor that a claim keeps, and of the same job without triggers."""

PLAIN_MAX = 10_000
RIVALS_MAX = 100_000
"""Up to these sizes the others are measured: beyond, one claim of the plain statement takes a minute."""

NAMES = {
    "floor": "single-row update with commit",
    "claim": "claim",
    "job": "claim and complete",
    "bare": "the same without triggers",
    "plain": "claim by the plain statement",
    "procrastinate": "job of procrastinate",
    "pgqueuer": "job of pgqueuer",
}

# A fifth is done.  Of the others four fifths wait for two of the done ones, and one fifth, of the highest
# priority, for an open one: a statement that looks through lists has to look through those first.
FILL = """
insert into backlog (id, title, priority, status, depends_on)
select 'C' || n, 'Card number ' || n, case when mod(n, 5) = 1 then 100 else mod(n, 10) end,
       case when n <= %(done)s then 'done' else 'ready' end::backlog_status,
       case when not %(has_edges)s or n <= %(done)s then '[]'::jsonb
            when mod(n, 5) = 1 then jsonb_build_array('C' || mod(n, %(done)s::integer) + 1, 'C' || n + 1)
            else jsonb_build_array('C' || mod(n, %(done)s::integer) + 1, 'C' || mod(n * 7, %(done)s::integer) + 1) end
from generate_series(%(first)s::integer, %(last)s::integer) n"""
FILL_STEP = 50_000


@dataclass(frozen=True)
class Figure:
    """One kind of operation by some clients at a size; ``floor_share`` is its throughput over the floor's."""

    kind: str
    cards: int
    dependencies: bool
    clients: int
    median_us: float
    p99_us: float
    per_s: float
    floor_share: float
    bare_share: float | None = None

    @property
    def bound(self) -> float | None:
        """The least share that is promised."""
        return {"claim": CLAIM_MIN.get(self.clients), "job": JOB_MIN}.get(self.kind)

    @property
    def is_within(self) -> bool:
        """Whether the share keeps its bound."""
        share = self.bare_share if self.kind == "job" else self.floor_share
        return self.bound is None or (share or 0) >= self.bound


class Bench:
    """A filled database, and clients that work on it."""

    def __init__(self, dsn: str, cards: int, has_edges: bool, seconds: float) -> None:
        self.dsn, self.cards, self.has_edges, self.seconds = dsn, cards, has_edges, seconds
        migrate(dsn)
        self.link = psycopg.connect(dsn, autocommit=True)
        for first in range(1, cards + 1, FILL_STEP):
            values = {"done": cards // 5, "has_edges": has_edges, "first": first}
            self.link.execute(FILL, {**values, "last": min(first + FILL_STEP - 1, cards)})
        self.link.execute("create table bench_floor (id text primary key, n integer not null default 0, title text)")
        self.link.execute("insert into bench_floor select id, 0, title from backlog")
        self.link.execute("create table bench_bare (like backlog including indexes including defaults)")
        self.link.execute("insert into bench_bare select * from backlog")
        self.link.execute("create unique index on bench_bare (id)")
        self.rivals = rivals.installed() if not has_edges and cards <= RIVALS_MAX else []
        for name in self.rivals:
            rivals.fill(name, dsn, cards)

    def figures(self, clients: int) -> list[Figure]:
        """Measure every kind at this size, by this many clients at a time."""
        kinds = ["floor", "claim", "job", "bare", *self.rivals]
        if self.cards <= PLAIN_MAX and clients == 1:
            kinds.append("plain")
        runs = self._runs(kinds, clients)
        took_s = {kind: sorted(each for run in runs for each in run[place]) for place, kind in enumerate(kinds)}
        per_s = {kind: len(took) / sum(took) * clients for kind, took in took_s.items() if took}
        return [
            Figure(
                kind=kind,
                cards=self.cards,
                dependencies=self.has_edges,
                clients=clients,
                median_us=statistics.median(took_s[kind]) * 1e6,
                p99_us=took_s[kind][int(len(took_s[kind]) * 0.99)] * 1e6,
                per_s=rate,
                floor_share=rate / per_s["floor"],
                bare_share=rate / per_s["bare"] if kind == "job" else None,
            )
            for kind, rate in per_s.items()
        ]

    def _runs(self, kinds: Sequence[str], clients: int) -> list[list[list[float]]]:
        """Have clients work at the same time, each in a process of its own."""
        self.link.execute("vacuum analyze")
        self.link.execute("checkpoint")
        context = get_context("spawn")
        gate = Gate(context, clients)
        with ProcessPoolExecutor(clients, mp_context=context, initializer=come, initargs=(gate,)) as pool:
            tasks = [Task(kinds, self.dsn, self.cards, clients, number, self.seconds) for number in range(clients)]
            return list(pool.map(work, tasks))


def measure(url: str | None, sizes: Sequence[int], claimers: Sequence[int], seconds: float) -> Iterator[Figure]:
    """Measure each size without dependencies and with them, each number of clients on cards of its own."""
    with server(url) as dsn:
        for cards in sizes:
            for has_edges in (False, True):
                for clients in claimers:
                    with fresh_database(dsn) as place:
                        bench = Bench(place, cards, has_edges, seconds)
                        with closing(bench.link):
                            yield from bench.figures(clients)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table for people."""
    lines = [
        "| cards | dependencies | clients | what | median µs | p99 µs | per s | of the floor | of the same without"
        " triggers | bound |",
        "|--:|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for each in figures:
        bound = "" if each.bound is None else f"{each.bound}{'' if each.is_within else ' (missed)'}"
        bare = "" if each.bare_share is None else f"{each.bare_share:.2f}"
        lines.append(
            f"| {each.cards:,} | {'yes' if each.dependencies else 'no'} | {each.clients} | {NAMES[each.kind]}"
            f" | {each.median_us:.0f} | {each.p99_us:.0f} | {each.per_s:,.0f}"
            f" | {each.floor_share:.2f} | {bare} | {bound} |"
        )
    return "\n".join(lines) + "\n"


def drawn(figures: Sequence[Figure]) -> str:
    """Return a picture of shares of the floor against the number of cards."""
    shown = [
        ("syncd, claim, 1 client", "claim", 1, True, ""),
        ("syncd, claim, 8 clients", "claim", 8, True, "6 3"),
        ("syncd, claim and complete", "job", 1, True, ""),
        ("procrastinate, job", "procrastinate", 1, False, ""),
        ("pgqueuer, job", "pgqueuer", 1, False, ""),
        ("plain statement, claim", "plain", 1, True, "2 3"),
    ]
    lines = []
    for name, kind, clients, has_edges, dash in shown:
        chosen = [e for e in figures if (e.kind, e.clients, e.dependencies) == (kind, clients, has_edges)]
        points = [(float(each.cards), each.floor_share) for each in chosen]
        lines.append(Line(name, points, dash))
    return picture("Operations per second, as a share of single-row updates with commit", "cards", lines)


def misses(figures: Sequence[Figure]) -> list[str]:
    """Return what falls short: of a bound, or of another queue's jobs in the same run."""
    found = [
        f"{NAMES[each.kind]}, {each.clients} clients, {each.cards:,} cards: below {each.bound}"
        for each in figures
        if not each.is_within
    ]
    jobs = {(e.cards, e.clients): e for e in figures if e.kind == "job" and not e.dependencies}
    for each in figures:
        if each.kind in rivals.NAMES and jobs[each.cards, each.clients].per_s < each.per_s:
            found.append(f"{each.kind} does more jobs a second, {each.clients} clients, {each.cards:,} cards")
    return found


def main() -> int:
    """Measure, print, and keep the figures; with ``--check`` exit 1 when a bound is missed."""
    options = argparse.ArgumentParser(description="Measure what a claim costs beside a single-row update.")
    options.add_argument("--cards", type=int, nargs="+", help="sizes of the backlog")
    options.add_argument("--claimers", type=int, nargs="+", default=list(CLAIMERS), help="clients at once (1 8)")
    options.add_argument("--seconds", type=float, default=2.0, help="each measurement, at most (2)")
    options.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="a Postgres ($DATABASE_URL)")
    options.add_argument("--check", action="store_true", help="two sizes; exit with 1 when a bound is missed")
    given = options.parse_args()
    sizes = given.cards or (CHECKED_SIZES if given.check else SIZES)
    figures = []
    for each in measure(given.database_url, sizes, given.claimers, given.seconds):
        figures.append(each)
        print(
            table([each]).splitlines()[-1] if len(figures) > 1 else table([each]), end="\n" if len(figures) > 1 else ""
        )
    missed = misses(figures)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "claims.md").write_text(table(figures), "utf-8")
    (RESULTS / "claims.svg").write_text(drawn(figures), "utf-8")
    (RESULTS / "claims.json").write_text(json.dumps([asdict(each) for each in figures], indent=2) + "\n", "utf-8")
    print("\n".join(missed or ["Every share keeps its bound."]))
    return int(given.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
