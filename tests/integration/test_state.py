"""The state beside the files: durable, coherent between processes, never half."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from syncd.core.plan import BaseCard, LocalCard
from syncd.errors import InputOutputError, SchemaVersionError
from syncd.files.database import Damaged, Database
from syncd.files.layout import Layout
from syncd.files.state import VERSIONS_MAX, StateFile
from syncd.ports import Absence, Cursor, Feed, Journal, StagedFile
from syncd.schemas.card import Card

CURSOR = Cursor("here", 7)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def state(layout: Layout) -> Iterator[StateFile]:
    opened = StateFile(layout)
    yield opened
    opened.close()


def card(id: str, version: int = 1, title: str = "Title") -> BaseCard:
    fields = {"title": title, "body": None, "priority": 3, "dependsOn": ("A", "B"), "acceptance": ()}
    return BaseCard(id, fields, version, "TASKS.md", "## One")


def test_what_a_file_says_like_the_base_is_held_once(state: StateFile, layout: Layout) -> None:
    """A base that was read takes over the fields of the files' cards that say the same, and no others."""
    state.advance([card("A"), card("B"), card("C")], [], None)
    again = StateFile(layout)
    base = again.base()
    local = {id: LocalCard(id, dict(card(id).fields), "TASKS.md") for id in ("A", "B")}
    local["B"] = replace(local["B"], fields={**local["B"].fields, "title": "Another"})
    shared = again.share(base, local)
    assert shared is again.base()
    assert shared == base
    assert shared["A"].fields is local["A"].fields
    assert shared["B"].fields == card("B").fields
    assert again.share(shared, local) is shared
    again.advance([card("A", 2)], [], None)
    assert again.share(shared, local) is shared, "one that has advanced meanwhile is nobody's to replace"
    again.close()


def test_a_base_is_read_as_it_was_written(state: StateFile, layout: Layout) -> None:
    """Texts, numbers, lists, nothing and places come back from the disk as they were."""
    assert state.base() == {}
    state.advance([card("A"), BaseCard("B", {}, 0)], [], CURSOR)
    again = StateFile(layout)
    assert again.base() == {"A": card("A"), "B": BaseCard("B", {}, 0)}
    assert again.cursor() == CURSOR
    again.close()


def test_an_advance_leaves_earlier_views_alone(state: StateFile) -> None:
    """The base is the same mapping until it advances; whoever reads the former one goes on seeing it."""
    state.advance([card("A"), card("B")], [], None)
    before = state.base()
    assert state.base() is before
    state.advance([card("A", 2)], ["B", "unknown"], None)
    assert before == {"A": card("A"), "B": card("B")}
    assert state.base() == {"A": card("A", 2)}


def test_nothing_new_writes_nothing(state: StateFile, layout: Layout) -> None:
    """Advancing to what is there, clearing no journal, setting a known fact: not one byte is written."""
    state.advance([card("A")], [], CURSOR)
    state.set_meta("key", "value")
    state.remember_version("TASKS.md", "d", b"x")
    log = Path(f"{layout.state}-wal")
    before = (state.base(), log.stat().st_size, log.stat().st_mtime_ns)
    state.advance([card("A")], ["gone"], CURSOR)
    state.clear_journal()
    state.set_meta("key", "value")
    state.remember_version("TASKS.md", "d", b"x")
    state.decide({})
    state.drop_decisions([])
    assert (state.base(), log.stat().st_size, log.stat().st_mtime_ns) == before


def test_another_process_is_noticed(state: StateFile, layout: Layout) -> None:
    """An advance by another connection shows at the next look; its other writes reload nothing."""
    other = StateFile(layout)
    state.advance([card("A")], [], None)
    assert other.base() == {"A": card("A")}
    seen = state.base()
    other.set_meta("key", "value")
    assert state.base() is seen
    other.advance([card("B")], ["A"], CURSOR)
    assert state.base() == {"B": card("B")}
    assert state.cursor() == CURSOR
    state.advance([card("C")], [], None)
    assert other.base() == {"B": card("B"), "C": card("C")}
    other.close()


