"""The laws of reconcile, over worlds in which every branch is taken."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from syncd.core.card_merge import is_changed_there, is_edited
from syncd.core.plan import (
    CARD_FIELD,
    Change,
    ChangeKind,
    LocalCard,
    Plan,
    Policy,
    Presence,
    RemoteCard,
    Winner,
)
from syncd.core.reconcile import Settled, reconcile
from syncd.core.values import SETS, is_same
from syncd.schemas.card import STATUS_WORD, Value
from tests.support.worlds import EDITABLE, PATH, POOL, Sides, World, agreed_card, random_sides, sides

AnyCard = TypeVar("AnyCard")

POLICY = Policy()
ANNOTATIONS = {STATUS_WORD, "claimOwner", "extra.owner"}
quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plan_of(world: World, policy: Policy = POLICY) -> Plan:
    """Reconcile a world."""
    return reconcile(world.base, world.local, world.remote, policy)


def fields_of(changes: tuple[Change, ...]) -> dict[str, dict[str, Value]]:
    """Return the fields that updates of a side set, by card."""
    kinds = (ChangeKind.UPDATE, ChangeKind.CLAIM)
    return {each.id: dict(each.fields) for each in changes if each.kind in kinds}


@quick
@given(sides())
def test_a_second_cycle_changes_nothing(both: Sides) -> None:
    """I1, I3: once a plan is carried out, the next plan writes nothing and records nothing."""
    both.carry_out(plan_of(both.world()))
    assert plan_of(both.world()) == Plan()


@quick
@given(sides())
def test_both_sides_show_the_same_afterwards(both: Sides) -> None:
    """I1: after one cycle each field that a row shows is the store's, but for the author's annotations."""
    both.carry_out(plan_of(both.world()))
    world = both.world()
    live = {id for id, card in world.remote.items() if card.presence is Presence.LIVE}
    assert live == set(world.local) == set(world.base)
    for id, card in world.local.items():
        for name in set(card.fields) - ANNOTATIONS - card.weak:
            assert is_same(name, card.fields[name], world.remote[id].fields.get(name)), name


@quick
@given(sides())
def test_only_edited_fields_are_written(both: Sides) -> None:
    """I4: an update names only fields in which its own side is not what the base has, or that it refuses."""
    world = both.world()
    plan = plan_of(world)
    claims = {each.id for each in plan.to_store if each.kind is ChangeKind.CLAIM}
    refused = {(each.id, each.field) for each in plan.conflicts if each.winner is Winner.REMOTE}
    for changes, origin in ((plan.to_store, world.local), (plan.to_file, world.remote)):
        for id, fields in fields_of(changes).items():
            known = world.base[id].fields if id in world.base else {}
            for name, value in fields.items():
                if name in ANNOTATIONS or (name == "status" and id in claims):
                    continue
                is_own = name not in known or not is_same(name, known[name], origin[id].fields.get(name))
                assert is_own or (id, name) in refused
                other = world.remote if origin is world.local else world.local
                assert not is_same(name, value, other[id].fields.get(name)), "the other side has it already"


@quick
@given(sides(), st.randoms(use_true_random=False))
def test_order_and_repetition_decide_nothing(both: Sides, random: Random) -> None:
    """The same input gives the same plan, and each card's part of it is the same in any order of the cards."""
    world = both.world()
    plan = plan_of(world)
    assert plan_of(world) == plan
    other = reconcile(
        _shuffled(world.base, random), _shuffled(world.local, random), _shuffled(world.remote, random), POLICY
    )
    assert set(map(repr, other.to_store)) == set(map(repr, plan.to_store))
    assert set(map(repr, other.to_file)) == set(map(repr, plan.to_file))
    assert set(other.conflicts) == set(plan.conflicts)


