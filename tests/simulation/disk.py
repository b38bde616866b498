"""A disk in memory with two layers: what the kernel shows, and what would survive a power cut.

Files are inodes under names, so that renames, exchanges and open handles behave as on Linux.  A write
or a new name is *volatile* until somebody fsyncs the file or the directory; a power cut keeps any part
of what is volatile, in any order that the names allow.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace

TICK_NS = 4_000_000
"""File times advance by ticks of the kernel, so that two writes may leave the same stat."""


@dataclass(eq=False)
class Inode:
    """One file: the bytes that readers see, and those that are on the medium.

    ``is_whole`` is False in the middle of an editor's save; ``is_durable_whole`` tells the same of the medium.
    """

    number: int
    mode: int
    data: bytes = b""
    durable: bytes = b""
    links: int = 1
    mtime_ns: int = 0
    ctime_ns: int = 0
    is_whole: bool = True
    is_durable_whole: bool = False


@dataclass
class Handle:
    """An open file or directory; it goes on meaning the inode, whatever happens to the name."""

    path: str
    inode: Inode | None
    at: int = 0
    appends: bool = False


@dataclass(frozen=True)
class NameChange:
    """A change of names that no fsync of a directory has made durable yet."""

    deed: str
    names: tuple[str, ...]
    inode: Inode | None = None

    def apply(self, names: dict[str, Inode]) -> None:
        """Do it to a table of names; without the names that it begins with nothing happens."""
        first, last = self.names[0], self.names[-1]
        if self.deed == "link" and self.inode is not None:
            names[first] = self.inode
        elif self.deed == "unlink":
            names.pop(first, None)
        elif self.deed == "rename" and first in names:
            names[last] = names.pop(first)
        elif self.deed == "exchange" and first in names and last in names:
            names[first], names[last] = names[last], names[first]


@dataclass
class Disk:
    """The files of all machines of a world; each machine's lie under a folder of their own.

    Args:
        now_ns: the wall clock, for file times only.
    """

    now_ns: Callable[[], int]
    names: dict[str, Inode] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/"})
    _durable_names: dict[str, Inode] = field(default_factory=dict)
    _pending: list[NameChange] = field(default_factory=list)
    _handles: dict[int, Handle] = field(default_factory=dict)
    _inode_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(100))
    _handle_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(3))

    # --- files ------------------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """Open or make a file, or open a folder; ``O_TRUNC`` empties it at once."""
        inode = None
        if path not in self.folders:
            inode = self.names.get(path)
            if inode is not None and flags & os.O_EXCL and flags & os.O_CREAT:
                raise _error(errno.EEXIST, path)
            if inode is None:
                if not flags & os.O_CREAT or _folder(path) not in self.folders:
                    raise _error(errno.ENOENT, path)
                inode = Inode(next(self._inode_numbers), stat.S_IFREG | mode)
                self._change("link", path, inode=inode)
                self._touch(inode)
            if flags & os.O_TRUNC and inode.data:
                self._set(inode, b"")
        number = next(self._handle_numbers)
        self._handles[number] = Handle(path, inode, appends=bool(flags & os.O_APPEND))
        return number

    def read(self, handle: int, size: int) -> bytes:
        """Read from where the handle stands."""
        open_file = self._handles[handle]
        piece = self.inode_of(handle).data[open_file.at : open_file.at + size]
        open_file.at += len(piece)
        return piece

    def write(self, handle: int, data: bytes) -> int:
        """Write where the handle stands, or at the end of a file that was opened for appending."""
        open_file, inode = self._handles[handle], self.inode_of(handle)
        at = len(inode.data) if open_file.appends else open_file.at
        self._set(inode, inode.data[:at].ljust(at, b"\0") + data + inode.data[at + len(data) :])
        open_file.at = at + len(data)
        return len(data)

    def seek(self, handle: int, at: int) -> None:
        """Put a handle at a place."""
        self._handles[handle].at = at

    def truncate(self, handle: int, size: int) -> None:
        """Cut an open file."""
        inode = self.inode_of(handle)
        self._set(inode, inode.data[:size])

    def close(self, handle: int) -> None:
        """Give a handle back; one that a power cut took is gone already."""
        self._handles.pop(handle, None)

    def fsync(self, handle: int) -> None:
        """Make the bytes of a file, or the names in a folder, durable."""
        open_file = self._handles[handle]
        if open_file.inode is not None:
            open_file.inode.durable = open_file.inode.data
            open_file.inode.is_durable_whole = open_file.inode.is_whole
            return
        for change in self._wanted(open_file.path):
            change.apply(self._durable_names)
            self._pending.remove(change)

    def inode_of(self, handle: int) -> Inode:
        """Return what a handle means."""
        found = self._handles[handle].inode
        if found is None:
            raise _error(errno.EISDIR, self._handles[handle].path)
        return found

    def stat(self, path: str) -> SimpleNamespace:
        """Return what ``os.stat`` tells of a file or folder."""
        if path in self.folders:
            return SimpleNamespace(
                st_mode=stat.S_IFDIR | 0o700, st_dev=1, st_ino=hash_of(path), st_mtime_ns=0, st_ctime_ns=0,
                st_uid=0, st_gid=0, st_size=0, st_nlink=2,
            )  # fmt: skip
        return stat_of(self._named(path))

    def fstat(self, handle: int) -> SimpleNamespace:
        """Return what ``os.fstat`` tells."""
        return stat_of(self.inode_of(handle))

    def bytes_of(self, path: str) -> bytes | None:
        """Return what readers see of a file, ``None`` when it is absent."""
        inode = self.names.get(path)
        return None if inode is None else inode.data

    def durable_bytes_of(self, path: str) -> bytes | None:
        """Return what would be surely there after a power cut."""
        inode = self._durable_names.get(path)
        return None if inode is None else inode.durable

    # --- names ------------------------------------------------------------------------------------

    def mkdir(self, path: str) -> None:
        """Make a folder, durably."""
        if path in self.folders:
            raise _error(errno.EEXIST, path)
        if _folder(path) not in self.folders:
            raise _error(errno.ENOENT, path)
        self.folders.add(path)

    def entries(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        if folder not in self.folders:
            raise _error(errno.ENOENT, folder)
        return sorted(
            path.rpartition("/")[2] for path in (*self.names, *self.folders) if path != "/" and _folder(path) == folder
        )

    def rename(self, source: str, target: str, *, is_new: bool = False) -> None:
        """Give a file another name, in the place of what had it; not so with ``is_new``."""
        inode, before = self._named(source), self.names.get(target)
        if before is not None and is_new:
            raise _error(errno.EEXIST, target)
        if _folder(target) not in self.folders:
            raise _error(errno.ENOENT, target)
        if before is inode:
            return
        if before is not None:
            before.links -= 1
        self._change("rename", source, target)
        self._touch(inode, is_written=False)

    def exchange(self, one: str, other: str) -> None:
        """Let two existing names change places in one step."""
        inodes = self._named(one), self._named(other)
        self._change("exchange", one, other)
        for inode in inodes:
            self._touch(inode, is_written=False)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name."""
        inode = self._named(source)
        if target in self.names:
            raise _error(errno.EEXIST, target)
        inode.links += 1
        self._change("link", target, inode=inode)
        self._touch(inode, is_written=False)

    def unlink(self, path: str) -> None:
        """Take a name away; open handles keep the file."""
        self._named(path).links -= 1
        self._change("unlink", path)

    # --- accidents --------------------------------------------------------------------------------

    def power_cut(self, root: str, rng: Random) -> set[str]:
        """Lose what a machine has not made durable: any part of it, as far as the names allow.

        Returns:
            The files that came out torn: neither as they were nor as they had last been made durable.
        """
        lost: set[str] = set()
        for change in [each for each in self._pending if _is_under(each.names[0], root)]:
            self._pending.remove(change)
            if lost.intersection(change.names) or rng.random() < 0.5:
                lost.update(change.names)
            else:
                change.apply(self._durable_names)
        for path in [path for path in self.names if _is_under(path, root)]:
            del self.names[path]
        left = {path: inode for path, inode in self._durable_names.items() if _is_under(path, root)}
        damaged = {id(inode) for inode in left.values() if _is_torn_by_cut(inode, rng)}
        torn = {path for path, inode in left.items() if id(inode) in damaged}
        self.names.update(left)
        self._handles = {number: handle for number, handle in self._handles.items() if not _is_under(handle.path, root)}
        return torn

    def _wanted(self, folder: str) -> list[NameChange]:
        """Return what an fsync of a folder makes durable: its changes, and those that they build on."""
        wanted: list[NameChange] = []
        names: set[str] = set()
        for change in reversed(self._pending):
            if names.intersection(change.names) or any(_folder(name) == folder for name in change.names):
                wanted.append(change)
                names.update(change.names)
        return wanted[::-1]

    def _change(self, deed: str, *names: str, inode: Inode | None = None) -> None:
        change = NameChange(deed, names, inode)
        change.apply(self.names)
        self._pending.append(change)

    def _named(self, path: str) -> Inode:
        inode = self.names.get(path)
        if inode is None:
            raise _error(errno.ENOENT, path)
        return inode

    def _set(self, inode: Inode, data: bytes) -> None:
        inode.data = data
        self._touch(inode)

    def _touch(self, inode: Inode, *, is_written: bool = True) -> None:
        inode.ctime_ns = self.now_ns() // TICK_NS * TICK_NS
        if is_written:
            inode.mtime_ns = inode.ctime_ns


def stat_of(inode: Inode) -> SimpleNamespace:
    """Return an inode's stat."""
    return SimpleNamespace(
        st_mode=inode.mode, st_dev=1, st_ino=inode.number, st_size=len(inode.data), st_nlink=inode.links,
        st_mtime_ns=inode.mtime_ns, st_ctime_ns=inode.ctime_ns, st_uid=0, st_gid=0,
    )  # fmt: skip


def hash_of(text: str) -> int:
    """Return a number for a name that is the same in every run."""
    return int.from_bytes(text.encode()[-7:], "big")


def _is_torn_by_cut(inode: Inode, rng: Random) -> bool:
    """Leave of a file what the medium has, and return whether that is only a part of what an editor saved.

    Bytes that were never fsynced may be there, in part, or not at all.
    """
    shown, safe = inode.data, inode.durable
    if shown == safe:
        return not inode.is_whole
    torn = shown[: rng.randrange(len(shown) + 1)]
    inode.data = inode.durable = rng.choice((safe, safe, shown, torn, b""))
    is_torn = inode.data not in (shown, safe)
    return is_torn or not (inode.is_durable_whole if inode.data == safe else inode.is_whole)


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _is_under(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
