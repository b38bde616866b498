"""What the daemon runs beside the sync, where the configuration asks for it.

Each has a workspace of its own, so a store connection of its own, and none of them is ever waited for by a
cycle.  May import ``syncd.api``, ``syncd.agents``, ``syncd.valkey``, ``syncd.errors``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from syncd.api import Workspace
from syncd.errors import ConfigError
from syncd.extras import missing
from syncd.log import event


class Closable(Protocol):
    """Something that runs until it is closed."""

    def close(self) -> None:
        """End it."""


class Companions:
    """Events that go out, and the monitor."""

    def __init__(self, workspace: Workspace, environ: Mapping[str, str]) -> None:
        from syncd.agents.monitor import Monitor
        from syncd.agents.outlets import Outlets

        config = workspace.config
        if not workspace.is_trusted:
            event("events.untrusted", level=logging.ERROR, hint="syncd trust")
        may_send = bool(config.events) and workspace.is_trusted
        self._outlets = Outlets(workspace, config.events, environ) if may_send else None
        self._monitor = Monitor(workspace, config.assign, self._announce) if config.monitor else None

    def close(self) -> None:
        """Stop all of it."""
        if self._monitor is not None:
            self._monitor.close()
        if self._outlets is not None:
            self._outlets.close()

    def _announce(self, told: Mapping[str, Any]) -> None:
        if self._outlets is not None:
            self._outlets.announce(told)


def start_outlets_and_monitor(workspace: Workspace, environ: Mapping[str, str]) -> Companions | None:
    """Start what is configured; ``None`` when that is nothing.  Raises ConfigError."""
    config = workspace.config
    return Companions(workspace, environ) if config.events or config.monitor else None


def start_valkey(workspace: Workspace, environ: Mapping[str, str]) -> Closable | None:
    """Start the mirror in Valkey where one is configured.  Raises ConfigError."""
    variable = workspace.config.valkey_url_env
    if variable is None:
        return None
    if not (url := environ.get(variable)):
        raise ConfigError(f"valkey_url_env names ${variable}, which is not set", hint=f"export {variable}=valkey://…")
    try:
        from syncd.valkey import Mirror
    except ModuleNotFoundError as error:
        if error.name != "valkey":
            raise
        raise missing("pushing to Valkey", "valkey") from error
    return Mirror(workspace, url)
