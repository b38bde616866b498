"""What the machine gives: room on the disk, a file system with locks, watches of folders, open files.

May import ``syncd.doctor.check``, ``syncd.files``.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from syncd.doctor.check import Check, error, note, ok, warning
from syncd.files.inotify import Inotify

FREE_BYTES_LOW: Final = 200_000_000
FREE_BYTES_MIN: Final = 20_000_000
FILES_MIN: Final = 256
_REMOTE: Final = ("nfs", "cifs", "smb", "9p", "sshfs", "fuse.sshfs", "fuse.rclone", "afs", "ceph", "virtiofs")
_WATCHES: Final = Path("/proc/sys/fs/inotify/max_user_watches")
_INSTANCES: Final = Path("/proc/sys/fs/inotify/max_user_instances")


def disk(name: str, folder: Path) -> Check:
    """Look how much room is left where a folder lies."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        free = shutil.disk_usage(there).free
        inodes = os.statvfs(there)
    except OSError as failed:
        return error(name, f"{there} cannot be looked at: {failed.strerror}", f"ls -ld {there}")
    if free < FREE_BYTES_MIN:
        return error(name, f"{_mega(free)} left where {there} lies", f"df -h {there}")
    if inodes.f_files and inodes.f_favail < 1000:
        return error(name, f"{inodes.f_favail} files may still be made where {there} lies", f"df -i {there}")
    if free < FREE_BYTES_LOW:
        return warning(name, f"only {_mega(free)} left where {there} lies", f"df -h {there}")
    return ok(name, f"{_mega(free)} free where {there} lies")


def file_system(folder: Path) -> Check:
    """Look whether the workspace lies on a file system that has locks and events."""
    kind = _kind_of(folder)
    if kind.startswith(_REMOTE):
        told = f"the workspace lies on {kind}: locks and events may not reach other hosts, so syncd polls"
        return warning("file system", told, "Give each host a working copy of its own; they meet in the database.")
    return ok("file system", f"{kind or 'a local file system'}")


def watches(folders: Iterator[Path]) -> Check:
    """Try to watch the folders of task files, as the daemon does."""
    limits = f"(fs.inotify.max_user_watches {_number(_WATCHES)}, max_user_instances {_number(_INSTANCES)})"
    try:
        watch = Inotify()
    except OSError as failed:
        if failed.errno == errno.ENOSYS:
            return note("watching", "this system has no inotify: watchfiles watches, and a look each second")
        return _limit(f"no more inotify instances for this user {limits}", "max_user_instances", _INSTANCES)
    try:
        for folder in folders:
            watch.add(folder)
    except OSError as failed:
        if failed.errno == errno.ENOSPC:
            return _limit(f"no more inotify watches for this user {limits}", "max_user_watches", _WATCHES)
        return error("watching", f"a folder cannot be watched: {failed.strerror}", "ls -ld .")
    finally:
        watch.close()
    return ok("watching", f"changes are heard at once {limits}")


def open_files() -> Check:
    """Look how many files a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES_MIN:
        return warning("open files", f"a process may have only {soft} files open", f"ulimit -n {min(hard, 4096)}")
    return ok("open files", f"up to {soft}")


def _limit(message: str, setting: str, path: Path) -> Check:
    more = max(8192, 2 * (_number(path) or 0)) if "watches" in setting else max(1024, 2 * (_number(path) or 0))
    return warning(
        "watching", f"{message}; syncd looks each second instead", f"sudo sysctl fs.inotify.{setting}={more}"
    )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _kind_of(folder: Path) -> str:
    """Return the kind of the file system that a folder lies on; empty where that is not told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(folder)
    best, kind = -1, ""
    for words in map(str.split, lines):
        place = words[4].encode("latin-1", "backslashreplace").decode("unicode_escape", "replace")
        if (real == place or real.startswith(place.rstrip("/") + "/")) and len(place) >= best:
            best, kind = len(place), words[words.index("-") + 1]
    return kind


def _mega(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
