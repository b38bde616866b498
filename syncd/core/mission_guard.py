"""What looks for mishaps in a plan about missions: the guards of the task files, on records.

Many records gone at once, a file that is an old version again, a store that went back in time.  A JSON file
that is half written does not parse, so nothing has to settle here.  May import ``syncd.core``,
``syncd.schemas``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.core.mission_merge import POSITION, MissionPlan, RecordChange
from syncd.core.outlook import counted
from syncd.core.plan import CARD_FIELD, ChangeKind, Conflict, Deed, DeedKind, Hold, Winner
from syncd.core.sight import ACCEPT, Thresholds
from syncd.core.trips import STORE_REWOUND, fingerprint
from syncd.schemas.mission import RecordKind, Records

DELETIONS: Final = "deletions"
TIME_TRAVEL: Final = "time-travel"
UNREADABLE: Final = "unreadable"

_REVERTS_MIN: Final = 2
"""So many records an old version has to revert before it is taken for a checkout and not for an edit."""


class MissionSight(msgspec.Struct, frozen=True):
    """What is known of the file that tells a mission."""

    path: str
    is_old_version: bool = False


class GuardedMissions(msgspec.Struct, frozen=True):
    """What goes on, what is held, and which decisions are carried out with it."""

    plan: MissionPlan
    holds: tuple[Hold, ...] = ()
    decided: tuple[str, ...] = ()


def guard_missions(
    plan: MissionPlan,
    base: Records,
    local: Records,
    remote: Records,
    sights: Mapping[str, MissionSight],
    decisions: Mapping[str, str],
    thresholds: Thresholds,
    *,
    is_new_history: bool,
) -> GuardedMissions:
    """Take out of a plan what looks like a mishap.

    Args:
        sights: by mission.
        decisions: what people said about holds, by fingerprint.
        is_new_history: the store's is one that was never seen: what is missing in it was not taken out there.
    """
    guarded = GuardedMissions(plan)
    for mission, sight in sorted(sights.items()):
        if (hold := _rewound(mission, sight, base, remote, is_new_history=is_new_history)) is not None:
            guarded = _settle_rewound(guarded, mission, hold, local, decisions)
            continue
        changes = [each for each in guarded.plan.to_store if each.key.mission == mission]
        if sight.is_old_version and (reverts := _reverts(changes)):
            hold = _hold(TIME_TRAVEL, sight.path, sight.path, f"{sight.path} is an older version of itself", reverts)
            guarded = _settle(guarded, hold, reverts, local, remote, decisions)
        for removals in (_removals(guarded.plan.to_store, mission), _removals(guarded.plan.to_file, mission)):
            count = sum(1 for key in base if key.mission == mission and key.kind is not RecordKind.MISSION)
            if len(removals) > max(thresholds.deletions_max, int(thresholds.deletions_share * count)):
                reason = f"{len(removals)} of {count} records would go at once"
                for each in removals:
                    hold = _hold(DELETIONS, str(each.key), sight.path, reason, [each])
                    guarded = _settle(guarded, hold, [each], local, remote, decisions)
    return guarded


def unreadable(path: str, reason: str, digest: str | None, records: int) -> Hold:
    """Return the hold on a file that cannot be read as a mission, and that was one of so many records before."""
    mark = fingerprint(UNREADABLE, path, digest)
    rejecting = (Deed(DeedKind.PUT_BACK, records, "record", path),)
    return Hold(
        path, UNREADABLE, reason, f"mend {path}, or syncd reject {shlex.quote(path)}", path, mark, rejecting=rejecting
    )


def _hold(guard: str, id: str, path: str, reason: str, changes: Iterable[RecordChange]) -> Hold:
    content = [[str(each.key), each.kind.value, dict(each.fields)] for each in changes]
    return Hold(id, guard, reason, f"syncd accept {shlex.quote(id)}", path, fingerprint(guard, id, content))


def _rewound(mission: str, sight: MissionSight, base: Records, remote: Records, *, is_new_history: bool) -> Hold | None:
    """Return the hold on a mission of which the store has an older version than it had."""
    known = {key: record.version for key, record in sorted(base.items()) if key.mission == mission}
    older = {
        key: remote[key].version for key, version in known.items() if key in remote and remote[key].version < version
    }
    missing = [key for key in known if key not in remote] if is_new_history else []
    if not (older or missing):
        return None
    what = f"{next(iter(older))} is older than it was" if older else f"{missing[0]} is not there any more"
    reason = f"in the store {what}: a restored backup?"
    content = [*([str(key), version] for key, version in older.items()), *([str(key), None] for key in missing)]
    mark = fingerprint(STORE_REWOUND, mission, content)
    release = f"syncd accept {shlex.quote(sight.path)}"
    return Hold(sight.path, STORE_REWOUND, reason, release, sight.path, mark)


def _settle_rewound(
    guarded: GuardedMissions, mission: str, hold: Hold, local: Records, decisions: Mapping[str, str]
) -> GuardedMissions:
    """Hold all about a mission; as with cards, accepting offers what the file says, rejecting takes the store's."""
    rest, about = _split(guarded.plan, mission)
    offer, surrender = _offered(about, local), replace(about, conflicts=(*about.conflicts, *_given_up(about)))
    verdict = decisions.get(hold.fingerprint)
    if verdict is None:
        told = replace(hold, accepting=_outlook(offer, hold.path), rejecting=_outlook(surrender, hold.path))
        return replace(guarded, plan=rest, holds=(*guarded.holds, told))
    chosen = offer if verdict == ACCEPT else surrender
    return replace(guarded, plan=_join(rest, chosen), decided=(*guarded.decided, hold.fingerprint))


