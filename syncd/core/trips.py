"""What each guard looks for: a plan that is more likely a mishap than somebody's wish.

A guard returns trips: the part of the plan that it wants held, why, and what goes on meanwhile.  What
becomes of a trip is decided in ``guard``.  May import ``syncd.core``.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from syncd.core.card_merge import take_back
from syncd.core.graph import circle_text, find_knots, would_close
from syncd.core.parts import Part, parts_of_file
from syncd.core.plan import Change, ChangeKind, Conflict, FieldName, Hold, Plan, Presence, Winner
from syncd.core.settling import vanished
from syncd.core.sight import STORE, FileSight, OwnWrite, Side, Sight, Thresholds
from syncd.core.values import CLAIM_OWNER, DEPENDS_ON, STATUS, is_same
from syncd.schemas.card import STATUS_WORD, Fields

MARKERS: Final = "markers"
STORE_REWOUND: Final = "store-rewound"
EMPTIED: Final = "emptied"
CYCLE: Final = "cycle"
PING_PONG: Final = "ping-pong"
ASK: Final = "ask"

_EDITS: Final = (ChangeKind.UPDATE, ChangeKind.CLAIM)
_REMOVALS: Final = (ChangeKind.REMOVE, ChangeKind.ARCHIVE)
_STATE: Final = frozenset({STATUS, CLAIM_OWNER, STATUS_WORD})


class Trip(msgspec.Struct, frozen=True):
    """One reason to stop a part of a plan.

    Args:
        hold: what a person is told; ``None`` when there is nothing to ask.
        parts: what leaves the plan.
        meanwhile: the rows that are written instead while it is held.
        lost: what those rows said until then, to be recorded.
        marks: names of what it takes back, for as long as the files do not show that yet.
        path: the file, when it is held as a whole.
        may_pass: False when accepting cannot help.
        may_undo: False when rejecting cannot.
    """

    hold: Hold | None
    parts: tuple[Part, ...]
    meanwhile: tuple[Change, ...] = ()
    lost: tuple[Conflict, ...] = ()
    marks: tuple[str, ...] = ()
    path: str | None = None
    may_pass: bool = True
    may_undo: bool = True


Guard: TypeAlias = Callable[[Plan, Sight, Thresholds], Iterator[Trip]]


def fingerprint(guard: str, subject: str, content: Any) -> str:
    """Return the name of one hold: the same as long as the guard, the card or file, and the content are."""
    text = msgspec.json.encode([guard, subject, content], order="sorted")
    return hashlib.blake2b(text, digest_size=10).hexdigest()


def make_hold(
    guard: str,
    subject: str,
    reason: str,
    content: Any,
    *,
    path: str | None,
    fields: tuple[FieldName, ...] = (),
    verb: str = "accept",
) -> Hold:
    """Return a hold with the command that releases it.  Holds: I14."""
    return Hold(
        id=subject,
        guard=guard,
        reason=reason,
        release=f"syncd {verb} {shlex.quote(subject)}",
        path=path,
        fingerprint=fingerprint(guard, subject, content),
        fields=fields,
    )


def rewound(plan: Plan, sight: Sight, _: Thresholds) -> Iterator[Trip]:
    """Trip when the store went back in time: what it lacks was not deleted, what is old there is no edit."""
    if sight.store_rewound is None:
        return
    new = {each.id for each in plan.to_store if each.kind is ChangeKind.CREATE and each.id not in sight.base}
    known = {each.id for each in (*plan.to_store, *plan.to_file)} - new
    reason = f"the store went back in time ({sight.store_rewound}): {len(known)} cards differ from the files"
    hold = make_hold(STORE_REWOUND, STORE, reason, sight.store_rewound, path=None)
    yield Trip(hold, tuple(Part(id) for id in sorted(known)))


def markers(plan: Plan, sight: Sight, _: Thresholds) -> Iterator[Trip]:
    """Trip on a file that git's merge left its markers in."""
    for file in sight.files.values():
        if file.marker_line is None:
            continue
        rows = {id: card.fields for id, card in sight.local.items() if card.path == file.path}
        reason = f"{file.path} has a merge marker in line {file.marker_line}"
        hold = make_hold(MARKERS, file.path, reason, rows, path=file.path)
        yield Trip(hold, tuple(parts_of_file(plan, file.path)), path=file.path, may_undo=file.has_past)


