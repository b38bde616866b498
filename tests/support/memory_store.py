"""A store in memory, for tests of what stands above a store: same contract, own clock, failures on demand.

A :class:`MemoryDatabase` is shared by any number of stores (working copies, projects).  Its clock moves
only when a test says so.  The rules are those of the store without a database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from syncd.core.history import HistoryEntry
from syncd.ports import Batch, BatchResult, StoreInfo
from syncd.schemas.card import Card
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.records import Record
from syncd.store.flatfile.rules import ManifestStore
from tests.support.flatfile import delete_outright

CommitHook = Callable[[str, Batch], None]
"""Called with ``before`` and ``after`` a batch is applied; what it raises, ``commit`` raises."""


class MemoryManifest(Manifest):
    """A manifest with its audit trail."""

    def __init__(self, *, epoch: str, project: str) -> None:
        super().__init__(epoch=epoch, project=project)
        self.trail: list[HistoryEntry] = []


class MemoryDatabase:
    """What stores share: rows, the clock, the feed's stamps, and who listens."""

    def __init__(self, *, epoch: str = "memory") -> None:
        self.epoch = epoch
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.on_commit: CommitHook | None = None
        self.lock = threading.RLock()
        self.listeners: list[MemoryListener] = []
        self._stamp = 1
        self._projects: dict[str, MemoryManifest] = {}

    @property
    def stamp(self) -> int:
        """The next transaction's number: a cursor that has seen everything before it."""
        return self._stamp

    def project(self, name: str) -> MemoryManifest:
        """Return a project's rows."""
        manifest = self._projects.setdefault(name, MemoryManifest(epoch=self.epoch, project=name))
        manifest.epoch = self.epoch
        return manifest

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def store(self, project: str = "default", replica: str = "r1") -> MemoryStore:
        """Return a store of one project, as one working copy opens it."""
        return MemoryStore(self, project, replica)

    def delete_outright(self, project: str, id: str) -> None:
        """Delete a row as a foreign client does: no tombstone is left in the table."""
        with self.lock:
            delete_outright(self.store(project), id)

    def write(self, project: str, cards: Iterable[Card]) -> None:
        """Write rows as one transaction: versions and stamps move on a real change only."""
        manifest = self.project(project)
        stamped = manifest.stamped(cards, self.now)
        if stamped:
            entries = manifest.entries(stamped, (), self.now, "tester", "test")
            self.take(project, Record(seq=self._stamp, at=self.now, cards=tuple(stamped), entries=entries))

    def take(self, project: str, record: Record) -> None:
        """Apply a record as the next transaction, and tell those who listen."""
        manifest = self.project(project)
        manifest.apply(replace(record, seq=self._stamp))
        manifest.trail.extend(record.entries)
        self._stamp += 1
        for listener in tuple(self.listeners):
            listener.wake()


class MemoryListener:
    """A subscription: woken in the thread that writes."""

    mode = "live"

    def __init__(self, database: MemoryDatabase, wake: Callable[[], None]) -> None:
        self._database = database
        self.wake = wake
        database.listeners.append(self)
        wake()

    def hurry(self) -> None:
        """Nothing to do: there is no connection."""

    def close(self) -> None:
        """End the subscription."""
        if self in self._database.listeners:
            self._database.listeners.remove(self)


class MemoryKeeper:
    """Keeps a manifest of a :class:`MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase, project: str) -> None:
        self._database = database
        self._project = project

    @contextmanager
    def reading(self) -> Iterator[Manifest]:
        with self._database.lock:
            yield self._database.project(self._project)

    writing = reading

    def keep(self, manifest: Manifest, record: Record) -> None:
        if record.cards and not (record.gone or record.commits or record.conflicts):
            self._database.write(self._project, record.cards)
        else:
            self._database.take(self._project, record)

    def now(self) -> datetime:
        return self._database.now

    def place(self, manifest: Manifest) -> int:
        return self._database.stamp

    def trail(self) -> Sequence[HistoryEntry]:
        return tuple(self._database.project(self._project).trail)

    def forget(self, kept: Sequence[HistoryEntry]) -> None:
        self._database.project(self._project).trail[:] = kept

    def listen(self, wake: Callable[[], None]) -> MemoryListener:
        return MemoryListener(self._database, wake)

    def info(self) -> StoreInfo:
        return StoreInfo("memory", "0", 0, "memory:")

    def close(self) -> None:
        pass


class MemoryStore(ManifestStore):
    """One project of a :class:`MemoryDatabase`; satisfies ``syncd.ports.Store``."""

    def __init__(self, database: MemoryDatabase, project: str, replica: str) -> None:
        super().__init__(MemoryKeeper(database, project), project=project, actor="tester", face="test", replica=replica)
        self.database = database
        self.replica = replica

    def commit(self, batch: Batch) -> BatchResult:
        with self.database.lock:
            self._hook("before", batch)
            result = super().commit(batch)
            self._hook("after", batch)
            return result

    def _hook(self, stage: str, batch: Batch) -> None:
        if self.database.on_commit is not None:
            self.database.on_commit(stage, batch)
