"""The queue of every store: failure and retries, delays, pause, what a card waits for, bulk, the trail, pruning."""

from __future__ import annotations

import math
from typing import Any

import pytest

from syncd.core.events import EventType, event_of
from syncd.core.retry import RETRIES
from syncd.core.standing import Reason, obstacles
from syncd.errors import AlreadyExists, BadValue, CycleRefused, NotFound, NotOwner, Paused, Refused
from syncd.ports import CardFilter, NewCard, Store
from syncd.schemas.card import Card, Status
from tests.contract.conftest import World
from tests.contract.test_store import make
from tests.support.feeds import settled_trail

TOLERANCE_S = 5.0
"""More than a test takes between two statements, less than what it tells apart."""


def leased(store: Store, id: str, owner: str = "w") -> Card:
    """Claim a card that is claimable."""
    (card,) = store.claim(owner, 60, id=id)
    return card


def pause_s(store: Store, card: Card) -> float:
    """Return how long a card still pauses."""
    standing = store.standing(card.id)
    assert standing.card.run_after is not None
    return (standing.card.run_after - standing.now).total_seconds()


# --- failure ---------------------------------------------------------------------------------------


def test_a_failed_card_is_ready_after_a_growing_pause(world: World) -> None:
    """Each failure ends the lease, keeps the error, and doubles the pause, with some chance in it."""
    store = world.store
    make(store, "A", max_retries=10)
    for failures in range(8):
        leased(store, "A")
        card = store.fail("A", f"error {failures}")
        assert (card.status, card.claim_owner, card.last_error) == (Status.READY, None, f"error {failures}")
        least_s = min(RETRIES.base_s * 2**failures, RETRIES.max_s)
        left_s = pause_s(store, card)
        assert least_s - TOLERANCE_S <= left_s <= least_s * (1 + RETRIES.jitter)
        assert list(store.claim("w", 60)) == []
        world.advance(left_s + 0.001)


def test_a_card_whose_retries_are_spent_is_blocked(world: World) -> None:
    """After three retries, or as many as the card has, a failure blocks the card with its error."""
    store = world.store
    make(store, "A")
    make(store, "never", max_retries=0)
    for _ in range(RETRIES.retries):
        leased(store, "A")
        assert store.fail("A", "broken").status is Status.READY
        world.advance(100)
    for id in ("A", "never"):
        leased(store, id)
        card = store.fail(id, "for good")
        assert (card.status, card.last_error, card.run_after) == (Status.BLOCKED, "for good", None)
    assert store.stats().queue["failed"] == 2


def test_only_the_holder_of_the_lease_fails_a_card(world: World) -> None:
    """Another owner, an older attempt, and a card that nobody holds are refused; the card stays as it is."""
    store = world.store
    make(store, "A")
    with pytest.raises(NotOwner):
        store.fail("A", "early")
    leased(store, "A")
    store.reclaim("A")
    held = leased(store, "A")
    for wrong in ({"owner": "somebody else"}, {"attempt": 1}):
        with pytest.raises(NotOwner):
            store.fail("A", "late", **wrong)  # type: ignore[arg-type]
    assert store.get("A") == held
    assert store.fail("A", "mine", owner="w", attempt=2).status is Status.READY
    with pytest.raises(NotFound):
        store.fail("nobody", "x")
    with pytest.raises(BadValue):
        store.fail("A", "a\0b")


def test_retry_makes_a_card_ready_at_once(world: World) -> None:
    """A blocked card and one that pauses are ready again, with all retries; a claimed or done one is refused."""
    store = world.store
    make(store, "A", max_retries=1)
    leased(store, "A")
    store.fail("A", "first")
    card = store.retry("A")
    assert (card.run_after, card.last_error) == (None, None)
    for _ in range(2):
        leased(store, "A")
        store.fail("A", "again")
        world.advance(100)
    assert store.get("A").status is Status.BLOCKED
    assert store.retry("A").status is Status.READY
    assert store.retry("A").version == store.get("A").version
    leased(store, "A")
    assert store.fail("A", "and again").status is Status.READY
    world.advance(100)
    leased(store, "A")
    with pytest.raises(Refused):
        store.retry("A")
    store.complete("A")
    with pytest.raises(Refused):
        store.retry("A")
    with pytest.raises(NotFound):
        store.retry("nobody")


# --- delay, pause, why -----------------------------------------------------------------------------


def test_a_delayed_card_waits_for_its_time(world: World) -> None:
    """A card made with a delay counts as delayed and is handed out when the delay is over."""
    store = world.store
    store.create(NewCard(id="A", title="later", delay_s=600))
    assert list(store.claim("w", 60)) == []
    assert store.stats().queue["delayed"] == 1
    due_s = store.next_due_s()
    assert due_s is not None
    assert 600 - TOLERANCE_S < due_s <= 600
    world.advance(601)
    assert [card.id for card in store.claim("w", 60)] == ["A"]