def emptied(plan: Plan, sight: Sight, _: Thresholds) -> Iterator[Trip]:
    """Trip on a file that had cards and has none."""
    missing = vanished(sight)
    for file in sight.files.values():
        gone = missing.get(file.path, []) if file.exists and file.is_readable else []
        if not gone or any(card.path == file.path for card in sight.local.values()):
            continue
        reason = f"{file.path} had {len(gone)} cards and has none"
        hold = make_hold(EMPTIED, file.path, reason, sorted(gone), path=file.path)
        parts = (*parts_of_file(plan, file.path), *(Part(id) for id in gone))
        yield Trip(hold, parts, path=file.path)


def time_travel(plan: Plan, sight: Sight, thresholds: Thresholds) -> Iterator[Trip]:
    """Trip when a file is again what it was before (git checkout, restore), and that would revert cards.

    The state of a card is the store's then and goes to the file; new cards are taken.  A checkout brings states
    that are known of old; without one somebody may have meant them, so what the rows said is recorded (I2).
    What is held stays held field by field, whatever else is edited in the row meanwhile.
    """
    for path, changes in _by_path(plan.to_store).items():
        file = sight.files.get(path)
        reverts = [each for each in changes if each.kind is not ChangeKind.CREATE]
        has_tripped = file is not None and _is_revert(file, len(reverts), thresholds)
        for change in reverts:
            is_edit = change.kind in _EDITS
            if is_edit and STATUS in change.fields:
                is_waiting = _part(change.id, STATUS, change.fields) in sight.standing
                if file is not None and (has_tripped or is_waiting):
                    yield _taken_back(change, file, sight)
            rest = {name: value for name, value in change.fields.items() if name not in _STATE}
            hold = _travel_hold(change, path, rest)
            if not has_tripped and hold.fingerprint not in sight.standing:
                rest = {name: rest[name] for name in hold.fields if _part(change.id, name, rest) in sight.standing}
                if not rest:
                    continue
                hold = _travel_hold(change, path, rest)
            if rest or not is_edit:
                yield Trip(hold, (Part(change.id, frozenset(rest) if is_edit else None, to_file=False),))


def _taken_back(change: Change, file: FileSight, sight: Sight) -> Trip:
    """Return the trip that gives a row the state that its card has in the store."""
    local, remote = sight.local[change.id], sight.remote[change.id]
    taken = take_back(sight.base.get(change.id), local, remote, (STATUS,))
    before = {name: local.fields.get(name) for name in taken.to_file}
    return Trip(
        None,
        (Part(change.id, frozenset(change.fields) & _STATE, to_file=False),),
        meanwhile=(Change(ChangeKind.UPDATE, change.id, taken.to_file, path=local.path, before=before),),
        lost=() if file.head_moved else tuple(taken.conflicts),
        marks=(_part(change.id, STATUS, change.fields),),
    )


def _travel_hold(change: Change, path: str, rest: Fields) -> Hold:
    """Return the hold on what a revert does to a card beside its state."""
    is_edit = change.kind in _EDITS
    names = tuple(sorted(rest)) if is_edit else ()
    hold = make_hold(
        "time-travel",
        change.id,
        f"{path} went back to an older version, which would {_deed(change, rest)} {change.id}",
        [not is_edit, rest],
        path=path,
        fields=names,
    )
    return replace(hold, parts=tuple(_part(change.id, name, rest) for name in names))


def _part(id: str, name: FieldName, fields: Fields) -> str:
    """Return the name of one held field of a card."""
    return fingerprint("time-travel", id, [name, fields[name]])


def everything_changed(plan: Plan, sight: Sight, thresholds: Thresholds) -> Iterator[Trip]:
    """Trip when most cards of a file differ in the same field, as after a bad reformat or a new parser."""
    few = thresholds.changed_share * thresholds.changed_min
    for path, changes in _by_path(plan.to_store).items():
        edits = [each for each in changes if each.kind in _EDITS and each.id in sight.base]
        counts = Counter(name for each in edits for name in each.fields)
        file = sight.files.get(path)
        is_reread = sight.parser_changed and file is not None and file.version_rank == 0
        if not is_reread and max(counts.values(), default=0) <= few:
            continue
        size = sum(id in sight.base for id, card in sight.local.items() if card.path == path)
        enough = 0 if is_reread else max(few, thresholds.changed_share * size)
        many = sorted(name for name, count in counts.items() if count > enough)
        if not many or (size <= thresholds.changed_min and not is_reread):
            continue
        values = {each.id: {name: each.fields[name] for name in many if name in each.fields} for each in edits}
        touched = {id: changed for id, changed in values.items() if changed}
        cause = "a new version of the parser" if is_reread else "one change"
        reason = f"{cause} gives {len(touched)} of the {size} cards of {path} another {', '.join(many)}"
        hold = make_hold("everything-changed", path, reason, touched, path=path, fields=tuple(many))
        yield Trip(hold, tuple(Part(id, frozenset(changed)) for id, changed in touched.items()))


