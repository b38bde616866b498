"""Moving a workspace's cards between stores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from syncd import api
from syncd.core.plan import Conflict, Winner
from syncd.errors import BadValue, Refused, StoreMismatch
from syncd.files.settings_edit import edit_config
from syncd.ports import Batch, CardFilter, NewCard
from syncd.store.embedded import available
from tests.support.desk import TABLE, bare_environment
from tests.support.embedded import wait_until_stopped


def opened(root: Path, environ: Mapping[str, str]) -> api.Workspace:
    """Open a workspace as a new process does."""
    return api.open(root, environ=environ)


def cards(workspace: api.Workspace) -> dict[str, Any]:
    """Return what the live cards say, apart from what each store counts for itself."""
    own = ("version", "updated_at", "created_at", "project")
    found = workspace.backlog.list(CardFilter())
    return {
        card.id: {name: getattr(card, name) for name in card.__struct_fields__ if name not in own} for card in found
    }


MISSION = """{
  "mission_id": "shop", "name": "Shop",
  "milestones": [{"id": "M2", "name": "Two", "status": "pending"}, {"id": "M1", "name": "One", "status": "done"}]
}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace in files, in sync, with a card in every state, a mission and its sessions."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "TASKS.md").write_text(TABLE)
    (folder / "mission.json").write_text(MISSION)
    environ = bare_environment(tmp_path)
    with api.init(folder, mode="flatfile", environ=environ) as plan:
        plan.carry_out()
    with opened(folder, environ) as workspace:
        workspace.sync()
        store = workspace._wiring.store()
        store.create(NewCard(id="B1", title="Only in the store", extra={"deep": {"list": [1]}}, idempotency_key="k"))
        store.claim("w", 900, id="A1")
        store.block("A2", "no key")
        store.commit(Batch("c1", (), (Conflict("A3", "title", "a", "b", "c", Winner.LOCAL),)))
        workspace.sync()
        workspace.missions.sessions.start("live", pid=os.getpid())
        workspace.missions.sessions.start("over")
        workspace.missions.sessions.end("over", reason="done")
    return folder


def missions(workspace: api.Workspace) -> Any:
    """Return what the missions say, milestones in their order, and how their sessions are."""
    view = workspace._wiring.store().missions.read()
    records = sorted(view.records.items(), key=lambda each: (each[0].kind, each[1].position, each[0]))
    said = [(str(key), dict(each.fields)) for key, each in records]
    return said, {each.session.id: each.liveness for each in workspace.missions.sessions.list()}


def test_from_files_to_postgres_and_back(root: Path, postgres_dsn: str) -> None:
    """Cards, leases and open conflicts arrive as they were, nothing is held, and the way back is the same."""
    bare = bare_environment(root.parent)
    served = {**bare, "DATABASE_URL": postgres_dsn}
    with opened(root, bare) as workspace:
        before, told = cards(workspace), missions(workspace)
        order = list(before)
    with opened(root, served) as workspace, pytest.raises(StoreMismatch) as raised:
        workspace.sync()
    assert "syncd db move postgres" in (raised.value.hint or "")
    for kind, environ in (("postgres", served), ("flatfile", bare)):
        with opened(root, served) as workspace:
            look = workspace.database.move(kind, dry_run=True)
            moved = workspace.database.move(kind)
        assert (look.cards, moved.cards, moved.conflicts, look.is_done, moved.is_done) == (4, 4, 1, False, True)
        with opened(root, environ) as workspace:
            report = workspace.sync()
            assert (report.to_store, report.to_file, report.held) == ((), (), ())
            assert workspace.status().in_sync
            assert workspace.status().store.kind == kind
            assert cards(workspace) == before
            assert list(cards(workspace)) == order
            assert [each.conflict.id for each in workspace.conflicts()] == ["A3"]
            assert missions(workspace) == told
            workspace.backlog.renew("A1", "w", attempt=1)
            before = cards(workspace)
    assert (root / "TASKS.md").read_text().count("Only in the store") == 1


@pytest.mark.skipif(available() is not None, reason=f"no embedded server here: {available()}")
def test_to_and_from_the_embedded_server(root: Path, postgres_dsn: str) -> None:
    """The server that syncd runs itself is a store to move to and from like any other, and nothing is held."""
    bare = bare_environment(root.parent)
    served = {**bare, "DATABASE_URL": postgres_dsn}
    edit_config(root / "syncd.yaml", "embedded_grace_s", 0)
    with opened(root, bare) as workspace:
        before, told = cards(workspace), missions(workspace)
    steps = (
        ("embedded", bare, None),
        ("postgres", served, None),
        ("embedded", bare, "another"),
        ("flatfile", bare, None),
    )
    for kind, environ, project in steps:
        with opened(root, served) as workspace:
            moved = workspace.database.move(kind, project=project)
        assert (moved.cards, moved.missions, moved.conflicts) == (4, 1, 1)
        with opened(root, environ) as workspace:
            report = workspace.sync()
            assert (report.to_store, report.to_file, report.held) == ((), (), ())
            assert workspace.status().store.kind == kind
            assert (cards(workspace), missions(workspace)) == (before, told)
            assert [each.conflict.id for each in workspace.conflicts()] == ["A3"]
            assert workspace.project == (project or workspace.project)
    wait_until_stopped(root.parent / "data" / "syncd" / "postgres")
    assert (root / "mission.json").read_text() == MISSION


def test_other_missions_stand_there(root: Path, postgres_dsn: str) -> None:
    """A project that has another mission is refused, and the workspace keeps its store."""
    served = {**bare_environment(root.parent), "DATABASE_URL": postgres_dsn}
    there = root.parent / "there"
    there.mkdir()
    (there / "mission.json").write_text('{"mission_id": "other", "name": "Other"}\n')
    with api.init(there, environ=served) as plan:
        plan.carry_out()
    with opened(there, served) as workspace:
        workspace.sync()
        for card in workspace.backlog.list(CardFilter()):
            workspace.backlog.remove(card.id, force=True)
    with opened(root, served) as workspace, pytest.raises(Refused, match="mission"):
        workspace.database.move("postgres")
    with opened(root, bare_environment(root.parent)) as workspace:
        assert workspace.status().store.kind == "flatfile"


def test_other_cards_stand_there(root: Path, postgres_dsn: str) -> None:
    """A project that has other cards is refused, and a project of its own is not."""
    served = {**bare_environment(root.parent), "DATABASE_URL": postgres_dsn}
    there = root.parent / "there"
    there.mkdir()
    with api.init(there, environ=served) as plan:
        plan.carry_out()
    with opened(there, served) as workspace:
        workspace.backlog.create(NewCard(id="X1", title="Somebody else's"))
    with opened(root, served) as workspace, pytest.raises(Refused, match="X1"):
        workspace.database.move("postgres")
    with opened(root, served) as workspace:
        workspace.database.move("postgres", project="shop")
    with opened(root, served) as workspace:
        assert workspace.project == "shop"
        assert len(cards(workspace)) == 4


def test_a_move_to_where_it_is(root: Path) -> None:
    """The store that a workspace has is no place to move to."""
    with opened(root, bare_environment(root.parent)) as workspace, pytest.raises(BadValue, match="already"):
        workspace.database.move("flatfile")
