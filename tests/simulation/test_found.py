"""What the simulation found, each as a scene of its own: the shortest history in which it went wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from syncd.errors import InputOutputError, StoreUnreachable
from syncd.schemas.card import Card
from tests.simulation.replica import Killed
from tests.simulation.scene import Scene, scene
from tests.simulation.store import PROJECT
from tests.simulation.table import read_rows, set_cell
from tests.simulation.world import World


def failing(number: int) -> Callable[[], None]:
    """Return what makes a call fail as a disk does."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def cut() -> None:
    """Cut the connection to the store."""
    raise StoreUnreachable("the connection was cut")


def displace(here: Scene) -> int:
    """Open the file as an editor, have syncd replace it, and return the editor's handle."""
    handle = here.hold()
    here.set("A1", priority=7)
    here.sync()
    assert here.cell("A1", "priority") == "7"
    return handle


def test_a_save_that_was_never_fsynced_is_made_durable_first() -> None:
    """A power cut that takes an editor's save back is no edit against the store that has it (case 43, I6)."""
    with scene("A1") as here:
        here.edit("A1", "title", "better")
        here.sync(seconds=20)
        here.cut_power()
        here.rest()
        assert (here.cell("A1", "title"), here.stored("A1").title) == ("better", "better")


def test_a_replacement_is_made_durable_before_recovery_takes_it_over() -> None:
    """Killed after the exchange and cut off from power after the restart, syncd does not revert the store (I6)."""
    with scene("A1") as here:
        here.set("A1", title="better")
        here.at("exchange", lambda: here.at("open", here.kill), where="TASKS.md")
        with pytest.raises(Killed):
            here.sync()
        here.sync()
        here.cut_power()
        here.rest()
        assert (here.cell("A1", "title"), here.stored("A1").title) == ("better", "better")


def test_what_a_batch_left_out_is_not_taken_over() -> None:
    """Killed after a commit that left a moved card out, syncd does not believe that the store has its edit."""
    with scene("A1", "A2") as here:
        here.edit("A1", "title", "mine")
        here.edit("A2", "title", "also mine")
        here.at("commit", lambda: here.set("A1", title="theirs"))
        here.at("write_journal", lambda: here.at("write_journal", here.kill))
        with pytest.raises(Killed):
            here.sync()
        here.rest()
        assert here.stored("A1").title == here.cell("A1", "title") == "mine"
        assert [(each.id, each.local, each.remote) for each in here.conflicts()] == [("A1", "mine", "theirs")]


def test_recovery_knows_in_which_file_a_card_stands() -> None:
    """A card that was made just before a kill is deleted with its row, as any other."""
    with scene("A1", "A2", "A3", "A4", "A5") as here:
        whole = here.data
        here.save(here.add(whole, id="A6", title="new", status="not-started"))
        here.at("advance", here.kill)
        with pytest.raises(Killed):
            here.sync()
        here.save(whole)
        here.rest()
        assert here.stored("A6").deleted_at is not None


def test_a_late_write_is_told_until_it_is_taken_in() -> None:
    """A cycle that fails leaves a late write to the next one, clash and all (case 6)."""
    with scene("A1") as here:
        read = here.data
        handle = displace(here)
        here.set("A1", title="theirs")
        here.sync()
        here.write(handle, set_cell(read, "A1", "title", "mine"))
        here.sync(seconds=0.6)
        here.sync(seconds=0.6)
        here.at("commit", cut)
        with pytest.raises(StoreUnreachable):
            here.sync()
        here.rest()
        assert [(each.id, each.local, each.remote) for each in here.conflicts()] == [("A1", "mine", "theirs")]


def test_a_late_write_waits_for_a_file_that_is_gone_for_a_moment() -> None:
    """While an editor has the standing file renamed away, a late write into the displaced one is not forgotten."""
    with scene("A1") as here:
        read = here.data
        handle = displace(here)
        standing = here.data
        here.disk.unlink(here.path)
        here.write(handle, set_cell(read, "A1", "title", "better"))
        here.look_late()
        here.save(standing)
        here.rest()
        assert (here.cell("A1", "title"), here.cell("A1", "priority")) == ("better", "7")


