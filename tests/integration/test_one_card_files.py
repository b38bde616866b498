"""Files that are one card each: the card comes with its file, and goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.api import Workspace
from syncd.core.plan import Presence
from syncd.files.displaced import LOOKS_S
from syncd.files.task_files import WorkspaceFiles
from tests.support.desk import until
from tests.support.doom import Killed, doomed_cycle
from tests.support.workspace import Site, site

TEXT = """---
id: {id}
title: 'Make {id}: quick'
status: To Do # for now
labels:
  - speed
---

## Description

Make it quick.
"""
IDS = [f"back-{number}" for number in range(1, 5)]


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    """A workspace in sync, with a board and a folder in which each file is a card."""
    root = tmp_path / "shop"
    for id in IDS:
        (root / "tasks").mkdir(parents=True, exist_ok=True)
        path_of(root, id).write_text(TEXT.format(id=id))
    with site(root, postgres_dsn, tasks=["TASKS.md", "tasks/*.md"], guards__grace_s=0) as made:
        made.sync()
        yield made


def path_of(root: Path, id: str) -> Path:
    return root / "tasks" / f"{id} - Make-it-quick.md"


def is_quiet(here: Site) -> bool:
    """Return whether nothing is held and another run writes nothing."""
    report = here.sync()
    return not (report.to_store or report.to_file or report.held or report.problems)


def test_a_card_that_the_store_removes_takes_its_file_along(here: Site) -> None:
    """A removed card's file is gone, nothing else is touched, and what it was is kept."""
    here.wiring.store().remove("back-2")
    here.sync()
    assert sorted(path.name for path in (here.root / "tasks").iterdir()) == [
        path_of(here.root, id).name for id in IDS if id != "back-2"
    ]
    assert path_of(here.root, "back-1").read_text() == TEXT.format(id="back-1")
    assert is_quiet(here)
    here.restart()
    assert is_quiet(here)
    kept = [path for path in (here.root / ".syncd" / "displaced").rglob("*") if path.is_file()]
    # The empty one stood there for a moment only: it is watched for a while, and is no version to go back to.
    assert sorted(path.read_text() for path in kept) == ["", TEXT.format(id="back-2")]
    last = here.wiring.files.last_displaced(str(path_of(here.root, "back-2").relative_to(here.root)))
    assert last is not None
    assert here.wiring.files.bytes_of(last.absolute) == TEXT.format(id="back-2").encode()


@pytest.mark.parametrize("is_open_before", [True, False], ids=["before", "in-that-moment"])
def test_a_program_that_still_writes_into_a_removed_file(
    here: Site, monkeypatch: pytest.MonkeyPatch, is_open_before: bool
) -> None:
    """What is written into a file that is taken away under a program's hands is a file again, and its card lives."""
    path = path_of(here.root, "back-2")
    held = [path.open("r+")] if is_open_before else []
    remove = WorkspaceFiles.remove

    def opened_first(files: WorkspaceFiles, name: str, expected: str) -> bool:
        held.append(path.open("r+"))
        return remove(files, name, expected)

    if not is_open_before:
        monkeypatch.setattr(WorkspaceFiles, "remove", opened_first)
    here.wiring.store().remove("back-2")
    here.sync()
    assert not path.exists()
    edited = TEXT.format(id="back-2") + "\nAnd then some.\n"
    with held[0] as file:
        file.truncate()
        file.write(edited)
    until(lambda: here.sync() is not None and path.exists(), "what was written is a file again")
    here.sync()
    assert path.read_text() == edited
    assert here.card("back-2").is_live
    assert is_quiet(here)


def test_a_removed_file_that_is_emptied_late_stays_away(here: Site) -> None:
    """Nothing is made anew for a program that only empties the file that it still holds."""
    path = path_of(here.root, "back-2")
    with path.open("r+") as held:
        here.wiring.store().remove("back-2")
        here.sync()
        held.truncate(0)
    files = here.wiring.files
    until(lambda: here.sync() is not None and (files.next_look_s() or 0) > LOOKS_S[-2], "the last looks are left")
    assert not path.exists()
    assert is_quiet(here)


