"""What syncd remembers beside its files, in memory, with the durability of ``state.db``.

Each call that writes is one transaction.  A kill keeps them all; a power cut keeps everything up to the
last durable one, and of those after it, which cost no fsync, as many as it likes, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from types import MappingProxyType
from typing import Any

from syncd.core.plan import BaseCard, LocalCard
from syncd.files.state import VERSIONS_MAX
from syncd.ports import Cursor, Journal

Advanced = Callable[[Mapping[str, BaseCard], Mapping[str, BaseCard]], None]


@dataclass(frozen=True)
class Record:
    """Everything that is remembered at one time."""

    base: Mapping[str, BaseCard] = field(default_factory=lambda: MappingProxyType({}))
    cursor: Cursor | None = None
    journal: Journal | None = None
    versions: tuple[tuple[str, str, bytes], ...] = ()
    """Path, digest and bytes, the oldest first."""
    decisions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    lost: str | None = None


class StateMedium:
    """The database file: it outlives the processes that open it."""

    def __init__(self) -> None:
        self.record = Record()
        self.commits = 0
        self._unsafe: list[Record] = [self.record]

    def commit(self, record: Record, *, is_durable: bool = True) -> None:
        """Write a transaction."""
        self.record = record
        self.commits += 1
        self._unsafe = [record] if is_durable else [*self._unsafe, record]

    def power_cut(self, rng: Random) -> None:
        """Lose some of the last transactions that were not durable."""
        self.record = rng.choice(self._unsafe)
        self._unsafe = [self.record]

    def lose(self) -> None:
        """Lose the whole file."""
        self.record = Record(lost="state.db.broken-1")
        self._unsafe = [self.record]


class SimulatedState:
    """One process' view of a :class:`StateMedium`; satisfies ``syncd.ports.State``.

    Args:
        hook: called before each call that writes; what it raises, the call raises.
        advanced: told of each base that is given up for another.
    """

    def __init__(self, medium: StateMedium, hook: Callable[[str, str], None], advanced: Advanced) -> None:
        self._medium = medium
        self._hook = hook
        self._advanced = advanced

    @property
    def _record(self) -> Record:
        return self._medium.record

    def _commit(self, deed: str, *, is_durable: bool = True, **changes: Any) -> None:
        self._hook(deed, "")
        self._medium.commit(replace(self._record, **changes), is_durable=is_durable)

    @property
    def was_lost(self) -> str | None:
        return self._record.lost

    def acknowledge_loss(self) -> None:
        if self._record.lost is not None:
            self._commit("acknowledge_loss", lost=None)

    def base(self) -> Mapping[str, BaseCard]:
        return self._record.base

    def share(self, base: Mapping[str, BaseCard], local: Mapping[str, LocalCard]) -> Mapping[str, BaseCard]:
        return base

    def advance(self, agreed: Iterable[BaseCard], forgotten: Iterable[str], cursor: Cursor | None) -> None:
        before = self._record.base
        changed = {card.id: card for card in agreed if before.get(card.id) != card}
        gone = before.keys() & set(forgotten)
        is_moved = cursor is not None and cursor != self._record.cursor
        if not changed and not gone and not is_moved:
            return
        left = {id: card for id, card in before.items() if id not in gone}
        after = MappingProxyType({**left, **changed})
        is_new = bool(changed or gone)
        self._commit(
            "advance",
            is_durable=is_new,
            base=after if is_new else before,
            cursor=cursor if is_moved else self._record.cursor,
        )
        if is_new:
            self._advanced(before, after)

    def cursor(self) -> Cursor | None:
        return self._record.cursor

    def journal(self) -> Journal | None:
        return self._record.journal

    def write_journal(self, journal: Journal) -> None:
        self._commit("write_journal", journal=journal)

    def clear_journal(self) -> None:
        if self._record.journal is not None:
            self._commit("clear_journal", journal=None)

    def remember_version(self, path: str, digest: str, data: bytes) -> None:
        if self.version_rank(path, digest) == 0:
            return
        versions = [each for each in self._record.versions if each[:2] != (path, digest)] + [(path, digest, data)]
        kept = [each for each in versions if each[0] == path][-VERSIONS_MAX:]
        others = [each for each in versions if each[0] != path]
        self._commit("remember_version", is_durable=False, versions=tuple(others + kept))

    def version_rank(self, path: str, digest: str) -> int | None:
        digests = [known for at, known, _ in reversed(self._record.versions) if at == path]
        return digests.index(digest) if digest in digests else None

    def version_bytes(self, path: str, digest: str) -> bytes | None:
        return next((data for at, known, data in self._record.versions if (at, known) == (path, digest)), None)

    def newest_version(self, path: str) -> bytes | None:
        return next(self.versions(path), None)

    def versions(self, path: str) -> Iterator[bytes]:
        return (data for at, _, data in reversed(self._record.versions) if at == path)

    def decisions(self) -> Mapping[str, str]:
        return dict(self._record.decisions)

    def decide(self, fingerprints: Mapping[str, str]) -> None:
        if fingerprints:
            self._commit("decide", decisions={**self._record.decisions, **fingerprints})

    def drop_decisions(self, fingerprints: Iterable[str]) -> None:
        gone = set(fingerprints)
        if gone:
            left = {key: value for key, value in self._record.decisions.items() if key not in gone}
            self._commit("drop_decisions", decisions=left)

    def meta(self, key: str) -> str | None:
        return self._record.facts.get(key)

    def set_meta(self, key: str, value: str | None) -> None:
        if self.meta(key) == value:
            return
        facts = {name: known for name, known in self._record.facts.items() if name != key}
        self._commit("set_meta", facts=facts if value is None else {**facts, key: value})

    def close(self) -> None:
        pass
