"""What every store does, whatever it keeps its cards in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from syncd.core.plan import Change, ChangeKind, Conflict, Winner
from syncd.errors import (
    AlreadyExists,
    BadValue,
    CycleRefused,
    NotFound,
    NotOwner,
    Paused,
    Refused,
    StaleVersion,
)
from syncd.ports import Batch, CardFilter, NewCard, Store
from syncd.schemas.card import Card, Fields, Status, card_fields
from tests.contract.conftest import World
from tests.support.feeds import caught_up


def make(store: Store, id: str, *needed: str, **fields: object) -> Card:
    """Create a card that depends on others."""
    return store.create(NewCard(id=id, title=f"Title of {id}", depends_on=needed, **fields))  # type: ignore[arg-type]


def batch(*changes: Change, commit_id: str = "c1", conflicts: tuple[Conflict, ...] = ()) -> Batch:
    """Return a batch."""
    return Batch(commit_id, changes, conflicts)


def change(kind: ChangeKind, id: str, version: int | None = None, path: str | None = None, **fields: object) -> Change:
    """Return a change; ``extra_branch`` stands for ``extra.branch``."""
    named: Fields = {name.replace("extra_", "extra."): value for name, value in fields.items()}  # type: ignore[misc]
    return Change(kind, id, named, version=version, path=path)


# --- create, get, list -----------------------------------------------------------------------------


def test_a_created_card_is_read_as_it_was_given(world: World) -> None:
    """A created card comes back with every field that it was given."""
    new = NewCard(
        id="A1",
        title="Schema",
        body="Two\nlines",
        phase="M1",
        priority=5,
        depends_on=("Z",),
        acceptance=["fast", "small"],
        idempotency_key="k1",
        max_retries=2,
        extra={"branch": "feat/x", "labels": ["ui"]},
        path="TASKS.md",
    )
    card = world.store.create(new)
    assert card == world.store.get("A1")
    for name in set(NewCard.__struct_fields__) - {"delay_s"}:
        assert getattr(card, name) == getattr(new, name), name
    assert (card.status, card.version, card.unmet, card.attempts) == (Status.READY, 1, 1, 0)


def test_a_repeated_idempotency_key_gives_the_first_card(world: World) -> None:
    """Creating with a key that is known returns the card that it made, and makes none."""
    first = make(world.store, "A", idempotency_key="once")
    assert make(world.store, "B", idempotency_key="once") == first
    assert [card.id for card in world.store.list(CardFilter())] == ["A"]


def test_a_taken_id_is_refused(world: World) -> None:
    """Creating a card under a live card's id is refused."""
    make(world.store, "A")
    with pytest.raises(AlreadyExists):
        make(world.store, "A")


def test_a_removed_id_can_be_created_again_and_its_version_goes_on(world: World) -> None:
    """A card made anew under a tombstone's id has a higher version than the tombstone."""
    make(world.store, "A")
    tombstone = world.store.remove("A")
    again = make(world.store, "A")
    assert again.version > tombstone.version
    assert again.deleted_at is None


@pytest.mark.parametrize("id", ["", "x" * 600, "a\0b", "a\ud800"])
def test_an_id_that_cannot_be_stored_is_a_bad_value(world: World, id: str) -> None:
    """An empty, overlong or undecodable id is refused as a bad value."""
    with pytest.raises(BadValue):
        make(world.store, id)


def test_projects_do_not_see_one_another(world: World) -> None:
    """The same id in two projects is two cards."""
    make(world.store, "A")
    other = world.open(project="elsewhere")
    assert list(other.list(CardFilter())) == []
    make(other, "A", priority=7)
    assert world.store.get("A").priority == 0
    assert other.read(None).cards["A"].priority == 7


def test_a_missing_card_is_not_found(world: World) -> None:
    """Every verb on an id that does not exist raises NotFound."""
    store = world.store
    for verb in (store.get, store.complete, store.block, store.unblock, store.reclaim, store.remove):
        with pytest.raises(NotFound):
            verb("nobody")
    with pytest.raises(NotFound):
        store.update("nobody", {"title": "x"})
    with pytest.raises(NotFound):
        store.renew("nobody", "w")


