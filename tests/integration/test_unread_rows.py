"""Files and rows that cannot be read, or not be written: one problem, and nothing is concluded from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.engine.report import CycleReport
from tests.support.workspace import TABLE, Site, site


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn) as made:
        made.sync()
        yield made


def codes(report: CycleReport) -> list[str]:
    return [each.code for each in report.problems]


def live(here: Site) -> list[str]:
    return [row[0] for row in here.sql("select id from backlog where deleted_at is null and archived_at is null")]


@pytest.mark.parametrize(
    ("data", "code"), [(b"| id | status |\n\xff\xfe\n", "not-utf8"), (TABLE.encode() + b"\0", "nul-byte")]
)
def test_a_file_that_is_no_text_is_one_problem(here: Site, data: bytes, code: str) -> None:
    """A file that is no text has its problem and no hold, takes nothing, and is as before once mended."""
    here.file.write_bytes(data)
    here.sql("update backlog set title = 'Elsewhere' where id = 'A3'")
    report = here.sync()
    assert (codes(report), report.held, here.file.read_bytes()) == ([code], (), data)
    preview = here.cycle.preview()
    assert (preview.drift, preview.report.held) == ((), ())
    assert [each.code for each in here.cycle.look().unread] == [code]
    here.write(TABLE)
    report = here.sync()
    assert (codes(report), report.held) == ([], ())
    assert "Elsewhere" in here.text


def test_a_file_that_is_too_large_or_no_file_says_what_helps(tmp_path: Path, postgres_dsn: str) -> None:
    """What hinders the reading of a file decides what is proposed: a setting, or a file in its place."""
    with site(tmp_path / "small", postgres_dsn, bytes_max=1000) as here:
        here.sync()
        here.file.write_text(TABLE + "more\n" * 500, "utf-8")
        size = here.file.stat().st_size
        (problem,) = here.sync().problems
        assert f"syncd config set bytes_max {2 * size}; nothing is synced" in problem.hint
        assert "rm TASKS.md" in problem.hint
        here.file.unlink()
        here.file.mkdir()
        (problem,) = here.sync().problems
        assert problem.hint.startswith("Put a regular file in its place; nothing is synced")


def test_a_table_without_its_delimiter_row_is_a_problem(here: Site) -> None:
    """A header whose delimiter row was deleted is named, at its line, and no card goes."""
    here.edit("|----|:------|--------|------------|----------|-------|\n", "")
    report = here.sync()
    (problem,) = report.problems
    assert (problem.code, problem.line) == ("no-delimiter-row", 5)
    assert problem.message == "the header row has no delimiter row (|---|) below it"
    assert live(here) == ["A1", "A2", "A3"]


@pytest.mark.parametrize("end", ["", "```\n"])
def test_rows_that_still_stand_are_not_deleted(here: Site, end: str) -> None:
    """Cards whose rows stand in a code block now are held, each with the line of its text."""
    here.edit("| A2 |", "```\n| A2 |")
    here.edit("\nSome words after it.\n", f"{end}\nSome words after it.\n")
    report = here.sync()
    assert [(each.guard, each.id) for each in report.held] == [("deletions", "A2"), ("deletions", "A3")]
    assert report.held[0].reason == "A2 still stands in TASKS.md, line 9, where it is no card"
    assert live(here) == ["A1", "A2", "A3"]


def test_a_table_that_lost_its_status_column_deletes_nothing(tmp_path: Path, postgres_dsn: str) -> None:
    """A mistyped status header in one of two tables holds the cards of that table."""
    second = "\n## More\n\n| id | title | status |\n|---|---|---|\n| B1 | One more | not-started |\n"
    with site(tmp_path / "shop", postgres_dsn, TABLE + second) as here:
        here.sync()
        here.edit("| id | title | status |\n", "| id | title | stauts |\n")
        (hold,) = here.sync().held
        assert hold.reason.startswith("B1 still stands in TASKS.md, line ")
        assert "B1" in live(here)


def test_a_row_that_is_gone_goes(here: Site) -> None:
    """A card that others only depend on does not stand any more when its row is taken out."""
    here.edit("| A2 | Write the parser | not-started | A1 | 2 | |\n", "")
    assert here.sync().held == ()
    assert live(here) == ["A1", "A3"]


def test_a_read_only_file_is_not_written(here: Site) -> None:
    """A file that nobody may write stays as it is, with a problem; its edits go on, and losers are recorded later."""
    here.edit(
        "| A3 | Write the docs   | not-started | A1, A2 | 0 |", "| A3 | Write all docs | not-started | A1, A2 | 4 |"
    )
    here.file.chmod(0o444)
    here.sql("update backlog set title = 'Elsewhere' where id = 'A2'")
    here.sql("update backlog set priority = 5 where id = 'A3'")
    report = here.sync()
    (problem,) = report.problems
    assert (problem.code, problem.message, problem.hint) == (
        "cannot-write",
        "TASKS.md is read-only",
        "chmod u+w TASKS.md",
    )
    assert "Elsewhere" not in here.text
    assert here.card("A3").title == "Write all docs"
    assert list(here.wiring.store().conflicts()) == []
    here.file.chmod(0o644)
    assert here.sync().problems == ()
    assert "Elsewhere" in here.text
    assert [each.conflict.field for each in here.wiring.store().conflicts()] == ["priority"]