@pytest.mark.parametrize("delay_s", [-1, math.inf, math.nan, 10**12])
def test_a_delay_that_is_no_time_is_refused(world: World, delay_s: float) -> None:
    """A negative or endless delay is a bad value."""
    with pytest.raises(BadValue):
        world.store.create(NewCard(id="A", title="x", delay_s=delay_s))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"priority": True},
        {"acceptance": [math.nan]},
        {"extra": {"share": math.inf}},
    ],
)
def test_a_value_that_only_one_store_could_hold_is_refused_by_all(world: World, wrong: dict[str, Any]) -> None:
    """What is no count, no whole number or no JSON is a bad value, and the store stays readable."""
    with pytest.raises(BadValue):
        world.store.create(NewCard(id="A", title="x", **wrong))
    assert list(world.store.list(CardFilter())) == []


def test_a_lease_cannot_be_renewed_for_no_time(world: World) -> None:
    """A time to live of zero or less would end a lease that it is to extend."""
    make(world.store, "A")
    leased(world.store, "A")
    for ttl_s in (0, -5):
        with pytest.raises(BadValue):
            world.store.renew("A", "w", ttl_s)


def test_the_next_lease_that_ends_is_what_a_claimer_waits_for(world: World) -> None:
    """With nothing delayed, the next card comes when a lease ends; with nothing leased, never."""
    store = world.store
    assert store.next_due_s() is None
    make(store, "A")
    store.claim("w", 300)
    due_s = store.next_due_s()
    assert due_s is not None
    assert 300 - TOLERANCE_S < due_s <= 300
    world.advance(301)
    assert store.next_due_s() is None


def test_pause_and_resume(world: World) -> None:
    """While paused nothing is handed out, leases go on; after resume claims work again; both may be repeated."""
    store = world.store
    make(store, "A")
    make(store, "B")
    held = leased(store, "A")
    for _ in range(2):
        store.set_paused(True)
    with pytest.raises(Paused):
        store.claim("w", 60)
    assert store.renew("A", "w").attempts == held.attempts
    assert store.stats().paused
    assert store.is_paused()
    elsewhere = world.open(project="elsewhere")
    assert (elsewhere.stats().paused, elsewhere.is_paused()) == (False, False)
    for _ in range(2):
        store.set_paused(False)
    assert [card.id for card in store.claim("w", 60)] == ["B"]


def test_resume_wakes_those_who_listen(world: World) -> None:
    """Whoever waits for a card is woken when the queue goes on."""
    from threading import Event

    store = world.store
    store.set_paused(True)
    woken = Event()
    listener = store.listen(woken.set)
    assert woken.wait(60)
    while listener.mode == "poll":
        assert woken.wait(60)
    woken.clear()
    store.set_paused(False)
    assert woken.wait(60)
    listener.close()


def test_why_a_card_cannot_be_claimed(world: World) -> None:
    """Each thing between a card and a claim is named, and without any the card can be claimed."""
    store = world.store

    def reasons(id: str) -> list[tuple[Reason, str | None]]:
        return [(each.reason, each.id or each.owner) for each in obstacles(store.standing(id))]

    make(store, "A")
    make(store, "gone")
    make(store, "B", "A", "gone", "unknown")
    store.remove("gone", force=True)
    assert reasons("A") == []
    assert reasons("B") == [(Reason.UNMET, "A"), (Reason.UNKNOWN, "gone"), (Reason.UNKNOWN, "unknown")]
    leased(store, "A")
    assert reasons("A") == [(Reason.LEASED, "w")]
    world.advance(61)
    assert reasons("A") == []
    store.complete("A")
    assert reasons("A") == [(Reason.DONE, None)]
    store.update("B", {"dependsOn": ("A",)})
    assert reasons("B") == []
    store.set_paused(True)
    assert reasons("B") == [(Reason.PAUSED, None)]
    store.set_paused(False)
    store.block("B", "no key")
    assert reasons("B") == [(Reason.BLOCKED, None)]
    store.create(NewCard(id="C", title="c", delay_s=60))
    assert reasons("C") == [(Reason.DELAYED, None)]
    with pytest.raises(NotFound):
        store.standing("gone")


# --- many at once ----------------------------------------------------------------------------------


def test_many_cards_are_made_at_once(world: World) -> None:
    """Cards of one call depend on one another in any order, and are handed out in the order given."""
    made = world.store.create_many(
        [
            NewCard(id="T9", title="nine", depends_on=("T2",), extra={"branch": "x"}),
            NewCard(id="T2", title="two"),
            NewCard(id="T1", title="one", delay_s=60),
            NewCard(id="T5", title="five"),
        ]
    )
    assert [(card.id, card.unmet) for card in made] == [("T9", 1), ("T2", 0), ("T1", 0), ("T5", 0)]
    assert [world.store.get(card.id) for card in made] == list(made)
    assert [card.id for card in world.store.claim("w", 60, count=9)] == ["T2", "T5"]
    assert list(world.store.create_many([])) == []