def test_list_is_highest_priority_first_then_oldest(world: World) -> None:
    """List gives the order in which cards are handed out, done ones too."""
    make(world.store, "late")
    make(world.store, "B", priority=1)
    make(world.store, "A", priority=9)
    make(world.store, "later")
    world.store.complete("B")
    assert [card.id for card in world.store.list(CardFilter())] == ["A", "B", "late", "later"]


def test_missions_see_the_live_cards_only(world: World) -> None:
    """What missions look at is there of each card that is neither removed nor archived."""
    for id in ("A", "B", "C"):
        make(world.store, id, phase="M1: Foundations")
    world.store.complete("A")
    world.store.remove("C")
    found = sorted(world.store.mission_cards(), key=lambda card: card.id)
    assert [(card.id, card.path, dict(card.fields)) for card in found] == [
        ("A", None, {"phase": "M1: Foundations", "status": "done"}),
        ("B", None, {"phase": "M1: Foundations", "status": "ready"}),
    ]


def test_list_pages_by_the_last_id(world: World) -> None:
    """Pages made with limit and cursor join to the whole list."""
    for place in range(7):
        make(world.store, f"T{place}", priority=place % 2)
    whole = [card.id for card in world.store.list(CardFilter())]
    paged: list[str] = []
    while page := world.store.list(CardFilter(limit=3, cursor=paged[-1] if paged else None)):
        paged += [card.id for card in page]
    assert paged == whole
    with pytest.raises(NotFound):
        world.store.list(CardFilter(cursor="nobody"))


def test_list_filters(world: World) -> None:
    """Status, phase, owner and ready-only each narrow the list."""
    make(world.store, "A", phase="M1")
    make(world.store, "B", "A", phase="M2")
    make(world.store, "C", phase="M2", priority=3)
    world.store.claim("w", 60, id="C")

    def ids(chosen: CardFilter) -> list[str]:
        return [card.id for card in world.store.list(chosen)]

    assert ids(CardFilter(status=Status.CLAIMED)) == ["C"]
    assert ids(CardFilter(phase="M2")) == ["C", "B"]
    assert ids(CardFilter(owner="w")) == ["C"]
    assert ids(CardFilter(ready_only=True)) == ["A"]


# --- update ----------------------------------------------------------------------------------------


def test_update_sets_and_clears_fields(world: World) -> None:
    """Update writes named fields, ``None`` empties one, and an extra key set to ``None`` goes."""
    make(world.store, "A", body="text", extra={"branch": "x", "kept": {"deep": [1]}})
    card = world.store.update(
        "A", {"title": "New", "body": None, "priority": 3, "extra.branch": None, "extra.labels": ("a", "b")}
    )
    assert (card.title, card.body, card.priority) == ("New", None, 3)
    assert card.extra == {"kept": {"deep": [1]}, "labels": ["a", "b"]}
    assert card.version == 2


def test_an_update_that_changes_nothing_moves_no_version(world: World) -> None:
    """Writing the values that a card has leaves version and time of change as they are."""
    before = make(world.store, "A", body="text", priority=2, extra={"n": 1, "o": {"k": "v"}}, acceptance={"a": [1]})
    fields = card_fields(before)
    del fields["claimOwner"]
    assert world.store.update("A", fields) == before


def test_update_at_a_stale_version_is_refused(world: World) -> None:
    """``if_version`` lets a write through only at that version."""
    make(world.store, "A")
    world.store.update("A", {"title": "1"}, if_version=1)
    with pytest.raises(StaleVersion):
        world.store.update("A", {"title": "2"}, if_version=1)
    assert world.store.get("A").title == "1"


@pytest.mark.parametrize(
    "fields",
    [{"priority": 2**31}, {"priority": "high"}, {"status": "later"}, {"body": "a\0b"}, {"nonsense": "x"}],
)
def test_a_value_that_a_field_cannot_hold_is_refused(world: World, fields: Fields) -> None:
    """A bad value is refused and the card stays as it was."""
    before = make(world.store, "A")
    with pytest.raises(BadValue):
        world.store.update("A", fields)
    assert world.store.get("A") == before


# --- dependencies ----------------------------------------------------------------------------------


