"""The processes of an attempt: all of them, wherever they moved.

An attempt begins as a session of its own and carries a mark in its environment, which its children
inherit.  Whoever is in that session, bears the mark, or is in a session with somebody who bears it belongs
to the attempt: so a child that made itself a group or a daemon is found too.  A process that leaves the
session *and* clears its environment is not.  May import nothing of syncd.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

MARK: Final = "SYNCD_RUN"
"""The environment variable with the marks of an attempt, and of those in which it runs itself, joined by colons."""

_PROC: Final = Path("/proc")
_ZOMBIES: Final = ("Z", "X")


class _Seen(msgspec.Struct, frozen=True):
    pid: int
    session: int
    marks: frozenset[str]


def marked(mark: str, environ: dict[str, str]) -> str:
    """Return the variable's value for an attempt that starts in this environment."""
    return ":".join(filter(None, (environ.get(MARK), mark)))


def find(is_meant: Callable[[str], bool], session: int | None = None) -> set[int]:
    """Return the live processes whose mark is meant, with all in their sessions and in ``session``."""
    seen = [each for each in map(_look, _PROC.iterdir()) if each is not None]
    bearers = [each for each in seen if any(map(is_meant, each.marks))]
    sessions = {each.session for each in bearers} | ({session} if session is not None else set())
    found = {each.pid for each in bearers} | {each.pid for each in seen if each.session in sessions}
    return found - {os.getpid()}


def signal_all(pids: set[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may be gone by now."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _look(folder: Path) -> _Seen | None:
    """Return what a process is; ``None`` for what is none, for one that has ended, and for another user's."""
    if not folder.name.isdigit():
        return None
    try:
        # The name, in brackets, may hold anything.
        state, _parent, _group, session, *_ = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        environ = (folder / "environ").read_bytes()
    except (OSError, ValueError):
        return None
    if state in _ZOMBIES:
        return None
    prefix = f"{MARK}=".encode()
    marks = next((each for each in environ.split(b"\0") if each.startswith(prefix)), prefix)
    return _Seen(int(folder.name), int(session), frozenset(marks[len(prefix) :].decode("utf-8", "replace").split(":")))
