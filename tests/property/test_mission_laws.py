"""The laws of missions: their merge between file and store, and their return from an absence."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from syncd.core.mission_merge import MissionPlan, RecordChange, advance_missions, is_same_value, reconcile_missions
from syncd.core.mission_rejoin import MissionReturn, rejoin_missions, touched_records
from syncd.core.plan import CARD_FIELD, ChangeKind, Conflict, Winner
from syncd.parsers.fields import status_of
from syncd.schemas.card import Status, Value
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, Record, RecordKey, RecordKind, Records

M = RecordKey(RecordKind.MISSION, "m")
KEYS = (M, *(RecordKey(RecordKind.MILESTONE, "m", id) for id in ("M1", "M2", "M3")))
KEYS += (RecordKey(RecordKind.SESSION, "m", "S1"),)
SHOWN = {"m": frozenset(RecordKind)}
POSITION = "position"

quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.sampled_from((None, "one", "two", "three"))
VALUES: Mapping[FieldKind, st.SearchStrategy[Value]] = {
    FieldKind.TEXT: texts,
    FieldKind.PATH: texts,
    FieldKind.STATUS: st.sampled_from((None, "pending", "in-progress", "In Progress", "done", "completed")),
    FieldKind.INSTANT: st.sampled_from((None, "2026-03-01T08:00:00Z", "2026-04-01T08:00:00Z")),
    FieldKind.NUMBER: st.sampled_from((None, 1, 2)),
    FieldKind.JSON: st.sampled_from((None, '["a"]', '["a","b"]', '["c"]', '{"x":1}')),
}


def records(key: RecordKey) -> st.SearchStrategy[Record]:
    """Return any record of a key, whole: every field is there, empty or not."""
    kinds = RECORD_FIELDS[key.kind]
    made = st.fixed_dictionaries({name: VALUES[kind] for name, kind in kinds.items()})
    return made.map(lambda fields: Record(key, fields, 1, KEYS.index(key)))


@st.composite
def sides(
    draw: st.DrawFn, *, has_file: bool = False
) -> tuple[dict[RecordKey, Record], dict[RecordKey, Record], dict[RecordKey, Record]]:
    """Return base, local and remote: each side keeps, edits, removes or adds records.

    Args:
        has_file: local is a file: one that does not name the mission shows nothing of it.
    """
    base = {key: draw(records(key)) for key in KEYS if draw(st.booleans())}
    if base:
        base.setdefault(M, draw(records(M)))
    found = []
    for _ in range(2):
        side: dict[RecordKey, Record] = {}
        for key in KEYS:
            known = base.get(key)
            deed = draw(st.sampled_from(("keep", "keep", "edit", "replace", "remove")))
            if known is None:
                if deed in ("edit", "replace"):
                    side[key] = draw(records(key))
            elif deed == "keep":
                side[key] = known
            elif deed == "edit":
                name = draw(st.sampled_from(sorted(known.fields)))
                value = draw(VALUES[RECORD_FIELDS[key.kind][name]])
                side[key] = replace(known, fields={**known.fields, name: value}, version=2)
            elif deed == "replace":
                side[key] = replace(draw(records(key)), version=2)
        if any(key is not M for key in side):
            side.setdefault(M, base.get(M) or draw(records(M)))
        if has_file and base and not found:
            side.setdefault(M, base[M])
        found.append(side)
    return base, found[0], found[1]


def carried_out(side: Records, changes: tuple[RecordChange, ...]) -> dict[RecordKey, Record]:
    """Return a side after its part of a plan."""
    after = dict(side)
    for each in changes:
        if each.kind is ChangeKind.REMOVE:
            gone = [key for key in after if each.key in (key, M) and (each.key == key or each.key is M)]
            for key in gone:
                del after[key]
            continue
        said = {name: value for name, value in each.fields.items() if name != POSITION}
        known = after.get(each.key)
        fields = {**dict.fromkeys(RECORD_FIELDS[each.key.kind]), **(known.fields if known else {}), **said}
        place = each.fields.get(POSITION, known.position if known else KEYS.index(each.key))
        after[each.key] = Record(each.key, fields, (known.version if known else 0) + 1, int(str(place)))
    return after


def said_of(conflicts: tuple[Conflict, ...], key: RecordKey, name: str) -> list[Conflict]:
    return [each for each in conflicts if each.id == str(key) and each.field in (name, CARD_FIELD)]


def news(before: Record | None, now: Record) -> dict[str, Value]:
    """Return the fields that a side has given another value."""
    kinds = RECORD_FIELDS[now.key.kind]
    known = before.fields if before else {}
    return {name: value for name, value in now.fields.items() if not is_same_value(kinds[name], value, known.get(name))}


def is_merged_list(key: RecordKey, name: str) -> bool:
    return RECORD_FIELDS[key.kind][name] is FieldKind.JSON


def assert_kept(base: Records, side: Records, after: Records, conflicts: tuple[Conflict, ...]) -> None:
    """Each value that a side gave is there afterwards, or a conflict has it; of lists both sides' are merged."""
    for key, record in side.items():
        for name, value in news(base.get(key), record).items():
            if said_of(conflicts, key, name) or is_merged_list(key, name):
                continue
            if value is None and (key not in base or key not in after):
                continue
            assert key in after, (key, name)
            assert is_same_value(RECORD_FIELDS[key.kind][name], after[key].fields.get(name), value), (key, name)