def test_unmet_counts_dependencies_that_are_not_done(world: World) -> None:
    """A card waits for each dependency until it is done, an unknown one included."""
    store = world.store
    make(store, "A")
    make(store, "C", "A", "B", "unknown")
    make(store, "B")
    assert store.get("C").unmet == 3
    store.complete("A")
    assert store.get("C").unmet == 2
    store.complete("B")
    make(store, "unknown")
    store.complete("unknown")
    assert store.get("C").unmet == 0


def test_reopening_deleting_and_unlinking_count_too(world: World) -> None:
    """A dependency that is reopened or removed is unmet again, one that is unlinked counts no more."""
    store = world.store
    make(store, "A")
    make(store, "B")
    make(store, "C", "A", "B")
    store.complete("A")
    store.complete("B")
    store.update("A", {"status": "ready"})
    assert store.get("C").unmet == 1
    store.remove("B", force=True)
    assert store.get("C").unmet == 2
    assert store.unlink("C", "B").unmet == 1
    assert store.unlink("C", "never").unmet == 1
    assert store.link("C", "A").depends_on == ("A",)


def test_unmet_moves_no_version(world: World) -> None:
    """A dependent's row is not changed by its dependency being done: only its count is."""
    store = world.store
    make(store, "A")
    before = make(store, "B", "A")
    store.complete("A")
    after = store.get("B")
    assert (after.version, after.updated_at, after.unmet) == (before.version, before.updated_at, 0)


def test_cycles_are_refused(world: World) -> None:
    """Neither link, create nor update closes a cycle; the refusal prints it."""
    store = world.store
    make(store, "A", "D")
    make(store, "B", "A")
    make(store, "C", "B")
    with pytest.raises(CycleRefused, match="A → C → B → A"):
        store.link("A", "C")
    with pytest.raises(CycleRefused):
        store.update("A", {"dependsOn": ("C",)})
    with pytest.raises(CycleRefused):
        make(store, "D", "C")
    with pytest.raises(CycleRefused):
        store.link("A", "A")
    assert store.get("A").depends_on == ("D",)


def test_a_link_to_an_unknown_card_is_not_found(world: World) -> None:
    """Link takes known cards only."""
    make(world.store, "A")
    with pytest.raises(NotFound):
        world.store.link("A", "nobody")


def test_a_card_that_others_need_is_removed_only_by_force(world: World) -> None:
    """Removing a dependency of a live card is refused unless forced."""
    make(world.store, "A")
    make(world.store, "B", "A")
    with pytest.raises(Refused, match="B"):
        world.store.remove("A")
    assert world.store.remove("A", force=True).deleted_at is not None
    with pytest.raises(NotFound):
        world.store.get("A")


# --- leases ----------------------------------------------------------------------------------------


def test_claim_gives_the_best_claimable_card(world: World) -> None:
    """Highest priority first, then oldest, and nothing that waits for others."""
    store = world.store
    make(store, "old")
    make(store, "waits", "old", priority=9)
    make(store, "urgent", priority=5)
    (first,) = store.claim("w1", 60)
    (second,) = store.claim("w2", None)
    assert (first.id, first.claim_owner, first.claim_ttl_seconds, first.attempts) == ("urgent", "w1", 60, 1)
    assert (second.id, second.status, second.claim_ttl_seconds) == ("old", Status.CLAIMED, None)
    assert list(store.claim("w3", 60)) == []
    store.complete("old", owner="w2", attempt=1)
    assert [card.id for card in store.claim("w3", 60)] == ["waits"]


def test_claim_takes_several_at_once(world: World) -> None:
    """``count`` leases the best ones together, as many as there are."""
    for place in range(3):
        make(world.store, f"T{place}", priority=place)
    assert [card.id for card in world.store.claim("w", 60, count=2)] == ["T2", "T1"]
    assert [card.id for card in world.store.claim("w", 60, count=5)] == ["T0"]


def test_claim_by_id_gives_that_card_or_none(world: World) -> None:
    """An id that is not claimable gives nothing; an expired lease does not stand in the way."""
    store = world.store
    make(store, "A")
    make(store, "B", "A")
    assert [card.id for card in store.claim("w", 60, id="A")] == ["A"]
    assert list(store.claim("v", 60, id="A")) == []
    assert list(store.claim("v", 60, id="B")) == []
    assert list(store.claim("v", 60, id="nobody")) == []
    world.advance(61)
    (card,) = store.claim("v", 60, id="A")
    assert (card.claim_owner, card.attempts) == ("v", 2)


