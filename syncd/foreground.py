"""``syncd run``: the daemon in the foreground, from its lock to its last step.

May import everything below the faces.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from syncd.errors import StoreUnreachable, SyncdError
from syncd.files.layout import Layout, find_root, private_folder
from syncd.files.lock import daemon_lock
from syncd.files.settings import read_config
from syncd.guest import Commands, handlers
from syncd.log import configure, event
from syncd.wiring import Wiring, choose_store

if TYPE_CHECKING:
    from syncd.schemas.config import Config


def run(
    path: str | Path | None,
    *,
    mode: str | None,
    environ: Mapping[str, str],
    once: bool,
    log_format: str = "text",
    commands: Commands | None = None,
) -> int:
    """Sync a workspace until SIGTERM; return the exit code.  SIGHUP reads the configuration again.

    Args:
        once: run one cycle, waiting for files that are being written, and return.
        commands: runs a whole command line inside the daemon, for callers that ask it to.

    Raises: Busy when another daemon has the workspace, ConfigError and its kin for what is wrong with
    the configuration or the store.  A store that is away is no error: it is tried again.
    """
    configure(log_format)
    root = find_root(Path.cwd(), environ, told=None if path is None else Path(path))
    config: Config | None = None
    while True:
        with ExitStack() as life:
            wiring = Wiring(Layout(root), environ=environ, mode=mode, actor=None, face="daemon", config=config)
            life.callback(wiring.close)
            wiring.state()
            life.enter_context(daemon_lock(wiring.layout))
            if once:
                return _run_once(wiring)
            if not _run_daemon(wiring, life, commands):
                return 0
            config = _reread(wiring)


def _reread(wiring: Wiring) -> Config:
    """Return the configuration as it is now; one that cannot be used is told, and that in force stays."""
    try:
        config = read_config(wiring.layout.config)
        choose_store(config, wiring.environ, wiring.mode)
    except SyncdError as error:
        event("config.refused", level=logging.ERROR, message=error.message, hint=error.hint)
        return wiring.config
    return config


def _run_once(wiring: Wiring) -> int:
    from syncd.engine.patience import settled

    report = settled(wiring.cycle().run)
    event("cycle.done", to_store=len(report.to_store), to_file=len(report.to_file), held=len(report.held))
    return 0


def _run_daemon(wiring: Wiring, life: ExitStack, commands: Commands | None) -> bool:
    """Run the daemon; return whether it is to start again with the configuration as it is then."""
    from syncd.engine.daemon import Daemon
    from syncd.engine.endpoint import Endpoint
    from syncd.engine.task_engine import TaskEngine
    from syncd.files.watch import Watch

    store = wiring.store()
    try:
        store.info()
    except StoreUnreachable as error:
        event("store.offline", message=error.message, hint=error.hint)
    cycle = wiring.cycle(is_paced=True)
    daemon = Daemon(
        cycle,
        store,
        watch=lambda wake: Watch(wiring.watched_paths, wake),
        revive=wiring.revive,
        greet=wiring.greet,
        monotonic=time.monotonic,
        pid=os.getpid(),
    )
    queue = wiring.another_store()
    life.callback(queue.close)
    engine = TaskEngine(queue)
    private_folder(wiring.socket.parent)
    endpoint = Endpoint(wiring.socket, handlers(wiring, daemon, engine, commands), beside=engine.run())
    life.callback(endpoint.close)
    return daemon.run()
