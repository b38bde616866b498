"""A project as a file, and back: one JSON object a line, the first of which says what the file is.

A backup is one snapshot of everything that the database holds of the project: cards with their tombstones, the
audit trail, conflicts, missions, reserved ids, the pause.  Restoring is an edit like any other: it goes through the
triggers in one transaction, so it stands in the audit trail, can itself be undone from there, and the files follow
with the next sync.  Cards that are not in the file go (as tombstones); leases are not brought back, and fencing
numbers and versions never fall.  The audit trail is loaded only where the project has none.
May import ``syncd.ports``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

import gzip
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import msgspec
from psycopg import sql

from syncd.errors import BadValue, InputOutputError, NotFound, Refused
from syncd.ports import Backup, Restored
from syncd.store.queries import SCHEMA_VERSION
from syncd.store.session import Link, Session, execute

KIND: Final = "syncd-backup"
FORMAT: Final = 1

TABLES: Final = {
    "backlog": ("id",),
    "backlog_history": ("seq",),
    "backlog_conflict": ("seq",),
    "backlog_meta": ("key",),
    "backlog_id": ("prefix",),
    "mission": ("id",),
    "milestone": (
        "mission",
        "id",
    ),
    "mission_session": (
        "mission",
        "session_id",
    ),
}
"""What a backup holds, and the order of its rows: the same content gives the same file."""

COPY: Final = "copy (select to_jsonb(t)::text from {table} t where project = {project} order by {order}) to stdout"

_BESIDE: Final = ("conflicts", "meta", "ids", "missions", "milestones", "sessions")


class _Head(msgspec.Struct):
    """The first line."""

    kind: str
    format: int
    schema: int
    project: str
    at: datetime


class _Entry(msgspec.Struct):
    """Every other line: a row, left as it is written."""

    table: str
    row: msgspec.Raw


def backup(session: Session, path: Path) -> Backup:
    """Write the project to a file that is there whole or not at all; ``.gz`` at its end compresses it.

    Raises: InputOutputError.
    """

    def work(link: Link) -> Backup:
        counts = dict.fromkeys(TABLES, 0)
        with _fresh(path) as out, link.transaction():
            link.execute("set transaction isolation level repeatable read, read only")
            link.execute("set local statement_timeout = 0")
            head = _Head(KIND, FORMAT, SCHEMA_VERSION, session.project, datetime.now(UTC))
            out.write(msgspec.json.encode(head) + b"\n")
            for table, order in TABLES.items():
                parts = {
                    "table": sql.Identifier(table),
                    "order": sql.SQL(", ").join(map(sql.Identifier, order)),
                    "project": sql.Literal(session.project),
                }
                with link.cursor().copy(sql.SQL(COPY).format(**parts)) as copy:
                    for (row,) in copy.rows():
                        out.write(b'{"table":"%s","row":%s}\n' % (table.encode(), row.encode()))
                        counts[table] += 1
        return Backup(str(path), session.project, counts["backlog"], counts["backlog_history"])

    return session.run(work)


def restore(session: Session, path: Path, *, replace: bool, dry_run: bool) -> Restored:
    """Make the project what the file says, in one transaction; with ``dry_run`` only say what that changes.

    Args:
        replace: the project may have cards already: what differs is overwritten, what is not in the file goes.

    Raises: NotFound, InputOutputError and BadValue for the file, Refused without ``replace`` where cards stand.
    """
    head = _head(path)

    def work(link: Link) -> Restored:
        with link.transaction(force_rollback=dry_run):
            link.execute("set local statement_timeout = 0")
            execute(link, "lock_edges", project=session.project)
            if not replace and not dry_run:
                _refuse_overwriting(link, session.project, path)
            link.execute("create temporary table restored (kind text, row jsonb) on commit drop")
            with link.cursor().copy("copy restored from stdin") as copy:
                for entry in _entries(path):
                    copy.write_row((entry.table, bytes(entry.row).decode()))
            link.execute("analyze restored")
            # The audit trail first: it is loaded only where there is none yet.
            counts = {
                name: execute(link, f"restore_{name}", project=session.project).rowcount
                for name in ("history", "removed", "changed", "added", *_BESIDE)
            }
            return Restored(
                str(path),
                head.project,
                head.at,
                added=counts["added"],
                changed=counts["changed"],
                removed=counts["removed"],
                done=not dry_run,
            )

    return session.run(work)


def _refuse_overwriting(link: Link, project: str, path: Path) -> None:
    cards = execute(link, "live_cards", project=project).fetchall()[0][0]
    if cards:
        raise Refused(
            f"project {project} has {cards} cards: restoring overwrites those that differ, and removes the others",
            hint=f"syncd db restore --dry-run {shlex.quote(str(path))}, then with --replace in its stead",
        )


@contextmanager
def _fresh(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Give a file that takes its name when all is in it and durable."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as raw:
            os.fchmod(raw.fileno(), 0o600)
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) as out:
                    yield out
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        aside.replace(path)
    except OSError as error:
        raise InputOutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    try:
        with path.open("rb") as raw:
            is_packed = raw.peek(2)[:2] == b"\x1f\x8b"
            with gzip.open(raw) if is_packed else raw as lines:
                yield lines
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist") from None
    except (OSError, EOFError) as error:
        raise InputOutputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _head(path: Path) -> _Head:
    with _opened(path) as lines:
        try:
            head = msgspec.json.decode(lines.readline(), type=_Head)
        except msgspec.DecodeError:
            raise BadValue(f"{path} is no backup of syncd", hint="syncd db backup FILE makes one.") from None
    if head.kind != KIND or head.format > FORMAT or head.schema > SCHEMA_VERSION:
        raise BadValue(f"{path} was written by a newer syncd", hint="Use that one to restore it.")
    return head


def _entries(path: Path) -> Iterator[_Entry]:
    decode = msgspec.json.Decoder(_Entry).decode
    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                continue
            try:
                entry = decode(line)
            except msgspec.DecodeError as error:
                raise BadValue(f"{path}, line {number}: {error}") from None
            if entry.table not in TABLES:
                raise BadValue(f"{path}, line {number}: there is no table {entry.table}")
            yield entry
