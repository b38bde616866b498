"""An editor that still holds a mission file that syncd has replaced: what it saves is taken in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support.desk import until
from tests.support.workspace import Site, site

MISSION = """\
{
  "mission_id": "shop",
  "name": "Shop",
  "team": {"lead": "Ada"},
  "milestones": [
    {"id": "M1", "name": "Foundations", "status": "in-progress"},
    {"id": "M2", "name": "Front", "status": "pending"}
  ]
}
"""


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    """A working copy with a mission, synced once."""
    with site(tmp_path / "here", postgres_dsn) as made:
        path(made).write_text(MISSION)
        made.sync()
        yield made


def path(made: Site) -> Path:
    return made.root / "mission.json"


def save(editor: IO[str], text: str) -> None:
    """Save in place, as an editor does that keeps its file open."""
    editor.seek(0)
    editor.truncate()
    editor.write(text)
    editor.flush()


def taken_in(made: Site, wanted: str) -> str:
    """Sync until the file has something, and return what it says."""

    def look() -> bool:
        made.sync()
        return wanted in path(made).read_text()

    until(look, f"{wanted} is in the file")
    return path(made).read_text()


def test_a_late_save_is_taken_in_with_what_syncd_wrote(here: Site) -> None:
    """Every byte of the save stays, unknown keys too, and the store's change that was written meanwhile is in it."""
    with path(here).open("r+") as editor:
        here.sql("update milestone set status = 'done' where id = 'M1'")
        here.sync()
        assert '"done"' in path(here).read_text()
        save(editor, MISSION.replace('"Front"', '"Facade"').replace('"Ada"', '"Bob"'))
        text = taken_in(here, "Facade")
    assert text == MISSION.replace('"Front"', '"Facade"').replace('"Ada"', '"Bob"').replace('"in-progress"', '"done"')
    here.sync()
    assert here.sql("select name, status from milestone order by id") == [
        ("Foundations", "done"),
        ("Facade", "pending"),
    ]
    assert here.wiring.store().conflicts() == []
    report = here.sync()
    assert (report.to_store, report.to_file, report.held) == ((), (), ())


def test_a_late_save_meets_another_edit(here: Site) -> None:
    """Where the file was edited since, both edits are in it, and its own unknown keys stay."""
    with path(here).open("r+") as editor:
        here.sql("update milestone set status = 'done' where id = 'M1'")
        here.sync()
        standing = path(here).read_text().replace('"Ada"', '"Eve"').replace('"Foundations"', '"Groundwork"')
        path(here).write_text(standing)
        here.sync()
        save(editor, MISSION.replace('"Front"', '"Facade"'))
        text = taken_in(here, "Facade")
    assert text == standing.replace('"Front"', '"Facade"')


def test_both_changed_the_same_field(here: Site) -> None:
    """A rule decides, and the loser is recorded before anything is overwritten."""
    with path(here).open("r+") as editor:
        here.sql("update milestone set name = 'From the store', status = 'blocked' where id = 'M1'")
        here.sync()
        save(editor, MISSION.replace('"Foundations", "status": "in-progress"', '"Late", "status": "waiting"'))
        taken_in(here, "Late")
    here.sync()
    told = {each.conflict.field: each.conflict for each in here.wiring.store().conflicts()}
    assert (told["name"].local, told["name"].remote) == ("Late", "From the store")
    assert (told["status"].local, told["status"].remote) == ("waiting", "blocked")
    assert here.sql("select name, status from milestone where id = 'M1'") == [("Late", "blocked")]


def test_half_a_save_is_no_mission(here: Site) -> None:
    """A late save that cannot be read changes nothing, and is kept."""
    with path(here).open("r+") as editor:
        here.sql("update milestone set status = 'done' where id = 'M1'")
        here.sync()
        standing = path(here).read_text()
        save(editor, MISSION[:80])
        until(lambda: here.sync() is not None and here.cycle.next_look_s() not in (None, 0.0), "it was looked at")
    here.sync()
    assert path(here).read_text() == standing
    kept = [each.read_text() for each in (here.root / ".syncd" / "displaced").rglob("*") if each.is_file()]
    assert MISSION[:80] in kept
    assert json.loads(standing)["milestones"][0]["status"] == "done"