@quick
@given(st.lists(sides(), min_size=2, max_size=3), st.randoms(use_true_random=False))
def test_a_memory_of_what_agreed_makes_no_difference(several: list[Sides], random: Random) -> None:
    """Whichever cards come, go, change or stay the same objects between two plans, they are planned as without it."""
    worlds = [each.world() for each in several]
    for each in several:
        each.carry_out(plan_of(each.world()))
        worlds.append(each.world())
    remembered, now = Settled(), worlds[-1]
    for _ in range(8):
        part = random.choice(("base", "local", "remote"))
        now = dataclasses.replace(now, **{part: _mixed([getattr(each, part) for each in (now, now, *worlds)], random)})
        assert reconcile(now.base, now.local, now.remote, POLICY, settled=remembered) == plan_of(now)


def _mixed(parts: list[dict[str, AnyCard]], random: Random) -> dict[str, AnyCard]:
    """Return cards of which each is the one that some of these have under its id, or is left out."""
    ids = list(dict.fromkeys(id for part in parts for id in part))
    chosen = {id: random.choice(parts).get(id) for id in ids}
    return {id: card for id, card in chosen.items() if card is not None}


def _shuffled(cards: dict[str, AnyCard], random: Random) -> dict[str, AnyCard]:
    """Return the cards in another order."""
    items = list(cards.items())
    random.shuffle(items)
    return dict(items)


@quick
@given(sides())
def test_cards_do_not_touch_one_another(both: Sides) -> None:
    """I12: the plan for many cards is the plans for each of them."""
    world = both.world()
    plan = plan_of(world)
    for id in {*world.base, *world.local, *world.remote}:
        alone = World(
            {id: world.base[id]} if id in world.base else {},
            {id: world.local[id]} if id in world.local else {},
            {id: world.remote[id]} if id in world.remote else {},
        )
        single = plan_of(alone)
        assert [each for each in plan.to_store if each.id == id] == list(single.to_store)
        assert [replace(each, path=None) for each in plan.to_file if each.id == id] == [
            replace(each, path=None) for each in single.to_file
        ]
        assert [each for each in plan.conflicts if each.id == id] == list(single.conflicts)


@quick
@given(sides())
def test_deletions_are_safe(both: Sides) -> None:
    """I8: a card goes only if the base had it, one side lacks it, and the other side did not change it."""
    world = both.world()
    plan = plan_of(world)
    for change in plan.to_store:
        if change.kind in (ChangeKind.REMOVE, ChangeKind.ARCHIVE):
            assert change.id not in world.local
            assert world.base[change.id].path is not None
            assert not is_changed_there(world.base[change.id], world.remote[change.id])
    for change in plan.to_file:
        if change.kind is ChangeKind.REMOVE:
            gone = world.remote.get(change.id)
            assert gone is None or gone.presence is not Presence.LIVE
            known = world.base[change.id]
            stub = gone or RemoteCard(known.id, known.fields, known.version)
            assert not is_edited(known, world.local[change.id], stub, POLICY)


@quick
@given(sides(with_base=False))
def test_nothing_is_deleted_without_a_base(both: Sides) -> None:
    """I8: on first contact, and after the base was lost, no card goes on either side."""
    plan = plan_of(both.world())
    gone = (ChangeKind.REMOVE, ChangeKind.ARCHIVE)
    assert not [each for each in (*plan.to_store, *plan.to_file) if each.kind in gone]


@quick
@given(sides())
def test_no_value_is_lost(both: Sides) -> None:
    """I2: a value that one side had is still on one of them, or merged, or in a conflict, or was agreed before."""
    world = both.world()
    plan = plan_of(world)
    recorded = {(each.id, each.field) for each in plan.conflicts}
    both.carry_out(plan)
    after = both.world()
    for cards in (world.local, world.remote):
        for id, card in cards.items():
            for name, value in card.fields.items():
                if name in SETS | ANNOTATIONS | {"body"} or (id, name) in recorded or (id, CARD_FIELD) in recorded:
                    continue
                if name == "phase" and id in world.local and "phase" in world.local[id].weak:
                    continue
                survivors = [side[id].fields.get(name) for side in (after.local, after.remote) if id in side]
                known = [world.base[id].fields.get(name)] if id in world.base else [None]
                was_deleted = id in world.remote and world.remote[id].presence is not Presence.LIVE
                yields = value in (None, (), 0)
                assert was_deleted or yields or any(is_same(name, value, each) for each in (*survivors, *known)), (
                    id,
                    name,
                    value,
                )


