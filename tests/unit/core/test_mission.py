"""Missions against their cards: whose card is whose, what contradicts itself, what is next, who lives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncd.core.mission import (
    MissionCard,
    Outlook,
    by_milestone,
    cards_of,
    chosen,
    contradiction,
    next_of,
    tallies,
    word_for,
)
from syncd.core.session import STALE_AFTER_S, Liveness, Proof, Session, liveness
from syncd.errors import BadValue, NotFound
from syncd.schemas.card import Card, Status
from syncd.schemas.mission import Milestone, Mission

M1 = Milestone(id="M1", name="Foundations", status="done")
M2 = Milestone(id="M2", name="Front", status="pending")
MISSION = Mission(id="m", milestones=(M1, M2))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def card(id: str, phase: str | None = None, status: Status = Status.READY, **more: object) -> Card:
    return Card(id=id, title=id, phase=phase, status=status, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phase", "counts"),
    [
        ("M1", (1, 0)),
        ("m1: Foundations", (1, 0)),
        ("Foundations", (1, 0)),
        ("front - page", (0, 1)),
        ("M10", (0, 0)),
        ("Frontier", (0, 0)),
        (None, (0, 0)),
    ],
)
def test_a_card_belongs_to_the_milestone_that_its_phase_names(phase: str | None, counts: tuple[int, int]) -> None:
    """By id or name, whole or at the beginning, in any case; a longer word is another one."""
    found = tallies(MISSION, [MissionCard("A", None, {"phase": phase, "status": "ready"})])
    assert tuple(each.total for each in found) == counts
    one = MissionCard("A", None, {"phase": phase, "status": "ready"})
    assert by_milestone(MISSION, [one]) == {each.milestone.id: [one] for each in found if each.total}


def test_missions_share_a_workspace() -> None:
    """A mission has the cards of its task file; one without has those of no other one's."""
    cards = [MissionCard(id, path, {}) for id, path in (("A", "a.md"), ("B", "b.md"), ("C", None))]
    a, rest = Mission(id="a", tasks_file="a.md"), Mission(id="rest")
    assert [each.id for each in cards_of(a, cards, [a, rest])] == ["A"]
    assert [each.id for each in cards_of(rest, cards, [a, rest])] == ["B", "C"]
    assert [each.id for each in cards_of(rest, cards, [rest])] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("milestone", "done", "said"),
    [
        (M1, 1, "says done, but 1 of 2 cards are open"),
        (M2, 2, "says pending, but all 2 cards are done"),
        (M1, 2, None),
        (M2, 1, None),
    ],
)
def test_a_contradiction_is_told_either_way(milestone: Milestone, done: int, said: str | None) -> None:
    """Done with cards open, or open with all of them done."""
    assert contradiction(milestone, {"total": 2, "done": done}) == said
    assert contradiction(milestone, {"total": 0, "done": 0}) is None


def outlook(cards: list[Card], *claimable: str) -> tuple[Outlook, str | None]:
    found = next_of(MISSION, cards, cards, claimable=frozenset(claimable))
    return found.outlook, found.card.id if found.card else None


def test_milestones_go_in_their_order() -> None:
    """The first card of the first milestone, whatever the queue's order; cards of none come last."""
    cards = [card("X", None), card("B", "M2", priority=9), card("A2", "M1"), card("A1", "M1")]
    assert outlook(cards, "X", "B", "A2", "A1") == (Outlook.CARD, "A2")
    assert outlook(cards, "X", "B") == (Outlook.CARD, "B")
    assert outlook(cards, "X") == (Outlook.CARD, "X")


def test_done_waiting_and_deadlock_are_told_apart() -> None:
    """All done; others at work or a pause; nothing that could ever go on by itself."""
    done = card("A", "M1", Status.DONE)
    assert outlook([done]) == (Outlook.DONE, None)
    assert outlook([]) == (Outlook.DONE, None)
    held = card("B", "M1", Status.CLAIMED, claim_owner="w")
    assert outlook([held, card("C", depends_on=("B",), unmet=1)]) == (Outlook.WAITING, None)
    assert outlook([card("B", last_error="no")]) == (Outlook.WAITING, None)
    assert outlook([card("B", None, Status.BLOCKED)]) == (Outlook.DEADLOCK, None)


def test_a_deadlock_names_its_reasons() -> None:
    """A circle, an unknown card, a blocked one: each card says what it waits for."""
    cards = [
        card("A", depends_on=("B",), unmet=1),
        card("B", depends_on=("A",), unmet=1),
        card("C", depends_on=("Z",), unmet=1),
        card("D", None, Status.BLOCKED, last_error="no key"),
    ]
    found = next_of(MISSION, cards, cards, claimable=frozenset())
    assert found.outlook is Outlook.DEADLOCK
    reasons = dict(found.reasons)
    assert "circle" in reasons["A"]
    assert reasons["C"] == "waits for Z (which does not exist)"
    assert reasons["D"] == "blocked: no key"


def test_a_card_of_another_mission_may_move_this_one() -> None:
    """What it waits for is claimable elsewhere: no deadlock."""
    own, other = card("A", depends_on=("Z",), unmet=1), card("Z")
    assert next_of(MISSION, [own], [own, other], claimable=frozenset({"Z"})).outlook is Outlook.WAITING


def test_words_follow_the_habit() -> None:
    """The word that most milestones have for a state is written again."""
    habit = Mission(id="m", milestones=(Milestone(id="a", status="shipped"), Milestone(id="b", status="shipped"), M1))
    assert word_for(habit, Status.DONE, "completed") == "shipped"
    assert word_for(Mission(id="m"), Status.DONE, "completed") == "completed"


def test_the_mission_that_is_meant() -> None:
    """The one named; else this working copy's only one; else the only one at all."""
    a, b = Mission(id="a"), Mission(id="b")
    assert chosen("b", [a, b], []) is b
    assert chosen(None, [a, b], ["b"]) is b
    assert chosen(None, [a], []) is a
    for given, all_missions, wrong in ((None, [a, b], BadValue), (None, [], NotFound), ("c", [a], NotFound)):
        with pytest.raises(wrong):
            chosen(given, all_missions, [])


@pytest.mark.parametrize(
    ("silent_s", "is_alive", "has_lock", "expected"),
    [
        (1, None, False, Liveness.RUNNING),
        (STALE_AFTER_S + 1, None, False, Liveness.STALE),
        (1, False, False, Liveness.DEAD),
        (STALE_AFTER_S + 1, True, False, Liveness.STALE),
        (STALE_AFTER_S + 1, True, True, Liveness.RUNNING),
    ],
)
def test_who_lives(silent_s: float, is_alive: bool | None, has_lock: bool, expected: Liveness) -> None:
    """A held lock is proof, a gone process too; a mute process may hang, and of others only silence is known."""
    seen_at = NOW - timedelta(seconds=silent_s)
    session = Session("m", "s", None, None, None, NOW, None, None, seen_at, Proof(has_lock=has_lock), NOW)
    assert liveness(session, is_alive) is expected