def test_an_expired_lease_is_claimable_without_a_daemon(world: World) -> None:
    """When nothing else is ready, a card whose lease has expired goes to the next claimer."""
    make(world.store, "A")
    world.store.claim("w", 60)
    assert list(world.store.claim("v", 60)) == []
    world.advance(61)
    (card,) = world.store.claim("v", 60)
    assert (card.claim_owner, card.attempts) == ("v", 2)


def test_a_lease_without_ttl_never_expires(world: World) -> None:
    """A null TTL means that the lease ends only by hand."""
    make(world.store, "A")
    world.store.claim("w", None)
    world.advance(10_000_000)
    assert list(world.store.reclaim()) == []
    assert list(world.store.claim("v", 60)) == []
    assert list(world.store.reclaim("A")) == ["A"]
    assert world.store.get("A").status is Status.READY


def test_renew_extends_a_live_lease_only(world: World) -> None:
    """A heartbeat moves the lease's start; an expired lease cannot be renewed."""
    make(world.store, "A")
    (card,) = world.store.claim("w", 60)
    world.advance(50)
    assert world.store.renew("A", "w", attempt=1).claim_ttl_seconds == 60
    world.advance(50)
    assert list(world.store.reclaim()) == []
    assert world.store.renew("A", "w", 5).claim_ttl_seconds == 5
    world.advance(6)
    with pytest.raises(NotOwner):
        world.store.renew("A", "w")
    assert list(world.store.reclaim()) == ["A"]
    assert card.claimed_at is not None


def test_an_older_attempt_is_fenced_off(world: World) -> None:
    """Whoever lost the lease can neither renew, release nor complete, even under the same name."""
    store = world.store
    make(store, "A")
    store.claim("w", 60)
    store.reclaim("A")
    store.claim("w", 60)
    for verb in (
        store.renew,
        store.release,
        lambda id, owner, attempt: store.complete(id, owner=owner, attempt=attempt),
    ):
        with pytest.raises(NotOwner):
            verb("A", "w", attempt=1)  # type: ignore[operator]
    with pytest.raises(NotOwner):
        store.complete("A", owner="somebody else")
    assert store.complete("A", owner="w", attempt=2).status is Status.DONE


def test_complete_is_idempotent_and_ends_the_lease(world: World) -> None:
    """A done card has no lease, and completing it again changes nothing."""
    make(world.store, "A")
    world.store.claim("w", 60)
    done = world.store.complete("A")
    assert (done.status, done.claim_owner, done.claimed_at) == (Status.DONE, None, None)
    assert world.store.complete("A") == done
    assert world.store.complete("A", owner="anybody") == done


def test_a_late_attempt_is_told_so_although_the_card_is_done(world: World) -> None:
    """Who lost a card to a later attempt does not hear that they completed it; the later one may repeat itself."""
    make(world.store, "A")
    lost = world.store.claim("w", 1)[0]
    world.advance(2)
    world.store.claim("v", 60)
    done = world.store.complete("A", owner="v", attempt=2)
    with pytest.raises(NotOwner):
        world.store.complete("A", owner="w", attempt=lost.attempts)
    assert world.store.complete("A", owner="v", attempt=2) == done


def test_whose_attempt_had_the_same_number_is_told_so_too(world: World) -> None:
    """Two who worked apart may have leases of one number: who did not finish the card does not hear that they did."""
    make(world.store, "A")
    world.store.claim("v", 60)
    done = world.store.complete("A", owner="v", attempt=1)
    with pytest.raises(NotOwner):
        world.store.complete("A", owner="w", attempt=1)
    assert world.store.complete("A", owner="v", attempt=1) == world.store.complete("A", attempt=1) == done


def test_release_gives_the_card_back(world: World) -> None:
    """A released card is ready, without an owner, and keeps its attempts."""
    make(world.store, "A")
    world.store.claim("w", 60)
    with pytest.raises(NotOwner):
        world.store.release("A", "v")
    card = world.store.release("A", "w")
    assert (card.status, card.claim_owner, card.attempts) == (Status.READY, None, 1)
    with pytest.raises(NotOwner):
        world.store.release("A", "w")


