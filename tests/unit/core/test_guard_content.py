"""The guards of content: time travel, markers, mass changes, a store that went back, ping-pong, cycles."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from syncd.core.plan import (
    ChangeKind,
    LocalCard,
    Plan,
    Winner,
)
from syncd.core.sight import FileSight, OwnWrite
from tests.support.guarding import PATH, Desk, card_fields, decide, ids

# --- time travel ---------------------------------------------------------------------------------


def travelled(*, rank: int | None = 2, head_moved: bool = False) -> Desk:
    """A file whose bytes are an older version's."""
    desk = Desk(30)
    desk.file = FileSight(PATH, version_rank=rank, head_moved=head_moved)
    return desk


def test_an_older_version_of_a_file_reverts_nothing_by_itself() -> None:
    """Reverts and deletions are held, states flow from the store to the file, and new cards are taken."""
    desk = travelled()
    desk.edit("A1", title="Old title", status="done")
    desk.edit("A2", status="done")
    desk.drop("A3")
    desk.local["N1"] = LocalCard("N1", card_fields(9), PATH)
    guarded = desk.look()
    assert [(hold.id, hold.fields) for hold in guarded.holds] == [("A1", ("title",)), ("A3", ())]
    assert {hold.guard for hold in guarded.holds} == {"time-travel"}
    assert [(change.id, change.kind) for change in guarded.plan.to_store] == [("N1", ChangeKind.CREATE)]
    assert {change.id: change.fields for change in guarded.plan.to_file} == {
        "A1": {"status": "ready"},
        "A2": {"status": "ready"},
    }


def test_states_that_an_older_version_takes_back_are_recorded() -> None:
    """Without a checkout somebody may have meant the older states: the store's stay, and the rows' are recorded."""
    desk = travelled()
    desk.edit("A1", status="done")
    desk.edit("A2", status="blocked")
    guarded = desk.look()
    assert not guarded.plan.to_store
    assert [(each.id, each.field, each.local, each.remote, each.winner) for each in guarded.plan.conflicts] == [
        ("A1", "status", "done", "ready", Winner.REMOTE),
        ("A2", "status", "blocked", "ready", Winner.REMOTE),
    ]
    desk.file = replace(desk.file, head_moved=True)
    assert desk.look().plan.conflicts == ()


def test_a_state_that_waits_to_be_taken_back_is_no_edit() -> None:
    """While the file cannot be written yet, another edit in it does not make the older states new ones."""
    desk = travelled()
    desk.edit("A1", status="done")
    desk.edit("A2", status="done")
    marks = desk.look().marks
    desk.edit("A3", title="New")
    desk.file = FileSight(PATH)
    guarded = desk.look(standing=marks)
    assert [(change.id, change.fields) for change in guarded.plan.to_store] == [("A3", {"title": "New"})]
    assert [(change.id, change.fields) for change in guarded.plan.to_file] == [
        ("A1", {"status": "ready"}),
        ("A2", {"status": "ready"}),
    ]


def test_a_state_is_edited_although_the_title_of_its_card_is_held() -> None:
    """What is held of a card does not take back what is done with the rest of it afterwards."""
    desk = travelled()
    desk.edit("A1", title="Old title")
    desk.edit("A2", title="Old title")
    standing = frozenset(hold.fingerprint for hold in desk.look().holds)
    desk.edit("A1", status="done")
    desk.file = FileSight(PATH)
    guarded = desk.look(standing=standing)
    assert [(change.id, change.fields) for change in guarded.plan.to_store] == [("A1", {"status": "done"})]
    assert {hold.id for hold in guarded.holds} == {"A1", "A2"}


def test_the_holds_of_time_travel_outlive_syncd_s_own_write() -> None:
    """The states that went to the file made it a new version; what is held stays held all the same."""
    desk = travelled()
    desk.edit("A1", title="Old title", status="done")
    desk.edit("A2", status="done")
    standing = frozenset(hold.fingerprint for hold in desk.look().holds)
    desk.edit("A1", status="ready")
    desk.edit("A2", status="ready")
    desk.file = FileSight(PATH, version_rank=0)
    again = desk.look(standing=standing)
    assert [hold.id for hold in again.holds] == ["A1"]
    assert not again.plan.to_store
    rejected = desk.look(decide(again, "reject"), standing=standing)
    assert rejected.plan.to_file[0].fields == {"title": "Task 1"}
    assert [(each.field, each.local, each.winner) for each in rejected.plan.conflicts] == [
        ("title", "Old title", Winner.REMOTE)
    ]
    accepted = desk.look(decide(again, "accept"), standing=standing)
    assert accepted.plan.to_store[0].fields == {"title": "Old title"}