def test_a_journal_comes_back_whole(state: StateFile, layout: Layout) -> None:
    """The write under way is read back as it was recorded, by another process too, until it is cleared."""
    journal = Journal(
        commit_id="c1",
        staged=(StagedFile("TASKS.md", "/w/.TASKS.md.syncd-1", None, "n"), StagedFile("b.md", "/w/b", "e", "n")),
        ids={("TASKS.md", "a row"): "T1"},
        sent={"A": {"title": "t", "dependsOn": ("B",)}},
        written={"TASKS.md": {"A": {"status": "done", "body": None}}},
    )
    assert state.journal() is None
    state.write_journal(journal)
    other = StateFile(layout)
    assert other.journal() == journal
    other.clear_journal()
    assert state.journal() is None
    other.close()


def test_versions_are_ranked_by_when_they_were_seen(state: StateFile) -> None:
    """The newest version seen has rank 0; seen again, an older one is the newest; each file has its own."""
    for name in ("one", "two", "three"):
        state.remember_version("TASKS.md", name, name.encode())
    state.remember_version("other.md", "two", b"elsewhere")
    assert [state.version_rank("TASKS.md", name) for name in ("one", "two", "three", "four")] == [2, 1, 0, None]
    state.remember_version("TASKS.md", "one", b"one")
    assert [state.version_rank("TASKS.md", name) for name in ("one", "two", "three")] == [0, 2, 1]
    assert state.version_bytes("TASKS.md", "two") == b"two"
    assert state.version_bytes("TASKS.md", "four") is None
    assert (state.newest_version("TASKS.md"), state.newest_version("absent.md")) == (b"one", None)
    assert list(state.versions("TASKS.md")) == [b"one", b"three", b"two"]


def test_only_the_last_versions_are_kept(state: StateFile) -> None:
    """The fifty-first version of a file drops its first, and no other file's."""
    state.remember_version("other.md", "d", b"x")
    for number in range(VERSIONS_MAX + 1):
        state.remember_version("TASKS.md", str(number), b"%d" % number)
    assert state.version_rank("TASKS.md", "0") is None
    assert state.version_rank("TASKS.md", "1") == VERSIONS_MAX - 1
    assert state.version_rank("other.md", "d") == 0


def test_decisions_and_facts(state: StateFile) -> None:
    """Decisions about holds and small facts are kept until they are dropped."""
    state.decide({"f1": "accept", "f2": "reject"})
    state.decide({"f1": "reject"})
    assert state.decisions() == {"f1": "reject", "f2": "reject"}
    state.drop_decisions(["f1", "absent"])
    assert state.decisions() == {"f2": "reject"}
    state.set_meta("key", "value")
    assert state.meta("key") == "value"
    state.set_meta("key", None)
    assert state.meta("key") is None


def test_a_base_of_another_project_is_no_base(state: StateFile, layout: Layout) -> None:
    """With another project the workspace begins without a base, cursor or decisions; the file's versions stay."""
    state.advance([card("A")], [], CURSOR)
    state.remember_version("TASKS.md", "d", b"x")
    state.decide({"f": "accept"})
    replica = state.replica
    state.close()
    with closing(StateFile(layout, project="other", is_read_only=True)) as look:
        assert look.base() == {}
    with closing(StateFile(layout, project="other")) as other:
        assert (other.base(), other.cursor(), other.decisions(), other.replica) == ({}, None, {}, replica)
        assert other.version_rank("TASKS.md", "d") == 0


def test_an_advance_that_fails_changes_nothing(state: StateFile) -> None:
    """When one card cannot be written, none is, and the next advance goes on from there."""
    state.advance([card("A")], [], CURSOR)
    with pytest.raises(TypeError):
        state.advance([card("A", 2), BaseCard("B", {"title": object()}, 1)], [], Cursor("here", 8))  # type: ignore[dict-item]
    assert (state.base(), state.cursor()) == ({"A": card("A")}, CURSOR)
    state.advance([card("A", 3)], [], None)
    assert state.base() == {"A": card("A", 3)}


