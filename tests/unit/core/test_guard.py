"""The guards: each trips on its mishap and on nothing else, and each hold ends by its command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from syncd.core.guard import guard
from syncd.core.plan import (
    BaseCard,
    ChangeKind,
    LocalCard,
    Plan,
    Policy,
    Presence,
    RemoteCard,
    Wait,
    Winner,
)
from syncd.core.reconcile import reconcile
from syncd.core.sight import FileSight, Guarded, OwnWrite, Sight, Thresholds
from syncd.schemas.card import Value

PATH = "TASKS.md"
THRESHOLDS = Thresholds()


def card_fields(at: int, **fields: Value) -> dict[str, Value]:
    """The fields of card A<at>."""
    return {"title": f"Task {at}", "status": "ready", "priority": 1, "dependsOn": (), **fields}


class Desk:
    """A workspace of one file with ``count`` agreed cards, which a test changes on either side."""

    def __init__(self, count: int) -> None:
        ids = {f"A{at}": card_fields(at) for at in range(1, count + 1)}
        self.base = {id: BaseCard(id, fields, 1, PATH) for id, fields in ids.items()}
        self.local = {id: LocalCard(id, fields, PATH) for id, fields in ids.items()}
        self.remote = {id: RemoteCard(id, fields, 1, path=PATH) for id, fields in ids.items()}
        self.file = FileSight(PATH)
        self.policy = Policy()
        self.facts: dict[str, object] = {}

    def edit(self, id: str, **fields: Value) -> None:
        """Change a row."""
        self.local[id] = replace(self.local[id], fields={**self.local[id].fields, **fields})

    def store_edit(self, id: str, **fields: Value) -> None:
        """Change a card in the store."""
        card = self.remote[id]
        self.remote[id] = replace(card, fields={**card.fields, **fields}, version=card.version + 1)

    def drop(self, *ids: str) -> None:
        """Take rows out of the file."""
        for id in ids:
            del self.local[id]

    def plan(self) -> Plan:
        """Reconcile what there is."""
        return reconcile(self.base, self.local, self.remote, self.policy)

    def look(self, decisions: Mapping[str, str] | None = None, **facts: object) -> Guarded:
        """Reconcile and guard."""
        sight = Sight(self.base, self.local, self.remote, {PATH: self.file}, self.policy, **facts)  # type: ignore[arg-type]
        return guard(self.plan(), sight, THRESHOLDS, decisions or {})


def decide(guarded: Guarded, decision: str) -> dict[str, str]:
    """Say the same of every hold."""
    return {hold.fingerprint: decision for hold in guarded.holds}


def ids(count: int) -> list[str]:
    """The ids of the first cards."""
    return [f"A{at}" for at in range(1, count + 1)]


def test_a_harmless_plan_goes_on_whole() -> None:
    """Nothing looks like a mishap: the plan is let through as it is."""
    desk = Desk(30)
    desk.edit("A1", title="Other")
    desk.store_edit("A2", priority=4)
    desk.drop("A3")
    assert desk.look() == Guarded(desk.plan(), planned=desk.plan())


# --- deletions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "gone", "held"), [(10, 3, 0), (10, 4, 4), (50, 10, 0), (50, 11, 11)])
def test_more_deletions_than_the_cap_are_held(count: int, gone: int, held: int) -> None:
    """At most 3 cards, or a fifth of the file, go without asking; above that all of them are held."""
    desk = Desk(count)
    desk.drop(*ids(gone))
    desk.edit(f"A{count}", title="Other")
    guarded = desk.look()
    assert len(guarded.holds) == held
    assert len(guarded.plan.to_store) == 1 + gone - held
    for hold in guarded.holds:
        assert hold.guard == "deletions"
        assert hold.release == f"syncd accept {hold.id}"
        assert f"{gone} of the {count} cards of {PATH}" in hold.reason


def test_deletions_by_the_store_are_capped_too() -> None:
    """Rows are not taken out in bulk either because the store dropped its cards."""
    desk = Desk(10)
    for id in ids(5):
        desk.remote[id] = replace(desk.remote[id], presence=Presence.DELETED, version=2)
    guarded = desk.look()
    assert [hold.id for hold in guarded.holds] == ids(5)
    assert not guarded.plan.to_file
    rejected = desk.look(decide(guarded, "reject"))
    assert {change.kind for change in rejected.plan.to_store} == {ChangeKind.RESTORE}
    assert not rejected.plan.to_file


def test_an_accepted_deletion_goes_and_the_others_stay_held() -> None:
    """Accepting some cards does not let the rest slip under the cap, as long as their holds stand."""
    desk = Desk(10)
    desk.drop(*ids(5))
    first = desk.look()
    standing = frozenset(hold.fingerprint for hold in first.holds)
    second = desk.look({hold.fingerprint: "accept" for hold in first.holds[:3]}, standing=standing)
    assert [change.id for change in second.plan.to_store] == ids(3)
    assert [hold.id for hold in second.accepted] == ids(3)
    for id in ids(3):
        del desk.base[id], desk.remote[id]
    third = desk.look(standing=standing)
    assert [hold.id for hold in third.holds] == ["A4", "A5"]
    assert not third.plan.to_store


def test_a_rejected_deletion_puts_the_row_back() -> None:
    """Rejecting a deletion renders the card again and changes nothing in the store."""
    desk = Desk(10)
    desk.drop(*ids(4))
    rejected = desk.look(decide(desk.look(), "reject"))
    assert [(change.id, change.kind, change.path) for change in rejected.plan.to_file] == [
        (id, ChangeKind.CREATE, PATH) for id in ids(4)
    ]
    assert not rejected.plan.to_store
    assert len(rejected.rejected) == 4


def test_rows_that_come_back_end_their_holds() -> None:
    """A hold ends by the edit that removes its cause."""
    desk = Desk(10)
    desk.drop(*ids(4))
    standing = frozenset(hold.fingerprint for hold in desk.look().holds)
    desk.local = Desk(10).local
    assert desk.look(standing=standing) == Guarded(Plan())


def test_a_removal_that_wants_to_be_asked_is_held() -> None:
    """With ``on_removed: hold`` even one vanished row waits for a person."""
    desk = Desk(10)
    desk.policy = Policy(on_removed="hold")
    desk.drop("A1")
    guarded = desk.look()
    assert [(hold.id, hold.guard) for hold in guarded.holds] == [("A1", "removed")]
    assert desk.look(decide(guarded, "accept")).plan.to_store[0].kind is ChangeKind.REMOVE


# --- emptied, missing ----------------------------------------------------------------------------


def test_an_empty_file_is_held_for_good() -> None:
    """A file that had cards and has none is held as a whole, and not written."""
    desk = Desk(2)
    desk.drop("A1", "A2")
    desk.store_edit("A2", title="Other")
    desk.remote["N1"] = RemoteCard("N1", card_fields(9), 1, path=PATH)
    guarded = desk.look()
    assert [(hold.id, hold.guard, hold.release) for hold in guarded.holds] == [
        (PATH, "emptied", "syncd accept TASKS.md")
    ]
    assert guarded.plan == Plan()
    accepted = desk.look(decide(guarded, "accept"))
    assert [change.id for change in accepted.plan.to_store] == ["A1"]
    rejected = desk.look(decide(guarded, "reject"))
    assert [change.id for change in rejected.plan.to_file][:2] == ["A1", "A2"]
    assert not rejected.plan.to_store


def test_accepting_an_empty_file_is_not_asked_again_as_deletions() -> None:
    """One answer is enough: accepted deletions are not held by the next guard."""
    desk = Desk(10)
    desk.drop(*ids(10))
    accepted = desk.look(decide(desk.look(), "accept"))
    assert len(accepted.plan.to_store) == 10
    assert not accepted.holds


@pytest.mark.parametrize("on_removed", [None, "hold", "restore"])
def test_a_missing_file_waits_and_is_then_rendered_again(on_removed: str | None) -> None:
    """A file that is gone deletes nothing: for its grace nothing happens, then its cards are written again."""
    desk = Desk(3)
    desk.policy = Policy(on_removed=on_removed)
    desk.drop(*ids(3))
    desk.store_edit("A2", title="Other")
    desk.file = FileSight(PATH, exists=False, missing_ms=29_000)
    early = desk.look()
    assert early.plan == Plan()
    assert early.waits == (Wait(PATH, f"{PATH} is missing; its 3 cards stay", 1_000),)
    assert not early.holds
    desk.file = FileSight(PATH, exists=False, missing_ms=30_000)
    late = desk.look()
    assert [(change.id, change.kind) for change in late.plan.to_file] == [(id, ChangeKind.CREATE) for id in ids(3)]
    assert late.plan.to_file[1].fields["title"] == "Other"
    assert not late.plan.to_store
    assert not late.plan.conflicts
    assert not late.holds + late.waits


def test_rows_moved_out_of_a_file_do_not_empty_it() -> None:
    """A file whose cards all moved to another file is no mishap."""
    desk = Desk(3)
    desk.local = {id: replace(card, path="done.md") for id, card in desk.local.items()}
    assert not desk.look().holds


# --- unsettled -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_ms", "title", "waits"),
    [(100, "Tas", True), (100, None, True), (100, "Short", False), (300, "Tas", False)],
)
def test_text_that_is_cut_off_waits_a_moment(age_ms: int, title: str | None, waits: bool) -> None:
    """A field that became the beginning of what it was, or empty, waits 300 ms; another text goes at once."""
    desk = Desk(3)
    desk.edit("A1", title=title)
    desk.edit("A2", priority=5)
    desk.store_edit("A3", priority=6)
    desk.file = FileSight(PATH, changed_ms_ago=age_ms)
    guarded = desk.look()
    written = {change.id for change in guarded.plan.to_store}
    assert written == ({"A2"} if waits else {"A1", "A2"})
    assert [wait.retry_ms for wait in guarded.waits] == ([200] if waits else [])
    assert bool(guarded.plan.to_file) == (not waits), "a file that waits is not written"


@pytest.mark.parametrize(("age_ms", "waits"), [(0, True), (1_999, True), (2_000, False)])
def test_vanished_rows_wait_longer(age_ms: int, waits: bool) -> None:
    """Rows that vanished wait 2 s, while edits of the same file go at once."""
    desk = Desk(10)
    desk.drop("A1")
    desk.edit("A2", title="Other")
    desk.file = FileSight(PATH, changed_ms_ago=age_ms)
    guarded = desk.look()
    assert {change.id for change in guarded.plan.to_store} == ({"A2"} if waits else {"A1", "A2"})
    assert [wait.retry_ms for wait in guarded.waits] == ([2_000 - age_ms] if waits else [])
    assert not guarded.holds


def test_the_beginning_of_a_write_waits_as_a_whole() -> None:
    """Bytes that end in the middle of a row give no change at all while they are fresh."""
    desk = Desk(10)
    desk.drop(*ids(5))
    desk.local["A11"] = LocalCard("A11", card_fields(11, title="Wri"), PATH)
    desk.file = FileSight(PATH, changed_ms_ago=10, is_truncation=True)
    guarded = desk.look()
    assert guarded.plan == Plan()
    assert not guarded.holds
    assert [wait.retry_ms for wait in guarded.waits] == [290]


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
        ("N1", "title", "Task 9"),
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
