"""What a claim costs at any size of the backlog: ``make bench``.

Every figure stands beside the floor of the same run, a single-row update with commit by the same number
of clients, measured in turns of a tenth of a second.  Beside syncd's claims: claim and complete on a table
without triggers (no history, no counts, no notification), and the plain statement that looks through the
dependency lists.  Writes ``bench-results/claims.json``, ``.md`` and ``.svg``.
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
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg

from syncd.store.embedded import EmbeddedServer
from syncd.store.migrate import migrate
from syncd.store.postgres import PostgresStore
from syncd.store.queries import query
from tests.bench.picture import Line, picture
from tests.support.embedded import wait_until_stopped
from tests.support.postgres import fresh_database

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
SIZES = (1_000, 10_000, 100_000)
MILLION = 1_000_000
CLAIMERS = (1, 8)
GOALS = {1: 0.65, 8: 0.45}
PAIR_GOAL = 0.5
SLICE_S = 0.1
CLIENTS_MAX = 8
FLOOR_TRIES = 50
PLAIN_MAX = 10_000
"""The plain statement is measured up to this size; beyond it a single claim takes seconds."""

PLAIN = """
update bench_bare set status = 'claimed', claim_owner = %(owner)s, claimed_at = now(), attempts = attempts + 1
where id = (
    select c.id from bench_bare c where c.status = 'ready' and not exists (
        select from jsonb_array_elements_text(c.depends_on) d
        left join bench_bare n on n.id = d where n.status is distinct from 'done')
    order by c.priority desc, c.created_at for update skip locked limit 1)
returning id"""

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

RESET = """
alter table backlog disable trigger user;
update backlog set status = 'ready', claim_owner = null, claimed_at = null, attempts = 0 where attempts > 0;
alter table backlog enable trigger user;
update bench_bare set status = 'ready', claim_owner = null, claimed_at = null, attempts = 0 where attempts > 0"""


@dataclass(frozen=True)
class Figure:
    """One line of the table; ``share`` is the throughput over the floor's."""

    what: str
    cards: int
    dependencies: bool
    claimers: int
    median_us: float
    p99_us: float
    per_s: float
    floor_us: float
    floor_per_s: float
    goal: float | None = None

    @property
    def share(self) -> float:
        """The throughput as a share of the floor's."""
        return self.per_s / self.floor_per_s


@dataclass(frozen=True)
class Run:
    """What one client did: the time of each operation, and of each of the floor's in the slices between."""

    took_s: list[float]
    floor_s: list[float]


def work(kind: str, floor: str, dsn: str, cards: int, number: int, deadline: float, seconds: float) -> Run:
    """Be one client: from the agreed ``deadline`` on do the floor's operations and those of a kind in turns.

    All clients change at the same instants, so that each kind meets only its own like, and what else the
    machine does in that time meets both.
    """
    tries = cards // 2 // CLIENTS_MAX
    with ExitStack() as life:
        operations = [_operation(each, dsn, cards, number, life) for each in (floor, kind)]
        took_s: tuple[list[float], list[float]] = ([], [])
        time.sleep(max(0.0, deadline - time.monotonic()))
        began = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            turn = int((now - deadline) / SLICE_S) % 2
            started = time.perf_counter()
            if len(took_s[turn]) >= tries * (FLOOR_TRIES if turn == 0 else 1) or not operations[turn]():
                break
            took_s[turn].append(time.perf_counter() - started)
        return Run(took_s=took_s[1], floor_s=took_s[0])