@pytest.mark.parametrize(
    ("rank", "head_moved", "cards", "trips"),
    [(2, False, 2, True), (2, False, 1, False), (2, True, 1, True), (0, True, 5, False), (None, True, 5, False)],
)
def test_time_travel_needs_older_bytes_and_enough_reverts(
    rank: int | None, head_moved: bool, cards: int, trips: bool
) -> None:
    """It takes an older version and two cards, or one with a moved HEAD; HEAD alone is an ordinary merge."""
    desk = travelled(rank=rank, head_moved=head_moved)
    for id in ids(cards):
        desk.edit(id, title="Old")
    assert bool(desk.look().holds) == trips


def test_a_decision_waits_for_its_file_to_settle() -> None:
    """What was rejected is undone when the file is written again, not in the middle of somebody's write."""
    desk = travelled()
    desk.edit("A1", title="Old title", status="done")
    desk.edit("A2", title="Old title")
    decisions = decide(desk.look(), "reject")
    desk.drop("A9")
    desk.file = replace(desk.file, changed_ms_ago=500)
    waiting = desk.look(decisions)
    assert not waiting.plan.to_file
    assert not waiting.rejected
    desk.file = replace(desk.file, changed_ms_ago=3_000)
    assert {change.id for change in desk.look(decisions).plan.to_file} == {"A1", "A2"}


# --- markers, everything changed, rewound --------------------------------------------------------


def test_merge_markers_hold_the_file() -> None:
    """A file with merge markers is neither taken in nor written; accepting takes it as it is."""
    desk = Desk(10)
    desk.edit("A1", title="Theirs")
    desk.store_edit("A2", title="Other")
    desk.local["N1"] = LocalCard("N1", card_fields(9), PATH)
    desk.file = FileSight(PATH, marker_line=12)
    guarded = desk.look()
    assert [(hold.id, hold.reason) for hold in guarded.holds] == [(PATH, f"{PATH} has a merge marker in line 12")]
    assert guarded.plan == Plan()
    assert desk.look(decide(guarded, "accept")).plan == desk.plan()
    rejected = desk.look(decide(guarded, "reject")).plan
    assert {change.id: change.kind for change in rejected.to_file} == {
        "A1": ChangeKind.UPDATE,
        "A2": ChangeKind.UPDATE,
        "N1": ChangeKind.REMOVE,
    }
    assert not rejected.to_store
    assert {(each.id, each.field, each.local) for each in rejected.conflicts} >= {
        ("A1", "title", "Theirs"),
        ("N1", "*", "Task 9"),
    }


def test_a_file_of_another_guard_goes_on() -> None:
    """What is held in one file holds nothing in another."""
    desk = Desk(4)
    desk.local["A4"] = replace(desk.local["A4"], path="other.md", fields=card_fields(4, title="Edited"))
    desk.base["A4"] = replace(desk.base["A4"], path="other.md")
    desk.edit("A1", title="Theirs")
    desk.file = FileSight(PATH, marker_line=1)
    assert [change.id for change in desk.look().plan.to_store] == ["A4"]


@pytest.mark.parametrize(("count", "changed", "trips"), [(21, 11, True), (21, 10, False), (20, 20, False)])
def test_one_field_changed_in_most_cards_is_held(count: int, changed: int, trips: bool) -> None:
    """More than half of more than 20 cards with another value of one field: that field is held, the rest goes."""
    desk = Desk(count)
    for id in ids(changed):
        desk.edit(id, priority=9)
    desk.edit("A1", title="Other")
    guarded = desk.look()
    assert [(hold.id, hold.guard, hold.fields) for hold in guarded.holds] == (
        [(PATH, "everything-changed", ("priority",))] if trips else []
    )
    if trips:
        assert guarded.plan.to_store[0].fields == {"title": "Other"}
        assert len(guarded.plan.to_store) == 1
        assert desk.look(decide(guarded, "accept")).plan == desk.plan()


