"""The JSON of the values that only the command line prints; those of a cycle are ``syncd.engine.report``'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from syncd.engine.report import drift_json, problem_json
from syncd.schemas.card import EXTRA, instant_json

if TYPE_CHECKING:
    from syncd.api import (
        Check,
        GitSetup,
        Killed,
        Moved,
        ServiceState,
        Standing,
        StoreSchema,
        Upgraded,
        Verification,
        Workspace,
    )
    from syncd.parsers.document import Document, FileCard
    from syncd.past import Undo
    from syncd.ports import Adoption, Backup, Pruned, Replica, Restored, Worker
    from syncd.schemas.card import Card, Value

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


def parse_json(document: Document, *, is_explained: bool = False) -> Json:
    """Return what syncd reads in a file; explained, also what each of its blocks was taken for."""
    found: Json = {
        "cards": [file_card_json(each) for each in document.cards],
        "problems": [problem_json(each) for each in document.problems],
    }
    if is_explained:
        from syncd.parsers.explain import explained

        found["blocks"] = [
            {
                "line": each.line,
                "kind": each.kind,
                "dialect": each.dialect,
                "cards": each.cards,
                "reason": each.reason,
                "others": [{"dialect": name, "reason": reason} for name, reason in each.others],
            }
            for each in explained(document)
        ]
    return found


def moved_json(moved: Moved) -> Json:
    """Return what moving to another store did."""
    return {
        "source": {"kind": moved.source.kind.value, "address": moved.source.address},
        "target": {"kind": moved.target.kind.value, "address": moved.target.address},
        "project": moved.project,
        "moved": {"cards": moved.cards, "missions": moved.missions, "conflicts": moved.conflicts},
        "done": moved.is_done,
    }


def db_json(status: StoreSchema) -> Json:
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


def service_json(state: ServiceState) -> Json:
    """Return how the service of a workspace stands."""
    return {
        "unit": state.unit,
        "installed": state.is_installed,
        "enabled": state.is_enabled,
        "active": state.active,
        "sub": state.sub,
        "result": state.result,
        "exitCode": state.exit_code,
        "pid": state.pid,
        "restarts": state.restarts,
        "memoryBytes": state.memory_bytes,
        "text": state.text,
        "program": list(state.program),
        "path": str(state.path),
        "environmentFile": None if state.environment is None else str(state.environment),
        "lingers": state.lingers,
        "changed": state.has_changed,
    }


def standing_json(standing: Standing) -> Json:
    """Return how a workspace stands: its report, or where it is and why there is none."""
    if standing.report is not None:
        report = standing.report.to_json()
        others = standing.replicas
        report["replicas"] = None if others is None else [replica_json(each, report["replica"]) for each in others]
        return report
    error = standing.error
    said = {"code": error.code, "message": error.message, "hint": error.hint} if error else None
    return {"workspace": str(standing.root), "error": said}


def replica_json(replica: Replica, here: str) -> Json:
    """Return a working copy of a project; ``here`` is the id of the one that tells of it."""
    return {
        "replica": replica.id,
        "host": replica.host,
        "path": replica.path,
        "lastSeenAt": instant_json(replica.seen_at),
        "isHere": replica.id == here,
    }


def check_json(check: Check) -> Json:
    """Return what a check of the doctor says."""
    return {
        "name": check.name,
        "health": check.health.value,
        "message": check.message,
        "remedy": check.remedy,
        "fixable": check.mend is not None,
        "fixed": check.fixed,
    }


def verification_json(found: Verification) -> Json:
    """Return how files, base and store compare."""
    return {
        "agrees": found.agrees,
        "files": [{"path": path, "cards": cards} for path, cards in found.in_files.items()],
        "base": found.in_base,
        "store": found.in_store,
        "differences": [
            {**drift_json(each.entry), "because": each.because, "command": each.command} for each in found.differences
        ],
        "unread": [problem_json(each) for each in found.unread],
    }


def graph_json(cards: Sequence[Card]) -> Json:
    """Return cards and dependencies, each ``from`` a card ``to`` what it waits for; an unknown one has no status."""
    known = {card.id: card for card in cards}
    nodes: list[Json] = [{"id": card.id, "title": card.title, "status": card.status.value} for card in cards]
    edges = [{"from": card.id, "to": each} for card in cards for each in card.depends_on]
    unknown = dict.fromkeys(each["to"] for each in edges if each["to"] not in known)
    nodes += [{"id": id, "title": None, "status": None} for id in unknown]
    return {"cards": nodes, "dependencies": edges}


def adoption_json(adoption: Adoption) -> Json:
    """Return what adopting a table does or did."""
    return {"steps": list(adoption.steps), "cards": adoption.cards, "done": adoption.is_done}


def pruned_json(pruned: Pruned, *, is_dry: bool) -> Json:
    """Return how many rows went, or would go."""
    counts = {"history": pruned.history, "commits": pruned.commits, "replicas": pruned.replicas}
    return {"pruned": counts, "done": not is_dry}


def trust_json(workspace: Workspace) -> Json:
    """Return where the settings send events, and whether they may."""
    events = [
        {
            "kind": "command" if each.run else "webhook" if each.url else "file",
            "target": each.url or each.file or " ".join(each.run),
            "on": list(each.on),
        }
        for each in workspace.config.events
    ]
    return {"trusted": workspace.is_trusted, "events": events}


def worker_json(worker: Worker) -> Json:
    """Return a worker as the registry has it, and how it is."""
    from syncd.workers import state_of

    return {
        "owner": worker.owner,
        "name": worker.name,
        "state": state_of(worker).value,
        "host": worker.host,
        "pid": worker.pid,
        "concurrency": worker.concurrency,
        "ttlSeconds": worker.ttl_s,
        "assignedOnly": worker.takes_assigned,
        "cards": [
            {"id": each.id, "attempt": each.attempt, "pid": each.pid, "startedAt": instant_json(each.started_at)}
            for each in worker.cards
        ],
        "startedAt": instant_json(worker.started_at),
        "lastHeartbeatAt": instant_json(worker.seen_at),
        "ageSeconds": round(max(0.0, worker.age_s), 3),
        "drainRequestedAt": instant_json(worker.drain_requested_at),
        "killRequestedAt": instant_json(worker.kill_requested_at),
        "requestedBy": worker.requested_by,
    }


def killed_json(killed: Killed) -> Json:
    """Return what a kill ended, or told to end."""
    return {
        "owner": killed.owner,
        "name": killed.name,
        "host": killed.host,
        "pid": killed.pid,
        "cards": list(killed.cards),
        "ended": killed.has_ended,
    }


def backup_json(backup: Backup) -> Json:
    """Return what a backup holds."""
    return {"path": backup.path, "project": backup.project, "cards": backup.cards, "history": backup.history}


def restored_json(restored: Restored) -> Json:
    """Return what restoring a backup changed, or would."""
    counts = {"added": restored.added, "changed": restored.changed, "removed": restored.removed}
    at = instant_json(restored.at)
    return {"path": restored.path, "project": restored.project, "at": at, **counts, "done": restored.done}


def upgraded_json(upgraded: Upgraded) -> Json:
    """Return from which version to which, and where the old data is."""
    kept = None if upgraded.kept is None else str(upgraded.kept)
    return {"from": upgraded.before, "to": upgraded.after, "kept": kept}
