"""The facts that the guards judge by, measured on real files and a real state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from syncd.core.plan import BaseCard, Change, ChangeKind, Hold, Policy
from syncd.core.sight import FileSight, Sight
from syncd.engine.observe import LocalView, Observer
from syncd.engine.remote import RemoteView
from syncd.engine.sighting import RECENT_S, Sighting
from syncd.files.atomic import digest
from syncd.files.layout import Layout
from syncd.files.state import StateFile
from syncd.files.task_files import WorkspaceFiles
from syncd.parsers.tasks_md import PARSER_VERSION
from syncd.ports import Cursor
from syncd.schemas.config import Config, TaskEntry

PATH = "TASKS.md"
TABLE = "| id | title | status |\n|---|---|---|\n| A1 | One | todo |\n| A2 | Two | todo |\n"


class Look:
    """A workspace, what is remembered of it, and a clock that the test moves."""

    def __init__(self, root: Path, state: StateFile) -> None:
        self.root = root
        self.state = state
        self.now_s = 1_000.0
        self.files = WorkspaceFiles(Layout(root), Config(tasks=(TaskEntry(PATH), TaskEntry("more.md"))))
        self.observer = Observer(self.files, state, self.files.parse_options, lambda: self.now_s)
        self.sighting = Sighting(self.files, state, self.observer, Policy(), lambda: self.now_s)
        self.remote = RemoteView(SimpleNamespace())  # type: ignore[arg-type]  # nothing is read from this store
        self.view: LocalView = self.observer.last

    def write(self, text: str | bytes) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        (self.root / PATH).write_bytes(data)

    def sight(self) -> Sight:
        self.view = self.observer.look()
        return self.sighting.sight(self.view, self.remote)

    def file(self) -> FileSight:
        return self.sight().files[PATH]

    def remember(self, *holds: Hold, marks: frozenset[str] = frozenset(), closed: frozenset[str] = frozenset()) -> None:
        """End a cycle."""
        self.sighting.remember(self.observer.last, holds, marks, closed, is_waiting=False)


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    """A workspace whose file was taken in."""
    with closing(StateFile(Layout(tmp_path))) as state:
        made = Look(tmp_path, state)
        made.write(TABLE)
        made.sight()
        made.remember()
        yield made


def update(id: str = "A1", **fields: str) -> Change:
    return Change(ChangeKind.UPDATE, id, fields, path=PATH)


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_truncation"),
    [
        (TABLE.replace("| A2 | Two | todo |\n", ""), True),
        (TABLE[:-1].replace("Two", "2"), True),
        (TABLE.replace("| A2 | Two | todo |", "| A2 |"), True),
        ("", True),
        (TABLE.replace("Two", "2"), False),
        (TABLE.replace("| A1 | One | todo |\n", ""), False),
        (TABLE + "\nWords.\n", False),
    ],
    ids=["prefix", "no line end", "cells", "empty", "edit", "row", "words"],
)
def test_what_looks_like_the_beginning_of_a_write(look: Look, text: str, is_truncation: bool) -> None:
    """A prefix of what was there, a last line without its end or with too few cells: and no other edit."""
    look.write(text)
    assert look.file().is_truncation == is_truncation


def test_a_change_has_an_age(look: Look) -> None:
    """New bytes are as old as the look that saw them first; those that syncd wrote are no news."""
    look.write(TABLE.replace("Two", "2"))
    assert look.file().changed_ms_ago == 0
    look.now_s += 0.25
    assert look.file().changed_ms_ago == 250
    look.observer.wrote(PATH, digest((look.root / PATH).read_bytes()))
    assert look.file().changed_ms_ago is None


def test_a_missing_file_has_an_age(look: Look) -> None:
    """A file that is gone is missing since the first look that did not find it."""
    look.write(TABLE)
    look.sight()
    (look.root / PATH).unlink()
    assert look.file().missing_ms == 0
    look.now_s += 2
    found = look.file()
    assert (found.exists, found.missing_ms) == (False, 2_000)


def test_markers_are_seen(look: Look) -> None:
    """The first line that git's merge left its markers on is told."""
    assert look.file().marker_line is None
    look.write(TABLE.replace("| A1", "<<<<<<< ours\n| A1"))
    assert look.file().marker_line == 3


def test_versions_are_ranked(look: Look) -> None:
    """Bytes are new, the newest that were taken in, or older ones; a held file's are taken in by nobody."""
    assert look.file().version_rank == 0
    look.write(TABLE.replace("Two", "2"))
    assert look.file().version_rank is None
    look.remember(closed=frozenset({PATH}))
    assert look.file().version_rank is None
    look.remember()
    assert look.file().version_rank == 0
    look.write(TABLE)
    assert look.file().version_rank == 1