def test_of_many_cards_all_or_none_are_made(world: World) -> None:
    """A taken id, an id given twice, a cycle or a bad value among them: nothing is made."""
    store = world.store
    make(store, "A")
    fine = NewCard(id="fine", title="fine")
    for wrong, error in (
        ([NewCard(id="A", title="taken")], AlreadyExists),
        ([NewCard(id="B", title="b"), NewCard(id="B", title="again")], AlreadyExists),
        ([NewCard(id="B", title="b", depends_on=("C",)), NewCard(id="C", title="c", depends_on=("B",))], CycleRefused),
        ([NewCard(id="B", title="b\0")], BadValue),
    ):
        with pytest.raises(error):
            store.create_many([fine, *wrong])
    assert [card.id for card in store.list(CardFilter())] == ["A"]


def test_known_keys_among_many_give_their_first_cards(world: World) -> None:
    """Where an idempotency key is known, or comes twice, the card that it made is the answer."""
    store = world.store
    first = make(store, "A", idempotency_key="k1")
    made = store.create_many(
        [
            NewCard(id="B", title="b", idempotency_key="k1"),
            NewCard(id="C", title="c", idempotency_key="k2"),
            NewCard(id="D", title="d", idempotency_key="k2"),
        ]
    )
    assert [card.id for card in made] == ["A", "C", "C"]
    assert made[0] == first
    assert len(store.list(CardFilter())) == 2


# --- events ----------------------------------------------------------------------------------------


def test_the_life_of_a_card_in_events(world: World) -> None:
    """Every turn in a card's life is an event of its own type, from a state to a state."""
    store = world.store
    make(store, "A", max_retries=1)
    leased(store, "A")
    store.release("A", "w")
    leased(store, "A")
    store.fail("A", "first")
    world.advance(100)
    leased(store, "A")
    store.fail("A", "second")
    store.retry("A")
    store.block("A", "wait")
    store.unblock("A")
    store.update("A", {"title": "New"})
    leased(store, "A")
    world.advance(100)
    store.reclaim()
    leased(store, "A")
    store.complete("A")
    store.remove("A")
    known = {"claimed", "ready", "blocked", "done", None}
    events = [event_of(entry) for entry in settled_trail(store, limit=100).entries]
    types = [event.type for event in events if event.type is not EventType.UPDATED or "title" in event.data]
    assert types == [
        EventType.QUEUED,
        EventType.PROCESSING,
        EventType.RELEASED,
        EventType.PROCESSING,
        EventType.RETRY,
        EventType.PROCESSING,
        EventType.FAILED,
        EventType.QUEUED,
        EventType.BLOCKED,
        EventType.QUEUED,
        EventType.UPDATED,
        EventType.PROCESSING,
        EventType.RECLAIMED,
        EventType.PROCESSING,
        EventType.COMPLETED,
        EventType.REMOVED,
    ]
    assert {event.from_state for event in events} | {event.to_state for event in events} <= known
    failed = next(event for event in events if event.type is EventType.FAILED)
    assert (failed.from_state, failed.to_state, failed.data["lastError"]) == ("claimed", "blocked", "second")


def test_the_trail_is_read_page_by_page(world: World) -> None:
    """Pages that begin behind the last entry of the one before join to the whole trail, each entry once."""
    store = world.store
    for place in range(7):
        make(store, f"T{place}")
    world.open(project="elsewhere").create(NewCard(id="X", title="not ours"))
    seen: list[int] = []
    has_more = True
    while has_more:
        page = settled_trail(store, seen[-1] if seen else None, limit=3)
        seen += [entry.seq for entry in page.entries]
        has_more = page.has_more
    assert len(seen) == len(set(seen)) == 7
    assert store.trail(seen[-1], limit=3).entries == ()


# --- pruning ---------------------------------------------------------------------------------------


def test_pruning_forgets_what_is_old_and_keeps_deletions(world: World) -> None:
    """Old entries go, the last deletion of an id stays, and its version goes on when it comes back."""
    store = world.store
    make(store, "A")
    make(store, "B")
    version = store.update("A", {"title": "New"}).version
    world.delete_outright("A")
    world.age_history(100)
    make(store, "C")
    counted = store.prune(50, dry_run=True)
    assert counted.history == 3
    assert len(store.history().entries) == 5
    assert store.prune(50) == counted
    assert [(entry.id, entry.op.value) for entry in store.history().entries] == [("A", "delete"), ("C", "create")]
    assert make(store, "A").version > version
    assert store.prune(50).history == 0
