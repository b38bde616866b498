"""Saves in pieces, at the wrong moment, in a copy: nasty cases on real files and a real Postgres (tests/CASES.md)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import SchemaVersionError
from tests.support.workspace import TABLE, Site, site

A1 = "| A1 | Draw the schema | done | — | 3 | |\n"
A3 = "| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n"


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn) as made:
        made.sync()
        yield made


def live(here: Site) -> list[str]:
    """The ids of the cards that are neither archived nor deleted."""
    return [
        id for (id,) in here.sql("select id from backlog where deleted_at is null and archived_at is null order by id")
    ]


def test_case_01_a_save_that_truncates_first(here: Site) -> None:
    """While an editor has emptied the file and not written yet, nothing is concluded, asked, or written into it."""
    here.sql("update backlog set priority = 5 where id = 'A2'")
    here.write("")
    report = here.cycle.run()
    assert ([wait.path for wait in report.waits], report.held, report.to_store) == (["TASKS.md"], (), ())
    assert (here.text, live(here)) == ("", ["A1", "A2", "A3"])
    here.write(TABLE.replace("Write the parser", "Write a parser"))
    assert here.sync().held == ()
    assert "| A2 | Write a parser | not-started | A1 | 5 | |" in here.text
    assert here.column("title", "A2") == "Write a parser"
    assert here.wiring.store().conflicts() == []


def test_case_02_the_head_of_a_save_that_parses(here: Site) -> None:
    """Rows that a slow save has not written yet are not gone; what stands above them arrives at once."""
    whole = TABLE.replace("Draw the schema", "Draw a schema")
    here.write(whole[: whole.index("| A2 |")])
    report = here.cycle.run()
    assert [(change.id, dict(change.fields)) for change in report.to_store] == [("A1", {"title": "Draw a schema"})]
    assert ([wait.path for wait in report.waits], report.held) == (["TASKS.md"], ())
    assert live(here) == ["A1", "A2", "A3"]
    here.write(whole)
    report = here.sync()
    assert (here.text, live(here), report.held) == (whole, ["A1", "A2", "A3"], ())
    assert here.sql("select count(*) from backlog_history where op = 'update' and id <> 'A1'") == [(0,)]


def test_case_14_a_row_edited_while_its_card_is_deleted(here: Site) -> None:
    """A card that the service deleted lives on when its row was edited meanwhile; the deletion is a conflict."""
    here.sql("update backlog set deleted_at = now() where id = 'A3'")
    here.edit("Write the docs  ", "Write good docs ")
    here.sync()
    assert "| A3 | Write good docs  | not-started | A1, A2 | 0 | |" in here.text
    assert (live(here), here.column("title", "A3")) == (["A1", "A2", "A3"], "Write good docs")
    assert [(each.conflict.id, each.conflict.field) for each in here.wiring.store().conflicts()] == [("A3", "*")]


def test_case_19_a_row_under_another_heading_has_another_phase(tmp_path: Path, postgres_dsn: str) -> None:
    """The section is a field: a row that moves to another one changes its phase, and nothing else is written."""
    head = "| id | title | status |\n|---|---|---|\n"
    text = f"# One\n\n{head}| A1 | a | todo |\n| A2 | b | todo |\n\n# Two\n\n{head}| A3 | c | todo |\n"
    with site(tmp_path / "board", postgres_dsn, text) as here:
        here.sync()
        here.write(text.replace("| A2 | b | todo |\n", "").replace("| A3 |", "| A2 | b | todo |\n| A3 |"))
        moved = here.text
        here.sync()
        assert here.sql("select id, phase, version from backlog order by id") == [
            ("A1", "One", 1),
            ("A2", "Two", 2),
            ("A3", "Two", 1),
        ]
        assert here.text == moved


def test_case_34_a_file_made_again_while_it_is_put_back(tmp_path: Path, postgres_dsn: str) -> None:
    """A missing file that somebody makes anew at the moment when syncd puts it back is theirs, and an edit."""
    with site(tmp_path / "shop", postgres_dsn, guards__grace_s=0, guards__settle_deletions_ms=0) as here:
        here.sync()
        here.file.unlink()
        files: Any = here.wiring.files
        put, news = files.replace, [TABLE.replace("Write the parser", "Write a parser").replace(A3, "")]

        def replace(path: str, staged: str, expected: str | None) -> Any:
            if news:
                assert expected is None
                here.write(news.pop())
            return put(path, staged, expected)

        files.replace = replace
        here.sync()
        here.sync()
        assert news == []
        assert here.text == TABLE.replace("Write the parser", "Write a parser").replace(A3, "")
        assert (live(here), here.column("title", "A2")) == (["A1", "A2"], "Write a parser")
        assert here.wiring.store().conflicts() == []


def test_case_37_a_copy_of_a_workspace_is_another_one(here: Site, tmp_path: Path) -> None:
    """A folder copied with its state, and edited, deletes nothing by what it lacks, and both copies come together."""
    copy = tmp_path / "copy"
    shutil.copytree(here.root, copy)
    here.edit("Write the parser", "Write a parser")
    here.sync()
    text = (copy / "TASKS.md").read_text()
    (copy / "TASKS.md").write_text(text.replace(A1, "").replace("| A1, A2 | 0 |", "| A1, A2 | 7 |"))
    there = Site(copy, here.dsn, here.wiring)
    there.restart()
    try:
        there.sync()
        here.restart()
        here.sync()
        assert here.wiring.state().replica != there.wiring.state().replica
        assert live(here) == ["A1", "A2", "A3"]
        assert (here.column("title", "A1"), here.column("priority", "A3")) == ("Draw the schema", 7)
        clashes = [(each.conflict.id, each.conflict.field) for each in here.wiring.store().conflicts()]
        assert clashes == [("A2", "title")]
        for each in (here, there):
            assert each.sync().held == ()
            assert "Draw the schema" in each.text
            assert str(here.column("title", "A2")) in each.text
    finally:
        there.wiring.close()


def test_case_58_a_column_that_goes_missing_under_the_sync(here: Site) -> None:
    """While a column is missing nothing is concluded from that; once it is back the sync goes on."""
    here.edit("Write the parser", "Write a parser")
    here.sql("alter table backlog rename column acceptance to was_acceptance")
    here.wiring.store().close()
    text = here.text
    for _ in range(2):
        with pytest.raises(SchemaVersionError):
            here.cycle.run(full=True)
    assert (here.text, live(here)) == (text, ["A1", "A2", "A3"])
    here.sql("alter table backlog rename column was_acceptance to acceptance")
    here.sync()
    assert (here.text, here.column("title", "A2")) == (text, "Write a parser")
    assert here.wiring.store().conflicts() == []