def deletions(plan: Plan, sight: Sight, thresholds: Thresholds) -> Iterator[Trip]:
    """Trip when more cards would go than a person takes out at once, on either side.  Holds: I8."""
    for source, changes in (("files", plan.to_store), ("store", plan.to_file)):
        going_there = _by_path(tuple(each for each in changes if each.kind in _REMOVALS))
        sizes = Counter(card.path for card in sight.base.values()) if going_there else Counter[str | None]()
        for place, going in _by_place(going_there, sizes).items():
            size = sum(sizes[path] for path in sizes if path is not None and _place_of(path, sizes) == place)
            cap = max(thresholds.deletions_max, thresholds.deletions_share * size)
            what = f"{len(going)} of the {size} cards of {place} went at once"
            where = "rows are gone" if source == "files" else "the store dropped them"
            reason = f"{what} ({where}); {int(cap)} may go without asking"
            # A row that an old buffer brought back went with its card already.
            for change in (each for each in going if each.id in sight.base):
                file = sight.files.get(change.path or "")
                doubt = _doubt(change.id, going, sight, file) if source == "files" and file is not None else None
                content = [source, sight.base[change.id].fields]
                hold = make_hold("deletions", change.id, doubt or reason, content, path=change.path)
                if len(going) > cap or doubt or hold.fingerprint in sight.standing:
                    yield Trip(hold, (Part(change.id),))


def _doubt(id: str, going: list[Change], sight: Sight, file: FileSight) -> str | None:
    """Return why a row that vanished was perhaps not taken out: it still stands there, or is too new to be known."""
    if id in file.unread:
        return f"{id} still stands in {file.path}, line {file.unread[id]}, where it is no card"
    if file.bad_id_line is not None:
        return f"line {file.bad_id_line} of {file.path} has no id that can be read: it may be one of the rows gone"
    if file.repeated_line is not None:
        return f"line {file.repeated_line} of {file.path} has the id of another row: it may be one of the rows gone"
    if id in sight.short_lived:
        lives = [sight.short_lived[each.id] for each in going if each.id in sight.short_lived]
        rows, what = ("row", "it") if len(lives) == 1 else ("rows", "them")
        ago = f"{int(min(lives))} s after syncd wrote {what}"
        return f"{len(lives)} {rows} of {file.path} went {ago}: an old editor buffer?"
    return None


def removed(plan: Plan, sight: Sight, _: Thresholds) -> Iterator[Trip]:
    """Trip on every row that vanished where the configuration wants to be asked."""
    for change in plan.to_store:
        if change.asks:
            reason = f"the row of {change.id} is gone from {change.path}, and on_removed is hold"
            content = sight.base[change.id].fields
            yield Trip(make_hold("removed", change.id, reason, content, path=change.path), (Part(change.id),))


def ping_pong(plan: Plan, sight: Sight, thresholds: Thresholds) -> Iterator[Trip]:
    """Trip when a field goes to and fro between the sides, and only syncd and what answers it write there."""
    writes: dict[tuple[str, FieldName], list[OwnWrite]] = defaultdict(list)
    for write in sight.own_writes:
        writes[write.id, write.field].append(write)
    if not writes and not sight.standing:
        return
    sides: tuple[tuple[Side, tuple[Change, ...]], ...] = (("store", plan.to_store), ("file", plan.to_file))
    for side, changes in sides:
        for change in changes:
            for name, value in change.fields.items() if change.kind in _EDITS else ():
                history = writes[change.id, name]
                pair = sorted([repr(value), repr(change.before.get(name))])
                reason = f"{name} of {change.id} goes to and fro: another program undoes what syncd writes"
                hold = make_hold(PING_PONG, change.id, reason, [name, pair], path=change.path, fields=(name,))
                swings = _swings(history, OwnWrite(change.id, name, side, value))
                if swings >= thresholds.swings_max or hold.fingerprint in sight.standing:
                    yield Trip(hold, (Part(change.id, frozenset({name})),))


