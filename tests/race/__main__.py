"""A race that anybody can run: ``make race``.

Many processes work off a backlog full of dependencies while one after another is killed without warning
(``kill -9``) and replaced.  Afterwards the laws of ``verdict`` must hold: every card done, each attempt number
claimed once, never two leases at a time.  The seed decides the dependencies and the kills; how the processes
interleave, the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkProcess

import psycopg

from syncd.ports import NewCard
from syncd.store.migrate import migrate
from syncd.store.postgres import PostgresStore
from tests.race.verdict import Counts, breaches, counts
from tests.race.worker import work
from tests.support.postgres import fresh_database
from tests.support.servers import server

TABLES = """
create table race_claim (card text, attempt integer, owner text, at timestamptz default clock_timestamp());
create table race_end (card text, attempt integer, owner text, how text, at timestamptz default clock_timestamp())"""
TOGETHER = 500


@dataclass
class Race:
    """A race on a migrated database.

    Args:
        kill_s: the mean time between two kills.
    """

    dsn: str
    processes: int
    cards: int
    seed: int
    kill_s: float
    deadline_s: float
    kills: int = 0
    _workers: list[ForkProcess] = field(default_factory=list)
    _started: int = 0
    _deadline: float = 0.0

    def run(self) -> Counts:
        """Run it to its end; return what happened.  Raises AssertionError when a law is broken."""
        chance = random.Random(self.seed)
        self._fill(chance)
        deadline = self._deadline = time.monotonic() + self.deadline_s
        try:
            self._workers = [self._start() for _ in range(self.processes)]
            while any(worker.is_alive() for worker in self._workers):
                assert time.monotonic() < deadline, f"not done after {self.deadline_s:.0f} s"
                time.sleep(chance.expovariate(1 / self.kill_s))
                place = chance.randrange(self.processes)
                if self._workers[place].is_alive():
                    self._workers[place].kill()
                    self._workers[place].join()
                    self.kills += 1
                    self._workers[place] = self._start()
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

    def _start(self) -> ForkProcess:
        self._started += 1
        seed = self.seed * 1_000_003 + self._started
        # Forked: a worker that would first have to load its modules would be killed before it did anything.
        started = get_context("fork").Process(
            target=work, args=(self.dsn, f"worker-{self._started}", seed, self._deadline)
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
    options = argparse.ArgumentParser(prog="make race", description="Kill workers while they work off a backlog.")
    options.add_argument("--processes", type=int, default=16, help="workers at a time (16)")
    options.add_argument("--cards", type=int, default=2000, help="cards, with dependencies (2000)")
    options.add_argument("--kill-ms", type=float, default=150, help="mean time between two kills (150)")
    options.add_argument("--seed", type=int, default=None, help="another race like one before")
    options.add_argument("--deadline", type=float, default=900, help="seconds after which it has failed (900)")
    options.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="a Postgres ($DATABASE_URL)")
    given = options.parse_args(words)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"{given.processes} processes, {given.cards:,} cards, seed {seed}", flush=True)
    with server(given.database_url) as place, fresh_database(place) as dsn:
        race = Race(dsn, given.processes, given.cards, seed, given.kill_ms / 1000, given.deadline)
        started = time.monotonic()
        try:
            found = race.run()
        except AssertionError as error:
            print(f"Broken (make race ARGS='--seed {seed}'): {error}", file=sys.stderr)
            return 1
    print(
        f"{found.claims:,} claims in {time.monotonic() - started:.1f} s; {race.kills} workers killed,"
        f" {found.expired} leases expired, {found.failed} failures, {found.refused} late writes refused.\n"
        "Every card is done, every attempt number was claimed once, and no lease was ever given twice."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