def test_bulk_changes_of_the_store_are_legitimate() -> None:
    """SQL that changes every card is somebody's will."""
    desk = Desk(30)
    for id in ids(30):
        desk.store_edit(id, priority=9)
    guarded = desk.look()
    assert not guarded.holds
    assert len(guarded.plan.to_file) == 30


@pytest.mark.parametrize(("rank", "held"), [(0, True), (None, False)])
def test_a_new_parser_edits_nothing(rank: int | None, held: bool) -> None:
    """What differs in bytes that were seen before differs because they are read differently."""
    desk = Desk(5)
    desk.edit("A1", title="Read otherwise")
    desk.file = FileSight(PATH, version_rank=rank)
    guarded = desk.look(parser_changed=True)
    assert bool(guarded.holds) == held
    assert bool(guarded.plan.to_store) == (not held)


def test_a_store_that_went_back_deletes_and_overwrites_nothing() -> None:
    """Everything but new cards is held; accepting offers the files' values, rejecting takes the store's."""
    desk = Desk(4)
    del desk.remote["A1"]
    desk.store_edit("A2", title="Older", status="blocked")
    desk.local["N1"] = LocalCard("N1", card_fields(9), PATH)
    guarded = desk.look(store_rewound="another epoch")
    assert [(hold.id, hold.guard, hold.release) for hold in guarded.holds] == [
        ("store", "store-rewound", "syncd accept store")
    ]
    assert [change.id for change in guarded.plan.to_store] == ["N1"]
    assert not guarded.plan.to_file
    accepted = desk.look(decide(guarded, "accept"), store_rewound="another epoch").plan
    assert {change.id: (change.kind, dict(change.fields)) for change in accepted.to_store if change.id != "N1"} == {
        "A1": (ChangeKind.CREATE, card_fields(1)),
        "A2": (ChangeKind.UPDATE, {"title": "Task 2", "status": "ready"}),
    }
    assert {(each.field, each.remote, each.winner) for each in accepted.conflicts} == {
        ("title", "Older", Winner.LOCAL),
        ("status", "blocked", Winner.LOCAL),
    }
    assert not accepted.to_file
    rejected = desk.look(decide(guarded, "reject"), store_rewound="another epoch").plan
    assert {change.id: change.kind for change in rejected.to_file} == {"A1": ChangeKind.REMOVE, "A2": ChangeKind.UPDATE}
    assert {(each.id, each.field, each.local, each.remote, each.winner) for each in rejected.conflicts} == {
        ("A1", "*", "Task 1", None, Winner.REMOTE),
        ("A2", "title", "Task 2", "Older", Winner.REMOTE),
        ("A2", "status", "ready", "blocked", Winner.REMOTE),
    }


def test_a_claim_that_a_restored_store_forgot_is_asked_for_again() -> None:
    """Offering a row in progress asks for its lease."""
    desk = Desk(3)
    for cards in (desk.base, desk.local):
        cards["A1"] = replace(cards["A1"], fields=card_fields(1, status="claimed", claimOwner="bob"))  # type: ignore[index]
    decisions = decide(desk.look(store_rewound="older"), "accept")
    change = desk.look(decisions, store_rewound="older").plan.to_store[0]
    assert change.kind is ChangeKind.CLAIM
    assert change.fields == {"status": "claimed", "claimOwner": "bob"}


# --- ping-pong, cycles ---------------------------------------------------------------------------


@pytest.mark.parametrize(("writes", "trips"), [(3, True), (2, False)])
def test_a_field_that_syncd_writes_to_and_fro_is_held(writes: int, trips: bool) -> None:
    """The third swing between the same two values stops that field, and only that."""
    desk = Desk(3)
    desk.store_edit("A1", title="Task-1", priority=3)
    desk.base["A1"] = replace(desk.base["A1"], fields=card_fields(1))
    history = (
        OwnWrite("A1", "title", "store", "Task 1"),
        OwnWrite("A1", "title", "file", "Task-1"),
        OwnWrite("A1", "title", "store", "Task 1"),
    )[-writes:]
    guarded = desk.look(own_writes=history)
    assert [(hold.id, hold.guard, hold.fields) for hold in guarded.holds] == (
        [("A1", "ping-pong", ("title",))] if trips else []
    )
    assert ("title" in guarded.plan.to_file[0].fields) == (not trips)
    assert guarded.plan.to_file[0].fields["priority"] == 3


