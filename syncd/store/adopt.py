"""Taking over a ``backlog`` table that a Mosaic service made: in place, in one transaction.

Its clients go on using it unchanged.  May import ``syncd.ports``, ``syncd.errors`` and the store's own
modules.
"""

from __future__ import annotations

from typing import Final

from syncd.errors import NotFound, Refused, SchemaVersionError
from syncd.ports import Adoption
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
            f"count the unmet dependencies of {cards} cards",
        )
        if not dry_run:
            make_ledger(link)
            apply(link, first, sql=sql_file("adopt.sql"))
            for each in rest:
                apply(link, each)
            link.execute("select backlog_mend(%s)", [PROJECT])
        return Adoption(steps, cards, is_done=not dry_run)


def _require_mosaic(link: Link, place: str) -> None:
    columns = link.execute(
        "select attname, format_type(atttypid, null) from pg_attribute"
        " where attrelid = to_regclass('backlog') and attnum > 0 and not attisdropped"
    ).fetchall()
    found = {row[0]: row[1].rpartition(".")[2] for row in columns}
    if not found:
        raise NotFound(f"{place}: there is no backlog table to adopt", hint="syncd db migrate")
    wrong = [f"{name} {kind}" for name, kind in MOSAIC.items() if found.get(name) != kind]
    if wrong:
        raise SchemaVersionError(
            f"{place}: the backlog table is not a Mosaic one; it lacks: {', '.join(wrong)}",
            hint="Point syncd at another database or schema.",
        )
