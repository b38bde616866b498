"""Waking the daemon when a task file may have changed: inotify for speed, a look every second for certainty.

Directories are watched, not files: a save by rename gives the name another inode.  An event wakes at
once and says nothing but "look again"; what changed is decided by stat and hash.  The kernel drops
events when its queue is full, network file systems send none, a watched directory can be replaced:
so a stat of every file, once a second, backs the events up.

Why not watchfiles on Linux.  It hands changes on at the end of a step.  Measured, edit to callback
(median) and idle CPU: raw inotify 0.3 ms at 0.03 %; watchfiles at a step of 1 ms 1.6 ms at 2.0 %, 5 ms
5.7 ms at 0.5 %, 10 ms 20 ms at 0.2 %, 50 ms 70 ms at 0.1 %.  The goals (8 ms for the whole way to the
store, 0.2 % idle) are never met together, and a step that adapts does not help the first edit after a
pause, which is the usual one.  Where there is no inotify (macOS), watchfiles watches.

``IN_MODIFY`` is left out: a program that writes in pieces would have each piece parsed.  One that
keeps its file open is noticed within a second.  May import ``syncd.errors``.
"""

from __future__ import annotations

import errno
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from syncd.files.atomic import Signature, signature
from syncd.files.inotify import CHANGED, IN_Q_OVERFLOW, LOST, Event, Inotify

LOOK_S: Final = 1.0
_STEP_MS: Final = 5
_DEBOUNCE_MS: Final = 50
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "virtiofs"})

Identity: TypeAlias = tuple[int, int]


class WatchMode(StrEnum):
    """How changes are noticed."""

    INOTIFY = "inotify"
    WATCHFILES = "watchfiles"
    POLL = "poll"


class _Watched(msgspec.Struct, frozen=True):
    number: int
    identity: Identity
    weakness: str | None


