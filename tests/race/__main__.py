"""A race that anybody can run: ``make race``.

Many processes work off a backlog full of dependencies while one after another is killed without warning
(``kill -9``) and replaced, and while the line from one host or another to the database is cut for some seconds.
Afterwards the laws of ``verdict`` must hold: every card done, each attempt number claimed once, never two leases at a
time, no completion lost.  The seed decides the dependencies, the kills and the cuts; how the processes interleave, the
machine.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkProcess

import psycopg

from syncd.ports import NewCard
from syncd.store.migrate import migrate
from syncd.store.postgres import PostgresStore
from tests.race.verdict import Counts, breaches, counts
from tests.race.worker import Line, work
from tests.support.hosts import Host, hosts, may_be_apart
from tests.support.postgres import fresh_database
from tests.support.servers import server

TABLES = """
create table race_claim (card text, attempt integer, owner text, at timestamptz default clock_timestamp());
create table race_end (
    card text, attempt integer, owner text, how text, tries integer not null default 1,
    at timestamptz default clock_timestamp())"""
TOGETHER = 500
LOOK_S = 0.02


@dataclass(frozen=True)
class Absences:
    """When lines are cut: at so many points of the race, on hosts by turns, for this long on average.

    Some cuts end before the leases do, some after.  On each host the first, third and so on are silent (nothing that is
    sent arrives), the others refusals.
    """

    hosts: Sequence[Host] = ()
    cuts: int = 0
    length_s: float = 2.0


@dataclass
class Race:
    """A race on a migrated database.

    Args:
        dsn: the direct way to it, for the race's own evidence and for workers without hosts.
        kill_s: the mean time between two kills.
        work_s: how long a card takes at most.
    """

    dsn: str
    processes: int
    cards: int
    seed: int
    kill_s: float
    deadline_s: float
    work_s: float
    absences: Absences = Absences()
    kills: int = 0
    cuts: int = 0
    _workers: list[ForkProcess] = field(default_factory=list)
    _started: int = 0
    _deadline: float = 0.0
    _away: Host | None = None
    _mend_at: float = 0.0

    def run(self) -> Counts:
        """Run it to its end; return what happened.  Raises AssertionError when a law is broken."""
        chance = random.Random(self.seed)
        self._fill(chance)
        deadline = self._deadline = time.monotonic() + self.deadline_s
        try:
            self._workers = [self._start(place) for place in range(self.processes)]
            kill_at = time.monotonic() + chance.expovariate(1 / self.kill_s)
            while any(worker.is_alive() for worker in self._workers):
                assert time.monotonic() < deadline, f"not done after {self.deadline_s:.0f} s"
                time.sleep(LOOK_S)
                self._cut_or_mend(chance)
                if time.monotonic() >= kill_at:
                    self._kill_one(chance.randrange(self.processes))
                    kill_at = time.monotonic() + chance.expovariate(1 / self.kill_s)
            codes = [worker.exitcode for worker in self._workers if worker.exitcode]
        finally:
            for worker in self._workers:
                worker.kill()
                worker.join()
        assert not codes, f"workers ended with {codes}"
        with psycopg.connect(self.dsn, autocommit=True) as link:
            broken = list(breaches(link))
            assert not broken, "\n".join(broken)
            return counts(link)

    def _kill_one(self, place: int) -> None:
        """Kill the worker of a place and start another, unless it has found everything done."""
        if self._workers[place].is_alive():
            self._workers[place].kill()
            self._workers[place].join()
            self.kills += 1
            self._workers[place] = self._start(place)

    def _cut_or_mend(self, chance: random.Random) -> None:
        """Cut the next line when the race is far enough, and mend it when its time is over."""
        if self._away is not None:
            if time.monotonic() >= self._mend_at:
                self._away.mend()
                self._away = None
            return
        given = self.absences
        if self.cuts >= given.cuts:
            return
        with psycopg.connect(self.dsn, autocommit=True) as link:
            done = link.execute("select count(*) from backlog where status = 'done'").fetchone()
        if done is not None and done[0] >= self.cards * (self.cuts + 1) / (given.cuts + 1):
            self._away = given.hosts[self.cuts % len(given.hosts)]
            self._away.cut(is_silent=self.cuts // len(given.hosts) % 2 == 0)
            self._mend_at = time.monotonic() + given.length_s * chance.uniform(0.2, 1.8)
            self.cuts += 1

    def _start(self, place: int) -> ForkProcess:
        self._started += 1
        seed = self.seed * 1_000_003 + self._started
        every = self.absences.hosts
        host = every[place % len(every)] if every else None
        line = Line(self.dsn, self.dsn) if host is None else Line(host.dsn, self.dsn, host.network)
        # Forked: a worker that would first have to load its modules would be killed before it did anything.
        started = get_context("fork").Process(
            target=work, args=(line, f"worker-{self._started}", seed, self._deadline, self.work_s)
        )
        started.start()
        return started

    def _fill(self, chance: random.Random) -> None:
        migrate(self.dsn)
        with psycopg.connect(self.dsn, autocommit=True) as link:
            link.execute(TABLES)
        new = [self._card(number, chance) for number in range(self.cards)]
        store = PostgresStore(self.dsn, project="default", actor="race", face="race", replica="race")
        for first in range(0, self.cards, TOGETHER):
            store.create_many(new[first : first + TOGETHER])
        store.close()

    def _card(self, number: int, chance: random.Random) -> NewCard:
        """Return a card that depends on up to three of those shortly before it, known or not yet."""
        near = range(max(0, number - 40), number)
        needed = chance.sample(near, min(len(near), chance.randrange(4)))
        return NewCard(
            id=f"R{number}",
            title=f"Card {number}",
            priority=chance.randrange(4),
            depends_on=tuple(f"R{each}" for each in needed),
            max_retries=1000,
        )


def main(words: Sequence[str] | None = None) -> int:
    """Run one race and say what happened."""
    options = argparse.ArgumentParser(
        prog="make race", description="Kill workers, and cut hosts off, while they work off a backlog."
    )
    options.add_argument("--processes", type=int, default=16, help="workers at a time (16)")
    options.add_argument("--cards", type=int, default=2000, help="cards, with dependencies (2000)")
    options.add_argument("--kill-ms", type=float, default=150, help="mean time between two kills (150)")
    options.add_argument("--hosts", type=int, default=1, help="hosts that the workers run on by turns (1)")
    options.add_argument("--cuts", type=int, default=0, help="how often the line from a host is cut (0)")
    options.add_argument("--work-ms", type=float, help="how long a card takes at most (4; with cuts 400)")
    options.add_argument("--cut-s", type=float, default=2, help="how long on average, in seconds; a lease lasts 2 (2)")
    options.add_argument("--seed", type=int, default=None, help="another race like one before")
    options.add_argument("--deadline", type=float, default=900, help="seconds after which it has failed (900)")
    options.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="a Postgres ($DATABASE_URL)")
    given = options.parse_args(words)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    names = [f"host-{number + 1}" for number in range(given.hosts)] if given.hosts > 1 or given.cuts else []
    where = f" on {len(names)} hosts ({'networks of their own' if may_be_apart() else 'relays only'})" if names else ""
    print(f"{given.processes} processes{where}, {given.cards:,} cards, seed {seed}", flush=True)
    with (
        server(given.database_url) as place,
        fresh_database(place) as dsn,
        hosts(names, dsn) if names else nullcontext([]) as lines,
    ):
        absences = Absences(lines, given.cuts, given.cut_s)
        kill_s, work_s = given.kill_ms / 1000, (given.work_ms or (400 if given.cuts else 4)) / 1000
        race = Race(dsn, given.processes, given.cards, seed, kill_s, given.deadline, work_s, absences)
        started = time.monotonic()
        try:
            found = race.run()
        except AssertionError as error:
            print(f"Broken (the same again with --seed {seed}): {error}", file=sys.stderr)
            return 1
    print(
        f"{found.claims:,} claims in {time.monotonic() - started:.1f} s; {race.kills} workers killed,"
        f" {found.expired} leases expired, {found.failed} failures, {found.refused} late writes refused."
    )
    if race.cuts:
        print(f"{race.cuts} cuts; what became of {found.told_again} cards was told more than once, until it was heard.")
    print(
        "Every card is done, every attempt number was claimed once, no lease was ever given twice, and no completion"
        " was lost."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
