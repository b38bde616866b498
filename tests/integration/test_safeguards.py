"""Safeguards that show only when one looks for them: what is made durable when, and what races are lost to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from syncd.core.plan import BaseCard
from syncd.files.atomic import digest
from syncd.files.database import Database
from syncd.files.displaced import DisplacedFolder
from syncd.files.layout import Layout
from syncd.files.state import StateFile
from syncd.files.task_files import WorkspaceFiles
from syncd.schemas.config import Config
from tests.support.syncs import recorded_syncs

OLD = b"| id | status |\n"
NEW = b"| id | status |\n| A1 | done |\n"
EDIT = b"| id | status |\n| A2 | ready |\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / ".syncd").mkdir(parents=True)
    return folder


def files_of(root: Path) -> WorkspaceFiles:
    return WorkspaceFiles(Layout(root), Config())


# --- what is durable -----------------------------------------------------------------------------


def test_case_43_a_new_file_is_durable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task file that was absent is durable under its name before anybody relies on it."""
    files = files_of(root)
    done = recorded_syncs(monkeypatch)
    assert files.replace("TASKS.md", files.stage("TASKS.md", NEW), None).matched
    assert done == ["staged", root.name]


def test_case_43_an_edit_that_is_put_back_is_durable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an editor saved at the last moment is durable in its place again."""
    (root / "TASKS.md").write_bytes(OLD)
    files = files_of(root)
    outcome = files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    assert outcome.displaced is not None
    done = recorded_syncs(monkeypatch)
    assert files.swap_back("TASKS.md", outcome.displaced, digest(NEW))
    assert root.name in done


def test_case_43_what_an_editor_left_is_made_durable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that an editor wrote and never fsynced is made durable with its name; of an absent one the absence is."""
    files = files_of(root)
    (root / "TASKS.md").write_bytes(OLD)
    done = recorded_syncs(monkeypatch)
    files.make_durable("TASKS.md")
    files.make_durable("absent.md")
    assert done == ["TASKS.md", root.name, root.name]


def test_case_43_what_was_taken_in_stays_taken_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of a late write that was taken in survive a power cut, and then the name that tells of it."""
    folder = DisplacedFolder(root, root / ".syncd" / "displaced")
    staged = folder.staged_name(root / "TASKS.md")
    staged.write_bytes(OLD)
    kept = folder.keep(staged, digest(OLD))
    done = recorded_syncs(monkeypatch)
    folder.rename(kept, digest(EDIT))
    assert (done[0], done[-1]) == (kept.name, kept.parent.name)
    assert len(done) == 3


# --- the state -----------------------------------------------------------------------------------


def card(id: str, version: int = 1) -> BaseCard:
    return BaseCard(id, {"title": "Title"}, version, "TASKS.md")


def test_half_an_advance_is_not_on_the_disk(root: Path) -> None:
    """When one card of an advance cannot be written, another process finds the base as it was before."""
    with closing(StateFile(Layout(root))) as state:
        state.advance([card("A")], [], None)
        broken = BaseCard("B", {"title": object()}, 1)  # type: ignore[dict-item]
        with pytest.raises(TypeError):
            state.advance([broken], ["A"], None)
    with closing(StateFile(Layout(root))) as state:
        assert state.base() == {"A": card("A")}


def test_an_advance_between_a_look_and_a_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process agreed on in the moment before an advance is in the base after it."""
    with closing(StateFile(Layout(root))) as state, closing(StateFile(Layout(root))) as other:
        state.advance([card("A")], [], None)
        writing = Database.writing
        pending = [lambda: other.advance([card("B")], [], None)]

        @contextmanager
        def racing(self: Database, *, is_durable: bool = True) -> Iterator[Any]:
            if pending:
                pending.pop()()
            with writing(self, is_durable=is_durable) as connection:
                yield connection

        monkeypatch.setattr(Database, "writing", racing)
        state.advance([card("A", 2)], [], None)
        assert state.base() == {"A": card("A", 2), "B": card("B")}