@quick
@given(sides())
def test_sets_merge_element_by_element(both: Sides) -> None:
    """An element that one side added is kept, one that a side removed goes, and nothing else appears."""
    world = both.world()
    both.carry_out(plan_of(world))
    after = both.world()
    for id, known in world.base.items():
        if id not in world.local or id not in world.remote or world.remote[id].presence is not Presence.LIVE:
            continue
        for name in {"dependsOn", "extra.labels"} & set(world.local[id].fields):
            was, here, there, now = (
                set(card.fields.get(name) or ())
                for card in (known, world.local[id], world.remote[id], after.remote[id])
            )
            assert now == (was & here & there) | (here - was) | (there - was)


@quick
@given(st.integers(0, 2**32 - 1))
def test_edits_of_different_fields_never_clash(number: int) -> None:
    """I11: the two sides change different fields of a card, and both changes arrive, with no conflict."""
    random = Random(number)
    row, stored = agreed_card(random, "A1")
    both = Sides({"A1": row}, {"A1": stored})
    both.settle("A1")
    free = random.sample(sorted(POOL), len(POOL))
    half = random.randint(0, len(free))
    here, there = free[:half], free[half:]
    for name in here:
        row = row.edited(name, random.choice(POOL[name]))
    for name in there:
        stored = stored.edited(name, random.choice(POOL[name]))
    both.rows["A1"], both.stored["A1"] = row, stored
    world = both.world()
    shown = world.local["A1"].fields
    plan = plan_of(world)
    assert plan.conflicts == ()
    both.carry_out(plan)
    after = both.world()
    for name in set(here) & set(shown):
        assert is_same(name, after.remote["A1"].fields.get(name), shown[name])
    for name in set(there) & set(shown):
        assert is_same(name, after.local["A1"].fields[name], world.remote["A1"].fields.get(name))


@quick
@given(sides())
def test_swapping_the_sides_mirrors_the_plan(both: Sides) -> None:
    """I10: with the winners swapped too, what went to the store goes to the file, and the other way round."""
    world = both.world()
    plain = [id for id in {*world.local, *world.remote} if _is_plain(world, id)]
    assume(plain)
    kept = World(*({id: cards[id] for id in plain if id in cards} for cards in (world.base, world.local, world.remote)))
    every = set(EDITABLE) - {"owner", "word"} - SETS
    plan = plan_of(kept, Policy(winners=dict.fromkeys(every, "local")))
    mirror = plan_of(_swapped(kept), Policy(winners=dict.fromkeys(every, "remote")))
    assert _written(plan.to_store) == _written(mirror.to_file)
    assert _written(plan.to_file) == _written(mirror.to_store)
    assert _clashes(plan) == _clashes(mirror)


def _clashes(plan: Plan) -> set[tuple[str, str]]:
    return {(each.id, each.field) for each in plan.conflicts if each.field not in ANNOTATIONS}


def _is_plain(world: World, id: str) -> bool:
    """Return whether a card has none of the rules that are for one side only: claims, words, places."""
    cards = [side[id] for side in (world.base, world.local, world.remote) if id in side]
    if any(card.fields.get("status") in ("claimed", "done") for card in cards) or id not in world.local:
        return False
    row, other = world.local[id], world.remote.get(id)
    return not row.weak and other is not None and other.presence is Presence.LIVE


def _swapped(world: World) -> World:
    """Return the world with the file in the store's place; both show the same fields."""
    local = {
        id: LocalCard(id, {name: card.fields.get(name) for name in _names(world, id)}, PATH)
        for id, card in world.remote.items()
    }
    remote = {
        id: RemoteCard(id, {name: card.fields.get(name) for name in _names(world, id)}, 1)
        for id, card in world.local.items()
    }
    return World(dict(world.base), local, remote)


def _names(world: World, id: str) -> set[str]:
    return set(world.local[id].fields) - ANNOTATIONS


