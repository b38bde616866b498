"""Which workspaces a user has on this machine: a list of paths, added to where one is made or run.

A convenience and nothing more: what is on it and is no workspace any more is passed over, and a list that cannot be
written is done without.  May import ``syncd.files.layout``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from syncd.files.layout import Layout, private_folder

NAME: Final = "workspaces"


def registry(environ: Mapping[str, str]) -> Path | None:
    """Return the file that has the list, beside what else syncd keeps of its user; ``None`` without a home."""
    home = environ.get("HOME")
    state = environ.get("XDG_STATE_HOME") or (f"{home}/.local/state" if home else None)
    return None if state is None else Path(state, "syncd", NAME)


def remember(root: Path, environ: Mapping[str, str]) -> None:
    """Add a workspace to the list, once.

    Effects: one line at the end of the file; lines of two processes at once do not mix.
    """
    path = registry(environ)
    line = os.fsencode(root) + b"\n"
    if path is None or b"\n" in line[:-1]:
        return
    with suppress(OSError):
        if line in _lines(path):
            return
        private_folder(path.parent)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)


def known(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the workspaces on the list that are there, in the order in which they came."""
    paths = dict.fromkeys(Path(os.fsdecode(line.rstrip(b"\n"))) for line in _lines(registry(environ)))
    return tuple(path for path in paths if path.is_absolute() and Layout(path).is_workspace)


def _lines(path: Path | None) -> list[bytes]:
    if path is None:
        return []
    try:
        return path.read_bytes().splitlines(keepends=True)
    except OSError:
        return []
