"""What only needs time: a file in the middle of a write, and a file that is gone for a moment.

A wait is no hold: it ends by itself, and nobody is asked.  Edits and additions do not wait; while a
file waits it is not written.  May import ``syncd.core``.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator

from syncd.core.parts import Part, join, parts_of_file, split, without_writes
from syncd.core.plan import Change, ChangeKind, FieldName, Plan, Presence, Wait
from syncd.core.reconcile import render
from syncd.core.sight import FileSight, Sight, Thresholds
from syncd.core.values import absent, is_empty
from syncd.schemas.card import STATUS_WORD, Value


def settle(plan: Plan, sight: Sight, thresholds: Thresholds) -> tuple[Plan, tuple[Wait, ...]]:
    """Return what of the plan need not wait, and the files that do.

    After its grace a missing file is rendered again from the store: its absence deletes nothing.
    """
    waits: list[Wait] = []
    gone = vanished(sight)
    for file in sight.files.values():
        step = _unsettled if file.exists else _missing
        plan, wait = step(plan, sight, thresholds, file, gone.get(file.path, []))
        if wait is not None:
            waits.append(wait)
    return plan, tuple(waits)


def unsure(sight: Sight, thresholds: Thresholds, *, but: Collection[str] = ()) -> dict[str, Wait]:
    """Return the files of which it is not known yet what they hold, with the wait for each.

    A file in the middle of a write, or gone for a moment, still has its cards: until that is settled, a row
    with the same id in another file is no move.

    Args:
        but: files that are waited for already.
    """
    found: dict[str, Wait] = {}
    for file in sight.files.values():
        age_ms = file.changed_ms_ago if file.exists else file.missing_ms
        settle_ms = thresholds.settle_ms if file.exists else thresholds.settle_deletions_ms
        is_odd = file.is_truncation or not file.exists
        if is_odd and age_ms is not None and age_ms < settle_ms and file.path not in but:
            found[file.path] = Wait(file.path, f"{file.path} is being written", settle_ms - age_ms)
        elif file.git_wait_ms > 0 and file.path not in but:
            found[file.path] = Wait(file.path, f"git may still be at work on {file.path}", file.git_wait_ms)
    return found


def vanished(sight: Sight) -> dict[str, list[str]]:
    """Return, by file, the cards that stood in it and are live in the store, but stand in no file now."""
    gone: dict[str, list[str]] = {}
    for id in absent(sight.remote, sight.local):
        known = sight.base.get(id)
        if known is not None and known.path is not None and sight.remote[id].presence is Presence.LIVE:
            gone.setdefault(known.path, []).append(id)
    return gone


def _missing(
    plan: Plan, sight: Sight, thresholds: Thresholds, file: FileSight, gone: list[str]
) -> tuple[Plan, Wait | None]:
    """Leave a missing file's cards alone during its grace; then put them back."""
    if not gone:
        return plan, None
    _, rest = split(plan, [Part(id) for id in gone])
    left_ms = int(thresholds.grace_s * 1000) - (file.missing_ms or 0)
    if left_ms > 0:
        name = shlex.quote(file.path)
        instead = f"its cards instead: touch {name} && syncd accept {name}"
        if len(gone) == 1:
            instead = f"its card instead: syncd backlog remove --id {shlex.quote(gone[0])}"
        hint = f"Then it is written again. To delete {instead}"
        rest = _unwritten(rest, file.path)
        return rest, Wait(file.path, f"{file.path} is missing; its {len(gone)} cards stay", left_ms, hint)
    rows = tuple(render(sight.remote[id], file.path) for id in gone)
    return join(Plan(to_file=rows), rest), None


def _unsettled(
    plan: Plan, sight: Sight, thresholds: Thresholds, file: FileSight, gone: list[str]
) -> tuple[Plan, Wait | None]:
    """Hold back what looks like half of a write, for as long as that may be."""
    if file.changed_ms_ago is None:
        return plan, None
    text_ms = thresholds.settle_ms - file.changed_ms_ago
    rows_ms = thresholds.settle_deletions_ms - file.changed_ms_ago
    if file.is_truncation and text_ms > 0:
        _, rest = split(plan, [*parts_of_file(plan, file.path), *(Part(id) for id in gone)])
        return rest, Wait(file.path, f"{file.path} looks like the beginning of a write", text_ms)
    parts = [Part(id) for id in gone] if rows_ms > 0 else []
    wait_ms = rows_ms if parts else text_ms
    if text_ms > 0:
        parts += [
            Part(change.id, shorter)
            for change in plan.to_store
            if change.path == file.path and (shorter := frozenset(_shortened(sight, change)))
        ]
    if not parts:
        return plan, None
    _, rest = split(plan, parts)
    return _unwritten(rest, file.path), Wait(file.path, f"text or rows just went from {file.path}", wait_ms)


def _shortened(sight: Sight, change: Change) -> Iterator[FieldName]:
    """Yield the fields of an edit that became empty or the beginning of what they were."""
    known = sight.base.get(change.id)
    if known is None or change.kind not in (ChangeKind.UPDATE, ChangeKind.CLAIM):
        return
    for name in frozenset(change.fields) - {STATUS_WORD}:
        if name in known.fields and name in sight.local[change.id].fields:
            was, now = known.fields[name], sight.local[change.id].fields[name]
            if not is_empty(name, was) and (is_empty(name, now) or _is_beginning(now, was)):
                yield name


def _is_beginning(now: Value, was: Value) -> bool:
    """Return whether a text or list is a strict prefix of another."""
    if isinstance(now, str) and isinstance(was, str):
        return now != was and was.startswith(now)
    if isinstance(now, tuple) and isinstance(was, tuple):
        return now != was and was[: len(now)] == now
    return False


def _unwritten(plan: Plan, path: str) -> Plan:
    """Return the plan less its writes to a file."""
    return without_writes(plan, [change for change in plan.to_file if change.path == path])
