"""Moving a workspace's cards between stores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from syncd import api
from syncd.core.plan import Conflict, Winner
from syncd.errors import BadValue, Refused, StoreMismatch
from syncd.ports import Batch, CardFilter, NewCard
from tests.support.desk import TABLE, bare_environment


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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace in files, in sync, with a card in every state."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "TASKS.md").write_text(TABLE)
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
    return folder


def test_from_files_to_postgres_and_back(root: Path, postgres_dsn: str) -> None:
    """Cards, leases and open conflicts arrive as they were, nothing is held, and the way back is the same."""
    bare = bare_environment(root.parent)
    served = {**bare, "DATABASE_URL": postgres_dsn}
    with opened(root, bare) as workspace:
        before = cards(workspace)
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
            workspace.backlog.renew("A1", "w", attempt=1)
            before = cards(workspace)
    assert (root / "TASKS.md").read_text().count("Only in the store") == 1


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
