"""Ids that a nameless row was given: kept until they stand in the file, whatever the file is meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncd.ports import Replaced
from tests.support.workspace import TABLE, Site, site

ROW = "|  | Ship it | not-started | A3 | 1 | |\n"
WITH_ROW = TABLE.replace("\nSome words after", f"{ROW}\nSome words after")
MORE = "| id | title | status |\n|---|---|---|\n| M1 | More | not-started |\n"


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn, tasks=["TASKS.md", "more.md"]) as made:
        (made.root / "more.md").write_text(MORE)
        made.sync()
        yield made


@contextmanager
def overtaken(here: Site) -> Iterator[None]:
    """Have every replacement of the task file find that an editor has saved it a moment before."""
    files, replace = here.wiring.files, here.wiring.files.replace

    def late(path: str, staged: str, expected: str | None) -> Replaced:
        if path == "TASKS.md":
            return Replaced(None, files.read(path).digest, False)
        return replace(path, staged, expected)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "replace", late)
        yield


def titles(here: Site) -> list[str]:
    return [title for (title,) in here.sql("select title from backlog where title = 'Ship it'")]


@pytest.mark.parametrize(
    "meanwhile",
    [WITH_ROW.encode() + b"\xff", b"", TABLE.encode()],
    ids=["not text", "emptied", "without the row"],
)
def test_a_name_outlives_a_moment_without_its_row(here: Site, meanwhile: bytes) -> None:
    """A row whose card is in the store already keeps its id over a look that does not show the row."""
    with overtaken(here):
        here.write(WITH_ROW)
        here.cycle.run()
        assert titles(here) == ["Ship it"]
        here.file.write_bytes(meanwhile)
        here.cycle.run()
    here.write(WITH_ROW)
    here.sync()
    assert titles(here) == ["Ship it"]
    assert here.text.count("Ship it") == 1
    assert "| A4 | Ship it |" in here.text


def test_a_name_outlives_another_files_write_and_a_kill(here: Site) -> None:
    """The id is known after a kill also when another file was written since the row's card went to the store."""
    with overtaken(here):
        here.write(WITH_ROW)
        here.cycle.run()
        here.file.write_bytes(WITH_ROW.encode() + b"\xff")
        here.sql("update backlog set title = 'Much more' where id = 'M1'")
        here.cycle.run()
        assert "Much more" in (here.root / "more.md").read_text()
    here.restart()
    here.write(WITH_ROW)
    here.sync()
    assert titles(here) == ["Ship it"]
    assert "| A4 | Ship it |" in here.text
