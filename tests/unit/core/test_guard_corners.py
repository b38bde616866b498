"""What the guards do at their edges: where two of them meet, and where one has to leave alone what it sees."""

from __future__ import annotations

from syncd.core.plan import Plan, RemoteCard
from syncd.core.sight import FileSight
from tests.support.guarding import PATH, Desk, card_fields, ids


def test_edits_wait_while_a_store_went_back() -> None:
    """A row that was edited is not written over the old values of a store that went back."""
    desk = Desk(3)
    desk.edit("A1", title="Mine")
    guarded = desk.look(store_rewound="another epoch")
    assert guarded.plan == Plan()
    assert [hold.guard for hold in guarded.holds] == ["store-rewound"]


def test_bulk_changes_of_the_store_hold_no_edit_beside_them() -> None:
    """SQL that changes every card is somebody's will, also while a row of the same file is edited."""
    desk = Desk(30)
    for id in ids(30):
        desk.store_edit(id, priority=9)
    desk.edit("A1", title="Mine")
    guarded = desk.look()
    assert not guarded.holds
    assert (len(guarded.plan.to_store), len(guarded.plan.to_file)) == (1, 30)


def test_a_held_swing_stays_held_when_the_swings_are_forgotten() -> None:
    """A field that was held for swinging is not let go by a restart, which forgets what syncd wrote."""
    desk = Desk(3)
    desk.edit("A1", title="a")
    writes = desk.swings("A1", "title", ("Task 1", "a", "Task 1"))
    held = desk.look(own_writes=writes)
    assert [(hold.id, hold.guard) for hold in held.holds] == [("A1", "ping-pong")]
    again = desk.look(standing=frozenset(hold.fingerprint for hold in held.holds))
    assert (again.holds[0].fingerprint, again.plan) == (held.holds[0].fingerprint, Plan())


def test_a_missing_file_gets_no_new_card_during_its_grace() -> None:
    """A card that is new in the store waits until its file is back, or is written again."""
    desk = Desk(3)
    desk.drop(*ids(3))
    desk.remote["B1"] = RemoteCard("B1", card_fields(9), 1, path=PATH)
    desk.file = FileSight(PATH, exists=False, missing_ms=1_000)
    assert desk.look().plan == Plan()
    desk.file = FileSight(PATH, exists=False, missing_ms=30_000)
    assert {change.id for change in desk.look().plan.to_file} == {*ids(3), "B1"}


def test_what_a_guard_would_hold_does_not_slip_through_a_wait() -> None:
    """While rows that vanished wait, the edits between merge markers wait with them, and nobody is asked yet."""
    desk = Desk(30)
    desk.file = FileSight(PATH, marker_line=3, changed_ms_ago=100)
    desk.edit("A1", title="Theirs")
    desk.drop("A3")
    early = desk.look()
    assert (early.plan, early.holds, len(early.waits)) == (Plan(), (), 1)
    desk.file = FileSight(PATH, marker_line=3, changed_ms_ago=3_000)
    assert [hold.guard for hold in desk.look().holds] == ["markers"]
