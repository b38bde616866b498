"""Whether another version of syncd was installed over the running one.

A daemon imports late: after an upgrade it would mix modules of two versions.  So it looks now and then, and
makes way for the new version as soon as that has been there for a moment.  Who installs from a clone gets other
files under the same version: those tell by the list of hashes that an installer leaves beside them.  May import
``syncd``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import syncd

SETTLED_S: Final = 5.0
"""An installer writes its files one after another; this long after the version's file the others are there."""

IDLE_S: Final = 60.0
"""How often an idle daemon looks."""

_LOOK_S: Final = 2.0
_VERSION: Final = re.compile(r'^__version__\s*=\s*"([^"]+)"', re.MULTILINE)


class Installation:
    """The files that the running process was loaded from.

    Args:
        monotonic: seconds from any start.
        path: the file that holds the version.
        version: the one that runs.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        path: Path = Path(syncd.__file__),
        version: str = syncd.__version__,
    ) -> None:
        self._monotonic = monotonic
        self._path = path
        self._version = version
        self._stamp = _stamp(path)
        self._listed = _listed(path)
        self._due_at = monotonic() + _LOOK_S
        self._changed_at: float | None = None

    def replaced_in_s(self) -> float:
        """Return in how many seconds to look again; 0 when another version is to take over.

        Costs a stat every two seconds at most, however often it is called.
        """
        now = self._monotonic()
        if now >= self._due_at:
            self._due_at = now + _LOOK_S
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._changed_at = now
        if self._changed_at is None:
            return IDLE_S
        if (left_s := self._changed_at + SETTLED_S - now) > 0:
            return left_s
        if self._is_another():
            return 0.0
        self._changed_at = None
        return IDLE_S

    def _is_another(self) -> bool:
        """Return whether other files than the running ones are installed, as a whole."""
        found = self._found()
        return found is not None and (found != self._version or _listed(self._path) not in (None, self._listed))

    def _found(self) -> str | None:
        """Return the version that lies there; ``None`` while there is none that can be read."""
        try:
            match = _VERSION.search(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            return None
        return match[1] if match else None


def _listed(path: Path) -> bytes | None:
    """Return the installer's list of files and hashes; ``None`` where there is none, or more than one for a moment."""
    lists = list(path.parent.parent.glob("syncd-*.dist-info/RECORD"))
    try:
        return lists[0].read_bytes() if len(lists) == 1 else None
    except OSError:
        return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