def test_a_removed_card_comes_back_with_its_file(here: Site) -> None:
    """Restoring a card brings its own file back, byte for byte, although no glob finds it any more."""
    here.wiring.store().remove("back-2")
    here.sync()
    assert not path_of(here.root, "back-2").exists()
    Workspace(here.wiring).past.restore("back-2")
    here.sync()
    assert path_of(here.root, "back-2").read_text() == TEXT.format(id="back-2")
    assert is_quiet(here)


def test_what_the_store_changed_since_stands_in_the_file_that_comes_back(here: Site) -> None:
    """A card that comes back with other values has them in its file, and all else is as it was."""
    here.wiring.store().remove("back-2")
    here.sync()
    here.sql("update backlog set deleted_at = null, status = 'done' where id = 'back-2'")
    here.sync()
    assert path_of(here.root, "back-2").read_text() == TEXT.format(id="back-2").replace("To Do #", "Done #")
    assert is_quiet(here)


def test_an_edit_of_the_file_outlives_the_removal(here: Site) -> None:
    """A file that was edited since is not removed: the card lives on, and the clash is on record."""
    path = path_of(here.root, "back-2")
    here.wiring.store().remove("back-2")
    path.write_text(path.read_text().replace("Make it quick", "Make it quicker"))
    here.sync()
    assert "quicker" in path.read_text()
    assert here.column("deleted_at", "back-2") is None
    assert [each.conflict.id for each in here.wiring.store().conflicts()] == ["back-2"]


def test_a_file_that_somebody_removes_comes_back_and_says_how_to_remove_it(here: Site) -> None:
    """A missing file is no deletion, however few cards stood in it; removing the card is one command away."""
    path_of(here.root, "back-2").unlink()
    here.sync()
    assert path_of(here.root, "back-2").read_text() == TEXT.format(id="back-2")
    path_of(here.root, "back-3").unlink()
    here.wiring.store().remove("back-3")
    here.sync()
    assert not path_of(here.root, "back-3").exists()
    assert is_quiet(here)


def test_many_files_of_one_card_do_not_go_at_once(tmp_path: Path, postgres_dsn: str) -> None:
    """A store that drops the cards of most files of a folder is asked about, as one that drops most rows of a table."""
    ids = [f"back-{number}" for number in range(1, 13)]
    (tmp_path / "shop" / "tasks").mkdir(parents=True)
    for id in ids:
        path_of(tmp_path / "shop", id).write_text(TEXT.format(id=id))
    with site(tmp_path / "shop", postgres_dsn, tasks=["TASKS.md", "tasks/*.md"]) as here:
        here.sync()
        here.sql("update backlog set deleted_at = now() where id <> 'back-1' and id like 'back-%%'")
        report = here.sync()
        assert {hold.guard for hold in report.held} == {"deletions"}
        assert {hold.reason for hold in report.held} == {
            "11 of the 12 cards of tasks/ went at once (the store dropped them); 3 may go without asking"
        }
        assert all(path_of(here.root, id).read_text() == TEXT.format(id=id) for id in ids)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "step",
    [("files", "stage"), ("state", "write_journal"), ("files", "replace"), ("files", "remove"), ("state", "advance")],
    ids=lambda step: step[1],
)
def test_a_kill_at_any_step_leaves_no_empty_file(here: Site, step: tuple[str, str], after: bool) -> None:
    """Killed while a file is removed, the next run ends what was begun."""
    here.wiring.store().remove("back-2")
    here.restart(doomed_cycle(*step, after=after, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    here.restart()
    here.sync()
    assert not path_of(here.root, "back-2").exists()
    assert is_quiet(here)
    assert {id for id, card in here.cycle.remote.remote.items() if card.presence is Presence.LIVE} >= {"back-1"}
