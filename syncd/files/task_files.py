"""The workspace's task files on disk: stable looks, staged writes, verified replacement.

Implements ``ports.TaskFiles``.  A symlinked task file stays a link: its target is what is read and
replaced, when it lies inside the workspace.  May import ``syncd.ports``, ``syncd.parsers``,
``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from syncd.errors import InputOutputError
from syncd.files import atomic
from syncd.files.atomic import Rename, Replacement, failure
from syncd.files.displaced import DisplacedFolder, DisplacedWatch, Version, is_staged_name
from syncd.files.git_head import has_checked_out, head_of, lock_of
from syncd.files.layout import Layout
from syncd.files.paths import Glob, inside, is_glob
from syncd.files.reading import Reader
from syncd.parsers.document import ParseOptions
from syncd.ports import Displaced, FileRead, LateWrite, Replaced
from syncd.schemas.config import Config, TaskEntry

_WRITABLE: Final = 0o222


class WorkspaceFiles:
    """The task files of one workspace.

    Args:
        layout: where the workspace lies.
        config: which files are task files, and how large they may be.
        clock: monotonic seconds, for when displaced files are looked at again.
        exchanging: the system call that lets two names change places.
    """

    def __init__(
        self,
        layout: Layout,
        config: Config,
        *,
        clock: Callable[[], float] = time.monotonic,
        exchanging: Rename = atomic.exchange,
    ) -> None:
        self._root = layout.root
        self._config = config
        self._entries: list[tuple[TaskEntry, Glob | None]] = [
            (entry, Glob(layout.root, entry.path) if is_glob(entry.path) else None) for entry in config.tasks
        ]
        self._named: dict[str, TaskEntry] = {}
        self._clock = clock
        self._reader = Reader(config.bytes_max)
        self._exchanging = exchanging
        self._folder = DisplacedFolder(layout.root, layout.displaced)
        self._displaced: DisplacedWatch | None = None
        self._replacements: dict[Path, Replacement] = {}

    @property
    def replacements(self) -> Mapping[Path, Replacement]:
        """How files are replaced in each directory that was probed so far."""
        return dict(self._replacements)

    def paths(self) -> tuple[str, ...]:
        """Return the task files that the configuration names, existing or not, in its order.

        A file that two entries or two links reach is there once, under the first.
        """
        found: dict[str, TaskEntry] = {}
        reals: set[str] = set()
        for entry, glob in self._entries:
            for path in (entry.path,) if glob is None else glob.files():
                real = os.path.realpath(self._root / path)
                if real not in reals:
                    reals.add(real)
                    found[path] = entry
        self._named = found
        return tuple(found)

    def names(self, path: str) -> bool:
        """Return whether the configuration names a path as a task file, existing or not."""
        return any(entry.path == path if glob is None else glob.matches(path) for entry, glob in self._entries)

    def entry(self, path: str) -> TaskEntry:
        """Return the entry of the configuration that named a file at the last ``paths``; a bare one for others."""
        return self._named.get(path) or TaskEntry(path)

    def parse_options(self, path: str) -> ParseOptions:
        """Return how a task file is to be read."""
        config = self._config
        return ParseOptions(
            headers=config.headers,
            statuses=config.statuses,
            ignore_headings=frozenset(each.lower() for each in config.ignore_headings),
            namespace=self.entry(path).namespace,
            bytes_max=config.bytes_max,
            repad=config.repad,
        )

    def read(self, path: str) -> FileRead:
        """Return a stable look at a file: stat, bytes, stat, the two stats equal.

        An absent file has neither data nor error; every other obstacle is told in ``error``: no
        permission, no regular file, over the size limit (nothing of it was read), outside the workspace,
        changing all the time.
        """
        try:
            return self._reader.read(path, inside(self._root, path))
        except InputOutputError as error:
            return FileRead(path, None, None, None, error.message, remedy=error.hint)

    def signature(self, path: str) -> tuple[int, ...] | None:
        """Return the file's stat signature, its links followed; ``None`` when it is absent or out of reach.

        While the file is so young that another write could leave the same stat, no two are equal.
        """
        return self._reader.signature(self._root / path)

    def make_durable(self, path: str) -> None:
        """Have what a file says now, or that it is absent, survive a power cut: editors seldom fsync.

        Raises:
            InputOutputError: the disk fails.
        """
        try:
            atomic.make_durable(inside(self._root, path))
        except OSError as error:
            raise failure(error, f"Cannot make {path} durable") from error

    def stage(self, path: str, data: bytes) -> str:
        """Write new bytes beside a file and fsync them; return the staged file's absolute path.

        It has the mode, owner and extended attributes of the file that it is to replace.

        Raises:
            InputOutputError: full disk, no permission, a read-only file, a path outside; nothing stays behind.
        """
        target = inside(self._root, path)
        _refuse_read_only(path, target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = self._folder.staged_name(target)
        except OSError as error:
            raise failure(error, f"Cannot write {path}") from error
        atomic.stage(staged, data, target)
        return str(staged)

    def replace(self, path: str, staged: str, expected: str | None) -> Replaced:
        """Put a staged file in the task file's place, and verify what came out.

        Args:
            expected: the digest that the file had, ``None`` for absent.

        Returns:
            ``matched`` and the kept file, when the expected bytes came out.  Not ``matched`` without
            ``displaced``: somebody had written before; the file was left alone, ``digest`` is what it holds,
            the staged file is still there.  Not ``matched`` with ``displaced``: somebody wrote at the last
            moment; the new bytes are in place and theirs are kept, for ``swap_back``.

        Raises:
            InputOutputError: no permission, full disk.  A repeated recovery settles what was done.

        Holds: I2.
        """
        target = inside(self._root, path)
        try:
            if expected is None:
                return self._place_new(target, Path(staged))
            return self._exchange(path, target, Path(staged), expected)
        except OSError as error:
            raise failure(error, f"Cannot replace {path}") from error

    def swap_back(self, path: str, displaced: str, expected: str) -> bool:
        """Put a displaced file back, if the task file still has the digest ``expected``; return whether.

        What that takes out is kept and watched in its stead.
        """
        target = inside(self._root, path)
        try:
            if atomic.digest_of(target) != expected or not os.path.lexists(displaced):
                return False
            return self._swap_back(path, target, Path(displaced), expected)
        except OSError as error:
            raise failure(error, f"Cannot put back {path}") from error

    def remove(self, path: str, expected: str) -> bool:
        """Remove a task file, if it still has the digest ``expected``; return whether.

        It is taken out of its place first and looked at then: what somebody saved at the last moment is put back, or
        reported as a late write where another file stands there already.  What came out is kept and watched, behind
        every version that ``undo`` may put back: somebody may have opened it in that moment.
        """
        target = inside(self._root, path)
        try:
            if atomic.digest_of(target) != expected:
                return False
            staged = self._folder.passing_name(target)
            target.rename(staged)
            if atomic.digest_of(staged) == expected:
                self._keep(path, target, staged, expected)
                atomic.fsync_directory(target.parent)
                return True
            try:
                atomic.place_new(staged, target)
            except FileExistsError:
                self.report_late(path, str(staged), expected)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise failure(error, f"Cannot remove {path}") from error
        return False

    def late_writes(self) -> Sequence[LateWrite]:
        """Return what was written into displaced files since they came out, each once until taken in.

        The first call takes on what earlier processes displaced.
        """
        try:
            return self._watch().look(self._clock())
        except OSError as error:
            raise failure(error, "Cannot look at the files that were replaced") from error

    def next_look_s(self) -> float | None:
        """Return in how many seconds ``late_writes`` has something to look at; ``None`` for never."""
        at = self._watch().next_at()
        return None if at is None else max(0.0, at - self._clock())

    def report_late(self, path: str, absolute: str, before: str) -> None:
        """Have a displaced file that could not be put back reported as a late write.

        ``before`` goes into its name, so that a later process reports it as well.
        """
        target = inside(self._root, path)
        kept = Path(self.set_aside(path, absolute))
        try:
            renamed = self._folder.rename(kept, before)
            self._watch().add(path, target, renamed, before, self._clock())
        except OSError as error:
            raise failure(error, f"Cannot rename {kept}") from error

    def taken_in(self, late: LateWrite) -> None:
        """Note that a late write is part of the sync now, for later processes too."""
        try:
            self._watch().taken_in(late)
        except OSError as error:
            raise failure(error, f"Cannot rename {late.absolute}") from error

    def head(self) -> str | None:
        """Return what git's HEAD points at, ``None`` outside a repository."""
        return head_of(self._root)

    def has_checked_out(self, since: str) -> bool:
        """Return whether HEAD has moved since a commit by more than commits of what stood here."""
        return has_checked_out(self._root, since)

    def git_lock(self) -> int | None:
        """Return what tells one lock of git's from another, ``None`` while git changes no files here."""
        return lock_of(self._root)

    def digest_of(self, absolute: str) -> str | None:
        """Return the hash of a staged or displaced file, ``None`` when it is gone.

        A staged name whose file has changed places with the task file stands for what came out.
        """
        data = self.bytes_of(absolute)
        return None if data is None else atomic.digest(data)

    def bytes_of(self, absolute: str) -> bytes | None:
        """Return the bytes of a staged or displaced file, found as ``digest_of`` finds it."""
        found = self._found(Path(absolute))
        try:
            return None if found is None else found.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, f"Cannot read {absolute}") from error

    def set_aside(self, path: str, absolute: str) -> str:
        """Keep and watch what came out of a replacement that a crash cut off there; return where it is now.

        Kept or gone already, nothing is done.
        """
        target, staged = inside(self._root, path), Path(absolute)
        found = self._found(staged)
        if found is None or not is_staged_name(found):
            return str(found or absolute)
        try:
            if found != staged:
                found.rename(staged)
            return str(self._keep(path, target, staged, atomic.digest_of(staged) or ""))
        except OSError as error:
            raise failure(error, f"Cannot keep what {path} was") from error

    def discard(self, absolute: str) -> None:
        """Remove a staged file that was never used; absent is fine.

        Raises:
            InputOutputError: it cannot be removed.
        """
        try:
            self._folder.discard(Path(absolute))
        except OSError as error:
            raise failure(error, f"Cannot remove {absolute}") from error

    def leftovers(self, spare: Collection[str] = ()) -> tuple[Path, ...]:
        """Return files that were staged beside task files and never used, less those that a journal names."""
        return tuple(
            each for path in self.paths() for each in self._folder.leftovers(inside(self._root, path), spare=spare)
        )

    def versions(self, path: str) -> tuple[Version, ...]:
        """Return what syncd's own writes took out of a task file, the last first."""
        return self._folder.versions(inside(self._root, path))

    def last_displaced(self, path: str) -> Displaced | None:
        """Return what syncd's last write took out of a task file's place; ``None`` when it kept nothing."""
        versions = self.versions(path)
        return Displaced(str(versions[0].path), versions[0].digest) if versions else None

    def replacement(self, path: str) -> Replacement:
        """Return how a task file can be replaced; probed once for each directory.

        Raises:
            InputOutputError: its directory cannot be written.
        """
        directory = inside(self._root, path).parent
        if directory not in self._replacements:
            try:
                self._replacements[directory] = atomic.probe(directory, self._exchanging)
            except OSError as error:
                raise failure(error, f"Cannot write beside {path}") from error
        return self._replacements[directory]

    def _place_new(self, target: Path, staged: Path) -> Replaced:
        try:
            atomic.place_new(staged, target)
        except FileExistsError:
            return Replaced(None, atomic.digest_of(target), False)
        atomic.fsync_directory(target.parent)
        return Replaced(None, None, True)

    def _exchange(self, path: str, target: Path, staged: Path, expected: str) -> Replaced:
        # A look before the exchange spares an editor that has saved meanwhile the sight of another file.
        found = atomic.digest_of(target)
        if found != expected:
            return Replaced(None, found, False)
        try:
            self._swap(path, staged, target)
        except (FileNotFoundError, InterruptedError):
            if not os.path.lexists(staged):
                raise
            return Replaced(None, atomic.digest_of(target), False)
        atomic.fsync_directory(target.parent)
        came_out = atomic.digest_of(staged) or ""
        return Replaced(str(self._keep(path, target, staged, came_out)), came_out, came_out == expected)

    def _swap_back(self, path: str, target: Path, displaced: Path, expected: str) -> bool:
        try:
            self._swap(path, displaced, target)
            if atomic.digest_of(displaced) != expected:
                # Written at the last moment: what came out is newer than what went in.
                self._swap(path, displaced, target)
                return False
        except (FileNotFoundError, InterruptedError):
            return False
        atomic.fsync_directory(target.parent)
        self._keep(path, target, displaced, expected)
        return True

    def _swap(self, path: str, source: Path, target: Path) -> None:
        if self.replacement(path) is Replacement.EXCHANGE:
            self._exchanging(source, target)
        else:
            atomic.exchange_by_link(source, target)

    def _keep(self, path: str, target: Path, came_out: Path, digest: str) -> Path:
        keep = self._folder.keep if is_staged_name(came_out) else self._folder.rename
        kept = keep(came_out, digest)
        self._watch().add(path, target, kept, digest, self._clock())
        return kept

    def _found(self, absolute: Path) -> Path | None:
        return self._folder.find(absolute) if is_staged_name(absolute) else absolute

    def _watch(self) -> DisplacedWatch:
        if self._displaced is None:
            self._displaced = DisplacedWatch(self._folder)
            for path in self.paths():
                with suppress(InputOutputError):
                    self._displaced.adopt(path, inside(self._root, path), self._clock())
        return self._displaced


def _refuse_read_only(path: str, target: Path) -> None:
    """Raise when nobody may write a file: a replacement by rename would not ask its mode."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return
    if not mode & _WRITABLE:
        raise InputOutputError(f"{path} is read-only", hint=f"chmod u+w {shlex.quote(path)}")
