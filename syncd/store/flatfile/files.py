"""A manifest in files that several processes share: one writes at a time, readers never wait.

A change is one line at the end of ``manifest.log``, fsynced before it counts.  Every process keeps the manifest
in memory and reads on in the log; now and then the log is folded into ``manifest.json`` and begun anew.  A
crash in between leaves a log whose first changes the manifest has already: they are passed over by their
numbers.  The lock is a flock, so that ``flock(1)`` takes it as well.
May import ``syncd.core``, ``syncd.ports``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from syncd.core.history import HistoryEntry
from syncd.errors import ConfigError, InputOutputError
from syncd.log import event
from syncd.ports import Listener, StoreInfo
from syncd.store.flatfile.log import Head, body_of, is_torn, line_of, whole_lines
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.records import Record
from syncd.store.flatfile.system import bytes_of, opened, read_from, signature, write_all
from syncd.store.flatfile.text import FORMAT, damaged, manifest_of, text_of
from syncd.store.flatfile.trail import Trail

FOLD_LINES: Final = 1000
"""After so many changes the log is folded into the manifest."""

_HEAD_BYTES_MAX: Final = 512
_READS_MAX: Final = 20

_decode_record: Final = msgspec.json.Decoder(Record).decode
_decode_head: Final = msgspec.json.Decoder(Head).decode


class Closable(Protocol):
    """Something that runs until it is closed."""

    def close(self) -> None:
        """End it."""


class Tools(msgspec.Struct, frozen=True):
    """What the files of a manifest are handled with.

    ``lock`` gives the lock of its writers; ``write`` replaces a whole file durably, or leaves it as it was;
    ``watch`` calls back whenever one of some files may have changed, until it is closed.
    """

    lock: Callable[[], AbstractContextManager[object]]
    write: Callable[[Path, bytes], None]
    watch: Callable[[Sequence[Path], Callable[[], None]], Closable]


class ManifestFiles:
    """One manifest on disk, as a process sees it; shared by its threads.

    Args:
        path: ``manifest.json``; its log, trail and lock lie beside it.
        project: whose cards; a manifest of another project is refused.
        kind: what ``status`` calls the store.

    Nothing is read before it is used, and nothing made before it is written.
    """

    def __init__(
        self,
        path: Path,
        *,
        project: str,
        tools: Tools,
        kind: str = "flatfile",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self.log = path.with_suffix(".log")
        self._trail = Trail(path.with_suffix(".history"), tools.write)
        self._project = project
        self._tools = tools
        self._kind = kind
        self.now = clock
        self._mutex = threading.RLock()
        self._manifest: Manifest | None = None
        self._head: Head | None = None
        self._seen: tuple[int, ...] = ()
        self._end = 0
        """Up to where the log is part of the manifest in memory."""
        self._lines = 0
        self._wakes: list[Callable[[], None]] = []

    # --- for the rules ----------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Manifest]:
        """Give the manifest as it is now; an absent one is empty."""
        with self._mutex:
            yield self._current()

    @contextmanager
    def writing(self, allow: Callable[[Manifest], None] = lambda manifest: None) -> Iterator[Manifest]:
        """Give the manifest as it is now, made if need be, and keep other writers out until the end.

        Args:
            allow: raises when this manifest is not the one to be written.
        """
        with self.locked():
            manifest = self._current()
            allow(manifest)
            if self._head is None or not self.path.exists():
                self.begin(manifest)
            else:
                self._drop_torn_line()
            yield manifest
            if self._lines >= FOLD_LINES:
                try:
                    self._fold(manifest)
                except InputOutputError as error:
                    # The change itself is durable; the next writer tries again.
                    event("manifest.fold.failed", level=logging.WARNING, message=error.message)

    def keep(self, manifest: Manifest, record: Record) -> None:
        """Write a record to the log, durably, and apply it.  Raises InputOutputError: nothing was changed."""
        line = line_of(record)
        with self._told(self.log), opened(self.log, os.O_WRONLY | os.O_APPEND) as handle:
            try:
                write_all(handle, line)
                os.fdatasync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, self._end)
                raise
            self._seen = signature(os.fstat(handle))
        self._end += len(line)
        self._lines += 1
        manifest.apply(record)
        for wake in tuple(self._wakes):
            wake()

    def place(self, manifest: Manifest) -> int:
        """Return where the feed is read on."""
        return manifest.place

    def trail(self) -> Sequence[HistoryEntry]:
        """Return the audit trail, oldest first: what was folded, and what the log has since."""
        with self._mutex:
            # The log first: what is folded meanwhile is then found twice, and told once.
            return self._trail.read(self._logged())

    def forget(self, kept: Sequence[HistoryEntry]) -> None:
        """Put these entries in the place of the audit trail; the log is folded for it."""
        manifest = self._current()
        self._fold(manifest)
        self._trail.put(kept)

    def listen(self, wake: Callable[[], None]) -> Listener:
        """Call ``wake`` whenever the manifest may have changed, and once at the start."""
        return _ManifestListener(self._wakes, self._tools.watch([self.log, self.path], wake), wake)

    def info(self) -> StoreInfo:
        """Return what is there; a manifest that cannot be read raises why."""
        with self.reading():
            return StoreInfo(self._kind, "", FORMAT, str(self.path))

    def close(self) -> None:
        """Forget what was read; the next use reads it again."""
        with self._mutex:
            self._manifest = None

    # --- life of the files ------------------------------------------------------------------------

    def begin(self, manifest: Manifest) -> None:
        """Make the files anew with this manifest in them; only while ``writing``, or where nobody else writes yet.

        The audit trail goes on where it was.
        """
        if self._head is not None and self._head.epoch != manifest.epoch:
            # Changes of another history must not be found behind this one.
            with self._told(self.log):
                self.log.unlink(missing_ok=True)
        if manifest.seq == 0:
            manifest.history_seq = max((each.seq for each in self._trail.read(())), default=0)
        self._fold(manifest)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other writer out."""
        with self._mutex, self._tools.lock():
            yield

    def set_aside(self) -> list[Path]:
        """Move manifest and log out of the way and return where they are; only while ``locked``."""
        number = 1
        while any(each.with_name(f"{each.name}.left-{number}").exists() for each in (self.path, self.log)):
            number += 1
        kept = []
        with self._told(self.path):
            for each in (self.log, self.path):
                if each.exists():
                    kept.append(each.rename(each.with_name(f"{each.name}.left-{number}")))
        self._manifest = self._head = None
        return kept

    def remove(self) -> None:
        """Take manifest and log away; the audit trail stays.  Only while ``locked``."""
        with self._told(self.path):
            self._trail.append(self._logged())
            self.log.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        self._manifest = self._head = None

    def fold(self) -> None:
        """Fold what the log has into the manifest; with nothing in it nothing is written."""
        with self.writing() as manifest:
            if self._lines:
                self._fold(manifest)

    def _fold(self, manifest: Manifest) -> None:
        head = Head(manifest.epoch, manifest.seq)
        with self._told(self.path):
            self._trail.append(self._logged())
            self._tools.write(self.path, text_of(manifest))
            self._tools.write(self.log, line_of(head))
            found = self.log.stat()
        self._manifest, self._head, self._lines = manifest, head, 0
        self._seen, self._end = signature(found), found.st_size

    def _drop_torn_line(self) -> None:
        """Cut off what a writer that died had begun: nobody was told that it counts."""
        with self._told(self.log):
            if self.log.stat().st_size > self._end:
                with opened(self.log, os.O_WRONLY) as handle:
                    os.ftruncate(handle, self._end)
                    os.fdatasync(handle)

    # --- reading ----------------------------------------------------------------------------------

    def _current(self) -> Manifest:
        """Return the manifest as the files say it now.  Raises StoreDamaged, ConfigError."""
        with self._told(self.path):
            for _ in range(_READS_MAX):
                manifest = self._read_on()
                if manifest is not None:
                    if manifest.project != self._project:
                        raise ConfigError(
                            f"{self.path} holds the cards of project {manifest.project}, not of {self._project}",
                            hint=f"syncd config set project {shlex.quote(manifest.project)}",
                        )
                    return manifest
        raise damaged(f"{self.path} and {self.log.name} do not fit together")

    def _read_on(self) -> Manifest | None:
        """Take in what the log has more; ``None`` when it was folded in the middle of that."""
        try:
            with opened(self.log, os.O_RDONLY) as handle:
                seen = signature(os.fstat(handle))
                if self._manifest is not None and seen == self._seen:
                    return self._manifest
                head, first = _head_of(os.pread(handle, _HEAD_BYTES_MAX, 0))
                if head is None:
                    raise damaged(f"{self.log} is damaged: its first line cannot be read")
                is_longer = os.fstat(handle).st_size >= self._end
                if (self._manifest is None or head != self._head or not is_longer) and not self._load(head, first):
                    return None
                self._take_in(self._known(), read_from(handle, self._end))
        except FileNotFoundError:
            seen = ()
            if self._head is not None or self._manifest is None:
                self._load(None, 0)
        self._seen = seen
        return self._known()

    def _load(self, head: Head | None, first: int) -> bool:
        """Begin at the start of a log, with the manifest read anew where it is needed; return whether they fit.

        Args:
            first: the bytes of the log's first line.
        """
        known = self._manifest
        if known is None or head is None or known.epoch != head.epoch or head.after > known.seq:
            text = bytes_of(self.path)
            if text is not None:
                known = manifest_of(text, str(self.path))
            elif head is None or head.after == 0:
                known = Manifest(epoch=head.epoch if head else secrets.token_hex(8), project=self._project)
            else:
                raise damaged(f"{self.path} is missing, and {self.log.name} begins after change {head.after}")
        if head is not None and (head.epoch != known.epoch or head.after > known.seq):
            return False
        self._manifest, self._head, self._lines, self._end = known, head, 0, first
        return True

    def _take_in(self, manifest: Manifest, data: bytes) -> None:
        """Apply the lines of the log that are new, but for a torn last one."""
        at = 0
        for line in whole_lines(data):
            at += len(line) + 1
            body = body_of(line)
            if body is None:
                if at < len(data) or not is_torn(line):
                    raise damaged(f"{self.log} is damaged: the checksum of change {manifest.seq + 1} is another")
                return
            record = self._record_of(body, manifest.seq + 1)
            if record.seq > manifest.seq + 1:
                raise damaged(f"{self.log} is damaged: change {manifest.seq + 1} is missing")
            if record.seq > manifest.seq:
                manifest.apply(record)
            self._end += len(line) + 1
            self._lines += 1

    def _record_of(self, body: bytes, seq: int) -> Record:
        """Return what a line says.  Raises StoreDamaged for what no syncd of this version wrote."""
        try:
            return _decode_record(body)
        except msgspec.MsgspecError as error:
            raise damaged(f"{self.log} is damaged: change {seq} cannot be read: {error}") from error

    def _logged(self) -> list[HistoryEntry]:
        """Return the audit trail's entries that are in the log."""
        bodies = [body for line in whole_lines(bytes_of(self.log) or b"") if (body := body_of(line)) is not None]
        return [entry for body in bodies[1:] for entry in _decode_record(body).entries]

    def _known(self) -> Manifest:
        assert self._manifest is not None
        return self._manifest

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        """Raise the system's errors as ours."""
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise InputOutputError(
                f"Cannot use {path}: {reason}.", hint="Make room, or check who may write."
            ) from error


class _ManifestListener:
    """A running subscription: woken by this process's own changes and by the watch of the files."""

    mode = "live"

    def __init__(self, wakes: list[Callable[[], None]], watch: Closable, wake: Callable[[], None]) -> None:
        self._wakes = wakes
        self._watch = watch
        self._wake = wake
        wakes.append(wake)
        wake()

    def hurry(self) -> None:
        """Do nothing: there is no connection."""

    def close(self) -> None:
        """End the subscription; no wake-up comes after it."""
        if self._wake in self._wakes:
            self._wakes.remove(self._wake)
            self._watch.close()


def _head_of(data: bytes) -> tuple[Head | None, int]:
    """Return the first line of a log, and how many bytes it has."""
    line, end, _ = data.partition(b"\n")
    body = body_of(line) if end else None
    try:
        return (None, 0) if body is None else (_decode_head(body), len(line) + 1)
    except msgspec.MsgspecError:
        return None, 0
