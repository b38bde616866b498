"""The guards of rows and files: deletions, emptied and missing files, files in the middle of a write."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from syncd.core.plan import (
    ChangeKind,
    LocalCard,
    Plan,
    Policy,
    Presence,
    RemoteCard,
    Wait,
)
from syncd.core.sight import FileSight, Guarded
from tests.support.guarding import PATH, Desk, card_fields, decide, ids


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
    hint = f"Then it is written again. To delete its cards instead: touch {PATH} && syncd accept {PATH}"
    assert early.waits == (Wait(PATH, f"{PATH} is missing; its 3 cards stay", 1_000, hint),)
    assert not early.holds
    desk.file = FileSight(PATH, exists=False, missing_ms=30_000)
    late = desk.look()
    assert [(change.id, change.kind) for change in late.plan.to_file] == [(id, ChangeKind.CREATE) for id in ids(3)]
    assert late.plan.to_file[1].fields["title"] == "Other"
    assert not late.plan.to_store
    assert not late.plan.conflicts
    assert not late.holds + late.waits


def test_a_missing_file_of_one_card_says_how_to_remove_the_card() -> None:
    """Where the card was all that a file held, removing the card is what somebody who removed the file may want."""
    desk = Desk(1)
    desk.drop("A1")
    desk.file = FileSight(PATH, exists=False, missing_ms=0)
    (wait,) = desk.look().waits
    assert wait.hint == "Then it is written again. To delete its card instead: syncd backlog remove --id A1"


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


def test_rows_that_go_right_after_syncd_wrote_them_are_held() -> None:
    """An editor's old buffer does not have them; other rows that go in the same save are deletions as ever."""
    desk = Desk(10)
    desk.drop("A1", "A2", "A3")
    guarded = desk.look(short_lived={"A1": 4.2, "A2": 7.9})
    reason = "2 rows of TASKS.md went 4 s after syncd wrote them: an old editor buffer?"
    assert [(hold.id, hold.guard, hold.reason) for hold in guarded.holds] == [
        ("A1", "deletions", reason),
        ("A2", "deletions", reason),
    ]
    assert [change.id for change in guarded.plan.to_store] == ["A3"]
    assert not guarded.plan.to_file
    assert not guarded.plan.conflicts
    accepted = desk.look(decide(guarded, "accept"), short_lived={"A1": 4.2, "A2": 7.9})
    assert [change.id for change in accepted.plan.to_store] == ["A1", "A2", "A3"]
