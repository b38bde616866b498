"""The kernel's own watch of directories (inotify, Linux), through ctypes: a descriptor that tells of names.

Nothing here decides anything; ``watch.py`` does.  The structures are those of inotify(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path
from typing import Final

import msgspec

IN_CLOSE_WRITE: Final = 0x00000008
IN_MOVED_FROM: Final = 0x00000040
IN_MOVED_TO: Final = 0x00000080
IN_CREATE: Final = 0x00000100
IN_DELETE: Final = 0x00000200
IN_DELETE_SELF: Final = 0x00000400
IN_MOVE_SELF: Final = 0x00000800
IN_UNMOUNT: Final = 0x00002000
IN_Q_OVERFLOW: Final = 0x00004000
IN_IGNORED: Final = 0x00008000
IN_ONLYDIR: Final = 0x01000000

LOST: Final = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED
"""The watched directory is no longer the one at its path."""

CHANGED: Final = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
"""A name of the directory stands for something else, or a writer has closed its file."""

_MASK: Final = CHANGED | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
_HEAD: Final = struct.Struct("iIII")
_BUFFER_BYTES: Final = 65536


class Event(msgspec.Struct, frozen=True):
    """One event: the watch that it belongs to (-1 for an overflow), its mask, the name within the directory."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance.

    Raises:
        OSError: ``ENOSYS`` where the system has none, ``EMFILE`` over the user's limit of instances.
    """

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL(None, use_errno=True)
            start, self._add, self._remove = (
                library.inotify_init1,
                library.inotify_add_watch,
                library.inotify_rm_watch,
            )
        except AttributeError:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
        self._add.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._remove.argtypes = (ctypes.c_int, ctypes.c_int)
        self._handle = _checked(start(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Return the descriptor, readable when there are events."""
        return self._handle

    def add(self, directory: Path) -> int:
        """Watch a directory; return the watch's number.

        Raises:
            OSError: ``ENOENT``, ``ENOTDIR``, or ``ENOSPC`` over the user's limit of watches.
        """
        return _checked(self._add(self._handle, os.fsencode(directory), _MASK))

    def remove(self, watch: int) -> None:
        """End a watch; one that the kernel has ended already is fine."""
        self._remove(self._handle, watch)

    def read(self) -> list[Event]:
        """Return the events that are there now."""
        try:
            data = os.read(self._handle, _BUFFER_BYTES)
        except BlockingIOError:
            return []
        events: list[Event] = []
        at = 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            name = data[at : at + length].partition(b"\0")[0]
            events.append(Event(watch, mask, os.fsdecode(name)))
            at += length
        return events

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._handle)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