def _written(changes: tuple[Change, ...]) -> set[tuple[str, str, str]]:
    """Return what changes write, whatever the order of a set's elements; criteria have the file's order."""
    return {
        (change.id, name, repr(sorted(value) if isinstance(value, tuple) and value else value or None))
        for change in changes
        for name, value in change.fields.items()
        if name not in ANNOTATIONS | {"acceptance"}
    }


@quick
@given(sides())
def test_the_base_is_honest(both: Sides) -> None:
    """I6: a value is in the base only if both sides had it at once, now or in an earlier base."""
    before = dict(both.base)
    both.carry_out(plan_of(both.world()))
    world = both.world()
    for id, card in both.base.items():
        row, stored = world.local[id], world.remote[id]
        for name, value in card.fields.items():
            if name in row.weak:
                continue
            held = id in before and name in before[id].fields and before[id].fields[name] == value
            memory = name == "claimOwner" and id in before and before[id].fields.get(name) == value
            on_both = name in row.fields and is_same(name, row.fields[name], stored.fields.get(name))
            assert held or memory or on_both, (id, name, value)


@quick
@given(sides())
def test_frozen_files_are_left_alone(both: Sides) -> None:
    """Cards of a file whose content is unknown get no change on either side, and lose nothing."""
    world = both.world()
    plan = reconcile(world.base, world.local, world.remote, POLICY, frozen=frozenset({PATH}))
    assert plan == Plan()


@quick
@given(sides(), st.sampled_from(EDITABLE))
def test_asking_leaves_both_sides_as_they_are(both: Sides, name: str) -> None:
    """A field under the policy ``ask`` is written on neither side when it clashes, and the rest goes on."""
    policy = Policy(winners={name: "ask"})
    plan = plan_of(both.world(), policy)
    undecided = {each.id for each in plan.conflicts if each.winner is Winner.NONE}
    for change in (*plan.to_store, *plan.to_file):
        if change.kind in (ChangeKind.UPDATE, ChangeKind.CLAIM):
            assert change.id not in undecided or name not in change.fields
    for conflict in plan.conflicts:
        assert (conflict.winner is Winner.NONE) <= (conflict.field == name)


def _branches(world: World, plan: Plan) -> Iterator[str]:
    """Yield which of the interesting branches a plan took."""
    yield from (f"to-store {change.kind}" for change in plan.to_store)
    yield from (f"to-file {change.kind}" for change in plan.to_file)
    yield from (f"{each.field} {each.winner}" for each in plan.conflicts)
    for name in SETS:
        both = fields_of(plan.to_store).items()
        if any(name in fields and name in fields_of(plan.to_file).get(id, {}) for id, fields in both):
            yield f"merged {name}"
    if any("body" in fields for fields in fields_of(plan.to_store).values()) and any(
        "body" in fields for fields in fields_of(plan.to_file).values()
    ):
        yield "merged body"
    if plan.agreed:
        yield "agreed"
    if plan.forgotten:
        yield "forgotten"
    if any(
        "phase" in card.weak and "phase" in fields_of(plan.to_store).get(id, {}) for id, card in world.local.items()
    ):
        yield "moved under another heading"


REACHED = (
    *(f"to-store {kind}" for kind in ChangeKind),
    *(f"to-file {kind}" for kind in (ChangeKind.CREATE, ChangeKind.UPDATE, ChangeKind.REMOVE)),
    *(f"{name} local" for name in ("title", "body", "acceptance", "extra.branch", "status", CARD_FIELD)),
    *(f"{name} remote" for name in ("status", "priority", "phase", "claimOwner", CARD_FIELD)),
    *(f"merged {name}" for name in (*sorted(SETS), "body")),
    "agreed",
    "forgotten",
    "moved under another heading",
)


def test_the_worlds_reach_every_branch() -> None:
    """The generator takes each interesting branch many times: no law holds for want of a case."""
    seen: Counter[str] = Counter()
    for number in range(1_500):
        world = random_sides(Random(number)).world()
        seen.update(_branches(world, plan_of(world)))
    assert {branch: seen[branch] for branch in REACHED if seen[branch] < 5} == {}