def _operation(kind: str, dsn: str, cards: int, number: int, life: ExitStack) -> Callable[[], object]:
    owner = f"worker-{number}"
    if kind in ("claim", "claim and complete"):
        store = PostgresStore(dsn, project="default", actor=owner, face="bench", replica="bench")
        life.callback(store.close)
        store.stats()
        if kind == "claim":
            return lambda: store.claim(owner, 600)

        def claim_and_complete() -> object:
            for card in store.claim(owner, 600):
                return store.complete(card.id, owner=owner, attempt=card.attempts)
            return None

        return claim_and_complete
    link = life.enter_context(closing(psycopg.connect(dsn, autocommit=True, prepare_threshold=2)))
    if kind == "floor":
        places = iter(range(number * 7919, sys.maxsize, 7))
        update = "update bench_floor set n = n + 1 where id = %s returning n"
        return lambda: link.execute(update, [f"C{next(places) % cards + 1}"]).fetchall()
    if kind == "plain claim":
        return lambda: link.execute(PLAIN, {"owner": owner}).fetchall()
    claim, complete = (
        query(name).replace(" backlog b", " bench_bare b").replace("from backlog\n", "from bench_bare\n")
        for name in ("claim", "complete")
    )

    def bare() -> object:
        given: dict[str, Any] = {"project": "default", "owner": owner, "ttl": 600}
        for row in link.execute(claim, given).fetchall():
            return link.execute(complete, {**given, "id": row[0], "attempt": None}).fetchall()
        return None

    return bare


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
        self.link.execute("vacuum analyze")

    def figures(self, claimers: Sequence[int]) -> Iterator[Figure]:
        """Measure everything at this size."""
        for clients in claimers:
            yield self._figure("claim", "floor", clients, GOALS.get(clients))
            yield self._figure("claim and complete", "bare", clients, PAIR_GOAL)
        if self.cards <= PLAIN_MAX:
            yield self._figure("plain claim", "floor", 1)

    def _figure(self, what: str, floor: str, clients: int, goal: float | None = None) -> Figure:
        runs = self._runs(what, floor, clients)
        took = sorted(each for run in runs for each in run.took_s)
        floor_took = [each for run in runs for each in run.floor_s]
        return Figure(
            what=what,
            cards=self.cards,
            dependencies=self.has_edges,
            claimers=clients,
            median_us=statistics.median(took) * 1e6,
            p99_us=took[int(len(took) * 0.99)] * 1e6,
            per_s=len(took) / sum(took) * clients,
            floor_us=statistics.median(floor_took) * 1e6,
            floor_per_s=len(floor_took) / sum(floor_took) * clients,
            goal=goal,
        )

    def _runs(self, kind: str, floor: str, clients: int) -> list[Run]:
        """Have clients work at the same time, each in a process of its own, on a table put back to its start."""
        self.link.execute(RESET)
        self.link.execute("vacuum backlog, bench_bare, bench_floor")
        self.link.execute("checkpoint")
        with ProcessPoolExecutor(clients, mp_context=get_context("spawn")) as pool:
            deadline = time.monotonic() + 1.0 + 0.25 * clients
            told = [
                pool.submit(work, kind, floor, self.dsn, self.cards, number, deadline, self.seconds)
                for number in range(clients)
            ]
            return [each.result() for each in told]


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """Give the Postgres to measure on: a served one, else an embedded one of this run."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as name, ExitStack() as life:
        home = Path(name) / "postgres"
        life.callback(wait_until_stopped, home)
        yield life.enter_context(EmbeddedServer.start(home, grace_s=0.2)).dsn


def measure(url: str | None, sizes: Sequence[int], claimers: Sequence[int], seconds: float) -> Iterator[Figure]:
    """Measure each size without dependencies and with them."""
    with server(url) as dsn:
        for cards in sizes:
            for has_edges in (False, True):
                with fresh_database(dsn) as place:
                    bench = Bench(place, cards, has_edges, seconds)
                    with closing(bench.link):
                        yield from bench.figures(claimers)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table for people."""
    lines = [
        "| what | cards | dependencies | clients | median µs | p99 µs | per s | floor per s | of the floor | goal |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in figures:
        goal = "" if each.goal is None else f"{each.goal}{'' if each.share >= each.goal else ' (missed)'}"
        floor = " (no triggers)" if each.what == "claim and complete" else ""
        lines.append(
            f"| {each.what} | {each.cards:,} | {'yes' if each.dependencies else 'no'} | {each.claimers}"
            f" | {each.median_us:.0f} | {each.p99_us:.0f} | {each.per_s:,.0f} | {each.floor_per_s:,.0f}{floor}"
            f" | {each.share:.2f} | {goal} |"
        )
    return "\n".join(lines) + "\n"


def drawn(figures: Sequence[Figure]) -> str:
    """Return a picture of the claims' share of the floor against the number of cards."""
    lines = []
    for what, clients, dash in (("claim", 1, ""), ("claim", 8, "6 3"), ("plain claim", 1, "2 3")):
        chosen = [each for each in figures if each.what == what and each.claimers == clients and each.dependencies]
        points = [(float(each.cards), each.share) for each in chosen]
        name = "the plain statement" if what != "claim" else f"syncd, {clients} claimer{'s' if clients > 1 else ''}"
        lines.append(Line(name, points, dash, GOALS[clients] if what == "claim" else None))
    return picture("Claims per second, as a share of single-row updates with commit", "cards", lines)


def main() -> int:
    """Measure, print, and keep the figures; with ``--check`` exit 1 when a share is below its goal."""
    options = argparse.ArgumentParser(description="Measure what a claim costs beside a single-row update.")
    options.add_argument("--cards", type=int, nargs="+", default=list(SIZES), help="sizes of the backlog")
    options.add_argument("--million", action="store_true", help="also 1,000,000 cards (takes minutes)")
    options.add_argument("--claimers", type=int, nargs="+", default=list(CLAIMERS), help="clients at once (1 8)")
    options.add_argument("--seconds", type=float, default=2.0, help="each measurement, at most (2)")
    options.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="a Postgres ($DATABASE_URL)")
    options.add_argument("--check", action="store_true", help="exit with 1 when a share is below its goal")
    given = options.parse_args()
    sizes = [*given.cards, *([MILLION] if given.million else [])]
    figures = list(measure(given.database_url, sizes, given.claimers, given.seconds))
    shown = table(figures)
    print(shown, end="")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "claims.md").write_text(shown, "utf-8")
    (RESULTS / "claims.svg").write_text(drawn(figures), "utf-8")
    kept = [{**asdict(each), "share": each.share} for each in figures]
    (RESULTS / "claims.json").write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    return int(given.check and any(each.goal is not None and each.share < each.goal for each in figures))


if __name__ == "__main__":
    sys.exit(main())