def test_only_its_user_may_read_it(state: StateFile, layout: Layout) -> None:
    """The database and what belongs to it have mode 0600."""
    state.advance([card("A")], [], None)
    for path in layout.dot.glob("state.db*"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_threads_share_it(state: StateFile) -> None:
    """Advances and looks from many threads neither fail nor lose a card."""

    def work(name: int) -> None:
        for number in range(20):
            state.advance([card(f"{name}-{number}")], [], None)
            assert f"{name}-{number}" in state.base()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(state.base()) == 80


# --- this working copy -----------------------------------------------------------------------------


def test_case_37_a_copied_state_begins_without_a_base(tmp_path: Path) -> None:
    """A copy of .syncd gets a replica id of its own and no base, cursor or journal; the original keeps them."""
    first = tmp_path / "first"
    first.mkdir()
    state = StateFile(Layout(first))
    state.advance([card("A")], [], CURSOR)
    state.write_journal(Journal("c", (), {}, {}, {}))
    replica = state.replica
    state.close()
    shutil.copytree(first, tmp_path / "second")

    look = StateFile(Layout(tmp_path / "second"), is_read_only=True)
    assert (look.replica, look.base(), look.journal()) == ("local", {}, None)
    look.close()
    copy = StateFile(Layout(tmp_path / "second"))
    assert (copy.base(), copy.cursor(), copy.journal()) == ({}, None, None)
    assert copy.replica not in (replica, "local")
    copied = copy.replica
    copy.close()

    for folder, expected in ((first, (replica, {"A": card("A")})), (tmp_path / "second", (copied, {}))):
        again = StateFile(Layout(folder))
        assert (again.replica, again.base()) == expected
        again.close()


def test_a_moved_workspace_keeps_its_base(tmp_path: Path) -> None:
    """A folder that was renamed is the same working copy."""
    first = tmp_path / "first"
    first.mkdir()
    state = StateFile(Layout(first))
    state.advance([card("A")], [], None)
    replica = state.replica
    state.close()
    moved = StateFile(Layout(first.rename(tmp_path / "second")))
    assert (moved.replica, moved.base()) == (replica, {"A": card("A")})
    moved.close()


# --- looking only ----------------------------------------------------------------------------------


def test_looking_at_nothing_makes_nothing(tmp_path: Path) -> None:
    """Opened for reading only, a workspace without a state shows an empty one, and stays without."""
    look = StateFile(Layout(tmp_path), is_read_only=True)
    assert (look.base(), look.replica, look.journal(), look.was_lost) == ({}, "local", None, None)
    with pytest.raises(InputOutputError):
        look.set_meta("key", "value")
    look.close()
    assert list(tmp_path.iterdir()) == []


def test_looking_sees_what_is_there(state: StateFile, layout: Layout) -> None:
    """A look beside a running daemon sees what it wrote last, and cannot write."""
    look = StateFile(layout, is_read_only=True)
    state.advance([card("A")], [], None)
    assert look.base() == {"A": card("A")}
    assert look.replica == state.replica
    with pytest.raises(InputOutputError):
        look.advance([card("B")], [], None)
    look.close()


# --- damage ----------------------------------------------------------------------------------------


def damaged_whole(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def damaged_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 512] = os.urandom(512)
    path.write_bytes(data)


def damaged_row(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update base set fields = x'7b'")
    connection.close()


@pytest.mark.parametrize("damage", [damaged_whole, damaged_page, damaged_row])
def test_case_45_a_damaged_state_is_put_aside(layout: Layout, damage: Callable[[Path], None]) -> None:
    """A torn file is kept under another name and an empty state begun, which says so until it is acknowledged."""
    state = StateFile(layout)
    state.advance([card(f"A{number}") for number in range(200)], [], CURSOR)
    state.close()
    damage(layout.state)
    torn = layout.state.read_bytes()
    with pytest.raises(InputOutputError, match="is damaged"), closing(StateFile(layout, is_read_only=True)) as look:
        look.base()
    assert layout.state.read_bytes() == torn

    fresh = StateFile(layout)
    assert (fresh.base(), fresh.cursor(), fresh.was_lost) == ({}, None, "state.db.broken-1")
    assert (layout.dot / "state.db.broken-1").read_bytes() == torn
    fresh.close()
    again = StateFile(layout)
    assert again.was_lost == "state.db.broken-1"
    again.acknowledge_loss()
    assert again.was_lost is None
    again.close()


def test_case_45_damage_where_nobody_reads_yet_is_noticed(layout: Layout) -> None:
    """A state is looked over as a whole when it is opened: a torn page of old versions does not wait to be met."""
    state = StateFile(layout)
    state.remember_version("TASKS.md", "digest", b"| A1 |")
    state.close()
    with sqlite3.connect(layout.state) as connection:
        (page,) = connection.execute("select rootpage from sqlite_master where name = 'file_version'").fetchone()
        (size,) = connection.execute("pragma page_size").fetchone()
    connection.close()
    data = bytearray(layout.state.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    layout.state.write_bytes(data)
    fresh = StateFile(layout)
    assert fresh.was_lost == "state.db.broken-1"
    assert fresh.newest_version("TASKS.md") is None
    fresh.close()


def test_case_46_a_newer_state_is_refused(state: StateFile, layout: Layout) -> None:
    """A state that a newer syncd made is left alone, with the way out: exit code 78."""
    state.close()
    with sqlite3.connect(layout.state) as connection:
        connection.execute("pragma user_version=99")
    connection.close()
    for is_read_only in (False, True):
        with pytest.raises(SchemaVersionError, match="schema version 99") as caught:
            StateFile(layout, is_read_only=is_read_only)
        assert caught.value.hint is not None
        assert caught.value.exit_code == 78


def test_what_must_survive_a_power_cut_is_synced(
    state: StateFile, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base, journal and decisions are committed with fsync; a cursor alone and file versions without."""
    levels: list[int] = []
    writing = Database.writing

    @contextmanager
    def observed(self: Database, *, is_durable: bool = True) -> Iterator[sqlite3.Connection]:
        with writing(self, is_durable=is_durable) as connection:
            levels.append(connection.execute("pragma synchronous").fetchone()[0])
            yield connection

    monkeypatch.setattr(Database, "writing", observed)
    full, normal = 2, 1
    for act, level in (
        (lambda: state.advance([card("A")], [], None), full),
        (lambda: state.advance([], [], CURSOR), normal),
        (lambda: state.advance([], ["A"], None), full),
        (lambda: state.remember_version("TASKS.md", "d", b"x"), normal),
        (lambda: state.write_journal(Journal("c", (), {}, {}, {})), full),
        (state.clear_journal, full),
        (lambda: state.decide({"f": "accept"}), full),
        (lambda: state.drop_decisions(["f"]), full),
        (lambda: state.set_meta("key", "value"), full),
    ):
        levels.clear()
        act()
        assert levels == [level]


ADVANCE = """
import sys
from pathlib import Path
from syncd.core.plan import BaseCard, LocalCard
from syncd.files.layout import Layout
from syncd.files.state import StateFile
from syncd.ports import Cursor
state = StateFile(Layout(Path(sys.argv[1])))
number = 0
while True:
    number += 1
    cards = [BaseCard(f"A{each}", {"title": f"{number}"}, number) for each in range(300)]
    state.advance(cards, [], Cursor("here", number))
    print(number, flush=True)
"""


def test_case_43_killed_in_the_middle_of_an_advance(layout: Layout) -> None:
    """Killed at any moment, the base is wholly at one advance, at least the last that was reported done."""
    StateFile(layout).close()
    chance = random.Random(43)
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", ADVANCE, str(layout.root)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            done = [int(process.stdout.readline()) for _ in range(chance.randint(1, 3))][-1]
            end = time.monotonic() + chance.random() * 0.02
            while time.monotonic() < end:
                pass
            process.send_signal(signal.SIGKILL)
        state = StateFile(layout)
        base, cursor = state.base(), state.cursor()
        assert state.was_lost is None
        assert cursor is not None
        assert cursor.xmin >= done
        assert {each.version for each in base.values()} == {cursor.xmin}
        assert len(base) == 300
        state.close()


def test_ten_thousand_cards(state: StateFile) -> None:
    """With 10,000 cards an advance of one costs no more than its write, and a look nothing."""
    state.advance([card(f"A{number}") for number in range(10_000)], [], CURSOR)
    assert len(state.base()) == 10_000

    def advance_one(version: int) -> None:
        state.advance([card("A7", version)], [], None)

    took_s = min(timed(partial(advance_one, version)) for version in range(9, 59))
    assert took_s < 0.05
    assert min(timed(state.base) for _ in range(50)) < 0.001


def timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def test_a_state_that_is_gone_is_lost(tmp_path: Path) -> None:
    """A state whose file was removed, replaced or damaged says so to whoever has it open; a new one is not lost."""
    for mishap in ("nothing", "removed", "replaced", "damaged"):
        (tmp_path / mishap).mkdir()
        layout = Layout(tmp_path / mishap)
        with closing(StateFile(layout)) as state:
            state.set_meta("k", "v")
            match mishap:
                case "removed":
                    layout.state.unlink()
                case "replaced":
                    layout.state.rename(layout.state.with_name("aside"))
                    layout.state.touch()
                case "damaged":
                    for path in layout.dot.glob("state.db*"):
                        path.write_bytes(b"\x55" * path.stat().st_size)
                    with pytest.raises(InputOutputError):
                        state.set_meta("k", "w")
            assert state.is_lost() == (mishap != "nothing")


def test_a_state_of_the_version_before_goes_on(layout: Layout) -> None:
    """A state that was made before there was a contact keeps its base, and remembers the store from now on."""
    with closing(StateFile(layout)) as old:
        old.advance([card("A", version=4)], [], CURSOR)
    with closing(sqlite3.connect(layout.state)) as connection:
        connection.execute("drop table contact")
        connection.execute("pragma user_version=1")
    with closing(StateFile(layout, is_read_only=True)) as looked:
        assert looked.contact.cards() == {}
    with closing(StateFile(layout)) as state:
        assert state.base() == {"A": card("A", version=4)}
        stored = Card(id="A", title="Title", version=3)
        state.contact.note(Feed({"A": stored}, frozenset(), CURSOR, True, datetime.now(UTC)))
        assert state.contact.cards() == {"A": stored}
        assert state.contact.agreed()["A"].priority == 3
        newer = Card(id="A", title="Title", version=4)
        state.contact.note(Feed({"A": newer}, frozenset(), CURSOR, True, datetime.now(UTC)))
        assert state.contact.agreed() == {"A": newer}, "a base that is not ahead of the store says nothing"


def test_an_absence_freezes_what_is_remembered(
    state: StateFile, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process takes the store for away in this very moment, nothing is taken over any more."""
    now = datetime.now(UTC)
    before, after = Card(id="A", title="before", version=1), Card(id="A", title="after", version=2)
    state.contact.note(Feed({"A": before}, frozenset(), CURSOR, True, now))
    with closing(StateFile(layout)) as other:
        other.contact.be_away(Absence("manifest", now, "does not answer"))
    monkeypatch.setattr(state.contact, "absence", lambda: None)
    state.contact.note(Feed({"A": after}, frozenset(), CURSOR, False, now))
    state.contact.take([after])
    assert state.contact.cards() == {"A": before}


def test_damage_that_shows_after_the_opening(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that opens and cannot be read is put aside as one that does not open."""
    with closing(StateFile(layout)) as sound:
        sound.advance([card("A")], [], CURSOR)
    left = iter([Damaged("a page is torn")])
    is_copied = StateFile._is_copied

    def torn_once(self: StateFile, here: Any) -> bool:
        for error in left:
            raise error
        return is_copied(self, here)

    monkeypatch.setattr(StateFile, "_is_copied", torn_once)
    with closing(StateFile(layout)) as opened:
        assert (opened.base(), opened.was_lost) == ({}, "state.db.broken-1")
