"""Putting a file in place beside editors who save at the wrong moment, on real files and a real state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncd.core.plan import Plan, Wait
from syncd.core.sight import Guarded
from syncd.engine.late_writes import take_in
from syncd.engine.observe import LocalView
from syncd.engine.placing import place
from syncd.engine.postponement import LOCKED_RETRY_MS, Postponement, wanted
from syncd.files import atomic
from syncd.files.atomic import digest
from syncd.files.layout import Layout
from syncd.files.lock import AdvisoryLock, advisory_lock
from syncd.files.state import StateFile
from syncd.files.task_files import WorkspaceFiles
from syncd.parsers.document import ParseOptions
from syncd.ports import FileRead, LateWrite, StagedFile
from syncd.schemas.config import Config

PATH = "TASKS.md"
TABLE = "| id | title | status | priority |\n|---|---|---|---|\n| A1 | One | todo | 1 |\n| A2 | Two | todo | 2 |\n"
OLD, NEW = TABLE.encode(), TABLE.replace("| 2 |", "| 5 |").encode()
SAVED, LATER = TABLE.replace("Two", "2").encode(), TABLE.replace("One", "1").encode()


class Bench:
    """A workspace whose file is about to be replaced."""

    def __init__(self, root: Path, state: StateFile) -> None:
        self.file = root / PATH
        self.file.write_bytes(OLD)
        self.state = state
        self.acts: list[Callable[[], object]] = []
        self.now_s = 0.0
        self.files = WorkspaceFiles(Layout(root), Config(), clock=lambda: self.now_s, exchanging=self._exchange)

    def save(self, data: bytes) -> Callable[[], object]:
        return lambda: self.file.write_bytes(data)

    def place(self) -> bool:
        staged = StagedFile(PATH, self.files.stage(PATH, NEW), digest(OLD), digest(NEW))
        return place(self.files, self.state, staged, NEW, OLD)

    def late(self) -> tuple[LateWrite, ...]:
        """Return what is reported as written too late, after as many looks as that takes."""
        for _ in range(8):
            found = tuple(self.files.late_writes())
            look_s = self.files.next_look_s()
            if found or look_s is None:
                break
            self.now_s += look_s
        return found

    def _exchange(self, source: Path, target: Path) -> None:
        if target == self.file and self.acts:
            self.acts.pop(0)()
        atomic.exchange(source, target)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(StateFile(Layout(tmp_path))) as state:
        yield Bench(tmp_path, state)


def staged_names(bench: Bench) -> list[str]:
    return [each.name for each in bench.file.parent.iterdir() if each.name.startswith(f".{PATH}")]


def test_both_versions_are_remembered(bench: Bench) -> None:
    """What stood there and what is put there are known versions, the latter the newest."""
    assert bench.place()
    assert bench.file.read_bytes() == NEW
    assert [bench.state.version_rank(PATH, digest(data)) for data in (NEW, OLD)] == [0, 1]


def test_a_save_before_the_exchange_stays(bench: Bench) -> None:
    """A file that was saved since it was read is left alone, and nothing stays beside it."""
    bench.file.write_bytes(SAVED)
    assert not bench.place()
    assert (bench.file.read_bytes(), staged_names(bench)) == (SAVED, [])


def test_a_save_at_the_exchange_is_put_back(bench: Bench) -> None:
    """A save that came out is the file again: the write did not happen."""
    bench.acts = [bench.save(SAVED)]
    assert not bench.place()
    assert (bench.file.read_bytes(), bench.late()) == (SAVED, ())


def test_a_save_that_cannot_be_put_back_is_late(bench: Bench) -> None:
    """When the file was saved once more meanwhile, both saves live: one as the file, one as a late write."""
    bench.acts = [bench.save(SAVED), bench.save(LATER)]
    assert not bench.place()
    assert bench.file.read_bytes() == LATER
    assert [(each.before, each.digest) for each in bench.late()] == [(digest(OLD), digest(SAVED))]


def test_a_late_write_is_merged(bench: Bench) -> None:
    """What a program wrote into the replaced file is merged into the one that stands, and its values are versions."""
    with bench.file.open("r+b") as held:
        bench.place()
        held.write(SAVED)
        held.truncate()
    (late,) = bench.late()
    assert take_in(late, bench.files, bench.state, lambda _: ParseOptions(), digest) == ()
    assert bench.file.read_bytes() == NEW.replace(b"Two", b"2")
    assert bench.state.version_bytes(PATH, late.digest) == SAVED


def test_a_late_write_that_clashes_is_told(bench: Bench) -> None:
    """Where the late write and the file contradict each other the file's value stays, and both are told."""
    with bench.file.open("r+b") as held:
        bench.place()
        held.write(TABLE.replace("| 2 |", "| 7 |").encode())
    (late,) = bench.late()
    found = take_in(late, bench.files, bench.state, lambda _: ParseOptions(), digest)
    assert found is not None
    assert [(each.id, each.field, each.local, each.remote) for each in found] == [("A2", "priority", 7, 5)]
    assert bench.file.read_bytes() == NEW