def test_block_and_unblock(world: World) -> None:
    """A blocked card keeps its reason, is not handed out, and becomes ready again."""
    make(world.store, "A")
    world.store.claim("w", 60)
    card = world.store.block("A", "needs a key")
    assert (card.status, card.last_error, card.claim_owner) == (Status.BLOCKED, "needs a key", None)
    assert list(world.store.claim("v", 60)) == []
    assert world.store.unblock("A").status is Status.READY
    with pytest.raises(Refused):
        world.store.unblock("A")


def test_a_paused_project_hands_out_nothing(world: World) -> None:
    """While paused, a claim is refused, whatever is ready."""
    make(world.store, "A")
    world.store.set_paused(True)
    with pytest.raises(Paused):
        world.store.claim("w", 60)
    with pytest.raises(Paused):
        world.store.claim("w", 60, id="A")
    assert world.store.stats().paused


@pytest.mark.parametrize("ttl_s", [0, -1, 2**31])
def test_a_lease_needs_a_ttl_that_can_be_kept(world: World, ttl_s: int) -> None:
    """A TTL is at least a second and fits its column."""
    make(world.store, "A")
    with pytest.raises(BadValue):
        world.store.claim("w", ttl_s)


def test_racing_claimers_get_different_cards(world: World) -> None:
    """Four claimers on forty cards lease each card once.  Holds: I13."""
    for place in range(40):
        make(world.store, f"T{place}")

    def work(owner: str) -> list[str]:
        store, got = world.open(), []
        while cards := store.claim(owner, 60):
            got += [card.id for card in cards]
        return got

    with ThreadPoolExecutor(4) as pool:
        taken = [id for got in pool.map(work, ["w1", "w2", "w3", "w4"]) for id in got]
    assert sorted(taken) == sorted({f"T{place}" for place in range(40)})


def test_stats_count_live_cards(world: World) -> None:
    """Counts by state, the queue's words, the oldest ready card's age and expired leases."""
    store = world.store
    for id in ("A", "B", "C", "D", "E"):
        make(store, id)
    store.claim("w", 60, id="A")
    store.block("B", "broken")
    store.complete("C")
    store.remove("D")
    world.advance(100)
    stats = store.stats()
    assert stats.counts == {"ready": 1, "claimed": 1, "blocked": 1, "done": 1}
    assert (stats.total, stats.expired_claim_count, stats.paused) == (4, 1, False)
    assert stats.queue == {"pending": 1, "active": 1, "completed": 1, "failed": 1, "delayed": 0}
    assert stats.oldest_ready_age_s is not None
    assert stats.oldest_ready_age_s >= 100


# --- feed ------------------------------------------------------------------------------------------


def test_the_feed_tells_what_changed_since(world: World) -> None:
    """After a full read, each read has what changed since, deletions and counts' owners apart."""
    store = world.store
    make(store, "A")
    make(store, "B", "A")
    full = store.read(None)
    assert full.is_full
    assert full.cards.keys() == {"A", "B"}
    cursor = caught_up(store, full.cursor)
    store.complete("A")
    changed = store.read(cursor)
    assert changed.cards.keys() == {"A"}
    assert not changed.is_full
    caught_up(store, changed.cursor)


def test_the_feed_shows_tombstones_and_archived_cards(world: World) -> None:
    """A removed card stays in the feed with its time of deletion."""
    make(world.store, "A")
    cursor = world.store.read(None).cursor
    world.store.remove("A")
    assert world.store.read(cursor).cards["A"].deleted_at is not None
    assert world.store.read(None).cards["A"].deleted_at is not None


def test_case_54_a_row_deleted_outright_is_gone(world: World) -> None:
    """A hard delete by a foreign client is in the feed, once the row comes back it is not, at a higher version."""
    store = world.store
    before = make(store, "A")
    cursor = caught_up(store)
    world.delete_outright("A")
    feed = store.read(cursor)
    assert (feed.gone, dict(feed.cards)) == (frozenset({"A"}), {})
    again = make(store, "A")
    assert again.version > before.version
    feed = store.read(cursor)
    assert (feed.gone, feed.cards.keys()) == (frozenset(), {"A"})