# --- between file and store ----------------------------------------------------------------------


@quick
@given(sides(has_file=True))
def test_after_one_pass_both_sides_are_one(both: tuple[Records, Records, Records]) -> None:
    """I1, I3: a plan that was carried out leaves nothing to do, and the base has what both say."""
    base, local, remote = both
    plan = reconcile_missions(base, local, remote, shown=SHOWN)
    here, there = carried_out(local, plan.to_file), carried_out(remote, plan.to_store)
    base = advance_missions(base, here, there, SHOWN)
    again = reconcile_missions(base, here, there, shown=SHOWN)
    assert again == MissionPlan(), again
    assert here.keys() == there.keys() == base.keys()


@quick
@given(sides(has_file=True))
def test_nothing_of_either_side_goes_without_a_word(both: tuple[Records, Records, Records]) -> None:
    """I2: each value that a side gave is on both sides afterwards, or a conflict has it."""
    base, local, remote = both
    plan = reconcile_missions(base, local, remote, shown=SHOWN)
    for side, after in ((local, carried_out(remote, plan.to_store)), (remote, carried_out(local, plan.to_file))):
        assert_kept(base, side, after, plan.conflicts)


@quick
@given(sides(has_file=True))
def test_records_go_only_where_both_had_them(both: tuple[Records, Records, Records]) -> None:
    """I8: a record is removed only if the base had it, one side lacks it, and the other did not change it."""
    base, local, remote = both
    plan = reconcile_missions(base, local, remote, shown=SHOWN)
    for changes, owner, other in ((plan.to_store, remote, local), (plan.to_file, local, remote)):
        for each in changes:
            if each.kind is ChangeKind.REMOVE:
                assert each.key in base
                assert each.key not in other
                assert not news(base[each.key], owner[each.key])


@quick
@given(sides(has_file=True))
def test_only_what_changed_is_written(both: tuple[Records, Records, Records]) -> None:
    """I4: an update names a version and fields that its own side changed, or that it refuses."""
    base, local, remote = both
    plan = reconcile_missions(base, local, remote, shown=SHOWN)
    for changes, origin in ((plan.to_store, local), (plan.to_file, remote)):
        for each in changes:
            if each.kind is not ChangeKind.UPDATE:
                continue
            assert origin is remote or each.version == remote[each.key].version
            own = news(base.get(each.key), origin[each.key])
            for name in each.fields.keys() - {POSITION}:
                assert name in own or said_of(plan.conflicts, each.key, name) or is_merged_list(each.key, name)


@quick
@given(sides(has_file=True))
def test_finished_work_stays_finished(both: tuple[Records, Records, Records]) -> None:
    """A state that says done on one side and was not done before is done on both afterwards."""
    base, local, remote = both
    plan = reconcile_missions(base, local, remote, shown=SHOWN)
    here, there = carried_out(local, plan.to_file), carried_out(remote, plan.to_store)
    for key in local.keys() & remote.keys():
        if "status" not in RECORD_FIELDS[key.kind]:
            continue
        known = base[key].fields.get("status") if key in base else None
        finished = [each[key] for each in (local, remote) if _is_done(each[key].fields.get("status"))]
        if finished and not _is_done(known):
            assert _is_done(here[key].fields.get("status")), key
            assert _is_done(there[key].fields.get("status")), key


def _is_done(word: Value) -> bool:
    return status_of(str(word or "")) is Status.DONE


@quick
@given(sides(has_file=True))
def test_what_no_file_shows_is_left_alone(both: tuple[Records, Records, Records]) -> None:
    """A kind of record that a file does not show is nobody's to change."""
    base, local, remote = both
    shown = {"m": frozenset({RecordKind.MISSION, RecordKind.MILESTONE})}
    plan = reconcile_missions(base, local, remote, shown=shown)
    assert not [each for each in (*plan.to_store, *plan.to_file) if each.key.kind is RecordKind.SESSION]
    assert reconcile_missions(base, local, remote, shown={}) == MissionPlan()


