"""Where everything of a workspace lies, and which folder is the workspace.

The one table of names under ``.syncd/``.  Kept free of imports beyond ``os`` and ``pathlib``: the
command line's fast path needs the socket before anything else is loaded.  May import
``syncd.errors``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from syncd.errors import NotFound

CONFIG_NAME: Final = "syncd.yaml"
DOT_NAME: Final = ".syncd"
WORKSPACE_VARIABLE: Final = "SYNCD_WORKSPACE"

SOCKET_BYTES_MAX: Final = 107
"""What ``sockaddr_un.sun_path`` holds on Linux, less its closing NUL."""


class Layout:
    """The paths of one workspace.

    Args:
        root: the workspace folder; kept as its real path, so that two spellings are one workspace.
    """

    def __init__(self, root: Path) -> None:
        self.root: Final = Path(os.path.realpath(root))
        self.config: Final = self.root / CONFIG_NAME
        self.dot: Final = self.root / DOT_NAME
        self.state: Final = self.dot / "state.db"
        self.displaced: Final = self.dot / "displaced"
        self.daemon_lock: Final = self.dot / "daemon.lock"
        self.cycle_lock: Final = self.dot / "lock"
        self.advisory_lock: Final = self.dot / "TASKS.md.lock"
        self.manifest: Final = self.dot / "manifest.json"
        self.attempts: Final = self.dot / "attempts"
        self.worktrees: Final = self.dot / "worktrees"
        self.workers: Final = self.dot / "workers"

    @property
    def is_workspace(self) -> bool:
        """Whether the folder holds a ``syncd.yaml`` or a ``.syncd/``."""
        return self.config.is_file() or self.dot.is_dir()

    def socket(self, environ: Mapping[str, str]) -> Path:
        """Return the daemon's socket: ``.syncd/sock``, or a path in the user's runtime folder when that is too long.

        Whoever binds it makes the folder first (``private_folder``).
        """
        near = self.dot / "sock"
        if len(os.fsencode(near)) <= SOCKET_BYTES_MAX:
            return near
        import hashlib

        name = hashlib.blake2b(os.fsencode(self.dot), digest_size=10).hexdigest()
        return runtime_folder(environ) / f"{name}.sock"


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """Return the user's private folder for sockets; it may not exist yet."""
    if told := environ.get("XDG_RUNTIME_DIR"):
        return Path(told) / "syncd"
    user = os.getuid()
    usual = Path(f"/run/user/{user}")
    if usual.is_dir():
        return usual / "syncd"
    return Path(environ.get("TMPDIR") or "/tmp") / f"syncd-{user}"


def find_root(start: Path, environ: Mapping[str, str], *, told: Path | None = None) -> Path:
    """Return the workspace folder: ``told`` (``-C``), else ``$SYNCD_WORKSPACE``, else the nearest one upwards.

    Raises:
        NotFound: there is none, or the folder that was named is none.
    """
    if told is not None:
        return _named(start / told, "-C")
    if named := environ.get(WORKSPACE_VARIABLE):
        return _named(start / named, f"${WORKSPACE_VARIABLE}")
    here = Path(os.path.realpath(start))
    for folder in (here, *here.parents):
        if Layout(folder).is_workspace:
            return folder
    raise NotFound(f"{here} is in no syncd workspace.", hint="syncd init")


def _named(folder: Path, source: str) -> Path:
    layout = Layout(folder)
    if not layout.root.is_dir():
        raise NotFound(f"{source} names {folder}, which is no folder.")
    if not layout.is_workspace:
        raise NotFound(f"{source} names {folder}, which is no syncd workspace.", hint=f"syncd -C {folder} init")
    return layout.root


def private_folder(folder: Path) -> Path:
    """Make a folder that only its user may enter, with the folders above it as usual.

    One that exists is kept, and closed to others: a clone or an archive may have brought it.

    Raises:
        OSError: it cannot be made, or it belongs to somebody else (``PermissionError``).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if found.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
            raise PermissionError(f"{folder} is not a folder of this user") from None
        if found.st_mode & 0o077:
            folder.chmod(0o700)
    return folder
