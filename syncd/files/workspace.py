"""Making a workspace: ``syncd.yaml`` and ``.syncd/``.

May import ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from syncd.files.atomic import failure, write_whole
from syncd.files.git_exclude import hide_staged
from syncd.files.layout import Layout, private_folder
from syncd.files.settings import read_config
from syncd.files.settings_edit import edit_config
from syncd.schemas.config import Config

MISSION_PATHS: Final = ("mission.json", ".mosaic/orchestrator/mission.json")
"""Where a mission file is looked for when the configuration names none."""


def create(layout: Layout, settings: Mapping[str, Any]) -> Config:
    """Make ``syncd.yaml`` and ``.syncd/`` in a folder; what is there already is kept.

    Args:
        settings: keys to set in the configuration, by name; an existing file keeps every other byte.

    Returns:
        The settings that are now in force.

    Raises:
        ConfigError: an existing ``syncd.yaml`` is wrong.
        BadValue: a setting cannot hold its value.
        InputOutputError: no permission, full disk.
    """
    make_dot(layout)
    for name, value in settings.items():
        edit_config(layout.config, name, value)
    if not layout.config.exists():
        write_whole(layout.config, b"")
    return read_config(layout.config)


def make_dot(layout: Layout) -> None:
    """Make ``.syncd/``, for its user alone and ignored by git, as staged files are; what is there already is kept.

    Raises:
        InputOutputError: no permission, full disk, or something else has the name.
    """
    try:
        private_folder(layout.dot)
        ignore = layout.dot / ".gitignore"
        if not os.path.lexists(ignore):
            write_whole(ignore, b"*\n")
        hide_staged(layout.root)
    except OSError as error:
        raise failure(error, f"Cannot make {layout.dot}") from error


def mission_entries(config: Config) -> tuple[str, ...]:
    """Return the paths and globs of mission files: the configured ones, else the usual names."""
    match config.mission:
        case None:
            return MISSION_PATHS
        case str() as path:
            return (path,)
        case paths:
            return paths
