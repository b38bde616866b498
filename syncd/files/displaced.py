"""What a write took out of a task file's place: kept, looked at again, and in the end a version for ``undo``.

A program that had the file open when it was replaced still holds what came out, and may write into
it.  So each displaced file is hashed again after 50 ms, 0.5 s, 5 s and 60 s; bytes that differ are a
late write, reported once two looks agree on them.  Names carry the digest with which a file came out
(``00000042-a1b2c3-<digest>``), so that a later process can tell as well.  May import ``syncd.ports``.
"""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from syncd.files.atomic import OUT, aside_of, digest_of, fsync_directory, make_durable, write_whole
from syncd.files.layout import private_folder
from syncd.ports import LateWrite

LOOKS_S: Final = (0.05, 0.5, 5.0, 60.0)
"""When a displaced file is hashed again, counted from when it came out or was last seen to change."""

SETTLED_S: Final = 0.3
"""How long bytes must stand before they are a late write, and not half of one (as ``guards.settle_ms``)."""

TELL_AGAIN_S: Final = 1.0
"""How soon a late write is told again that could not be taken in: its file may be held for days."""

VERSIONS_MAX: Final = 20
"""How many displaced versions of a file are kept when nobody can write into them any more."""

_PASSING: Final = 0
"""The number of what stood in a file's place for a moment only."""

UNKNOWN: Final = "0" * 64
"""Stands in a name for a digest that nobody knows."""

_STAGED: Final = re.compile(rf"\.(?P<name>.+)\.syncd-(?P<token>\d{{8}}-[0-9a-f]{{6}})(?:{OUT})?", re.DOTALL)
_KEPT: Final = re.compile(r"(?P<token>\d{8}-[0-9a-f]{6})-(?P<digest>[0-9a-f]{64})")


class Version(msgspec.Struct, frozen=True):
    """A displaced file, and the digest with which it came out; ``token`` gives the order."""

    path: Path
    token: str
    digest: str


