"""events.ndjson: each event of the queue is a line there once, whatever breaks in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.engine.event_log import EventLog
from syncd.errors import InputOutputError
from syncd.files.event_file import EVENTS_PATH, EventFile
from syncd.ports import NewCard
from tests.support.desk import until
from tests.support.doom import Doomed, Killed
from tests.support.workspace import Site, site


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    """A working copy with the folder of an orchestrator, and a past that is not to be told."""
    with site(tmp_path / "here", postgres_dsn) as made:
        made.sync()
        (made.root / EVENTS_PATH).parent.mkdir(parents=True)
        write(log(made))
        yield made


def log(here: Site, file: Any = None, state: Any = None) -> EventLog:
    """Return the log as a process that starts has it."""
    return EventLog(file or EventFile(here.wiring.layout), state or here.wiring.state(), here.wiring.store())


def write(writer: EventLog) -> None:
    """Write what is new; events that an older transaction of anybody on the server holds back are waited for."""
    until(lambda: writer.write() is None, "no older transaction is open")


def lines(here: Site) -> list[dict[str, Any]]:
    return [json.loads(each) for each in (here.root / EVENTS_PATH).read_text().splitlines()]


def told(here: Site) -> list[tuple[str, str]]:
    return [(each["type"], each["id"]) for each in lines(here)]


def work(here: Site, *ids: str) -> None:
    """Make cards, one event each."""
    for id in ids:
        here.wiring.store().create(NewCard(id, id))


def test_events_from_now_on_are_lines(here: Site) -> None:
    """What was before is left out; a claim and its end are two lines in the shape of 'backlog events'."""
    assert not (here.root / EVENTS_PATH).exists()
    store = here.wiring.store()
    store.claim("w", 60, id="A2")
    store.complete("A2")
    writer = log(here)
    write(writer)
    write(writer)
    assert told(here) == [("task.processing", "A2"), ("task.completed", "A2")]
    assert lines(here)[1].keys() == {"seq", "at", "type", "id", "actor", "from", "to", "data"}


def test_without_the_folder_nothing_is_written(here: Site) -> None:
    """No folder, no file: nothing is made, and nothing is told later of the time between."""
    (here.root / EVENTS_PATH).parent.rmdir()
    work(here, "X1")
    assert log(here).write() is None
    assert not (here.root / EVENTS_PATH).parent.exists()


def test_lines_of_others_stay(here: Site) -> None:
    """An orchestrator writes its own lines between; one without an end is closed first."""
    path = here.root / EVENTS_PATH
    path.write_text('{"event": "own"}\n{"event": "unfinished"}')
    work(here, "X1")
    write(log(here))
    assert [each.get("event", each.get("id")) for each in lines(here)] == ["own", "unfinished", "X1"]


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_repeats_nothing_and_leaves_nothing_out(here: Site, after: bool) -> None:
    """Killed before or after the place was remembered, or in the middle of a line: each event is there once."""
    work(here, "X1", "X2")
    state = Doomed(here.wiring.state(), "set_meta", after=after, how=Killed())
    with pytest.raises(Killed):
        write(log(here, state=state))
    path = here.root / EVENTS_PATH
    if not after:
        path.write_bytes(path.read_bytes()[:-7])
    work(here, "X3")
    write(log(here))
    write(log(here))
    assert [each["id"] for each in lines(here)] == ["X1", "X2", "X3"]


def test_a_file_that_was_taken_away_begins_anew(here: Site) -> None:
    """Rotated by somebody: the next events are in a new file, and the old ones are not told again."""
    work(here, "X1")
    write(log(here))
    (here.root / EVENTS_PATH).rename(here.root / "old")
    work(here, "X2")
    write(log(here))
    assert [each["id"] for each in lines(here)] == ["X2"]


def test_a_file_that_cannot_be_written_stops_nothing(here: Site) -> None:
    """The obstacle is told, the sync goes on, and the events come when it is gone."""
    work(here, "X1")
    how = InputOutputError("full")
    full = Doomed(EventFile(here.wiring.layout), "append", after=False, how=how)
    writer = log(here, file=full)
    assert writer.write() is None
    assert not (here.root / EVENTS_PATH).exists()
    write(writer)
    assert [each["id"] for each in lines(here)] == ["X1"]
