"""The laws of coming home: what was done while a database was away meets what others did meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.core.plan import CARD_FIELD, ChangeKind, Conflict, Winner
from syncd.core.rejoin import Fate, Return, touched
from syncd.core.standing import lease_end
from syncd.core.values import CLAIM_OWNER, SETS, STATUS, is_same
from syncd.schemas.card import OWNER_TEXT, STATUS_WORD, Card, Fields, Status, Value, card_fields
from tests.support.absence import Deed, Parted, deeds, do

LEASES = {STATUS, CLAIM_OWNER, OWNER_TEXT, STATUS_WORD}
"""Fields with laws of their own."""

BODY = "body"
"""Text, of which both sides' lines are kept."""

PLAIN = ("title", "priority", "note", "body", "link", "unlink")
"""Deeds that change what a card says, and not whose it is."""

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


OWNERS = st.sampled_from(("before", "laptop", "office"))


@dataclass(frozen=True)
class Story:
    """What was done before two sides parted, and by whom on each side since."""

    before: list[Deed]
    away: list[Deed]
    there: list[Deed]
    owners: tuple[str, str]

    def told(self) -> Parted:
        """Return the two sides as they meet again."""
        world = Parted()
        world.part(self.before)
        do(world.standin.store(), world.standin, self.away, self.owners[0])
        do(world.database.store(), world.database, self.there, self.owners[1])
        return world


stories = st.builds(Story, deeds("before"), deeds("away"), deeds("there"), st.tuples(OWNERS, OWNERS))


def told(conflicts: tuple[Conflict, ...], id: str, name: str) -> list[Conflict]:
    """Return the conflicts about a field of a card, or about the card as a whole."""
    return [each for each in conflicts if each.id == id and each.field in (name, CARD_FIELD)]


def fields(card: Card | None) -> Fields:
    return card_fields(card) if card is not None and card.is_live else {}


def news(before: Card | None, now: Card) -> Mapping[str, Value]:
    """Return the fields that a side has changed since the last contact."""
    known = fields(before)
    said = fields(now)
    return {name: said.get(name) for name in {*known, *said} if not is_same(name, said.get(name), known.get(name))}


def assert_kept(world: Parted, id: str, said: Mapping[str, Value], conflicts: tuple[Conflict, ...]) -> None:
    """Each value that a side gave a card is in the database now, or a conflict has it; of sets both sides' elements."""
    known, now = fields(world.contact.get(id)), fields(world.remote.get(id))
    for name, value in said.items():
        if name in LEASES or name == BODY or told(conflicts, id, name):
            continue
        assert world.remote[id].is_live, id
        if name in SETS:
            assert elements(value) - elements(known.get(name)) <= elements(now.get(name)), (id, name)
        else:
            assert is_same(name, now.get(name), value), (id, name)


def elements(value: Value) -> set[str]:
    return set(value) if isinstance(value, tuple) else set()


@quick
@given(stories)
def test_nothing_that_was_done_away_is_lost_without_a_word(story: Story) -> None:
    """I2: each value given away is in the database afterwards, or a conflict has it."""
    world = story.told()
    local, plan = world.local, world.plan()
    world.carry_out(plan)
    for id in touched(world.contact, local):
        if not local[id].is_live:
            continue
        assert_kept(world, id, news(world.contact.get(id), local[id]), plan.conflicts)


@quick
@given(stories)
def test_nothing_of_others_is_written_over_without_a_word(story: Story) -> None:
    """I2: each value that others gave stands afterwards, or a conflict has it; what they did not touch nobody sees."""
    world = story.told()
    remote, plan = world.remote, world.plan()
    world.carry_out(plan)
    for id, card in remote.items():
        if not card.is_live:
            continue
        assert_kept(world, id, news(world.contact.get(id), card), plan.conflicts)


@quick
@given(stories)
def test_cards_that_nobody_touched_away_are_left_alone(story: Story) -> None:
    """I4: the return changes cards that were worked on, and of these what was worked on."""
    world = story.told()
    plan = world.plan()
    worked_on = set(touched(world.contact, world.local))
    assert {each.id for each in (*plan.changes, *plan.conflicts)} <= worked_on
    assert plan.fates.keys() == worked_on
    for change in plan.changes:
        if change.kind is ChangeKind.UPDATE and change.id in world.contact:
            own = news(world.contact[change.id], world.local[change.id]).keys()
            assert change.fields.keys() - LEASES <= own, change


@quick
@given(stories)
def test_coming_home_twice_changes_nothing_more(story: Story) -> None:
    """I3, I9: a return that is tried again after its end was cut off, knowing what it had sent, does nothing."""
    world = story.told()
    plan = world.plan()
    left_out = world.carry_out(plan)
    sent = brought(plan, world.local, left_out)
    before = world.remote
    again = world.plan(agreed=sent)
    world.carry_out(again)
    assert world.remote == before
    assert {key(each) for each in again.conflicts} <= {key(each) for each in plan.conflicts}


def brought(plan: Return, local: Mapping[str, Card], left_out: frozenset[str]) -> dict[str, Fields]:
    """Return what a return notes of what it has brought."""
    return {
        each.id: {name: fields(local[each.id]).get(name) for name in each.fields}
        for each in plan.changes
        if each.kind not in (ChangeKind.REMOVE, ChangeKind.ARCHIVE) and each.id not in left_out
    }


def key(conflict: Conflict) -> tuple[str, str]:
    return conflict.id, conflict.field


