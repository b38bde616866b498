"""Programs that undo what syncd writes: it stops after a few times, says why, and goes on when somebody decides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import Desk, desk, quiet_for, until
from tests.support.postgres import fresh_database
from tests.support.rewriter import Rewriter

CASING = """
create function casing() returns trigger language plpgsql as
$$ begin if new.id = 'A1' then new.title := {0}(new.title); end if; return new; end $$;
create trigger casing before insert or update on backlog for each row execute function casing();
"""


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    return desk(tmp_path / "shop", postgres_dsn)


@contextlib.contextmanager
def rewriter(here: Desk, old: str, new: str) -> Iterator[Rewriter]:
    """Run a program that puts one text into the place of another whenever it stands there."""
    running = Rewriter(here.file, lambda text: text.replace(old, new))
    try:
        yield running
    finally:
        running.close()


def held(here: Desk) -> list[tuple[str, str, str]]:
    """What is held, as the daemon says: card, guard, release."""
    return [(each["id"], each["guard"], each["release"]) for each in here.ask("status")["held"]]


HOLD = [("A1", "ping-pong", "syncd accept A1")]


def test_case_62_a_formatter_against_a_trigger(shop: Desk) -> None:
    """A formatter that lowers what a trigger of the table raises is stopped; deciding and ending it brings peace."""
    with shop.daemon(), rewriter(shop, "DRAW THE SCHEMA", "draw the schema") as formatter:
        shop.sql(CASING.format("upper"))
        shop.edit("Draw the schema", "draw the schema")
        until(lambda: held(shop) == HOLD, "the fight is held")
        quiet_for(1.0, lambda: (shop.footprint(), formatter.saves))
        assert formatter.saves <= 4
        assert "A1" in shop("held").stdout
        shop.edit("| A2 | not-started |", "| A2 | done |")
        until(lambda: shop.cell("status", "A2") == "done", "other edits go on")
        assert held(shop) == HOLD
        formatter.close()
        shop("reject", "A1")
        until(lambda: "DRAW THE SCHEMA" in shop.text and not held(shop), "the store's title is in the file")
        assert shop.json("status")["inSync"]


def test_case_62_a_generator_that_writes_its_file_again_and_again(shop: Desk) -> None:
    """A program that regenerates the file from its own memory is stopped; accepted, its value goes to the store."""
    with shop.daemon(), rewriter(shop, "| A1 | blocked |", "| A1 | not-started |") as generator:
        shop.sql("update backlog set status = 'blocked' where id = 'A1'")
        until(lambda: held(shop) == HOLD, "the fight is held")
        quiet_for(1.0, lambda: (shop.footprint(), generator.saves))
        assert generator.saves <= 4
        assert [each["field"] for each in shop.json("conflicts")] == ["status"]
        shop("accept", "A1")
        until(lambda: shop.cell("status", "A1") == "ready" and not held(shop), "the file's state is in the store")


def test_case_62_two_daemons_on_one_file(tmp_path: Path, postgres_dsn: str, embedded_dsn: str) -> None:
    """Two daemons that sync one file with two tables, whose triggers want it otherwise, come to rest, and say so."""
    with fresh_database(embedded_dsn) as other_dsn:
        here = desk(tmp_path / "shop", postgres_dsn, tasks=["docs/TASKS.md"])
        text = here.text
        there = desk(here.root / "docs", other_dsn, text)
        with here.daemon(), there.daemon():
            here.sql(CASING.format("upper"))
            there.sql(CASING.format("lower"))
            there.edit("Draw the schema", "Draw a schema")
            until(lambda: held(here) == HOLD or held(there) == HOLD, "the fight is held")
            until(lambda: "schema" in there.text.lower(), "the file is whole")
            quiet_for(1.0, lambda: (here.footprint()[2:], there.footprint()))
            there.edit("| A2 | not-started |", "| A2 | done |")
            until(lambda: {here.cell("status", "A2"), there.cell("status", "A2")} == {"done"}, "other edits go on")


def test_a_service_that_toggles_is_followed(shop: Desk) -> None:
    """A writer of the table that sets a state to and fro is no fight: each of its states arrives in the file."""
    with shop.daemon():
        for status, word in [("blocked", "blocked"), ("ready", "not-started")] * 5:
            shop.sql("update backlog set status = %s::backlog_status where id = 'A1'", status)
            until(lambda word=word: f"| A1 | {word} |" in shop.text, f"{word} is in the file")
        assert held(shop) == []
