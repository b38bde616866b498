"""Paths inside a workspace: nothing outside is ever opened, and globs find files without walking it each time.

May import ``syncd.errors``.
"""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

import msgspec

from syncd.errors import InputOutputError

_MAGIC: Final = re.compile(r"[*?\[]")
_SKIPPED: Final = frozenset({".git", ".syncd", "node_modules"})
_RACY_NS: Final = 50_000_000
"""A directory that changed less than this before it was listed may change again without a new mtime."""

FolderSignature: TypeAlias = tuple[int, int, int]
_Folders: TypeAlias = dict[str, FolderSignature | None]


class _Walk(msgspec.Struct, frozen=True):
    """What a pattern found, and the folders that were listed for it."""

    folders: _Folders
    files: tuple[str, ...]


def fault(path: str) -> str | None:
    """Return why a configured path or glob may not be used; ``None`` when it may."""
    if not path.strip():
        return "it is empty"
    if "\0" in path:
        return "it holds a NUL"
    if path.startswith(("/", "~")):
        return "it is absolute; it has to be relative to the workspace"
    if ".." in PurePosixPath(path).parts:
        return "it leads out of the workspace (..)"
    return None


def inside(root: Path, path: str) -> Path:
    """Return the real path of a workspace file, existing or not, its symlinks followed.

    Args:
        root: the workspace's real path.

    Raises:
        InputOutputError: it lies outside the workspace; nothing was opened.
    """
    if (reason := fault(path)) is not None:
        raise InputOutputError(f"{path} is not opened: {reason}.")
    real = Path(os.path.realpath(root / path))
    if not real.is_relative_to(root) or real == root:
        raise InputOutputError(
            f"{path} is not opened: it is a link that leads out of the workspace, to {real}.",
            hint="Put the file inside the workspace, or take it out of `tasks`.",
        )
    return real


def outside(root: Path, path: str) -> str | None:
    """Return why a path leads out of the workspace; ``None`` when it stays inside, existing or not."""
    if (reason := fault(path)) is not None:
        return reason
    real = Path(os.path.realpath(root / path))
    return None if real.is_relative_to(root) else f"it is a link that leads out of the workspace, to {real}"


def is_glob(pattern: str) -> bool:
    """Return whether a path has wildcards."""
    return _MAGIC.search(pattern) is not None


class Glob:
    """One pattern of the configuration: ``*``, ``?``, ``[…]`` within a name, ``**`` for any folders.

    Hidden names are matched only where the pattern spells the dot; ``.git``, ``.syncd`` and
    ``node_modules`` never are; links to folders are not followed.

    Shape: ``files`` costs one ``stat`` for each folder that the pattern reaches while none of them
    changes, and a listing of them after one did.
    """

    def __init__(self, root: Path, pattern: str) -> None:
        self._root = root
        self._segments = PurePosixPath(pattern).parts
        self._last = _Walk({}, ())

    def files(self) -> tuple[str, ...]:
        """Return the files that match now, relative to the workspace, in order of their names."""
        last = self._last
        if not last.folders or any(
            seen is None or seen != _signature(self._root / folder) for folder, seen in last.folders.items()
        ):
            folders: dict[str, FolderSignature | None] = {}
            # Assigned as a whole: the watch asks from a thread of its own.
            self._last = last = _Walk(folders, tuple(sorted(set(self._walk("", self._segments, folders)))))
        return last.files

    def matches(self, path: str) -> bool:
        """Return whether a path would be matched, whether it exists or not."""
        return _matches(PurePosixPath(path).parts, self._segments)

    def _walk(self, folder: str, segments: tuple[str, ...], folders: _Folders) -> Iterator[str]:
        head, rest = segments[0], segments[1:]
        if head == "**":
            yield from self._walk(folder, rest or ("*",), folders)
            for name, is_folder in self._listed(folder, folders):
                if is_folder and not name.startswith("."):
                    yield from self._walk(f"{folder}{name}/", segments, folders)
            return
        matches = re.compile(fnmatch.translate(head)).match
        for name, is_folder in self._listed(folder, folders):
            if not matches(name) or (name.startswith(".") and not head.startswith(".")):
                continue
            if rest and is_folder:
                yield from self._walk(f"{folder}{name}/", rest, folders)
            elif not rest and not is_folder:
                yield folder + name

    def _listed(self, folder: str, folders: _Folders) -> list[tuple[str, bool]]:
        path = self._root / folder
        seen = _signature(path)
        is_racy = seen is not None and abs(time.time_ns() - seen[0]) < _RACY_NS
        folders[folder] = None if is_racy else seen
        try:
            with os.scandir(path) as entries:
                return [
                    (each.name, each.is_dir(follow_symlinks=False)) for each in entries if each.name not in _SKIPPED
                ]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return []


def _matches(parts: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    if not parts or not segments:
        return not parts and not segments
    name, head, rest = parts[0], segments[0], segments[1:]
    if name in _SKIPPED:
        return False
    if head == "**":
        is_deeper = len(parts) > 1 and not name.startswith(".") and _matches(parts[1:], segments)
        return is_deeper or _matches(parts, rest or ("*",))
    is_hidden = name.startswith(".") and not head.startswith(".")
    return not is_hidden and fnmatch.fnmatchcase(name, head) and _matches(parts[1:], rest)


def _signature(folder: Path) -> FolderSignature | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_dev)