def test_a_late_write_does_not_disturb_a_save_under_way() -> None:
    """The standing file is not written while it is half saved, not even to bring a late write in (ruling 5)."""
    with scene("A1", "A2") as here:
        read = here.data
        handle = displace(here)
        standing = here.data
        here.write(handle, set_cell(read, "A1", "title", "better"))
        for missing in range(20, 10, -1):
            half = standing[:-missing]
            here.save(half)
            here.sync(seconds=0.2)
            assert here.data == half
        here.save(standing)
        here.rest()
        assert here.cell("A1", "title") == "better"


def test_a_second_late_write_into_the_same_file() -> None:
    """An editor that holds the old file may save into it again and again (case 6)."""
    with scene("A1") as here:
        once = set_cell(here.data, "A1", "title", "once")
        handle = displace(here)
        here.write(handle, once)
        here.look_late()
        assert here.cell("A1", "title") == "once"
        here.write(handle, set_cell(once, "A1", "title", "twice"))
        here.rest()
        assert (here.cell("A1", "title"), here.stored("A1").title) == ("twice", "twice")


def test_a_late_write_into_what_was_put_in_place_for_a_moment() -> None:
    """An editor that opened syncd's new file just before it was taken back loses nothing either."""
    with scene("A1", "A2") as here:
        here.set("A1", priority=7)
        handles: list[int] = []

        def save_and_open() -> None:
            here.edit("A2", "title", "saved")
            here.at("open", lambda: handles.append(here.hold()))

        here.at("exchange", save_and_open, where="TASKS.md")
        here.sync()
        opened = here.disk.inode_of(handles[0]).data
        here.write(handles[0], set_cell(opened, "A1", "title", "better"))
        here.rest()
        assert (here.cell("A1", "title"), here.cell("A2", "title")) == ("better", "saved")


@pytest.mark.parametrize("is_fsynced", [True, False])
def test_a_late_write_is_taken_in_once_whatever_the_power_does(is_fsynced: bool) -> None:
    """After a power cut, what was taken in is no late write again, and what was lost then is none either."""
    with scene("A1") as here:
        read = here.data
        handle = displace(here)
        here.write(handle, set_cell(read, "A1", "title", "better"))
        if is_fsynced:
            here.disk.fsync(handle)
        here.look_late()
        assert here.cell("A1", "title") == "better"
        here.edit("A1", "title", "best")
        here.sync()
        here.cut_power()
        here.rest()
        assert (here.cell("A1", "title"), here.stored("A1").title, here.conflicts()) == ("best", "best", [])


def test_a_nameless_row_in_a_late_write_is_one_card() -> None:
    """Killed before it is noted as taken in, a late write does not make a second card of its new row (I9)."""
    with scene("A1") as here:
        read = here.data
        handle = displace(here)
        here.write(handle, here.add(read, id="", title="new", status="not-started"))
        here.at_taking_in(here.kill)
        with pytest.raises(Killed):
            here.look_late()
        here.rest()
        assert [card.title for card in here.database.cards.values()].count("new") == 1


def test_a_clash_of_a_late_write_that_is_recorded_already() -> None:
    """When noting a late write fails after its clash was recorded, it is noted later, and then there is rest (I3)."""
    with scene("A1") as here:
        read = here.data
        handle = displace(here)
        here.set("A1", title="theirs")
        here.sync()
        here.write(handle, set_cell(read, "A1", "title", "mine"))
        here.sync(seconds=0.6)
        here.sync(seconds=0.6)
        here.at("rename", failing(errno.EIO), where="displaced")
        with pytest.raises(InputOutputError):
            here.sync()
        here.rest()
        here.calls.clear()
        here.sync()
        assert "remember_version" not in here.calls
        assert len(here.conflicts()) == 1