def test_a_head_that_moved_with_the_change(look: Look) -> None:
    """HEAD has moved when it is another than after the last cycle, and the bytes are news."""
    git = look.root / ".git"
    git.mkdir()
    (git / "HEAD").write_text("1" * 40)
    look.sight()
    look.remember()
    (git / "HEAD").write_text("2" * 40)
    assert not look.file().head_moved
    look.write(TABLE.replace("Two", "2"))
    assert look.file().head_moved
    look.remember()
    look.write(TABLE.replace("Two", "3"))
    assert not look.file().head_moved


def test_a_checkout_that_leads_back_to_the_same_commit(look: Look) -> None:
    """A checkout of the commit before one that nobody looked at is a move, as the reflog tells; commits are none."""
    git = look.root / ".git"
    (git / "logs").mkdir(parents=True)

    def move(commit: str, *entries: str) -> None:
        (git / "HEAD").write_text(commit * 40)
        with (git / "logs" / "HEAD").open("a") as log:
            log.writelines(f"{'0' * 40} {commit * 40} A <a@b> 0 +0000\t{entry}\n" for entry in entries)

    move("1", "commit: first")
    look.sight()
    look.remember()
    look.write(TABLE.replace("Two", "2"))
    move("2", "commit: second")
    assert not look.file().head_moved
    move("1", "checkout: moving from 2 to 1")
    assert look.file().head_moved
    look.remember()
    look.write(TABLE.replace("Two", "3"))
    assert not look.file().head_moved
    (git / "logs" / "HEAD").unlink()
    assert not look.file().head_moved
    move("3")
    (git / "logs" / "HEAD").unlink()
    assert look.file().head_moved


def test_git_is_waited_for_before_older_bytes_are_judged(look: Look) -> None:
    """Bytes that stood there before wait for HEAD until a moment after git's lock, unless that was left behind."""
    git = look.root / ".git"
    git.mkdir()
    (git / "HEAD").write_text("1" * 40)
    look.write(TABLE.replace("Two", "2"))
    assert look.file().git_wait_ms == 0
    look.remember()
    look.write(TABLE)
    assert look.file().git_wait_ms == 300
    (git / "index.lock").touch()
    look.now_s += 0.4
    assert look.file().git_wait_ms == 300
    look.now_s += 5
    (git / "index.lock").unlink()
    assert look.file().git_wait_ms == 300
    look.now_s += 0.3
    assert look.file().git_wait_ms == 0
    (git / "index.lock").touch()
    assert look.file().git_wait_ms == 300
    look.now_s += 11
    assert look.file().git_wait_ms == 300
    look.now_s += 0.4
    assert look.file().git_wait_ms == 0


def test_the_head_is_asked_for_until_the_change_is_taken_in(look: Look) -> None:
    """While something waits, the place of HEAD from before it is not forgotten."""
    git = look.root / ".git"
    git.mkdir()
    (git / "HEAD").write_text("1" * 40)
    look.sight()
    look.remember()
    (git / "HEAD").write_text("2" * 40)
    look.write(TABLE.replace("Two", "2"))
    assert look.file().head_moved
    look.sighting.remember(look.observer.last, (), frozenset(), frozenset({PATH}), is_waiting=True)
    assert look.file().head_moved


def test_files_that_are_no_text_are_frozen(look: Look) -> None:
    """A file that cannot be read, or is no text, says nothing: neither that cards are there nor that they are gone."""
    look.write(TABLE.encode() + b"\xff")
    (look.root / "more.md").mkdir()
    look.sight()
    assert look.view.frozen == {PATH, "more.md"}
    assert not look.view.local
    assert {problem.path for problem in look.view.problems} == {PATH, "more.md"}


def test_the_first_of_two_rows_is_the_card(look: Look) -> None:
    """An id that stands in two files is the card of the first; the other row is told."""
    (look.root / "more.md").write_text(TABLE.replace("One", "Another one"))
    look.sight()
    assert (look.view.local["A1"].path, look.view.local["A1"].fields["title"]) == (PATH, "One")
    assert [(problem.path, problem.code) for problem in look.view.problems] == [("more.md", "duplicate-id")] * 2


# --- the store, the parser, the holds ------------------------------------------------------------