def test_a_cursor_of_another_history_reads_everything(world: World) -> None:
    """A cursor of another epoch, or ahead of the snapshot, gives a full feed."""
    make(world.store, "A")
    cursor = world.store.read(None).cursor
    for strange in (type(cursor)("other", cursor.xmin), type(cursor)(cursor.epoch, cursor.xmin + 10**9)):
        feed = world.store.read(strange)
        assert feed.is_full
        assert feed.cards.keys() == {"A"}
        assert feed.cursor.epoch == cursor.epoch


# --- batches ---------------------------------------------------------------------------------------


def test_a_batch_creates_updates_and_removes(world: World) -> None:
    """Changes of every kind go in one transaction, and the result has the rows as stored."""
    store = world.store
    for id in ("U", "R", "D"):
        make(store, id)
    store.complete("D")
    result = store.commit(
        batch(
            change(ChangeKind.CREATE, "N", path="TASKS.md", title="New", priority=2, dependsOn=("D", "U"), extra_x="y"),
            change(ChangeKind.UPDATE, "U", 1, title="Changed", status="blocked"),
            change(ChangeKind.REMOVE, "R", 1),
            change(ChangeKind.ARCHIVE, "D", 2),
        )
    )
    assert (result.moved, result.refused) == (frozenset(), {})
    assert result.cards.keys() == {"N", "U", "R", "D"}
    for card in result.cards.values():
        assert store.read(None).cards[card.id] == card
    new = result.cards["N"]
    assert (new.title, new.priority, new.unmet, new.path, new.extra) == ("New", 2, 1, "TASKS.md", {"x": "y"})
    assert (result.cards["U"].title, result.cards["U"].status, result.cards["U"].version) == ("Changed", "blocked", 2)
    assert result.cards["R"].deleted_at is not None
    assert result.cards["D"].archived_at is not None
    assert [card.id for card in store.list(CardFilter())] == ["N", "U"]


def test_a_moved_row_is_left_alone_and_named(world: World) -> None:
    """A change planned on another version is not applied; the rest of the batch is."""
    store = world.store
    make(store, "A")
    make(store, "B")
    store.update("A", {"title": "by somebody"})
    result = store.commit(
        batch(
            change(ChangeKind.UPDATE, "A", 1, title="mine"),
            change(ChangeKind.UPDATE, "B", 1, title="mine"),
            change(ChangeKind.CREATE, "A", title="again"),
            change(ChangeKind.UPDATE, "nobody", 1, title="x"),
        )
    )
    assert result.moved == {"A", "nobody"}
    assert (result.cards["A"].title, result.cards["B"].title) == ("by somebody", "mine")
    assert store.left_out("c1") == {"A", "nobody"}


def test_case_50_a_batch_is_applied_once(world: World) -> None:
    """A batch that was committed already changes nothing when it is sent again."""
    store = world.store
    assert not store.has_commit("c1")
    once = store.commit(batch(change(ChangeKind.CREATE, "A", title="x")))
    assert store.has_commit("c1")
    twice = store.commit(batch(change(ChangeKind.CREATE, "A", title="x")))
    assert twice.cards == once.cards
    assert (twice.moved, twice.refused) == (frozenset(), {})


def test_case_55_a_value_that_cannot_be_stored_holds_its_card_only(world: World) -> None:
    """NUL, broken Unicode, an integer out of range and an overlong id are refused one by one."""
    store = world.store
    make(store, "A")
    result = store.commit(
        batch(
            change(ChangeKind.UPDATE, "A", 1, body="a\0b"),
            change(ChangeKind.CREATE, "B", title="ok\ud800"),
            change(ChangeKind.CREATE, "C", title="C", priority=2**31),
            change(ChangeKind.CREATE, "x" * 3000, title="long"),
            change(ChangeKind.CREATE, "D", title="D", dependsOn=("y" * 3000,)),
            change(ChangeKind.CREATE, "E", title="E", status="someday"),
            change(ChangeKind.CREATE, "bad\0id", title="F"),
            change(ChangeKind.CREATE, "good", title="G"),
        )
    )
    assert {id: refusal.code for id, refusal in result.refused.items()} == dict.fromkeys(
        ("A", "B", "C", "x" * 3000, "D", "E", "bad\0id"), "bad-value"
    )
    assert result.cards.keys() == {"A", "good"}
    assert result.cards["A"].version == 1