class Watch:
    """A running watch of files, in a thread of its own; every change after its making wakes.

    Args:
        paths: gives the absolute paths to watch, existing or not; asked once a second, in the thread.
        wake: called in the thread whenever a file may have changed; must not block or raise.
        start: makes the inotify instance.

    ``mode`` and ``reason`` say how changes are noticed, and why it is not the best way.
    """

    def __init__(
        self,
        paths: Callable[[], Iterable[Path]],
        wake: Callable[[], None],
        *,
        start: Callable[[], Inotify] = Inotify,
    ) -> None:
        self._paths = paths
        self._wake = wake
        self._signatures: dict[Path, Signature | None] = {}
        self._names: dict[tuple[Path, str], Path] = {}
        self._watched: dict[Path, _Watched] = {}
        self._refusals: dict[Path, str] = {}
        self._is_closing = threading.Event()
        self._inotify: Inotify | None = None
        self._no_inotify: OSError | None = None
        try:
            self._inotify = start()
        except OSError as error:
            self._no_inotify = error
        self._wake_reader, self._wake_writer = os.pipe()
        # Before the first look is over, nothing may count as seen: whoever made this looks for himself then.
        self._look()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    @property
    def mode(self) -> WatchMode:
        """How changes are noticed now; ``poll`` while any directory cannot be watched."""
        if self._refusals:
            return WatchMode.POLL
        if self._inotify is not None:
            return WatchMode.INOTIFY
        return WatchMode.WATCHFILES if self._has_no_inotify_at_all else WatchMode.POLL

    @property
    def reason(self) -> str | None:
        """Why it is not inotify; ``None`` when it is."""
        if self._refusals:
            directory, told = next(iter(self._refusals.items()))
            return f"{directory} cannot be relied on to tell of changes: {told}."
        return None if self._no_inotify is None else f"inotify cannot be had: {self._no_inotify.strerror}."

    def close(self) -> None:
        """End the watch; no wake-up comes after it.  Twice is fine."""
        if self._is_closing.is_set():
            return
        self._is_closing.set()
        os.write(self._wake_writer, b"\0")
        self._thread.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        if self._inotify is not None:
            self._inotify.close()

    @property
    def _has_no_inotify_at_all(self) -> bool:
        return self._no_inotify is not None and self._no_inotify.errno == errno.ENOSYS

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._has_no_inotify_at_all:
            self._run_watchfiles()
        else:
            self._run_inotify()

    def _run_inotify(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_reader, selectors.EVENT_READ)
            if self._inotify is not None:
                selector.register(self._inotify, selectors.EVENT_READ)
            look_at = _next_look()
            while not self._is_closing.is_set():
                selector.select(max(0.0, look_at - time.monotonic()))
                if self._is_closing.is_set():
                    return
                events = self._inotify.read() if self._inotify is not None else []
                is_lost = self._unwatch(events)
                if is_lost or time.monotonic() >= look_at:
                    is_new = self._look()
                    look_at = _next_look()
                else:
                    is_new = False
                if self._note(events) or is_lost or is_new:
                    self._wake()

    def _run_watchfiles(self) -> None:
        """Hand on what watchfiles sees; begin anew whenever a directory is not the one that was watched."""
        while not self._is_closing.is_set():
            directories = {each: identity for each in self._wanted() if (identity := _identity(each)) is not None}
            if not directories:
                self._is_closing.wait(LOOK_S)
            else:
                self._hand_on(directories)
            if self._look():
                self._wake()

    def _hand_on(self, directories: Mapping[Path, Identity]) -> None:
        from watchfiles import watch

        with suppress(FileNotFoundError):
            for changes in watch(
                *directories,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                step=_STEP_MS,
                stop_event=self._is_closing,
                rust_timeout=int(LOOK_S * 1000),
                yield_on_timeout=True,
                recursive=False,
                raise_interrupt=False,
            ):
                touched = {Path(path).name for _, path in changes}
                if self._look() or any(name in touched for _, name in self._names):
                    self._wake()
                if any(_identity(each) != identity for each, identity in directories.items()):
                    return

    # --- what is known ---------------------------------------------------------------------------

    def _unwatch(self, events: Iterable[Event]) -> bool:
        """Drop the directories that are not what they were; return whether events may have been missed."""
        is_lost = False
        for event in events:
            lost = [each for each, watched in self._watched.items() if watched.number == event.watch]
            if event.mask & IN_Q_OVERFLOW or (event.mask & LOST and lost):
                is_lost = True
            if event.mask & LOST:
                for directory in lost:
                    self._forget(directory)
        return is_lost

    def _note(self, events: Iterable[Event]) -> bool:
        """Return whether any event is about a watched file; the next look takes its signature as seen.

        Equal signatures prove nothing here: two writes within a tick of the clock have the same.
        """
        touched = {(event.watch, event.name) for event in events if event.mask & CHANGED}
        found = False
        for (directory, name), path in self._names.items() if touched else ():
            watched = self._watched.get(directory)
            if watched is not None and (watched.number, name) in touched:
                self._signatures[path] = _signature(path)
                found = True
        return found

    def _look(self) -> bool:
        """Stat every file, and see to it that the directories are watched; return whether anything is new."""
        paths = tuple(self._paths())
        self._names = {place: path for path in paths for place in _places(path)}
        is_new = self._inotify is not None and self._watch_directories(self._inotify)
        found = {path: _signature(path) for path in paths}
        is_new |= found != self._signatures
        self._signatures = found
        return is_new

    def _wanted(self) -> set[Path]:
        return {directory for directory, _ in self._names}

    def _watch_directories(self, inotify: Inotify) -> bool:
        """Watch the directories that are there now; return whether one is watched that was not."""
        wanted = {directory: _identity(directory) for directory in self._wanted()}
        for directory, watched in list(self._watched.items()):
            if wanted.get(directory) != watched.identity:
                self._forget(directory)
        refusals: dict[Path, str] = {}
        is_new = False
        for directory, identity in wanted.items():
            if identity is not None and directory not in self._watched:
                is_new |= self._add(inotify, directory, identity, refusals)
        refusals.update((each, watched.weakness) for each, watched in self._watched.items() if watched.weakness)
        self._refusals = refusals
        return is_new

    def _add(self, inotify: Inotify, directory: Path, identity: Identity, refusals: dict[Path, str]) -> bool:
        try:
            number = inotify.add(directory)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            hint = " (fs.inotify.max_user_watches)" if error.errno == errno.ENOSPC else ""
            refusals[directory] = f"{os.strerror(error.errno or 0)}{hint}"
            return False
        system = network_file_system(identity[0])
        weakness = f"{system} does not tell what other hosts write" if system else None
        self._watched[directory] = _Watched(number, identity, weakness)
        return True

    def _forget(self, directory: Path) -> None:
        number = self._watched.pop(directory).number
        # Two paths to one directory share the kernel's watch.
        if self._inotify is not None and all(each.number != number for each in self._watched.values()):
            self._inotify.remove(number)


def network_file_system(device: int) -> str | None:
    """Return the type of the file system on a device, when it is one whose changes come from elsewhere."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for fields in _mounts():
        if fields[2] == wanted and "-" in fields:
            kind = fields[fields.index("-") + 1]
            return kind if kind in _NETWORK else None
    return None


def _mounts() -> Iterator[list[str]]:
    with suppress(OSError), Path("/proc/self/mountinfo").open() as mounts:
        for line in mounts:
            yield line.split()


def _next_look() -> float:
    """Return the next full second: the watches of all daemons look together, and the machine sleeps in between."""
    return (time.monotonic() // LOOK_S + 1) * LOOK_S


def _places(path: Path) -> set[tuple[Path, str]]:
    """Return the directories and names at which a change of the file shows: its own, and that of a link's target."""
    places = {(path.parent, path.name)}
    if path.is_symlink():
        real = Path(os.path.realpath(path))
        places.add((real.parent, real.name))
    return places


def _signature(path: Path) -> Signature | None:
    try:
        return signature(path)
    except OSError:
        return None


def _identity(directory: Path) -> Identity | None:
    try:
        found = directory.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