# --- home from an absence ------------------------------------------------------------------------


def home(base: Records, local: Records, remote: Records, **more: object) -> MissionReturn:
    given_ = {"agreed": {}, "is_known": True, **more}
    return rejoin_missions(base, local, remote, **given_)  # type: ignore[arg-type]


def sent(plan: MissionReturn, local: Records) -> dict[str, dict[str, Value]]:
    """Return what a return notes of what it brings."""
    return {
        str(each.key): {name: local[each.key].fields.get(name) for name in each.fields if name != POSITION}
        for each in plan.changes
        if each.kind is not ChangeKind.REMOVE
    }


@quick
@given(sides())
def test_the_return_loses_nothing_without_a_word(both: tuple[Records, Records, Records]) -> None:
    """I2: what was done away is in the database or in a conflict, and so is what others did meanwhile."""
    base, local, remote = both
    plan = home(base, local, remote)
    after = carried_out(remote, plan.changes)
    for side in (local, remote):
        assert_kept(base, side, after, plan.conflicts)


@quick
@given(sides())
def test_the_return_touches_only_what_was_touched(both: tuple[Records, Records, Records]) -> None:
    """Records that nobody here changed are as the database has them, but for a mission that is made again whole."""
    base, local, remote = both
    wanted = touched_records(base, local)
    for each in home(base, local, remote).changes:
        assert each.key in wanted or (M in base and M not in remote)
        if each.kind is ChangeKind.REMOVE:
            assert each.key in base
            assert each.key not in local
            assert not news(base[each.key], remote[each.key])
            below = [key for key in remote if key.mission == each.key.mission] if each.key is M else []
            assert all(key in base and not news(base[key], remote[key]) for key in below)


@quick
@given(sides(), st.booleans())
def test_whoever_did_nothing_away_changes_nothing(
    both: tuple[Records, Records, Records], has_mission_gone: bool
) -> None:
    """Whatever others did meanwhile, a mission that they removed included, stands, and nobody is told of a clash."""
    base, _, remote = both
    assert home(base, base, {} if has_mission_gone else remote) == MissionReturn((), ())


@quick
@given(sides())
def test_a_second_return_does_nothing(both: tuple[Records, Records, Records]) -> None:
    """I3, I9: a return that is tried again and knows what it had sent changes nothing, and tells of nothing new."""
    base, local, remote = both
    plan = home(base, local, remote)
    after = carried_out(remote, plan.changes)
    again = home(base, local, after, agreed=sent(plan, local))
    assert again.changes == ()
    assert {(each.id, each.field) for each in again.conflicts} <= {(each.id, each.field) for each in plan.conflicts}


@quick
@given(sides(), st.sampled_from(("four", "five")))
def test_a_return_that_is_tried_again_reverts_nobody(both: tuple[Records, Records, Records], word: str) -> None:
    """I2: a name that others gave after the first try, which they had seen, stands."""
    base, local, remote = both
    plan = home(base, local, remote)
    after = carried_out(remote, plan.changes)
    brought = sent(plan, local)
    renamed = {
        key: replace(record, fields={**record.fields, "name": word}, version=record.version + 1)
        for key, record in after.items()
        if "name" in brought.get(str(key), {})
    }
    later = {**after, **renamed}
    again = carried_out(later, home(base, local, later, agreed=brought).changes)
    assert {key: again[key].fields["name"] for key in renamed} == dict.fromkeys(renamed, word)


@quick
@given(sides())
def test_another_database_keeps_what_it_has(both: tuple[Records, Records, Records]) -> None:
    """Of a store that is another one nothing is changed or removed: what it lacks is offered, what differs is told."""
    base, local, remote = both
    plan = home(base, local, remote, is_known=False)
    assert {each.kind for each in plan.changes} <= {ChangeKind.CREATE}
    assert not {each.key for each in plan.changes} & remote.keys()
    assert {each.winner for each in plan.conflicts} <= {Winner.REMOTE}
    for key in local.keys() & remote.keys():
        for name, kind in RECORD_FIELDS[key.kind].items():
            mine, theirs = local[key].fields.get(name), remote[key].fields.get(name)
            is_there = is_same_value(kind, mine, theirs) or is_merged_list(key, name)
            assert mine is None or is_there or said_of(plan.conflicts, key, name), (key, name)