def test_a_batch_keeps_the_order_of_its_new_cards(world: World) -> None:
    """Cards that a file brought in are handed out in the file's order."""
    ids = ["T10", "T2", "T1", "T33"]
    world.store.commit(batch(*(change(ChangeKind.CREATE, id, title=id) for id in ids)))
    assert [card.id for card in world.store.list(CardFilter())] == ids
    assert [card.id for card in world.store.claim("w", 60, count=4)] == ids


def test_a_batch_that_would_close_a_cycle_refuses_those_cards(world: World) -> None:
    """Cards whose new dependencies form a cycle are refused, the others are written."""
    make(world.store, "A")
    make(world.store, "B", "A")
    result = world.store.commit(
        batch(
            change(ChangeKind.UPDATE, "A", 1, dependsOn=("B",)),
            change(ChangeKind.CREATE, "C", title="C", dependsOn=("B", "D")),
            change(ChangeKind.CREATE, "D", title="D", dependsOn=()),
        )
    )
    assert {id: refusal.code for id, refusal in result.refused.items()} == {"A": "cycle"}
    assert result.cards["C"].unmet == 2
    assert world.store.get("A").depends_on == ()


def test_a_claim_by_a_file(world: World) -> None:
    """A file's in-progress takes the lease without a TTL, dependencies unmet or not, and the fields beside it."""
    make(world.store, "A", "unknown")
    result = world.store.commit(batch(change(ChangeKind.CLAIM, "A", 1, claimOwner="file:r1", title="T")))
    card = result.cards["A"]
    assert (card.status, card.claim_owner, card.claim_ttl_seconds, card.attempts) == ("claimed", "file:r1", None, 1)
    assert (card.title, card.claimed_at is not None) == ("T", True)


def test_a_claim_by_a_file_is_refused_while_a_lease_stands(world: World) -> None:
    """Another's live lease refuses the file's claim and says who holds it; an expired one does not."""
    make(world.store, "A")
    (held,) = world.store.claim("w", 60)
    claim = change(ChangeKind.CLAIM, "A", held.version, claimOwner="joe", title="T")
    result = world.store.commit(batch(claim))
    assert result.refused["A"].code == "not-owner"
    assert "w" in result.refused["A"].message
    assert world.store.get("A") == held
    world.advance(61)
    result = world.store.commit(batch(change(ChangeKind.CLAIM, "A", claimOwner="joe"), commit_id="c2"))
    assert (result.cards["A"].claim_owner, result.cards["A"].attempts) == ("joe", 2)


def test_a_state_that_leaves_claimed_ends_the_lease(world: World) -> None:
    """When a file says ready or done, owner and lease go from the row."""
    make(world.store, "A")
    (held,) = world.store.claim("w", 60)
    result = world.store.commit(batch(change(ChangeKind.UPDATE, "A", held.version, status="done")))
    card = result.cards["A"]
    assert (card.status, card.claim_owner, card.claim_ttl_seconds, card.claimed_at) == ("done", None, None, None)


def test_a_restored_card_lives_again(world: World) -> None:
    """Restore brings a tombstone or an archived card back with the given fields."""
    make(world.store, "A", body="old")
    tombstone = world.store.remove("A")
    assert tombstone.status is Status.BLOCKED
    result = world.store.commit(
        batch(change(ChangeKind.RESTORE, "A", tombstone.version, title="Back", status="ready", body=None))
    )
    card = result.cards["A"]
    assert (card.title, card.status, card.body, card.is_live) == ("Back", "ready", None, True)


def test_a_move_between_files_writes_the_path_only(world: World) -> None:
    """An update without fields records where the row stands now."""
    make(world.store, "A", path="TASKS.md")
    result = world.store.commit(batch(change(ChangeKind.UPDATE, "A", 1, path="ARCHIVE.md")))
    assert result.cards["A"].path == "ARCHIVE.md"
    assert result.cards["A"].version == 2


# --- conflicts, ids, replicas ----------------------------------------------------------------------


def clash(local: object = "mine") -> Conflict:
    """Return a conflict about a title."""
    return Conflict("A", "title", "was", local, ("not", "text\0"), Winner.LOCAL)  # type: ignore[arg-type]


