"""The SQL that the package carries: named queries, migrations, the way to adopt a table.

SQL lives in files so that it can be read, tried and explained as SQL.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Final

import msgspec

from syncd.schemas.card import Card

CARD_COLUMNS: Final = tuple(name for name in Card.__struct_fields__ if name != "line")
"""A card's columns, which are named as its fields; ``line`` is known to files only."""

SCHEMA_VERSION: Final = 8
"""The number of the last migration: the schema that this code works on."""

# Each is the end of an index, however many rows there are; ``max`` knows no transaction ids before PostgreSQL 15.
_LAST: Final = """greatest((select changed_xid from backlog order by changed_xid desc limit 1),
                      (select xid from backlog_history order by xid desc limit 1))"""

_LISTED: Final = """b.project = %(project)s and b.deleted_at is null and b.archived_at is null
  and (%(status)s::backlog_status is null or b.status = %(status)s::backlog_status)
  and (%(phase)s::text is null or b.phase = %(phase)s)
  and (%(owner)s::text is null or b.claim_owner = %(owner)s)
  and (not %(ready_only)s or (b.status = 'ready' and b.unmet = 0 and (b.run_after is null or b.run_after <= now())))
  and (%(cursor)s::text is null or (-b.priority, b.created_at, b.id) > (
        select -last.priority, last.created_at, last.id from backlog last
        where last.project = %(project)s and last.id = %(cursor)s))"""

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_FOLDER = resources.files("syncd.schemas") / "sql"


class Migration(msgspec.Struct, frozen=True):
    """One numbered step of the schema."""

    number: int
    name: str
    sql: str
    checksum: str


@cache
def _queries() -> dict[str, str]:
    text = sql_file("queries.sql").replace("{card}", ", ".join(f"b.{each}" for each in CARD_COLUMNS))
    text = text.replace("{last}", _LAST).replace("{listed}", _LISTED)
    _, *parts = _NAME.split(text)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def query(name: str) -> str:
    """Return a query of ``queries.sql``."""
    return _queries()[name]


@cache
def sql_file(name: str) -> str:
    """Return a SQL file of the package."""
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def migrations() -> tuple[Migration, ...]:
    """Return the migrations in their order."""
    found = []
    for entry in (_FOLDER / "migrations").iterdir():
        if entry.name.endswith(".sql"):
            sql = entry.read_text(encoding="utf-8")
            checksum = sha256(sql.encode()).hexdigest()
            found.append(Migration(int(entry.name.split("_")[0]), entry.name.removesuffix(".sql"), sql, checksum))
    return tuple(sorted(found, key=lambda each: each.number))
