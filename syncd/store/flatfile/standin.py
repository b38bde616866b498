"""The manifest that stands in for a database: in its files, or in memory for a process that must not write.

May import ``syncd.core``, ``syncd.ports``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

from syncd.core.history import HistoryEntry
from syncd.errors import StoreDamaged, SyncdError
from syncd.ports import Listener, StoreInfo
from syncd.store.flatfile.files import ManifestFiles
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.records import Record


class Gone(Exception):
    """Nothing stands in any more: the database is back."""


class Standin:
    """Keeps the manifest of an absence; satisfies ``rules.Keeper``.

    Args:
        epoch: the history that stands in now, as all processes of the workspace know it; ``None`` for none.

    Reading and writing raise Gone when nothing stands in, StoreDamaged when it is another manifest that lies there.
    """

    def __init__(self, files: ManifestFiles, epoch: Callable[[], str | None]) -> None:
        self._files = files
        self._epoch = epoch
        self._imagined: Manifest | None = None

    # --- its life ---------------------------------------------------------------------------------

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep every writer of the manifest out."""
        return self._files.locked()

    def begin(self, manifest: Manifest) -> None:
        """Put a manifest into the files; only while ``exclusive``.  An earlier one that was left is kept aside."""
        self._imagined = None
        if self._files.path.exists():
            self._files.set_aside()
        self._files.begin(manifest)

    @property
    def may_be_left(self) -> bool:
        """Whether there is a manifest at all: the cheap look."""
        return self._files.path.exists()

    def left(self) -> Manifest | None:
        """Return the manifest of an absence that nobody remembers; ``None`` without one that can be trusted."""
        if not self.may_be_left:
            return None
        try:
            with self._files.reading() as manifest:
                return manifest if manifest.is_standin else None
        except SyncdError:
            return None

    def imagine(self, manifest: Manifest) -> None:
        """Have a manifest in memory stand in, for this process alone."""
        self._imagined = manifest

    def current(self) -> Manifest:
        """Return the manifest; only while ``exclusive``."""
        with self.reading() as manifest:
            return manifest

    def clear(self) -> None:
        """Take the files away: their work is done; only while ``exclusive``."""
        self._files.remove()

    def set_aside(self) -> Sequence[Path]:
        """Move the files out of the way and return where they are now; only while ``exclusive``."""
        return self._files.set_aside()

    def _require(self, manifest: Manifest) -> None:
        epoch = self._epoch()
        if epoch is None:
            raise Gone
        if manifest.epoch != epoch:
            raise StoreDamaged(f"{self._files.path} is not the manifest that stands in for the database")

    # --- as a keeper ------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Manifest]:
        """Give the manifest as it is now."""
        if self._imagined is not None:
            yield self._imagined
            return
        with self._files.reading() as manifest:
            self._require(manifest)
            yield manifest

    @contextmanager
    def writing(self) -> Iterator[Manifest]:
        """Give the manifest and keep other writers out."""
        with self._files.writing(self._require) as manifest:
            yield manifest

    def keep(self, manifest: Manifest, record: Record) -> None:
        """Make a record durable and apply it."""
        self._files.keep(manifest, record)

    def now(self) -> datetime:
        """Return the time by this machine's clock."""
        return self._files.now()

    def place(self, manifest: Manifest) -> int:
        """Return where the feed is read on."""
        return manifest.place

    def trail(self) -> Sequence[HistoryEntry]:
        """Return the audit trail of this working copy's absences."""
        return self._files.trail()

    def forget(self, kept: Sequence[HistoryEntry]) -> None:
        """Put these entries in the place of the audit trail."""
        self._files.forget(kept)

    def listen(self, wake: Callable[[], None]) -> Listener:
        """Call ``wake`` whenever the manifest may have changed."""
        return self._files.listen(wake)

    def info(self) -> StoreInfo:
        """Return what is there."""
        return self._files.info()

    def close(self) -> None:
        """Forget what was read."""
        self._files.close()
