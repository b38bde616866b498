"""What syncd does in a git repository: set up its merge driver, and be it.

The driver needs no workspace, no state and no store: it merges three files that git gives it, in any
clone and in CI.  May import everything below the faces.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from syncd.errors import ConfigError, InputOutputError, NotFound
from syncd.files.atomic import failure
from syncd.files.layout import Layout, find_root

if TYPE_CHECKING:
    from syncd.files.git_setup import GitSetup
    from syncd.parsers.document import ParseOptions
    from syncd.schemas.config import Config

MARKER_SIZE: Final = 7
LABELS: Final = ("ours", "theirs")
"""What git calls the sides of a merge, on the markers that it leaves."""


def install(root: Path, config: Config, environ: Mapping[str, str]) -> GitSetup:
    """Let git merge a workspace's task files with syncd.  Raises NotFound without a repository.

    The driver is called by this very interpreter: git's PATH may be another one.
    """
    from syncd.files.git_setup import GitRepository

    command = f"{shlex.quote(sys.executable)} -P -m syncd git merge-driver %O %A %B %P --marker-size %L"
    return GitRepository(root, environ).install(command, [entry.path for entry in config.tasks])


def uninstall(root: Path, environ: Mapping[str, str]) -> GitSetup:
    """Take the merge driver out again.  Raises NotFound without a repository."""
    from syncd.files.git_setup import GitRepository

    return GitRepository(root, environ).uninstall()


def merge(base: Path, local: Path, remote: Path, path: str, *, marker_size: int = MARKER_SIZE) -> int:
    """Merge three versions of a task file as git's merge driver; return how many places clash.

    Args:
        base, local, remote: the files that git calls %O, %A and %B.
        path: what the file is called in the repository (%P), below the current folder.
        marker_size: how long conflict markers are (%L).

    Effects: ``local`` holds the merged file, with markers around what clashes.
    Raises: InputOutputError when a file cannot be read or written.
    """
    from syncd.engine.file_merge import marked, merge_files

    was, here, there = map(_read, (base, local, remote))
    merged = merge_files(was, here, there, path=path, options=_options(path))
    data = marked(merged, marker_size=marker_size, labels=LABELS)
    try:
        local.write_bytes(data)
    except OSError as error:
        raise failure(error, f"Cannot write {local}") from error
    return len(merged.hunks)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise failure(error, f"Cannot read {path}") from error


def _options(path: str) -> ParseOptions:
    """Return how the workspace around a file, if there is one, wants it read.

    The configuration may be in the middle of the same merge: one that cannot be read counts for nothing.
    """
    from syncd.files.settings import read_config
    from syncd.files.task_files import WorkspaceFiles
    from syncd.parsers.document import ParseOptions

    try:
        layout = Layout(find_root((Path.cwd() / path).parent, {}))
        files = WorkspaceFiles(layout, read_config(layout.config))
        files.paths()
        return files.parse_options(str((Path.cwd().resolve() / path).relative_to(layout.root)))
    except (ConfigError, InputOutputError, NotFound, ValueError):
        return ParseOptions()