def test_a_conflict_is_kept_once_until_settled(world: World) -> None:
    """The same clash adds no second record while it is open; after it was settled, it is a new one."""
    store = world.store
    store.commit(batch(conflicts=(clash(), clash())))
    store.commit(batch(commit_id="c2", conflicts=(clash(),)))
    (record,) = store.conflicts()
    assert (record.conflict, record.replica, record.settled) == (clash(), "r1", None)
    store.settle(record, "local")
    assert list(store.conflicts()) == []
    (settled,) = store.conflicts(settled=True)
    assert settled.settled == "local"
    assert settled.settled_at is not None
    store.commit(batch(commit_id="c3", conflicts=(clash(),)))
    store.commit(batch(commit_id="c4", conflicts=(clash("another"), clash())))
    assert [each.conflict.local for each in store.conflicts()] == ["mine", "another"]


def test_a_conflict_about_a_row_that_moved_is_not_recorded(world: World) -> None:
    """What clashes with a row that moved is planned anew; the conflicts of other cards are recorded."""
    make(world.store, "A")
    make(world.store, "B")
    other = Conflict("B", "title", "was", "mine", "theirs", Winner.LOCAL)
    moved = change(ChangeKind.UPDATE, "A", 7, title="mine")
    result = world.store.commit(batch(moved, conflicts=(clash(), other)))
    assert result.moved == {"A"}
    assert [each.conflict for each in world.store.conflicts()] == [other]


def test_conflicts_are_the_projects_not_the_replicas(world: World) -> None:
    """Every working copy sees the conflicts of all."""
    world.open(replica="r9").commit(batch(conflicts=(clash(),)))
    assert [each.replica for each in world.store.conflicts()] == ["r9"]


def test_settling_an_unknown_conflict_is_not_found(world: World) -> None:
    """Only a conflict that is kept can be settled."""
    world.store.commit(batch(conflicts=(clash(),)))
    (record,) = world.store.conflicts()
    unknown = type(record)(10**6, record.conflict, "r1", record.at)
    with pytest.raises(NotFound):
        world.store.settle(unknown, "local")


def test_reserved_numbers_are_never_given_twice(world: World) -> None:
    """Blocks of ids rise, start above the floor, and differ by prefix."""
    store = world.store
    assert store.reserve_ids("T", 3, 10) == 11
    assert store.reserve_ids("T", 1, 0) == 14
    assert store.reserve_ids("T", 2, 50) == 51
    assert store.reserve_ids("T", 1, 50) == 53
    assert store.reserve_ids("M", 1, 0) == 1


def test_working_copies_are_listed_with_when_they_were_seen(world: World) -> None:
    """Each stands once, where it was last; those of another project are not told."""
    for id, path in (("r1", "/a"), ("r2", "/c"), ("r1", "/b")):
        world.store.touch_replica(id, "host", path)
    world.open(project="other").touch_replica("r3", "host", "/d")
    found = world.store.replicas()
    assert {(each.id, each.host, each.path) for each in found} == {("r1", "host", "/b"), ("r2", "host", "/c")}
    assert [each.seen_at for each in found] == sorted((each.seen_at for each in found), reverse=True)
    again = world.store.replicas()
    world.store.touch_replica("r2", "host", "/c")
    assert world.store.replicas() == again, "whoever comes by all the time is not written down all the time"


def test_working_copies_long_gone_are_forgotten(world: World) -> None:
    """Pruning takes those out that were not seen for so long, and those alone."""
    world.store.touch_replica("gone", "host", "/old")
    world.age_replicas(7200)
    world.store.touch_replica("here", "host", "/new")
    assert world.store.prune(3600, dry_run=True).replicas == 1
    assert {each.id for each in world.store.replicas()} == {"gone", "here"}
    assert world.store.prune(3600).replicas == 1
    assert [each.id for each in world.store.replicas()] == ["here"]
    world.store.touch_replica("gone", "host", "/old")
    assert {each.id for each in world.store.replicas()} == {"gone", "here"}, "one that comes back is listed again"


def test_a_listener_is_woken_at_the_start_and_closes(world: World) -> None:
    """Whoever listens looks at once, as something may have happened before."""
    from threading import Event

    woken = Event()
    listener = world.store.listen(woken.set)
    assert woken.wait(60)
    assert listener.mode in ("live", "poll")
    listener.close()
