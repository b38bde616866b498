"""The registry of workers where there is no database: a file for each worker, and one for each order.

All of them are on one machine.  A worker's file has one writer, the worker; an order is there or not: so no
lock is needed.  A worker watches for the files of its orders, and looks at each beat; who wants to hear of new
workers watches one file, which each that joins touches.  Nothing here outlives a worker for long, and nothing is
fsynced.  May import ``syncd.ports``, ``syncd.errors``, ``syncd.schemas``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from syncd.errors import AlreadyExists, InputOutputError
from syncd.ports import CardFilter, Orders, Store, Worker, WorkerCard
from syncd.schemas.card import Status

FORGOTTEN_S: Final = 86400.0
_DRAIN: Final = ".drain"
_KILL: Final = ".kill"
_WORKER: Final = ".worker"
_JOINED: Final = "joined"


def order_files(folder: Path, owner: str) -> tuple[Path, ...]:
    """Return where orders to a worker appear."""
    return tuple(_file(folder, owner, kind) for kind in (_DRAIN, _KILL))


def joined_file(folder: Path) -> Path:
    """Return the file that changes whenever a worker joins."""
    return folder / _JOINED


class FileRegistry:
    """The workers of a workspace whose store keeps none itself.  Implements ``ports.WorkerRegistry``.

    Args:
        folder: where the files go; made when the first worker comes.
        store: whose leases count.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store

    def join(self, worker: Worker) -> None:
        """Enter a worker.  Raises AlreadyExists when its owner is taken, InputOutputError."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for each in self._entered():
                if each.age_s > FORGOTTEN_S:
                    self.leave(each.owner)
            with self._file(worker.owner, _WORKER).open("xb") as file:
                file.write(msgspec.json.encode(_entry(worker)))
            joined_file(self._folder).touch(mode=0o600)
        except FileExistsError:
            raise AlreadyExists(f"there is a worker {worker.owner} already", hint="syncd workers") from None
        except OSError as error:
            raise InputOutputError(f"{self._folder} cannot be written: {error.strerror}") from error

    def beat(self, owner: str, cards: Sequence[WorkerCard]) -> bool:
        """Record that a worker is here with these cards; False when it is not known (any more)."""
        path = self._file(owner, _WORKER)
        known = _read(path)
        if known is None:
            return False
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(msgspec.structs.replace(known, cards=list(cards))))
        fresh.replace(path)
        return True

    def orders(self, owner: str) -> Orders | None:
        """Return what a worker is to do and which leases it has; ``None`` when it is not known."""
        if not self._file(owner, _WORKER).exists():
            return None
        drain, kill = (_text(self._file(owner, kind)) for kind in (_DRAIN, _KILL))
        claimed = self._store.list(CardFilter(status=Status.CLAIMED, owner=owner))
        leases = {each.id: each.attempts for each in claimed}
        return Orders(drain is not None, kill is not None, kill or drain, leases)

    def leave(self, owner: str) -> None:
        """Take a worker out; one that is not there is no error."""
        for kind in (_DRAIN, _KILL, _WORKER):
            self._file(owner, kind).unlink(missing_ok=True)

    def workers(self) -> Sequence[Worker]:
        """Return all that are entered, by name and age."""
        return sorted(self._entered(), key=lambda each: (each.name, str(each.started_at), each.owner))

    def order_drain(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to claim nothing more and end when their cards are done; return those that were told."""
        return self._order(owners, by, _DRAIN)

    def order_kill(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to end what they run and themselves at once; return those that were told."""
        return self._order(owners, by, _KILL)

    def _order(self, owners: Sequence[str], by: str, kind: str) -> Sequence[str]:
        told = [each for each in owners if self._file(each, _WORKER).exists()]
        for each in told:
            self._file(each, kind).write_text(by, "utf-8")
        return sorted(told)

    def _entered(self) -> Iterator[Worker]:
        for path in self._folder.glob(f"*{_WORKER}"):
            known = _read(path)
            with suppress(FileNotFoundError):
                seen_at = path.stat().st_mtime
                if known is not None:
                    yield self._worker(known, seen_at)

    def _worker(self, known: _Entry, seen_at: float) -> Worker:
        drain, kill = (self._file(known.owner, kind) for kind in (_DRAIN, _KILL))
        return Worker(
            owner=known.owner,
            name=known.name,
            host=known.host,
            machine=known.machine,
            pid=known.pid,
            concurrency=known.concurrency,
            ttl_s=known.ttl_s,
            takes_assigned=known.takes_assigned,
            cards=tuple(known.cards),
            started_at=known.started_at,
            seen_at=datetime.fromtimestamp(seen_at, UTC),
            age_s=max(0.0, time.time() - seen_at),
            drain_requested_at=_instant(drain),
            kill_requested_at=_instant(kill),
            requested_by=_text(kill) or _text(drain),
        )

    def _file(self, owner: str, kind: str) -> Path:
        return _file(self._folder, owner, kind)


class _Entry(msgspec.Struct):
    """What a worker's file holds."""

    owner: str
    name: str
    host: str
    machine: str
    pid: int
    concurrency: int
    ttl_s: int
    takes_assigned: bool
    started_at: datetime
    cards: list[WorkerCard]


def _entry(worker: Worker) -> _Entry:
    return _Entry(
        worker.owner,
        worker.name,
        worker.host,
        worker.machine,
        worker.pid,
        worker.concurrency,
        worker.ttl_s,
        worker.takes_assigned,
        datetime.now(UTC),
        [],
    )


def _read(path: Path) -> _Entry | None:
    """Return a worker's entry; ``None`` without one that is whole."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Entry)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _file(folder: Path, owner: str, kind: str) -> Path:
    return folder / f"{quote(owner, safe='')}{kind}"


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None


def _instant(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
