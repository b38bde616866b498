"""The count of unmet dependencies stays right while writers race, whoever they are."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import errors

from tests.support.desk import until
from tests.support.migrated import Database

IDS = [f"T{number}" for number in range(40)]
ROUNDS = 150
Act = Callable[[psycopg.Connection[tuple[object, ...]], random.Random], None]


def enqueue(link: psycopg.Connection[tuple[object, ...]], chance: random.Random) -> None:
    """Insert a card that depends on some others, known or not."""
    needed = chance.sample(IDS, 3)
    link.execute(
        "insert into backlog (id, title, depends_on) values (%s, 'x', to_jsonb(%s::text[]))",
        [f"N{chance.getrandbits(64)}", needed],
    )


def appear(link: psycopg.Connection[tuple[object, ...]], chance: random.Random) -> None:
    """Insert a card that others may depend on already, at times as done."""
    status = chance.choice(["ready", "done"])
    link.execute(
        "insert into backlog (id, title, status) values (%s, 'x', %s) on conflict do nothing",
        [chance.choice(IDS), status],
    )


def complete(link: psycopg.Connection[tuple[object, ...]], chance: random.Random) -> None:
    """Mark some cards done."""
    link.execute(
        "update backlog set status = 'done' where id = any(%s)", [chance.sample(IDS, chance.choice([1, 1, 5]))]
    )


def reopen(link: psycopg.Connection[tuple[object, ...]], chance: random.Random) -> None:
    """Make a card ready again."""
    link.execute("update backlog set status = 'ready' where id = %s", [chance.choice(IDS)])


def relink(link: psycopg.Connection[tuple[object, ...]], chance: random.Random) -> None:
    """Give a card another list of dependencies."""
    link.execute(
        "update backlog set depends_on = to_jsonb(%s::text[])"
        " where id = (select id from backlog order by random() limit 1)",
        [chance.sample(IDS, chance.choice([0, 2, 4]))],
    )


def vanish(link: psycopg.Connection[tuple[object, ...]], chance: random.Random) -> None:
    """Delete a card outright, or leave a tombstone."""
    statement = chance.choice(
        ["delete from backlog where id = %s", "update backlog set deleted_at = now() where id = %s"]
    )
    link.execute(statement, [chance.choice(IDS)])


@pytest.mark.parametrize(
    "acts",
    [
        pytest.param([enqueue, enqueue, complete, complete, reopen], id="enqueuers against completers"),
        pytest.param([enqueue, appear, complete, vanish, relink], id="ids that come and go"),
    ],
)
def test_counters_are_right_when_the_race_is_over(database: Database, acts: list[Act]) -> None:
    """However enqueuing, completing, reopening, relinking and deleting interleave, no count is off."""

    def run(seed: int) -> int:
        chance, done = random.Random(seed), 0
        with psycopg.connect(database.dsn, autocommit=True) as link:
            for _ in range(ROUNDS):
                try:
                    chance.choice(acts)(link, chance)
                    done += 1
                except errors.DeadlockDetected:
                    continue
        return done

    database.rows("insert into backlog (id, title) select unnest(%s::text[]), 'x'", IDS[::2])
    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(run, range(4)))
    assert done > ROUNDS * 4 * 0.95
    assert database.wrong_counts() == []
    assert database.one("select count(*) from backlog where unmet > 0") > 0


def test_a_dependency_on_a_card_that_is_being_made(database: Database) -> None:
    """A card that is inserted as done while another transaction comes to depend on it is not missed."""
    with psycopg.connect(database.dsn) as first:
        first.execute("insert into backlog (id, title, depends_on) values ('A', 'x', '[\"Y\"]')")
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(database.rows, "insert into backlog (id, title, status) values ('Y', 'y', 'done')")
            wait_until_somebody_waits(first)
            first.commit()
            second.result(timeout=60)
    assert database.one("select unmet from backlog where id = 'A'") == 0
    assert database.wrong_counts() == []


def test_a_dependency_on_a_card_that_is_being_completed(database: Database) -> None:
    """A card that comes to depend on one whose completion is not committed yet counts it as met afterwards."""
    database.rows("insert into backlog (id, title) values ('Y', 'y')")
    with psycopg.connect(database.dsn) as first:
        first.execute("update backlog set status = 'done' where id = 'Y'")
        with ThreadPoolExecutor(1) as pool:
            insert = "insert into backlog (id, title, depends_on) values ('A', 'x', '[\"Y\"]')"
            second = pool.submit(database.rows, insert)
            wait_until_somebody_waits(first)
            first.commit()
            second.result(timeout=60)
    assert database.one("select unmet from backlog where id = 'A'") == 0


def wait_until_somebody_waits(holder: psycopg.Connection[tuple[object, ...]]) -> None:
    """Return once another session waits for a lock that this one holds."""
    with psycopg.connect(holder.info.dsn, password=holder.info.password, autocommit=True) as link:
        waits = "select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))"
        until(lambda: link.execute(waits, [holder.info.backend_pid]).fetchall()[0][0], "somebody waits")
