"""The JSON of the values that only the command line prints; those of a cycle are ``syncd.engine.report``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd.engine.report import problem_json
from syncd.schemas.card import EXTRA, instant_json

if TYPE_CHECKING:
    from syncd.api import DbStatus, Undo
    from syncd.core.history import HistoryEntry
    from syncd.files.git_setup import GitSetup
    from syncd.parsers.document import Document, FileCard
    from syncd.ports import QueueStats
    from syncd.schemas.card import Value

Json = dict[str, Any]


def value_json(value: Value) -> Any:
    """Return a field's value as JSON: a list where it is one."""
    return list(value) if isinstance(value, tuple) else value


def file_card_json(card: FileCard) -> Json:
    """Return a card as a file shows it.

    A field that its place cannot show is absent; ``weak`` names the fields that come from the surroundings.
    """
    named: Json = {}
    extra: Json = {}
    for name, value in card.fields.items():
        if name.startswith(EXTRA):
            extra[name.removeprefix(EXTRA)] = value_json(value)
        else:
            named[name] = value_json(value)
    place = {"line": card.line, "column": card.column, "dialect": card.dialect, "weak": sorted(card.weak)}
    return {"id": card.id, **named, "extra": extra, **place}


def stats_json(stats: QueueStats) -> Json:
    """Return the counts of a project."""
    return {
        "counts": dict(stats.counts),
        "total": stats.total,
        "oldestReadyAgeSeconds": stats.oldest_ready_age_s,
        "expiredClaimCount": stats.expired_claim_count,
        "queue": dict(stats.queue),
        "paused": stats.paused,
    }


def parse_json(document: Document, *, is_explained: bool = False) -> Json:
    """Return what syncd reads in a file; explained, also what each of its blocks was taken for."""
    found: Json = {
        "cards": [file_card_json(each) for each in document.cards],
        "problems": [problem_json(each) for each in document.problems],
    }
    if is_explained:
        found["blocks"] = [
            {"line": each.line, "kind": each.kind, "cards": each.cards, "reason": each.reason}
            for each in document.blocks
        ]
    return found


def db_json(status: DbStatus) -> Json:
    """Return where the store is, without secrets, and how its schema stands."""
    return {
        "kind": status.kind,
        "address": status.address,
        "reachable": status.reachable,
        "serverVersion": status.server_version,
        "schemaVersion": status.schema_version,
        "schemaKnown": status.schema_known,
        "pending": list(status.pending),
    }


def history_json(entry: HistoryEntry) -> Json:
    """Return one entry of the audit trail."""
    return {
        "seq": entry.seq,
        "at": instant_json(entry.at),
        "id": entry.id,
        "version": entry.version,
        "op": entry.op.value,
        "actor": entry.actor,
        "face": entry.face,
        "changes": [{"field": each.field, "from": each.before, "to": each.after} for each in entry.changes],
    }


def undo_json(undo: Undo) -> Json:
    """Return that a task file was put back, and what the sync after it did."""
    return {"path": undo.path, "kept": undo.kept, "sync": undo.report.to_json()}


def git_json(setup: GitSetup) -> Json:
    """Return how the merge driver stands in a repository."""
    return {
        "attributes": setup.attributes,
        "driver": setup.driver,
        "lines": list(setup.lines),
        "changed": setup.changed,
    }
