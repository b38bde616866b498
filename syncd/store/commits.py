"""Batches of the cycle: conflicts first, then changes by compare-and-swap, in one transaction.

A conflict about a row that moved is not recorded: what the sides say of it is planned anew.

Rows are locked in id order and read, ``changes`` says what each shall be, and one set-based statement
writes them: two or three round trips, however many cards.  A value that the database itself refuses
(a constraint or trigger that others made) sends the batch through again card by card, so that it holds
back its own card only.  May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors``
and the store's own modules.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from psycopg import Cursor

from syncd.core.plan import Conflict, Winner
from syncd.ports import Batch, BatchResult, ConflictRecord, Refusal
from syncd.schemas.card import Card, Value
from syncd.store.changes import added_dependencies, closing_cycles, planned
from syncd.store.failures import UNSTORABLE, said
from syncd.store.rows import Row, cards_of, changed_rows, new_rows
from syncd.store.session import Link, Session, execute, together


def commit(session: Session, batch: Batch, replica: str) -> BatchResult:
    """Apply a batch in one transaction.

    A change whose row moved or was refused is left out; a batch that was committed before changes nothing.

    Effects: conflicts, cards and the commit id are durable together, or not at all.
    Raises: StoreUnreachable with the outcome unknown: ask ``has_commit``.
    """

    def work(link: Link) -> BatchResult:
        try:
            with link.transaction():
                return _commit(link, session.project, batch, replica, card_by_card=False)
        except UNSTORABLE:
            with link.transaction():
                return _commit(link, session.project, batch, replica, card_by_card=True)

    return session.run(work)


def has_commit(session: Session, commit_id: str) -> bool:
    """Return whether a batch was committed, waiting for a transaction of it that still runs on the server."""

    def work(link: Link) -> bool:
        with link.transaction(force_rollback=True):
            # Inserting waits for an insert of the same id that is under way; looking would not see it.
            inserted = execute(link, "new_commit", project=session.project, id=commit_id, replica=None)
            return not inserted.fetchall()

    return session.run(work)


def left_out(session: Session, commit_id: str) -> frozenset[str]:
    """Return the cards that a committed batch left out."""
    return frozenset(id for (ids,) in session.fetch("left_out", id=commit_id) for id in ids)


def _commit(link: Link, project: str, batch: Batch, replica: str, *, card_by_card: bool) -> BatchResult:
    ids = sorted({change.id for change in batch.changes if _is_name(change.id)})
    with together(link):
        is_new = execute(link, "new_commit", project=project, id=batch.commit_id, replica=replica)
        if any(change.fields.get("dependsOn") for change in batch.changes):
            execute(link, "lock_edges", project=project)
        clock = execute(link, "now")
        locked = execute(link, "lock_cards", project=project, ids=ids)
    before = cards_of(row[1:] for row in locked)
    if not is_new.fetchall():
        return BatchResult(cards=before, moved=frozenset(), refused={})
    now: datetime = clock.fetchall()[0][0]
    after, moved, refused = planned(batch.changes, before, project, now)
    _refuse_cycles(link, project, before, after, refused)
    if clashes := [each for each in batch.conflicts if each.id not in moved]:
        execute(link, "record_conflicts", project=project, replica=replica, **conflict_columns(clashes))
    if card_by_card:
        written = _write_each(link, project, before, after, refused)
        rows = execute(link, "cards", project=project, ids=ids)
    else:
        with together(link):
            results = write(link, project, before, after)
            rows = execute(link, "cards", project=project, ids=ids)
        written = ids_of(results)
    cards = cards_of(rows)
    for id in after.keys() - before.keys() - written - refused.keys():
        # Somebody else made the card after the rows were locked.
        if id in cards:
            moved.add(id)
        else:
            refused[id] = Refusal("already-exists", f"{id}: another project has this id in the same table")
    if left_out := sorted(filter(_is_name, {*moved, *refused})):
        execute(link, "leave_out", project=project, id=batch.commit_id, ids=left_out)
    return BatchResult(cards=cards, moved=frozenset(moved), refused=refused)


def _write_each(
    link: Link, project: str, before: Mapping[str, Card], after: Mapping[str, Card], refused: dict[str, Refusal]
) -> set[str]:
    """Write card by card, so that a value that the database refuses holds back its own card only."""
    written: set[str] = set()
    for id, card in after.items():
        try:
            with link.transaction():
                written |= ids_of(write(link, project, before, {id: card}))
        except UNSTORABLE as error:
            refused[id] = Refusal("bad-value", f"{id}: {said(error)}")
    return written


def _refuse_cycles(
    link: Link, project: str, before: Mapping[str, Card], after: dict[str, Card], refused: dict[str, Refusal]
) -> None:
    starts = {each for id, card in after.items() for each in added_dependencies(before.get(id), card)}
    if not starts:
        return
    for id in closing_cycles(reach(link, project, starts), before, after):
        del after[id]
        refused[id] = Refusal("cycle", f"{id}: its dependencies would close a cycle")


def reach(link: Link, project: str, ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the dependencies of everything that these ids lead to, they themselves included."""
    edges: dict[str, list[str]] = {}
    for card, dependency in execute(link, "reach", project=project, ids=list(ids)):
        edges.setdefault(card, []).append(dependency)
    return edges


def write(link: Link, project: str, before: Mapping[str, Card], after: Mapping[str, Card]) -> list[Cursor[Row]]:
    """Insert and update cards, one statement each; the rows that exist must be locked.

    Returns: the statements' results, for ``ids_of``: not there yet while a pipeline runs.
    """
    new = [card for id, card in after.items() if id not in before]
    old = [(before[id], card) for id, card in after.items() if id in before and before[id] != card]
    results = []
    if new:
        results.append(execute(link, "insert_cards", project=project, cards=new_rows(new)))
    if old:
        ids = [card.id for _, card in old]
        results.append(execute(link, "update_cards", project=project, ids=ids, cards=changed_rows(old)))
    return results


def ids_of(results: Iterable[Cursor[Row]]) -> set[str]:
    """Return the ids of the cards that ``write`` wrote."""
    return {row[0] for result in results for row in result}


def conflicts(session: Session, *, settled: bool) -> list[ConflictRecord]:
    """Return the project's conflicts, oldest first."""
    return [_conflict_of(row) for row in session.fetch("conflicts", settled=settled)]


def _conflict_of(row: Row) -> ConflictRecord:
    seq, id, field, base, local, remote, winner, replica, at, settled, settled_at = row
    conflict = Conflict(id, field, _value(base), _value(local), _value(remote), Winner(winner))
    return ConflictRecord(seq, conflict, replica, at, settled, settled_at)


def _value(text: str) -> Value:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


def conflict_columns(clashes: Sequence[Conflict]) -> dict[str, list[Any]]:
    """Return the arrays that ``record_conflicts`` takes.

    JSON in ASCII holds every text; the digest makes the same clash, seen again, the same record.
    """
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "field", "base", "local", "remote", "winner", "digest")
    }
    for clash in clashes:
        name, field = _readable(clash.id), _readable(clash.field)
        values = [json.dumps(each) for each in (clash.base, clash.local, clash.remote)]
        digest = sha256(json.dumps([name, field, *values]).encode()).hexdigest()
        row = (name, field, *values, clash.winner.value, digest)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return columns


def _readable(text: str) -> str:
    """Return a name as text that the database can hold."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _is_name(id: str) -> bool:
    return _readable(id) == id
