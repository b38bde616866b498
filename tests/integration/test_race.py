"""Workers that are killed at random, and the laws that must hold afterwards: a short `make race`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.race.__main__ import TABLES
from tests.race.verdict import LAWS, breaches
from tests.support.migrated import Database

ROOT = Path(__file__).resolve().parents[2]


def test_workers_that_are_killed_lose_and_double_nothing(postgres_dsn: str) -> None:
    """Whoever is killed when: every card is done, by one attempt, and no lease is given twice.  Holds: I13."""
    said = race("--processes", "6", "--cards", "150", "--kill-ms", "120", dsn=postgres_dsn)
    claims, kills = re.search(r"([\d,]+) claims .* (\d+) workers killed", said).groups()
    assert int(claims.replace(",", "")) >= 150
    assert int(kills) > 0


def test_hosts_that_are_cut_off_lose_and_double_nothing(postgres_dsn: str) -> None:
    """A host whose line is cut for longer than its leases last harms nobody; what it did is told when it is back."""
    words = [
        "--processes",
        "8",
        "--cards",
        "200",
        "--kill-ms",
        "2000",
        "--work-ms",
        "200",
        "--hosts",
        "2",
        "--cuts",
        "4",
    ]
    said = race(*words, dsn=postgres_dsn)
    assert "on 2 hosts" in said
    cuts, again = re.search(r"(\d+) cuts; what became of (\d+) cards was told more than once", said).groups()
    assert int(cuts) == 4
    assert int(again) > 0


def race(*words: str, dsn: str) -> str:
    """Run a race that has to end well, and return what it says."""
    command = [sys.executable, "-m", "tests.race", *words, "--database-url", dsn]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


CLAIM = "update backlog set status = 'claimed', claim_owner = '{}', claim_ttl_seconds = 60, attempts = attempts + 1"


@pytest.mark.parametrize(
    ("law", "statements"),
    [
        ("every card is done", ["select"]),
        ("no lease is left", [CLAIM.format("w1")]),
        ("the count of unmet dependencies is right", ["update backlog set unmet = 1"]),
        ("no lease passes from one to another", [CLAIM.format("w1"), CLAIM.format("w2")]),
        (
            "a lease is taken away only when its time is over",
            [CLAIM.format("w1"), "update backlog set status = 'ready'"],
        ),
        ("an attempt number is claimed once (history)", [CLAIM.format("w1") + "; update backlog set attempts = 0"] * 2),
        ("attempts count the claims", ["update backlog set attempts = 3"]),
        ("a card is done once", ["update backlog set status = 'done'; update backlog set status = 'ready'"] * 2),
        (
            "no completion is lost",
            [
                "update backlog set status = 'done'",
                "insert into race_end (card, attempt, how) values ('A', 0, 'refused')",
            ],
        ),
        ("a claim follows", [CLAIM.format("w1"), CLAIM.format("w2")]),
        ("(the workers' own evidence)", ["insert into race_claim (card, attempt) values ('A', 1)"] * 2),
        ("only one worker believes", ["insert into race_end (card, attempt, how) values ('A', 1, 'completed')"] * 2),
        ("was the last to claim it", ["insert into race_end (card, attempt, how) values ('A', 7, 'completed')"]),
        (
            "what it depends on is done",
            ["update backlog set depends_on = '[\"B\"]'", CLAIM.format("w1")],
        ),
    ],
)
def test_each_law_sees_its_breach(database: Database, law: str, statements: list[str]) -> None:
    """A history that breaks a law is found out, so that a race that ends well means something."""
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    for statement in (*TABLES.split(";"), *statements):
        database.rows(statement)
    with psycopg.connect(database.dsn, autocommit=True) as link:
        assert any(law in each for each in breaches(link))
    assert any(law in each for each in LAWS)