class DisplacedFolder:
    """The files under ``.syncd/displaced/``, one folder for each task file.

    Args:
        root: the workspace; task files are given by their real path inside it.
        folder: where displaced files are kept.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder

    def staged_name(self, target: Path) -> Path:
        """Return a fresh name beside a file, later in order than every version that is kept of it."""
        last = max((int(each.token[:8]) for each in self.versions(target)), default=0)
        return _named(target, last + 1)

    def passing_name(self, target: Path) -> Path:
        """Return a fresh name beside a file for one that stood there for a moment only: before every version."""
        return _named(target, _PASSING)

    def keep(self, staged: Path, digest: str) -> Path:
        """Move what came out under a staged name to where it is kept; return its path.

        Where ``.syncd`` lies on another file system it stays beside the task file until ``archive``.

        Effects: one rename, never a copy: whoever has the file open goes on writing into the kept one.
        """
        target, token = _staged_parts(staged)
        folder = self._made(target)
        kept = folder / f"{token}-{digest}"
        if folder.stat().st_dev != target.parent.stat().st_dev:
            kept = target.with_name(f"{_beside(target)}{token}-{digest}")
        return staged.rename(kept)

    def find(self, staged: Path) -> Path | None:
        """Return where the bytes of a staged name are now: there still, aside, or kept; ``None`` when nowhere."""
        for path in (staged, aside_of(staged)):
            if os.path.lexists(path):
                return path
        target, token = _staged_parts(staged)
        return next((each.path for each in self.versions(target) if each.token == token), None)

    def versions(self, target: Path) -> tuple[Version, ...]:
        """Return the displaced files of a task file, the newest first."""
        found: list[Version] = []
        for folder, prefix in ((self._of(target), ""), (target.parent, _beside(target))):
            for name in _names(folder):
                if name.startswith(prefix) and (parts := _KEPT.fullmatch(name, len(prefix))):
                    found.append(Version(folder / name, parts["token"], parts["digest"]))
        return tuple(sorted(found, key=lambda each: each.token, reverse=True))

    def leftovers(self, target: Path, *, spare: Collection[str] = ()) -> tuple[Path, ...]:
        """Return files staged for a task file and never used: what a crash before the journal leaves.

        Args:
            spare: staged files that a journal names.
        """
        names = ((name, _STAGED.fullmatch(name)) for name in sorted(_names(target.parent)))
        paths = (target.parent / name for name, parts in names if parts and parts["name"] == target.name)
        return tuple(path for path in paths if str(path).removesuffix(OUT) not in spare)

    def discard(self, staged: Path) -> None:
        """Remove a staged file that was never used, and the link to the task file that a cut exchange left."""
        aside = aside_of(staged)
        try:
            staged.unlink()
        except FileNotFoundError:
            # What is aside came out of the task file's place then, and is wanted; or it is still there.
            target, _ = _staged_parts(staged)
            if digest_of(aside) != digest_of(target):
                return
        aside.unlink(missing_ok=True)

    def rename(self, kept: Path, digest: str) -> Path:
        """Write another digest into a displaced file's name: what it is to be compared with.  Return its path.

        Effects: durable, with the bytes that the digest is of: else what was taken in once would look like
        another late write after a power cut, or what was lost then would.
        """
        make_durable(kept)
        renamed = kept.rename(kept.with_name(kept.name[: -len(UNKNOWN)] + (digest or UNKNOWN)))
        fsync_directory(kept.parent)
        return renamed

    def archive(self, target: Path, *, spare: Collection[Path] = ()) -> None:
        """Bring files kept beside the task file home, and drop all but the last ``VERSIONS_MAX`` and what only passed.

        Args:
            spare: paths that are still watched, and stay where they are.
        """
        for each in self.versions(target):
            if each.path.parent == target.parent and each.path not in spare:
                with suppress(FileNotFoundError):
                    write_whole(self._made(target) / f"{each.token}-{each.digest}", each.path.read_bytes())
                each.path.unlink(missing_ok=True)
        versions = self.versions(target)
        passed = [each for each in versions[:VERSIONS_MAX] if int(each.token[:8]) == _PASSING]
        for each in (*versions[VERSIONS_MAX:], *passed):
            if each.path not in spare:
                each.path.unlink(missing_ok=True)

    def _of(self, target: Path) -> Path:
        return self._folder / target.relative_to(self._root)

    def _made(self, target: Path) -> Path:
        folder = self._of(target)
        if not folder.is_dir():
            private_folder(self._folder)
            folder.mkdir(parents=True, exist_ok=True)
        return folder


def is_staged_name(path: Path) -> bool:
    """Return whether a path has the name of a staged file."""
    return _STAGED.fullmatch(path.name) is not None


def _named(target: Path, number: int) -> Path:
    return target.with_name(f".{target.name}.syncd-{number:08d}-{secrets.token_hex(3)}")


def _staged_parts(staged: Path) -> tuple[Path, str]:
    parts = _STAGED.fullmatch(staged.name)
    if parts is None:
        raise ValueError(f"{staged} is no staged file's name")
    return staged.with_name(parts["name"]), parts["token"]


def _beside(target: Path) -> str:
    return f".{target.name}.syncd-kept-"


def _names(folder: Path) -> list[str]:
    try:
        return [each.name for each in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass(slots=True)
class _Watched:
    path: str
    target: Path
    kept: Path
    digest: str
    since: float
    looks: int = 0
    unsettled: str | None = None
    late: LateWrite | None = None
    told_at: float | None = None

    @property
    def next_at(self) -> float:
        return self.since + LOOKS_S[self.looks]

    @property
    def tell_at(self) -> float:
        """When a late write is to be told, again where it could not be taken in."""
        return -math.inf if self.told_at is None else self.told_at + TELL_AGAIN_S

    @property
    def is_told(self) -> bool:
        return self.late is not None and self.unsettled is None


class DisplacedWatch:
    """The displaced files that somebody may still write into, and when to look at them next.

    Instants are whatever the caller's monotonic clock says; nothing here reads a clock.
    """

    def __init__(self, folder: DisplacedFolder) -> None:
        self._folder = folder
        self._watched: dict[Path, _Watched] = {}

    def add(self, path: str, target: Path, kept: Path, digest: str, now: float) -> None:
        """Watch a displaced file that came out of the task file ``path`` with a digest."""
        self._watched[kept] = _Watched(path, target, kept, digest, now)

    def adopt(self, path: str, target: Path, now: float) -> None:
        """Watch what an earlier process displaced: a late write that it did not see is reported as well."""
        for each in self._folder.versions(target):
            if each.path not in self._watched:
                self.add(path, target, each.path, each.digest, now)

    def next_at(self) -> float | None:
        """Return when ``look`` has something to do or to tell again; ``None`` when nothing is watched."""
        return min((each.tell_at if each.is_told else each.next_at for each in self._watched.values()), default=None)

    def look(self, now: float) -> tuple[LateWrite, ...]:
        """Hash again what is due; return the late writes on which looks agree for a while, until they are taken in.

        Bytes seen for the first time start the looks over, so that a writer in mid-write is not taken at
        its word.  A file whose last look is over is left to ``undo``.
        """
        for each in list(self._watched.values()):
            self._look(each, now)
        told = [each for each in self._watched.values() if each.is_told]
        for each in told:
            each.told_at = now
        return tuple(each.late for each in told if each.late is not None)

    def taken_in(self, late: LateWrite) -> None:
        """Note that a late write is now part of the sync; it is not reported again, by no later process either."""
        kept = Path(late.absolute)
        renamed = self._folder.rename(kept, late.digest)
        if watched := self._watched.pop(kept, None):
            watched.kept, watched.digest, watched.late = renamed, late.digest, None
            self._watched[renamed] = watched

    def _look(self, watched: _Watched, now: float) -> None:
        while watched.kept in self._watched and watched.next_at <= now:
            found = digest_of(watched.kept)
            known = watched.late.digest if watched.late else watched.digest
            if found is None:
                del self._watched[watched.kept]
            elif found not in (known, watched.unsettled):
                watched.unsettled, watched.since, watched.looks = found, now, 0
            else:
                if found != watched.unsettled:
                    watched.unsettled = None
                elif watched.next_at - watched.since >= SETTLED_S:
                    watched.late = LateWrite(watched.path, str(watched.kept), watched.digest, found)
                    watched.unsettled = watched.told_at = None
                self._advance(watched)

    def _advance(self, watched: _Watched) -> None:
        if watched.looks + 1 < len(LOOKS_S):
            watched.looks += 1
        elif watched.late is not None:
            watched.since += LOOKS_S[-1]
        else:
            del self._watched[watched.kept]
            self._folder.archive(watched.target, spare=self._watched.keys())