def test_a_nameless_row_beside_one_that_got_its_id_meanwhile() -> None:
    """A row that an editor adds below a row which syncd just named is not lost in a late write."""
    with scene("A1") as here:
        read = here.add(here.data, id="", title="first", status="not-started")
        here.save(read)
        handle = here.hold()
        here.sync(seconds=0.1)
        here.write(handle, here.add(read, id="", title="second", status="not-started"))
        here.rest()
        assert sorted(row.cells["title"] for row in read_rows(here.data).values()) == ["first", "second", "title A1"]


def test_an_empty_file_on_first_contact_may_be_half_of_a_save() -> None:
    """Cards of the store are not written into a file that an editor has just truncated (case 1)."""
    with scene() as here:
        card = Card(id="S1", title="from the service", created_at=here.database.now)
        here.database.as_writer("service", lambda: here.database.write(PROJECT, [card]))
        here.save(b"")
        here.sync()
        assert here.data == b""
        here.rest()
        assert here.cell("S1", "title") == "from the service"


@pytest.mark.parametrize(("deed", "where"), [("fstat", ""), ("stat", "TASKS.md"), ("read", "")])
def test_a_disk_error_while_reading_is_a_problem(deed: str, where: str) -> None:
    """An error of the disk at any call of a look is told, and the file is left alone (case 26)."""
    with scene("A1") as here:
        here.at("open", lambda: here.at(deed, failing(errno.EIO), where=where), where="TASKS.md")
        report = here.sync()
        assert [problem.code for problem in report.problems] == ["unreadable"]


def test_a_disk_on_which_even_tidying_up_fails() -> None:
    """When a write fails and the staged file cannot be removed either, the cycle tells and goes on (case 26)."""
    with scene("A1") as here:
        here.set("A1", priority=7)
        here.at("write", failing(errno.ENOSPC))
        here.at("unlink", failing(errno.EIO))
        assert [problem.code for problem in here.sync().problems] == ["cannot-write"]
        here.rest()
        assert here.cell("A1", "priority") == "7"


def test_a_late_write_outlives_the_state() -> None:
    """What was written into a displaced file is not forgotten when nobody knows any more what that file had been."""
    with scene("A1", "A2") as here:
        read = here.data
        handle = displace(here)
        here.set("A2", title="theirs")
        here.sync()
        late = here.add(set_cell(read, "A2", "title", "mine"), id="", title="new", status="not-started")
        here.write(handle, here.add(late, id="N1", title="named", status="not-started"))
        here.lose_state()
        here.rest()
        assert [card.title for card in here.database.cards.values()].count("new") == 1
        assert here.stored("N1").title == here.cell("N1", "title") == "named"
        assert here.cell("A1", "priority") == "7"
        assert [(each.id, each.local, each.remote) for each in here.conflicts() if each.field == "title"] == [
            ("A2", "mine", "theirs")
        ]


def test_a_power_cut_within_an_exchange_by_links() -> None:
    """Where only the second name of the old file outlives a power cut, nobody takes the new one for written."""
    with scene("A1", has_exchange=False) as here:
        before = here.data
        here.set("A1", title="theirs")
        here.at("rename", here.kill, where="-out")
        with pytest.raises(Killed):
            here.sync()
        (aside,) = [path for path in here.disk.names if path.endswith("-out")]
        here.disk.names[here.path] = here.disk.names[aside]
        assert here.data == before
        here.rest()
        assert (here.cell("A1", "title"), here.stored("A1").title) == ("theirs", "theirs")
        assert aside not in here.disk.names


SEEDS = [0, 29, 39, 65, 73, 75, 94, 121, 144, 223, 243, 301, 307, 338, 365, 498, 578, 1167, 1574]
"""Seeds that failed once; what they showed is above, and in the unit tests of the parsers and of reconcile."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_failed_once(seed: int) -> None:
    """Worlds in which something was lost keep everything now."""
    World(seed).run()