def cycles(plan: Plan, sight: Sight, _: Thresholds) -> Iterator[Trip]:
    """Trip on each change that would close a dependency cycle in the store, alone or with those before it.

    A card that would be new is held whole: without its dependencies it could be claimed too early.
    """
    planned = {each.id: each for each in plan.to_store if each.fields.get(DEPENDS_ON)}
    if not planned:
        return
    depends_on = {id: _names(card.fields) for id, card in sight.remote.items() if card.presence is not Presence.DELETED}
    wanted = {id: _names(change.fields) for id, change in planned.items()}
    if all(set(names) <= set(depends_on.get(id, ())) for id, names in wanted.items()):
        return
    knotted = frozenset(id for knot in find_knots({**depends_on, **wanted}) for id in knot)
    graph = {**depends_on, **{id: names for id, names in wanted.items() if id not in knotted}}
    for id, change in planned.items():
        if id not in knotted:
            continue
        path = would_close(graph, id, wanted[id])
        if path is None:
            graph[id] = wanted[id]
            continue
        hold = make_hold(
            CYCLE,
            id,
            circle_text(path),
            wanted[id],
            path=change.path,
            fields=(DEPENDS_ON,),
            verb="reject",
        )
        fields = frozenset({DEPENDS_ON}) if change.kind in _EDITS else None
        yield Trip(hold, (Part(id, fields),), may_pass=False)


def undecided(plan: Plan, sight: Sight) -> Iterator[Hold]:
    """Yield a hold for each field that both sides changed where the policy says to ask: only resolving ends it."""
    for conflict in plan.conflicts:
        if conflict.winner is not Winner.NONE:
            continue
        id, name = conflict.id, conflict.field
        here = sight.local.get(id)
        reason = f"{name} of {id} differs on both sides, and its policy is ask"
        content = [name, conflict.local, conflict.remote]
        hold = make_hold(ASK, id, reason, content, path=here.path if here else None, fields=(name,))
        yield replace(hold, release=f"syncd resolve {shlex.quote(id)} --field {shlex.quote(name)} --use local|remote")


GUARDS: tuple[Guard, ...] = (
    rewound,
    markers,
    emptied,
    time_travel,
    everything_changed,
    deletions,
    removed,
    ping_pong,
)
"""In the order in which they look; what one holds, the next does not see."""


def _by_path(changes: tuple[Change, ...]) -> dict[str, list[Change]]:
    """Return the changes of the cards of each file."""
    groups: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        if change.path is not None:
            groups[change.path].append(change)
    return groups


def _by_place(groups: Mapping[str, list[Change]], sizes: Mapping[str | None, int]) -> dict[str, list[Change]]:
    """Return the changes of each file, those of files with one card in a folder together."""
    places: dict[str, list[Change]] = defaultdict(list)
    for path, changes in groups.items():
        places[_place_of(path, sizes)] += changes
    return places


def _place_of(path: str, sizes: Mapping[str | None, int]) -> str:
    """Return the file, or its folder where the file has one card."""
    return path if sizes.get(path, 0) != 1 else f"{path.rpartition('/')[0] or '.'}/"


def _is_revert(file: FileSight, cards: int, thresholds: Thresholds) -> bool:
    """Return whether a file's bytes are an older version's, and enough cards would go back with it."""
    is_older = file.version_rank is not None and file.version_rank > 0
    return is_older and (cards >= thresholds.reverts_min or (cards == 1 and file.head_moved))


def _deed(change: Change, fields: Fields) -> str:
    """Return what a revert does to a card, as a verb."""
    match change.kind:
        case ChangeKind.REMOVE | ChangeKind.ARCHIVE:
            return "take away"
        case ChangeKind.RESTORE:
            return "bring back"
        case _:
            return f"revert {', '.join(sorted(fields))} of"


def _swings(history: list[OwnWrite], planned: OwnWrite) -> int:
    """Return how often, with the write that is planned, a field swung between two values and the two sides."""
    if not history or history[-1].side != planned.side:
        history = [*history, planned]
    swings = 0
    for at in range(len(history) - 1, 0, -1):
        last, previous = history[at], history[at - 1]
        is_back = at < 2 or is_same(last.field, history[at - 2].value, last.value)
        if last.side == previous.side or is_same(last.field, last.value, previous.value) or not is_back:
            break
        swings += 1
    return swings


def _names(fields: Fields) -> tuple[str, ...]:
    """Return what a card depends on."""
    names = fields.get(DEPENDS_ON)
    return names if isinstance(names, tuple) else ()
