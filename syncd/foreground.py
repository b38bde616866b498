"""``syncd run``: the daemon in the foreground, from its lock to its last step.

May import everything below the faces.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from syncd.errors import SyncdError
from syncd.files.installation import Installation
from syncd.files.layout import Layout, find_root, private_folder
from syncd.files.lock import daemon_lock
from syncd.files.registry import remember
from syncd.fresh_settings import FreshSettings
from syncd.guest import Commands, handlers
from syncd.log import configure, event
from syncd.notify import ServiceManager
from syncd.schemas.config import StoreKind
from syncd.wiring import Wiring

SWITCH_S: Final = 0.0005

if TYPE_CHECKING:
    from syncd.engine.daemon import Closable, Ending
    from syncd.ports import SyncStore
    from syncd.schemas.config import Config

    Companion = Callable[[Wiring], Closable | None]


def run(
    path: str | Path | None,
    *,
    mode: str | None,
    environ: Mapping[str, str],
    once: bool,
    log_format: str = "text",
    commands: Commands | None = None,
    companions: Sequence[Companion] = (),
) -> int:
    """Sync a workspace until SIGTERM; return the exit code.  SIGHUP reads the configuration again.

    Args:
        once: run one cycle, waiting for files that are being written, and return.
        commands: runs a whole command line inside the daemon, for callers that ask it to.
        companions: start what else runs beside the sync, each with a wiring of its own; ``None`` for nothing.

    Raises: Busy when another daemon has the workspace, ConfigError and its kin for what is wrong with
    the configuration or the store.  A store that is away is no error: it is tried again.
    """
    configure(log_format, environ)
    root = find_root(Path(), environ, told=None if path is None else Path(path))
    if once:
        with ExitStack() as life:
            return _run_once(_workspace(root, environ, mode, None, life))
    with _expected_signals():
        return _run_daemons(root, environ, mode, commands, companions)


def _workspace(
    root: Path, environ: Mapping[str, str], mode: str | None, config: Config | None, life: ExitStack
) -> Wiring:
    """Join the workspace and lock it, until the end of ``life``."""
    wiring = Wiring(Layout(root), environ=environ, mode=mode, actor=None, face="daemon", config=config)
    life.callback(wiring.close)
    wiring.state()
    life.enter_context(daemon_lock(wiring.layout))
    remember(root, environ)
    return wiring


def _run_daemons(
    root: Path,
    environ: Mapping[str, str],
    mode: str | None,
    commands: Commands | None,
    companions: Sequence[Companion],
) -> int:
    """Run one daemon after the other, each with the settings as they are then, until one is told to stop."""
    manager = ServiceManager(environ, os.getpid())
    config: Config | None = None
    while True:
        with ExitStack() as life:
            wiring = _workspace(root, environ, mode, config, life)
            for each in companions:
                _accompany(wiring, life, each, is_again=config is not None)
            from syncd.engine.daemon import Ending

            ending = _run_daemon(wiring, life, commands, manager)
            if ending is Ending.STOP:
                return 0
            config = FreshSettings(wiring).read()
        if ending is Ending.RESTART:
            _start_anew()


@contextmanager
def _expected_signals() -> Iterator[None]:
    """Take the signals that come while no daemon runs: before the first, and between one that ended and the next.

    Unexpected, SIGHUP would kill the process.  It has nothing to say then: the next daemon reads the settings, and
    looks at them again.  What a daemon takes itself it gives back to these handlers.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    def go_on(number: int, frame: FrameType | None) -> None:
        return

    ours = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: go_on}
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _accompany(wiring: Wiring, life: ExitStack, companion: Companion, *, is_again: bool) -> None:
    """Start a companion for the daemon's life; a running daemon goes on without one that cannot start any more."""
    own = Wiring(
        wiring.layout,
        environ=wiring.environ,
        mode=wiring.mode,
        actor=wiring.actor,
        face="daemon",
        config=wiring.config,
    )
    life.callback(own.close)
    try:
        started = companion(own)
    except SyncdError as error:
        if not is_again:
            raise
        event("config.refused", level=logging.ERROR, message=error.message, hint=error.hint)
        return
    if started is not None:
        life.callback(started.close)


def _run_once(wiring: Wiring) -> int:
    from syncd.engine.patience import settled

    report = settled(wiring.cycle().run)
    event("cycle.done", to_store=len(report.to_store), to_file=len(report.to_file), held=len(report.held))
    return 0


def _start_anew() -> None:
    """Become the version of syncd that is installed now, in the same process; return where that cannot be started."""
    event("daemon.upgrading")
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except OSError as error:
        event("daemon.upgrade-failed", level=logging.ERROR, message=f"{error.strerror}: {sys.executable}")


def _run_daemon(wiring: Wiring, life: ExitStack, commands: Commands | None, manager: ServiceManager) -> Ending:
    """Run the daemon; return what is to come after it."""
    from syncd.engine.daemon import Daemon
    from syncd.engine.endpoint import Endpoint
    from syncd.engine.event_log import EventLog
    from syncd.engine.last_call import LastCall
    from syncd.engine.task_engine import TaskEngine
    from syncd.files import memory
    from syncd.files.event_file import EventFile
    from syncd.files.watch import Watch

    # A cycle over many cards computes for longer than a command may take: commands get their turn within it.
    sys.setswitchinterval(SWITCH_S)
    store = wiring.store()
    if wiring.choice.kind is StoreKind.FLATFILE:
        wiring.manifest.fold()
    store.info()
    queue = wiring.another_store()
    # Given back in the reverse order: what waits for the store is interrupted until its last user is gone.
    last_call = LastCall(lambda: _interrupt(store, queue))
    life.callback(last_call.close)
    life.callback(queue.close)
    cycle = wiring.cycle(is_paced=True)
    settings = FreshSettings(wiring)
    daemon = Daemon(
        cycle,
        store,
        watch=lambda wake: Watch(lambda: [*wiring.watched_paths(), wiring.layout.config], wake),
        revive=wiring.revive,
        greet=wiring.greet,
        monotonic=time.monotonic,
        manager=manager,
        replaced_in_s=Installation(time.monotonic).replaced_in_s,
        pid=os.getpid(),
        is_lost=wiring.state().is_lost,
        has_new_settings=settings.have_come,
        stopping=last_call.call,
        tell=EventLog(EventFile(wiring.layout), wiring.state(), store).write,
        give_back=memory.give_back,
        next_try_s=wiring.reach.next_try_s if wiring.reach is not None else lambda: None,
    )
    engine = TaskEngine(queue)
    private_folder(wiring.socket.parent)
    endpoint = Endpoint(wiring.socket, handlers(wiring, daemon, engine, commands, settings), beside=engine.run())
    life.callback(endpoint.close)
    return daemon.run()


def _interrupt(*stores: SyncStore) -> None:
    for each in stores:
        each.interrupt()
