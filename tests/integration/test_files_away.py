"""Several task files while the database is away: ids of their own, and rows that move from one to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.ports import CardFilter
from syncd.schemas.card import Status
from tests.support.laptop import Line, laptop
from tests.support.workspace import Site, site

HEAD = "| id | title | status | depends_on |\n|----|-------|--------|------------|\n"
OPEN = HEAD + "| A1 | Draw | not-started | — |\n| A2 | Write | not-started | A1 |\n"
ARCHIVE = "# Old\n\n" + HEAD + "| Z1 | Plan | done | — |\n"
UI = HEAD + "| 1.1 | Button | not-started | — |\n| 1.2 | Menu | not-started | 1.1 |\n"
TASKS = ["TASKS.md", "archive.md", {"path": "ui/TASKS.md", "namespace": "ui"}]


def written(root: Path) -> None:
    (root / "ui").mkdir(parents=True)
    for name, text in (("TASKS.md", OPEN), ("archive.md", ARCHIVE), ("ui/TASKS.md", UI)):
        (root / name).write_text(text)


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[tuple[Site, Line]]:
    """A working copy with three task files, in sync, and its line."""
    written(tmp_path / "laptop")
    with laptop(tmp_path / "laptop", postgres_dsn, None, tasks=TASKS) as (made, line):
        made.sync()
        yield made, line


@pytest.fixture
def there(tmp_path: Path, postgres_dsn: str, here: tuple[Site, Line]) -> Iterator[Site]:
    """Another working copy of the project, in sync, whose line is never cut."""
    written(tmp_path / "office")
    with site(tmp_path / "office", postgres_dsn, None, tasks=TASKS) as made:
        made.sync()
        yield made


def text(made: Site, name: str) -> str:
    return (made.root / name).read_text()


def change(made: Site, name: str, old: str, new: str) -> None:
    """Replace one place of a file."""
    before = text(made, name)
    assert before.count(old) == 1, (old, before)
    (made.root / name).write_text(before.replace(old, new))


def back(here: tuple[Site, Line], *others: Site) -> None:
    """Mend the line, and have everybody sync until nobody has anything left to do."""
    made, line = here
    line.is_cut = False
    assert made.wiring.reach is not None
    made.wiring.reach.hurry()
    for each in (made, *others, made, *others):
        each.sync()
    assert made.wiring.absence() is None
    for each in (made, *others):
        report = each.sync()
        assert (report.to_store, report.to_file, report.held, report.problems) == ((), (), (), ())


def test_ids_of_a_file_s_own_come_home_with_its_namespace(here: tuple[Site, Line], there: Site) -> None:
    """The file says 1.1, the card is ui/1.1: edits, claims and new rows made away are of that card."""
    made, line = here
    line.is_cut = True
    change(made, "ui/TASKS.md", "| 1.1 | Button |", "| 1.1 | Big button |")
    change(
        made,
        "ui/TASKS.md",
        "| 1.2 | Menu | not-started | 1.1 |\n",
        "| 1.2 | Menu | not-started | 1.1 |\n| 1.3 | Bar | not-started | 1.1, 1.2 |\n",
    )
    made.sync()
    (mine,) = made.wiring.store().claim("laptop", 900, id="ui/1.1")
    made.wiring.store().complete("ui/1.1", owner="laptop", attempt=mine.attempts)
    made.sync()
    there.wiring.store().update("ui/1.2", {"title": "Long menu"})
    there.sync()
    back(here, there)
    cards = {card.id: card for card in there.wiring.store().list(CardFilter())}
    assert cards.keys() == {"A1", "A2", "Z1", "ui/1.1", "ui/1.2", "ui/1.3"}
    assert (cards["ui/1.1"].title, cards["ui/1.1"].status) == ("Big button", Status.DONE)
    assert (cards["ui/1.3"].depends_on, cards["ui/1.3"].unmet) == (("ui/1.1", "ui/1.2"), 1)
    for each in (made, there):
        assert "| 1.1 | Big button | done |" in text(each, "ui/TASKS.md")
        assert "| 1.2 | Long menu |" in text(each, "ui/TASKS.md")
        assert "| 1.3 | Bar | not-started | 1.1, 1.2 |" in text(each, "ui/TASKS.md")
    assert made.wiring.store().conflicts() == []


def test_a_row_that_moved_to_another_file_is_no_deletion(here: tuple[Site, Line], there: Site) -> None:
    """Moved while away it is the same card, with what others did to it meanwhile, and stands once."""
    made, line = here
    line.is_cut = True
    change(made, "TASKS.md", "| A1 | Draw | not-started | — |\n", "")
    (made.root / "archive.md").write_text(ARCHIVE + "| A1 | Draw | done | — |\n")
    made.sync()
    assert made.card("A1").path == "archive.md"
    there.wiring.store().update("A1", {"title": "Draw twice"})
    there.sync()
    back(here, there)
    assert made.column("deleted_at", "A1") is None
    assert made.column("archived_at", "A1") is None
    assert (made.column("status", "A1"), made.column("title", "A1")) == ("done", "Draw twice")
    assert text(made, "archive.md") == ARCHIVE + "| A1 | Draw twice | done | — |\n"
    assert "A1 |" not in text(made, "TASKS.md").replace("| A1 |\n", "")
    assert made.column("path", "A1") == "archive.md"
    assert made.wiring.store().conflicts() == []


def test_a_file_that_is_new_while_away(here: tuple[Site, Line]) -> None:
    """Cards of a file that came while the database was away are made in it with their place."""
    made, line = here
    line.is_cut = True
    change(made, "archive.md", "| Z1 | Plan | done | — |\n", "| Z1 | Plan | done | — |\n| Z2 | Budget | done | — |\n")
    made.sync()
    back(here)
    assert (made.column("status", "Z2"), made.column("path", "Z2")) == ("done", "archive.md")