def _outlook(plan: MissionPlan, path: str | None) -> tuple[Deed, ...]:
    """Return what a plan about one mission would do."""
    return (*counted(plan.to_store, "record", path=None), *counted(plan.to_file, "record", path=path))


def _offered(plan: MissionPlan, local: Records) -> MissionPlan:
    """Return the plan that gives a store that went back what the file says; its older values are recorded."""
    to_store, to_file = list(plan.to_store), []
    conflicts = [each for each in plan.conflicts if each.winner is not Winner.REMOTE]
    for change in plan.to_file:
        if change.kind is ChangeKind.CREATE:
            to_file.append(change)
        elif change.kind is ChangeKind.REMOVE:
            record = local[change.key]
            place = {POSITION: record.position} if change.key.kind is RecordKind.MILESTONE else {}
            to_store.append(RecordChange(ChangeKind.CREATE, change.key, {**record.fields, **place}))
        else:
            said = {name: value for name, value in change.before.items() if value is not None}
            to_store.append(RecordChange(ChangeKind.UPDATE, change.key, said))
            conflicts += [
                Conflict(str(change.key), name, None, value, change.fields[name], Winner.LOCAL)
                for name, value in said.items()
            ]
    return replace(plan, to_store=tuple(to_store), to_file=tuple(to_file), conflicts=tuple(conflicts))


def _given_up(plan: MissionPlan) -> Iterator[Conflict]:
    """Yield what the file says and a store that went back has forgotten."""
    known = {(each.id, each.field) for each in plan.conflicts}
    for change in plan.to_file:
        id = str(change.key)
        if change.kind is ChangeKind.REMOVE:
            said = change.before.get("name") or change.key.id or change.key.mission
            yield Conflict(id, CARD_FIELD, None, said, None, Winner.REMOTE)
        elif change.kind is ChangeKind.UPDATE:
            for name, value in change.before.items():
                if value is not None and (id, name) not in known:
                    yield Conflict(id, name, None, value, change.fields[name], Winner.REMOTE)


def _settle(
    guarded: GuardedMissions,
    hold: Hold,
    changes: Iterable[RecordChange],
    local: Records,
    remote: Records,
    decisions: Mapping[str, str],
) -> GuardedMissions:
    """Keep changes back, let them through, or turn them round, as was decided about their hold."""
    verdict = decisions.get(hold.fingerprint)
    if verdict == "accept":
        return replace(guarded, decided=(*guarded.decided, hold.fingerprint))
    held = list(changes)
    plan = replace(
        guarded.plan,
        to_store=tuple(each for each in guarded.plan.to_store if each not in held),
        to_file=tuple(each for each in guarded.plan.to_file if each not in held),
    )
    to_store: list[RecordChange] = []
    to_file: list[RecordChange] = []
    for each in held:
        is_for_store = each in guarded.plan.to_store
        (to_file if is_for_store else to_store).extend(_turned(each, remote if is_for_store else local))
    if verdict is None:
        is_for_store = any(each in guarded.plan.to_store for each in held)
        accepting = tuple(counted(held, "record", path=None if is_for_store else hold.path))
        rejecting = (*counted(to_store, "record", path=None), *counted(to_file, "record", path=hold.path))
        told = replace(hold, accepting=accepting, rejecting=rejecting)
        return replace(guarded, plan=plan, holds=(*guarded.holds, told))
    plan = replace(plan, to_store=(*plan.to_store, *to_store), to_file=(*plan.to_file, *to_file))
    return replace(guarded, plan=plan, decided=(*guarded.decided, hold.fingerprint))


def _turned(change: RecordChange, kept: Records) -> Iterator[RecordChange]:
    """Yield the change that gives the other side back what this one would have taken."""
    record = kept.get(change.key)
    if record is None:
        return
    if change.kind is ChangeKind.REMOVE:
        yield RecordChange(ChangeKind.CREATE, change.key, record.fields)
    elif change.kind is ChangeKind.UPDATE:
        fields = {name: record.fields[name] for name in change.fields if name in record.fields}
        yield RecordChange(ChangeKind.UPDATE, change.key, fields)


def _reverts(changes: Iterable[RecordChange]) -> list[RecordChange]:
    """Return the changes that take something back, where they are many enough; new records are none."""
    found = [each for each in changes if each.kind is not ChangeKind.CREATE]
    return found if len(found) >= _REVERTS_MIN else []


def _removals(changes: Iterable[RecordChange], mission: str) -> list[RecordChange]:
    return [each for each in changes if each.kind is ChangeKind.REMOVE and each.key.mission == mission]


def _split(plan: MissionPlan, mission: str) -> tuple[MissionPlan, MissionPlan]:
    """Return the plan without what is about a mission, and that."""

    def part(*, is_about: bool) -> MissionPlan:
        return MissionPlan(
            to_store=tuple(each for each in plan.to_store if (each.key.mission == mission) == is_about),
            to_file=tuple(each for each in plan.to_file if (each.key.mission == mission) == is_about),
            conflicts=tuple(each for each in plan.conflicts if _is_about(each.id, mission) == is_about),
            forgotten=() if is_about else plan.forgotten,
        )

    return part(is_about=False), part(is_about=True)


def _join(plan: MissionPlan, more: MissionPlan) -> MissionPlan:
    return MissionPlan(
        to_store=(*plan.to_store, *more.to_store),
        to_file=(*plan.to_file, *more.to_file),
        conflicts=(*plan.conflicts, *more.conflicts),
        forgotten=plan.forgotten,
    )


def _is_about(id: str, mission: str) -> bool:
    return id == f"mission:{mission}" or id.startswith(f"mission:{mission}/")
