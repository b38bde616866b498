"""Compare and swap: each kind of change, alone, on a row that is not the one it was planned on."""

from __future__ import annotations

import pytest

from syncd.core.plan import Change, ChangeKind
from syncd.ports import Batch, NewCard
from tests.contract.conftest import World


def sent(world: World, *changes: Change) -> frozenset[str]:
    """Commit changes in one batch; return the ids that had moved."""
    return frozenset(world.store.commit(Batch("c1", changes, ())).moved)


@pytest.fixture
def moved(world: World) -> World:
    """A store whose card A was changed after it was seen at version 1."""
    world.store.create(NewCard(id="A", title="seen"))
    world.store.update("A", {"title": "by somebody"})
    return world


@pytest.mark.parametrize("kind", [ChangeKind.UPDATE, ChangeKind.REMOVE, ChangeKind.ARCHIVE, ChangeKind.RESTORE])
def test_a_change_of_a_row_that_moved(moved: World, kind: ChangeKind) -> None:
    """Nothing is done to a row that somebody changed since it was read."""
    before = moved.store.get("A")
    fields = {} if kind in (ChangeKind.REMOVE, ChangeKind.ARCHIVE) else {"title": "mine"}
    assert sent(moved, Change(kind, "A", fields, version=1)) == {"A"}
    assert moved.store.get("A") == before


def test_a_claim_of_a_row_that_moved(moved: World) -> None:
    """A row's in-progress does not lease a card that somebody changed since it was read."""
    fields = {"status": "claimed", "claimOwner": "ann"}
    assert sent(moved, Change(ChangeKind.CLAIM, "A", fields, version=1)) == {"A"}
    assert moved.store.get("A").claim_owner is None


def test_a_new_card_whose_id_was_taken_meanwhile(moved: World) -> None:
    """A card that exists by now is not written over by a new one."""
    before = moved.store.get("A")
    assert sent(moved, Change(ChangeKind.CREATE, "A", {"title": "mine"})) == {"A"}
    assert moved.store.get("A") == before


def test_two_changes_of_one_row_of_which_one_is_late(world: World) -> None:
    """When one change of a card cannot be done, none of that card's is."""
    world.store.create(NewCard(id="A", title="seen"))
    first, late = (Change(ChangeKind.UPDATE, "A", {"title": "mine"}, version=version) for version in (1, 7))
    assert sent(world, first, late) == {"A"}
    assert world.store.get("A").title == "seen"
