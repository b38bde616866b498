"""What accepting and what rejecting a hold will do, as it is told beside the commands."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from syncd.core.plan import Deed, DeedKind, LocalCard, Presence
from syncd.core.sight import FileSight
from tests.support.guarding import PATH, Desk, card_fields, decide, ids


def test_an_emptied_file_is_deleted_cards_or_the_file_again() -> None:
    """Accepting deletes what was in it, a done card is archived; rejecting puts the file back."""
    desk = Desk(14)
    desk.base["A1"] = replace(desk.base["A1"], fields=card_fields(1, status="done"))
    desk.remote["A1"] = replace(desk.remote["A1"], fields=card_fields(1, status="done"))
    desk.drop(*ids(14))
    (hold,) = desk.look().holds
    assert hold.accepting == (Deed(DeedKind.ARCHIVE, 1, "card"), Deed(DeedKind.REMOVE, 13, "card"))
    assert hold.rejecting == (Deed(DeedKind.PUT_BACK, 14, "row", PATH),)


def test_each_deletion_tells_of_its_own_card() -> None:
    """Where cards are held one by one, each says what becomes of it, on whichever side it went."""
    desk = Desk(10)
    desk.drop(*ids(5))
    holds = desk.look().holds
    assert {hold.accepting for hold in holds} == {(Deed(DeedKind.REMOVE, 1, "card"),)}
    assert {hold.rejecting for hold in holds} == {(Deed(DeedKind.CREATE, 1, "row", PATH),)}
    desk = Desk(10)
    for id in ids(5):
        desk.remote[id] = replace(desk.remote[id], presence=Presence.DELETED, version=2)
    holds = desk.look().holds
    assert {hold.accepting for hold in holds} == {(Deed(DeedKind.REMOVE, 1, "row", PATH),)}
    assert {hold.rejecting for hold in holds} == {(Deed(DeedKind.RESTORE, 1, "card"),)}


def test_many_edits_are_counted_with_their_fields() -> None:
    """A change of most cards says how many cards get, or give back, which fields."""
    desk = Desk(30)
    for id in ids(25):
        desk.edit(id, title="Same")
    (hold,) = desk.look().holds
    assert hold.accepting == (Deed(DeedKind.UPDATE, 25, "card", fields=("title",)),)
    assert hold.rejecting == (Deed(DeedKind.UPDATE, 25, "row", PATH, ("title",)),)


def test_a_store_that_went_back_takes_from_the_files_or_gives_to_them() -> None:
    """Accepting offers the store what the files say; rejecting has the files take what the store says."""
    desk = Desk(3)
    desk.store_edit("A1", title="Older")
    (hold,) = desk.look(store_rewound="restored").holds
    assert hold.accepting == (Deed(DeedKind.UPDATE, 1, "card", fields=("title",)),)
    assert hold.rejecting == (Deed(DeedKind.UPDATE, 1, "row", PATH, ("title",)),)


def test_a_cycle_cannot_be_accepted() -> None:
    """Of a circle only what rejecting does is told."""
    desk = Desk(2)
    desk.edit("A1", dependsOn=("A2",))
    desk.edit("A2", dependsOn=("A1",))
    (hold,) = desk.look().holds
    assert hold.accepting is None
    assert hold.rejecting == (Deed(DeedKind.UPDATE, 1, "row", PATH, ("dependsOn",)),)


@pytest.mark.parametrize("has_past", [True, False])
def test_markers_from_the_start_cannot_be_rejected(has_past: bool) -> None:
    """With no version to put back, rejecting is refused instead of leaving the hold as it was."""
    desk = Desk(2)
    desk.local["N1"] = LocalCard("N1", card_fields(9), PATH)
    desk.file = FileSight(PATH, marker_line=5, has_past=has_past)
    guarded = desk.look()
    (hold,) = guarded.holds
    assert hold.accepting == (Deed(DeedKind.CREATE, 1, "card"),)
    assert hold.rejecting == ((Deed(DeedKind.PUT_BACK, 2, "row", PATH),) if has_past else None)
    assert bool(desk.look(decide(guarded, "reject")).holds) is not has_past