@quick
@given(stories, deeds("later"))
def test_a_return_that_is_tried_again_reverts_nobody(story: Story, later: list[Deed]) -> None:
    """I2: what others wrote between two tries, having seen the first, stands; nothing is brought a second time."""
    world = story.told()
    plan = world.plan()
    left_out = world.carry_out(plan)
    sent = brought(plan, world.local, left_out)
    do(world.database.store(), world.database, [each for each in later if each[0] in PLAIN], "later")
    before = world.remote
    again = world.plan(agreed=sent)
    world.carry_out(again)
    for id in sent:
        assert fields(world.remote[id]) == fields(before[id]), id


@quick
@given(stories)
def test_deletions_are_of_what_both_had_and_nobody_changed(story: Story) -> None:
    """I8: a card goes only if the last contact had it, it was removed away, and nobody there has changed it."""
    world = story.told()
    remote = world.remote
    for change in world.plan().changes:
        if change.kind in (ChangeKind.REMOVE, ChangeKind.ARCHIVE):
            assert change.id in world.contact
            assert not world.local[change.id].is_live
            changed = news(world.contact[change.id], remote[change.id]).keys() - LEASES
            assert not changed, change


@quick
@given(stories)
def test_a_card_has_one_lease(story: Story) -> None:
    """I13: a lease that others took meanwhile stands, unless the work was finished; whoever loses one is told."""
    world = story.told()
    local, remote, plan = world.local, world.remote, world.plan()
    refused = world.carry_out(plan)
    after = world.remote
    for id, card in remote.items():
        before, mine = world.contact.get(id), local.get(id)
        is_taken = card.status is Status.CLAIMED and (before is None or before.attempts != card.attempts)
        if is_taken and card.is_live and mine is not None and mine.status is not Status.DONE:
            assert (after[id].claim_owner, after[id].attempts >= card.attempts) == (card.claim_owner, True)
        held = mine is not None and mine.is_live and mine.status is Status.CLAIMED
        if held and mine is not None and (before is None or before.attempts != mine.attempts) and _is_live(mine, world):
            kept = (after[id].status, after[id].claim_owner) == (Status.CLAIMED, mine.claim_owner)
            assert kept or id in refused or told(plan.conflicts, id, CLAIM_OWNER) or told(plan.conflicts, id, STATUS), (
                id
            )


def _is_live(card: Card, world: Parted) -> bool:
    ends_at = lease_end(card)
    return ends_at is None or ends_at > world.standin.now


@quick
@given(stories)
def test_a_lease_keeps_what_was_left_of_it(story: Story) -> None:
    """A lease made away that goes on ends as long after the return as it would have, whatever the clocks say."""
    world = story.told()
    local, plan = world.local, world.plan()
    apart = world.database.now - world.standin.now
    for change in plan.changes:
        ends_at = lease_end(local[change.id])
        if change.kind is ChangeKind.CLAIM and ends_at is not None:
            begun = change.columns["claimed_at"]
            assert begun == local[change.id].claimed_at + apart  # type: ignore[operator]


@quick
@given(stories)
def test_numbers_of_leases_never_fall_and_done_work_stays_done(story: Story) -> None:
    """The number fences late writers off, and work that was finished on either side is finished."""
    world = story.told()
    local, remote, plan = world.local, world.remote, world.plan()
    left_out = world.carry_out(plan)
    for id, card in remote.items():
        after = world.remote[id]
        assert after.attempts >= card.attempts, id
        if card.is_live and card.status is Status.DONE and not told(plan.conflicts, id, STATUS):
            before = world.contact.get(id)
            is_reopened = before is not None and before.status is Status.DONE
            assert after.status is Status.DONE or is_reopened, id
    for id in touched(world.contact, local):
        known = world.contact.get(id)
        is_finished = local[id].status is Status.DONE and (known is None or known.status is not Status.DONE)
        if is_finished and local[id].is_live and id not in left_out and not told(plan.conflicts, id, STATUS):
            assert world.remote[id].status is Status.DONE, id


@quick
@given(stories)
def test_another_database_is_not_written_over(story: Story) -> None:
    """Of a store that is another one nothing is deleted or changed: what it lacks is offered, the rest is told."""
    world = story.told()
    local, remote = world.local, world.remote
    plan = world.plan(is_known=False)
    assert {each.winner for each in plan.conflicts} <= {Winner.REMOTE}
    assert {each.kind for each in plan.changes} <= {ChangeKind.CREATE}
    assert not {each.id for each in plan.changes} & {id for id, card in remote.items() if card.is_live}
    world.carry_out(plan)
    for id, card in remote.items():
        if card.is_live:
            assert world.remote[id] == card, id
    for id in local.keys() & remote.keys():
        if not (local[id].is_live and remote[id].is_live):
            continue
        for name in ("title", "extra.note"):
            mine, theirs = fields(local[id]).get(name), fields(remote[id]).get(name)
            assert None in (mine, theirs) or is_same(name, mine, theirs) or told(plan.conflicts, id, name), (id, name)


@quick
@given(stories)
def test_fates_are_true(story: Story) -> None:
    """A card that is told as kept or merged has its change in the database, or there was none to bring."""
    world = story.told()
    plan = world.plan()
    sent = {each.id for each in plan.changes}
    lost = {each.id for each in plan.conflicts if each.winner is Winner.REMOTE}
    for id, fate in plan.fates.items():
        assert (fate is Fate.LOST) == (id in lost)
        if fate is Fate.KEPT:
            assert id in sent
