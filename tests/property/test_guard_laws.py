"""The laws of the guards, over the worlds of reconcile and files in every condition."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from syncd.core.guard import guard
from syncd.core.plan import ChangeKind, DeedKind, Plan, Policy
from syncd.core.reconcile import reconcile
from syncd.core.sight import FileSight, Guarded, Sight, Thresholds
from tests.support.worlds import PATH, Sides, sides

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
strict = Thresholds(deletions_max=0, deletions_share=0.0, changed_min=0, changed_share=0.3, reverts_min=1)

files = st.builds(
    FileSight,
    st.just(PATH),
    exists=st.sampled_from((True, True, True, False)),
    changed_ms_ago=st.sampled_from((None, 0, 400, 3_000)),
    missing_ms=st.sampled_from((None, 1_000, 60_000)),
    marker_line=st.sampled_from((None, None, None, 5)),
    version_rank=st.sampled_from((None, 0, 2)),
    head_moved=st.booleans(),
    is_truncation=st.booleans(),
)
COMING_AND_GOING = ("create", "remove", "archive", "restore")

facts = st.fixed_dictionaries(
    {"store_rewound": st.sampled_from((None, None, None, "older")), "parser_changed": st.booleans()}
)


def look(both: Sides, file: FileSight, known: dict[str, object], decisions: dict[str, str]) -> tuple[Plan, Guarded]:
    """Reconcile and guard a world."""
    world = both.world()
    plan = reconcile(world.base, world.local, world.remote, Policy())
    sight = Sight(world.base, world.local, world.remote, {PATH: file}, **known)  # type: ignore[arg-type]
    return plan, guard(plan, sight, strict, decisions)


@quick
@given(sides(), files, facts)
def test_every_hold_can_be_understood_and_ended(both: Sides, file: FileSight, known: dict[str, object]) -> None:
    """I14: a hold has a reason, a command that names its subject, and a fingerprint of its own."""
    _, guarded = look(both, file, known, {})
    for hold in guarded.holds:
        assert hold.reason
        assert hold.release in (f"syncd accept {hold.id}", f"syncd reject {hold.id}")
    prints = [hold.fingerprint for hold in guarded.holds]
    assert len(set(prints)) == len(prints)


@quick
@given(sides(), files, facts, st.sampled_from(("accept", "reject")))
def test_a_hold_tells_what_a_decision_does(
    both: Sides, file: FileSight, known: dict[str, object], decision: str
) -> None:
    """The cards and rows that come and go when one hold is decided are those that were told before."""
    _, first = look(both, file, known, {})
    assume(not first.waits and first.holds)
    hold = first.holds[0]
    _, second = look(both, file, known, {hold.fingerprint: decision})
    told = hold.accepting if decision == "accept" else hold.rejecting
    assume(told is not None and all(each.kind is not DeedKind.PUT_BACK for each in told))
    assume({each.id for each in second.holds} == {each.id for each in first.holds[1:]})
    expected = Counter(
        {(each.kind.value, each.path): each.count for each in told or () if each.kind in COMING_AND_GOING}
    )
    assert _coming_and_going(second.plan) - _coming_and_going(first.plan) == expected


def _coming_and_going(plan: Plan) -> Counter[tuple[str, str | None]]:
    """Count the cards and rows that a plan makes and takes away, by kind and file."""
    found = [(each.kind.value, None) for each in plan.to_store if each.kind.value in COMING_AND_GOING]
    return Counter([*found, *((each.kind.value, each.path) for each in plan.to_file if each.kind in COMING_AND_GOING)])


@quick
@given(sides(), files, facts, st.sampled_from(("accept", "reject")))
def test_a_decision_ends_the_hold(both: Sides, file: FileSight, known: dict[str, object], decision: str) -> None:
    """I14: what was accepted or rejected is held no more, once its file is settled; a cycle cannot be accepted."""
    _, first = look(both, file, known, {})
    assume(not first.waits)
    decisions = {hold.fingerprint: decision for hold in first.holds}
    _, second = look(both, file, known, decisions)
    assert {hold.guard for hold in second.holds} & {hold.guard for hold in first.holds} <= {"cycle"}


@quick
@given(sides(), files, facts)
def test_the_guards_let_nothing_through_that_was_not_planned(
    both: Sides, file: FileSight, known: dict[str, object]
) -> None:
    """Without decisions the store gets only what was planned, field for field; nothing is deleted besides."""
    plan, guarded = look(both, file, known, {})
    planned = {(each.id, name): value for each in plan.to_store for name, value in each.fields.items()}
    for change in guarded.plan.to_store:
        for name, value in change.fields.items():
            assert planned[change.id, name] == value
    gone = (ChangeKind.REMOVE, ChangeKind.ARCHIVE)
    for mine, theirs in ((guarded.plan.to_store, plan.to_store), (guarded.plan.to_file, plan.to_file)):
        assert {each.id for each in mine if each.kind in gone} <= {each.id for each in theirs if each.kind in gone}


@quick
@given(sides(), files)
def test_no_deletion_passes_above_the_cap(both: Sides, file: FileSight) -> None:
    """I8: with a cap of none, every deletion on either side is held or waits."""
    _, guarded = look(both, file, {}, {})
    kinds = {change.kind for change in (*guarded.plan.to_store, *guarded.plan.to_file)}
    assert not kinds & {ChangeKind.REMOVE, ChangeKind.ARCHIVE}


@quick
@given(sides(), files.filter(lambda file: file.exists), facts)
def test_a_held_or_waiting_file_is_not_written(both: Sides, file: FileSight, known: dict[str, object]) -> None:
    """While a file waits, or is held as a whole, no change goes to it."""
    _, guarded = look(both, file, known, {})
    whole = {hold.id for hold in guarded.holds if not hold.fields} | {wait.path for wait in guarded.waits}
    if PATH in whole:
        assert not [change for change in guarded.plan.to_file if change.path == PATH]


@quick
@given(sides(), files, facts)
def test_a_conflict_passes_only_with_its_decision(both: Sides, file: FileSight, known: dict[str, object]) -> None:
    """A recorded loser is one that this very plan overwrites, or a clash that nobody decided yet."""
    plan, guarded = look(both, file, known, {})
    assert set(guarded.plan.conflicts) <= set(plan.conflicts)
    written = {each.id for each in (*guarded.plan.to_store, *guarded.plan.to_file)}
    assert {each.id for each in guarded.plan.conflicts if each.winner != "none"} <= written


@quick
@given(sides(), files, facts)
def test_rejecting_loses_nothing_and_settles(both: Sides, file: FileSight, known: dict[str, object]) -> None:
    """A rejected plan can be carried out, and afterwards nothing of it is planned again."""
    _, first = look(both, file, known, {})
    decisions = {hold.fingerprint: "reject" for hold in first.holds}
    _, second = look(both, file, known, decisions)
    if first.waits or not second.rejected or {hold.guard for hold in first.holds} & {"store-rewound"}:
        return
    both.carry_out(second.plan)
    world = both.world()
    again = reconcile(world.base, world.local, world.remote, Policy())
    rejected = {hold.id for hold in second.rejected}
    gone = (ChangeKind.REMOVE, ChangeKind.ARCHIVE)
    assert not [each for each in again.to_store if each.id in rejected and each.kind in gone]