@pytest.mark.parametrize(
    ("cursor", "is_rewound"),
    [
        (Cursor("here", 7, last=5), False),
        (Cursor("here", 9, last=8), False),
        (Cursor("here", 6, last=5), False),
        (Cursor("here", 7, last=4), True),
        (Cursor("elsewhere", 9, last=8), True),
        # A place that is remembered of a database that is away.
        (Cursor("here", 7, last=4, beside=Cursor("standin", 1)), False),
        (None, False),
    ],
)
def test_a_store_that_went_back(look: Look, cursor: Cursor | None, is_rewound: bool) -> None:
    """Another epoch, or a card's transaction that was seen and is unknown now; ids that are given again are not."""
    look.state.advance((), (), Cursor("here", 7, last=5))
    look.remote.cursor = cursor
    assert (look.sight().store_rewound is not None) == is_rewound


def test_another_parser_is_told_until_it_is_decided(look: Look) -> None:
    """Files that another parser read are told as such, as long as a hold on that stands."""
    assert not look.sight().parser_changed
    look.state.set_meta("parser.version", str(PARSER_VERSION - 1))
    assert look.sight().parser_changed
    look.remember(Hold(PATH, "everything-changed", "", ""))
    assert look.sight().parser_changed
    look.remember()
    assert not look.sight().parser_changed


def test_holds_stand_until_a_cycle_without_them(look: Look) -> None:
    """What was held after a cycle stands at the next one."""
    look.remember(Hold("A1", "deletions", "", "", fingerprint="f"))
    assert look.sight().standing == {"f"}
    look.remember(marks=frozenset({"m"}))
    assert look.sight().standing == {"m"}
    look.remember()
    assert look.sight().standing == frozenset()


# --- syncd's own writes --------------------------------------------------------------------------


def test_own_writes_are_known_until_somebody_else_writes(look: Look) -> None:
    """What syncd wrote to either side counts until an editor or a foreign writer of the store takes part."""
    for meddle in (
        lambda: look.write(TABLE.replace("One", "Uno")),
        lambda: setattr(look.remote, "saw_foreign_writer", True),
    ):
        look.write(TABLE)
        look.sight()
        look.sighting.sent([update(title="a")])
        look.sighting.wrote([update(title="b")], look.view)
        assert [(each.side, each.value) for each in look.sight().own_writes] == [("store", "a"), ("file", "b")]
        meddle()
        assert look.sight().own_writes == ()


def test_what_a_program_undoes_counts_as_the_other_side(look: Look) -> None:
    """A save that only puts back what syncd's write replaced continues the history of that field, and of no other."""
    look.sight()
    look.sighting.wrote([update(title="b"), update("A2", title="c")], look.view)
    look.write(TABLE.replace("Two", "Zwei"))
    assert [(each.id, each.side, each.value) for each in look.sight().own_writes] == [
        ("A1", "file", "b"),
        ("A1", "store", "One"),
    ]
    look.sighting.sent([update(title="One")])
    assert len(look.sight().own_writes) == 2


def test_what_syncd_replaced_is_known_for_a_while(look: Look) -> None:
    """For some seconds syncd knows what its write replaced: an editor may have it open."""
    look.sight()
    look.sighting.wrote([update(title="New")], look.view)
    assert look.sighting.recent() == {("A1", "title"): "One"}
    look.now_s += RECENT_S - 0.1
    assert look.sighting.recent()
    look.now_s += 0.1
    assert look.sighting.recent() == {}


def test_rows_that_syncd_took_out_are_known_for_a_while(look: Look) -> None:
    """For some seconds syncd knows what the rows said that it took out, unless that is taken back on purpose."""
    look.sight()
    gone = Change(ChangeKind.REMOVE, "A2", path=PATH)
    look.sighting.wrote([gone], look.view)
    assert look.sighting.taken_out() == {"A2": {"title": "Two", "status": "ready", "extra.statusWord": "todo"}}
    look.now_s += RECENT_S
    assert look.sighting.taken_out() == {}
    look.sighting.wrote([gone], look.view)
    look.sighting.forget_writes()
    assert look.sighting.taken_out() == {}
    look.sighting.wrote([gone], look.view)
    look.sighting.wrote([gone], look.view)
    assert look.sighting.taken_out() == {}


def test_rows_that_go_right_after_syncd_made_them_are_known(look: Look) -> None:
    """A row that syncd made has its life told when it goes; one that lived long enough is no news."""
    look.sight()
    look.sighting.wrote([Change(ChangeKind.CREATE, "A2", {"title": "Two"}, path=PATH)], look.view)
    base = {"A2": BaseCard("A2", {"title": "Two"}, 1, PATH)}
    assert look.sighting.short_lived(look.view, base) == {}
    look.now_s += 4
    look.write(TABLE.replace("| A2 | Two | todo |\n", ""))
    look.sight()
    look.now_s += 2
    assert look.sighting.short_lived(look.view, base) == {"A2": pytest.approx(4)}
    look.sighting.forget_writes()
    assert look.sighting.short_lived(look.view, base) == {}
