"""Taking over a ``backlog`` table that a Mosaic service made: in place, in one transaction.

Its clients go on using it unchanged.  May import ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the
store's own modules.
"""

from __future__ import annotations

from typing import Final

from syncd.errors import NotFound, Refused, SchemaVersionError
from syncd.ports import Adoption
from syncd.schemas.card import Status
from syncd.store.dsn import address
from syncd.store.migrate import applied, apply, connected, hold_lock, make_ledger, pin_schema
from syncd.store.queries import migrations, sql_file
from syncd.store.session import Link

PROJECT: Final = "default"
"""Whose cards the rows of an adopted table are: its clients write none."""

MOSAIC: Final = {
    "id": "text",
    "title": "text",
    "body": "text",
    "phase": "text",
    "priority": "integer",
    "status": "backlog_status",
    "depends_on": "jsonb",
    "claim_owner": "text",
    "claim_ttl_seconds": "integer",
    "claimed_at": "timestamp with time zone",
    "attempts": "integer",
    "idempotency_key": "text",
    "acceptance": "jsonb",
    "created_at": "timestamp with time zone",
    "updated_at": "timestamp with time zone",
}
"""The columns of the table and their types."""

OURS: Final = {
    "project": ("text", True),
    "version": ("bigint", True),
    "changed_xid": ("xid8", True),
    "unmet": ("integer", True),
    "failures": ("integer", True),
    "max_retries": ("integer", False),
    "run_after": ("timestamp with time zone", False),
    "last_error": ("text", False),
    "path": ("text", False),
    "extra": ("jsonb", True),
    "archived_at": ("timestamp with time zone", False),
    "deleted_at": ("timestamp with time zone", False),
}
"""The columns that ``adopt.sql`` adds: their types, and whether each is not null with a default."""


def adopt(dsn: str, *, dry_run: bool = False) -> Adoption:
    """Bring an existing Mosaic table under syncd, or with ``dry_run`` say what that would do.

    Effects: one transaction; columns, indexes and triggers are added, no value that a client knows changes.

    Raises: NotFound when there is no table, Refused when it is syncd's already, SchemaVersionError when
        it is no Mosaic table, and the errors of a connection.
    """
    with connected(dsn) as link, hold_lock(link, address(dsn)):
        pin_schema(link)
        if applied(link):
            raise Refused(f"{address(dsn)}: the backlog is syncd's already", hint="syncd db status")
        _require_mosaic(link, address(dsn))
        cards = int(link.execute("select count(*) from backlog").fetchall()[0][0])
        first, *rest = migrations()
        steps = (
            "add columns, indexes and storage settings to backlog (adopt.sql)",
            *(f"run migration {each.name}" for each in rest),
            f"count the unmet dependencies of {'1 card' if cards == 1 else f'{cards} cards'}",
        )
        if not dry_run:
            make_ledger(link)
            apply(link, first, sql=sql_file("adopt.sql"))
            for each in rest:
                apply(link, each)
            link.execute("select backlog_mend(%s)", [PROJECT])
        return Adoption(steps, cards, is_done=not dry_run)


def _require_mosaic(link: Link, place: str) -> None:
    """Raise NotFound without a table, SchemaVersionError with each reason why it is no Mosaic one."""
    columns = link.execute(
        "select attname, format_type(atttypid, null), attnotnull and atthasdef, atttypid, relkind"
        " from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where attrelid = to_regclass('backlog') and attnum > 0 and not attisdropped"
    ).fetchall()
    if not columns:
        raise NotFound(f"{place}: there is no backlog table to adopt", hint="syncd db migrate")
    kinds = {row[0]: row[1].rpartition(".")[2] for row in columns}
    is_set = {row[0]: bool(row[2]) for row in columns}
    if {row[4] for row in columns} != {"r"}:
        reasons = ["it is no plain table"]
    elif lacking := [f"{name} {kind}" for name, kind in MOSAIC.items() if kinds.get(name) != kind]:
        reasons = [f"it lacks: {', '.join(lacking)}"]
    else:
        status = next(row[3] for row in columns if row[0] == "status")
        reasons = _unlike(link, status)
        for name, (kind, has_to_be_set) in OURS.items():
            if name in kinds and (kinds[name] != kind or (has_to_be_set and not is_set[name])):
                needed = f"{kind} not null, with a default" if has_to_be_set else kind
                reasons.append(f"its column {name} is another one than syncd's ({needed})")
    if reasons:
        raise SchemaVersionError(
            f"{place}: the backlog table is not a Mosaic one; {'; '.join(reasons)}",
            hint="Point syncd at another database or schema, or change the table.",
        )


def _unlike(link: Link, status: int) -> list[str]:
    """Return what a table with the right columns has that a Mosaic one has not: other states, no keys."""
    labels = {row[0] for row in link.execute("select enumlabel from pg_enum where enumtypid = %s", [status])}
    states = {each.value for each in Status}
    unique = {
        row[0]
        for row in link.execute(
            "select attname from pg_index join pg_attribute on attrelid = indrelid and attnum = indkey[0]"
            " where indrelid = to_regclass('backlog') and indisunique and indnkeyatts = 1"
        )
    }
    reasons = []
    if labels != states:
        reasons.append(f"its states are {', '.join(sorted(labels))} and not {', '.join(sorted(states))}")
    reasons += [f"nothing keeps {name} unique" for name in ("id", "idempotency_key") if name not in unique]
    return reasons