def late_write(bench: Bench) -> LateWrite:
    """A late write that is ready to be taken in."""
    with bench.file.open("r+b") as held:
        bench.place()
        held.write(SAVED)
        held.truncate()
    (late,) = bench.late()
    return late


def test_a_late_write_waits_for_its_writer(bench: Bench) -> None:
    """Bytes that changed since two looks agreed on them are half of something."""
    late = late_write(bench)
    Path(late.absolute).write_bytes(SAVED[:-5])
    assert take_in(late, bench.files, bench.state, lambda _: ParseOptions(), digest) is None
    assert bench.file.read_bytes() == NEW


def test_a_late_write_waits_for_a_save_to_be_taken_in(bench: Bench) -> None:
    """A file that was saved since syncd's write is taken in first: half of a save is not merged with anything."""
    late = late_write(bench)
    bench.file.write_bytes(LATER[:-5])
    assert take_in(late, bench.files, bench.state, lambda _: ParseOptions(), digest) is None
    assert bench.file.read_bytes() == LATER[:-5]


def test_a_late_write_that_meets_a_save_comes_again(bench: Bench) -> None:
    """A save at the moment of the merge stays the file; the late write is tried again."""
    late = late_write(bench)
    bench.acts = [bench.save(LATER)]
    assert take_in(late, bench.files, bench.state, lambda _: ParseOptions(), digest) is None
    assert bench.file.read_bytes() == LATER


# --- when not to write ----------------------------------------------------------------------------


def view() -> LocalView:
    return LocalView({PATH: FileRead(PATH, OLD, digest(OLD), None)}, {}, {}, {}, (), (), frozenset())


def test_a_script_that_holds_the_lock_is_waited_for(tmp_path: Path) -> None:
    """While a script holds the lock for editing nothing is written; the wait names the holder, and ends with it."""
    layout = Layout(tmp_path)
    layout.dot.mkdir()
    postponement = Postponement(None, AdvisoryLock(layout, {}))
    with advisory_lock(layout):
        waits = postponement.waits(view())
        assert waits[PATH].retry_ms == LOCKED_RETRY_MS
        assert "holds the lock for editing task files" in waits[PATH].reason
        with postponement.writing() as may_write:
            assert not may_write
    assert postponement.waits(view()) == {}
    with postponement.writing() as may_write:
        assert may_write
        assert Postponement(None, AdvisoryLock(layout, {})).waits(view())


def test_only_what_is_wanted_waits(tmp_path: Path) -> None:
    """A file that is to get nothing is no reason to look again."""
    waits = {PATH: Wait(PATH, "written a moment ago", 100)}
    assert wanted(waits, Guarded(Plan()), view()) == ()
