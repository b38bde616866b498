"""Where a ``.syncd/`` lies: host, path and inode, to which its replica id and base are bound.

A base is true of one working copy only.  A ``.syncd/`` that was copied along (``cp -r``, a backup, an
image) carries a base of files that are not beside it, and begins without one; a folder that was
merely moved keeps it.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final, Self

import msgspec

_MACHINE: Final = Path("/etc/machine-id")


class Place(msgspec.Struct, frozen=True):
    """Where a ``.syncd/`` lies."""

    host: str
    path: str
    inode: int

    @classmethod
    def of(cls, dot: Path) -> Self:
        """Return the place of an existing folder."""
        real = Path(os.path.realpath(dot))
        return cls(_host(), str(real), real.stat().st_ino)

    def is_of(self, now: Place) -> bool:
        """Whether the folder that was recorded here is the one that lies there now.

        Equal, or moved: the same inode under another path, with nothing left at the old one.  Devices are
        not compared, since their numbers change from boot to boot.
        """
        if self == now:
            return True
        return (self.host, self.inode) == (now.host, now.inode) and not os.path.lexists(self.path)


def _host() -> str:
    """Return the machine's id; host names are changed, and given twice."""
    try:
        machine = _MACHINE.read_text().strip()
    except OSError:
        machine = ""
    return machine or socket.gethostname()