def test_a_fight_over_a_field_is_decided_for_one_side() -> None:
    """Accepting what goes to and fro gives the store what the file says, whichever way it went; rejecting does not."""
    desk = Desk(3)
    desk.store_edit("A1", title="Task-1")
    history = desk.swings("A1", "title", ["Task-1", "Task 1", "Task-1", "Task 1"])
    held = desk.look(own_writes=history)
    assert [(hold.id, hold.guard) for hold in held.holds] == [("A1", "ping-pong")]
    accepted = desk.look(decide(held, "accept"), own_writes=history).plan
    assert ([change.fields for change in accepted.to_store], accepted.to_file) == ([{"title": "Task 1"}], ())
    assert [(each.remote, each.winner) for each in accepted.conflicts] == [("Task-1", Winner.LOCAL)]
    rejected = desk.look(decide(held, "reject"), own_writes=history).plan
    assert ([change.fields for change in rejected.to_file], rejected.to_store) == ([{"title": "Task-1"}], ())


def test_repeated_writes_of_one_side_are_no_ping_pong() -> None:
    """A service that toggles a field is followed; only syncd's writes on both sides in turn count."""
    desk = Desk(3)
    desk.store_edit("A1", title="B")
    history = tuple(OwnWrite("A1", "title", "file", value) for value in ("B", "Task 1", "B", "Task 1"))
    assert not desk.look(own_writes=history).holds


def test_an_edit_that_closes_a_cycle_is_held() -> None:
    """The dependency is held with the path of the cycle, the rest of the card goes on, accepting cannot help."""
    desk = Desk(3)
    for cards in (desk.base, desk.local, desk.remote):
        cards["A2"] = replace(cards["A2"], fields=card_fields(2, dependsOn=("A1",)))  # type: ignore[index]
    desk.edit("A1", dependsOn=("A2",), priority=5)
    guarded = desk.look()
    assert [(hold.id, hold.guard, hold.fields, hold.release) for hold in guarded.holds] == [
        ("A1", "cycle", ("dependsOn",), "syncd reject A1")
    ]
    assert "A1 → A2 → A1" in guarded.holds[0].reason
    assert guarded.plan.to_store[0].fields == {"priority": 5}
    assert desk.look(decide(guarded, "accept")) == guarded
    rejected = desk.look(decide(guarded, "reject")).plan
    assert rejected.to_file[0].fields == {"dependsOn": ()}
    assert rejected.conflicts[0].local == ("A2",)


def test_a_set_merge_that_closes_a_cycle_is_held_on_both_sides() -> None:
    """Each side alone is fine, together they would wait for one another for ever: neither is written."""
    desk = Desk(3)
    desk.edit("A1", dependsOn=("A2",))
    desk.store_edit("A1", dependsOn=("A3",))
    desk.store_edit("A2", dependsOn=("A1",))
    guarded = desk.look()
    assert [hold.id for hold in guarded.holds] == ["A1"]
    assert not guarded.plan.to_store
    assert {change.id for change in guarded.plan.to_file} == {"A2"}


def test_new_cards_in_a_cycle_are_held_whole() -> None:
    """A new card without its dependencies could be claimed too early; the one that closes the cycle waits."""
    desk = Desk(1)
    desk.local["N1"] = LocalCard("N1", card_fields(7, dependsOn=("N2",)), PATH)
    desk.local["N2"] = LocalCard("N2", card_fields(8, dependsOn=("N1",)), PATH)
    guarded = desk.look()
    assert [change.id for change in guarded.plan.to_store] == ["N1"]
    assert [hold.id for hold in guarded.holds] == ["N2"]
    rejected = desk.look(decide(guarded, "reject")).plan
    assert {change.id: change.fields["dependsOn"] for change in rejected.to_store} == {"N1": ("N2",), "N2": ()}
    assert rejected.to_file[0].fields == {"dependsOn": ()}


def test_a_cycle_that_stood_before_holds_nobody_else() -> None:
    """Dependencies that others tangled are no reason to hold an edit elsewhere."""
    desk = Desk(4)
    desk.store_edit("A1", dependsOn=("A2",))
    desk.store_edit("A2", dependsOn=("A1",))
    desk.edit("A3", dependsOn=("A4", "A1"))
    assert not desk.look().holds
