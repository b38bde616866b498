"""The daemon: wakes a cycle whenever a file, the store, a lease or a caller asks for one, and sleeps otherwise.

One thread runs everything; watchers, the store's listener, signals and the socket only wake it.  Events
are hints: waking once too often costs a stat and a question, losing one is made good by the full compare.
May import ``syncd.core``, ``syncd.ports``, ``syncd.errors``, ``syncd.log``.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import FrameType
from typing import Any, Final, Protocol

from syncd.engine.cycle import Cycle
from syncd.engine.meters import Meters
from syncd.engine.patience import settled
from syncd.engine.report import CycleReport, DaemonStatus
from syncd.engine.waker import Waker
from syncd.errors import Stopping, SyncdError
from syncd.log import event
from syncd.notify import ServiceManager
from syncd.ports import Listener, Store
from syncd.schemas.card import instant_json

FULL_COMPARE_S: Final = 300.0
RETRY_MIN_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
OBSTACLE_S: Final = 5.0
SLOW_CYCLE_MS: Final = 250.0


class Closable(Protocol):
    """Something that runs until it is closed."""

    def close(self) -> None:
        """End it."""


@dataclass(slots=True)
class Pulse:
    """What ``status`` tells of the daemon."""

    since: datetime
    last_cycle_at: datetime | None = None
    last_cycle_ms: float | None = None
    error: SyncdError | None = None


class Ending(StrEnum):
    """What is to come after a daemon."""

    STOP = "stop"
    RELOAD = "reload"
    """The configuration is to be read again."""
    RESTART = "restart"
    """Another version of syncd was installed; it is to take over."""


class Daemon:
    """The life of one workspace's daemon.

    Args:
        watch: starts watching the files, given what to call when something may have changed.
        next_try_s: in how many seconds a database that is away is to be tried again; ``None`` while it is not away.
        revive: brings a store back that this machine runs itself, when it does not answer.
        greet: tells the store that this working copy is here; called at start and with each full compare.
        monotonic: seconds from any start.
        manager: is told how the daemon is.
        replaced_in_s: 0 when another version of syncd was installed over this one, else when to look again.
        pid: this process's.
        is_lost: whether the state beside the files is gone (``git clean``, a damaged disk): then it begins anew.
        has_new_settings: whether the settings are others now, and can be used: then it begins anew with them.
        stopping: told, inside a signal handler, that the end was asked for.
        tell: is called after each cycle, to pass on what happened; returns when to be called again at the latest.
    """

    def __init__(
        self,
        cycle: Cycle,
        store: Store,
        *,
        watch: Callable[[Callable[[], None]], Closable],
        revive: Callable[[], object],
        greet: Callable[[], None],
        monotonic: Callable[[], float],
        manager: ServiceManager,
        replaced_in_s: Callable[[], float],
        pid: int,
        is_lost: Callable[[], bool] = lambda: False,
        has_new_settings: Callable[[], bool] = lambda: False,
        stopping: Callable[[], None] = lambda: None,
        tell: Callable[[], float | None] = lambda: None,
        next_try_s: Callable[[], float | None] = lambda: None,
        give_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._tell = tell
        self.cycle = cycle
        self.cycle.steps.on_step = manager.alive
        self._manager = manager
        self._replaced_in_s = replaced_in_s
        self._store = store
        self._watch = watch
        self._revive = revive
        self._greet = greet
        self._monotonic = monotonic
        self._pid = pid
        self._is_lost = is_lost
        self._has_new_settings = has_new_settings
        self._stopping = stopping
        self._next_try_s = next_try_s
        self._give_back = give_back
        self._had_terminal = _has_terminal()
        self._waker = Waker()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._ending: Ending | None = None
        self._is_ready = False
        self._is_deaf = False
        self._retry_s = 0.0
        self._listener: Listener | None = None
        self._held: set[tuple[str, str]] = set()
        self._problems: set[tuple[str, str, str]] = set()
        self._full_due_at = 0.0
        self.pulse = Pulse(since=datetime.now(UTC))
        self.meters = Meters()

    def run(self) -> Ending:
        """Sync until SIGTERM or SIGINT, SIGHUP, or until another version is installed; return what is to come.

        A SIGHUP because the terminal was closed in which this was started stops it as SIGTERM does.

        Effects: handlers of these signals are set while it runs, and restored.
        """
        before = {each: signal.signal(each, self._on_signal) for each in _SIGNALS}
        wakeup_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        watch = self._watch(self._waker.wake)
        event("daemon.started", pid=self._pid)
        try:
            while not self._is_over():
                timeout_s = self._turn()
                self._tell_manager()
                self._answer()
                if not self._is_over():
                    look_s = self._replaced_in_s()
                    self._waker.wait(min(timeout_s, look_s, self._manager.alive_every_s or timeout_s))
            self._manager.stopping() if self._ending is Ending.STOP else self._manager.reloading()
        finally:
            self._is_deaf = True
            watch.close()
            if self._listener is not None:
                self._listener.close()
            self._refuse()
            signal.set_wakeup_fd(wakeup_fd)
            for each, handler in before.items():
                signal.signal(each, handler)
            self._waker.close()
            event("daemon.stopped", then=self._ending or Ending.RESTART)
        return self._ending or Ending.RESTART

    def begin(self, work: Callable[[], Any]) -> Future[Any]:
        """Have ``work`` run between two cycles, from another thread; at the end of the daemon it raises Stopping."""
        done: Future[Any] = Future()
        self._calls.append((work, done))
        if self._is_deaf:
            self._refuse()
        else:
            self._waker.wake()
        return done

    def sync(self) -> CycleReport:
        """Run cycles, of which each plans anew, until no file is unsettled (to be called through ``begin``)."""

        def run() -> CycleReport:
            self.cycle.plan_anew()
            return self._timed(full=False)

        return settled(run)

    def status(self) -> DaemonStatus:
        """Return what ``status`` says of this daemon."""
        pulse = self.pulse
        return DaemonStatus(
            running=True,
            pid=self._pid,
            since=instant_json(pulse.since),
            last_cycle_at=instant_json(pulse.last_cycle_at),
            last_cycle_ms=pulse.last_cycle_ms,
            error=pulse.error.message if pulse.error else None,
        )

    @property
    def mode(self) -> str:
        """``live``, ``poll`` or ``offline``."""
        if self.pulse.error is not None or self._listener is None or self._next_try_s() is not None:
            return "offline"
        return self._listener.mode

    def _turn(self) -> float:
        """Run a cycle and what is due beside it; return the seconds until the next is due."""
        now = self._monotonic()
        try:
            if self.pulse.error is not None:
                self._revive()
            if self._listener is None:
                self._listener = self._store.listen(self._waker.wake)
                self._full_due_at = now
            is_full = now >= self._full_due_at
            report = self._timed(full=is_full)
            if is_full:
                self._greet()
                self._full_due_at = now + FULL_COMPARE_S
                _settle_memory()
                self._give_back()
            looks = (self._expire(), self._tell(), self.cycle.next_look_s(), self._next_try_s())
        except SyncdError as error:
            return self._failed(error)
        if self.pulse.error is not None:
            event("cycle.recovered")
            self._listener.hurry()
        self.pulse.error, self._retry_s = None, 0.0
        due = [self._full_due_at - self._monotonic(), *(wait.retry_ms / 1000 for wait in report.waits)]
        due += [each for each in looks if each is not None]
        if self.cycle.obstacles:
            due.append(OBSTACLE_S)
        return max(0.001, min(due))

    def _timed(self, *, full: bool) -> CycleReport:
        started = self._monotonic()
        self.cycle.steps.start()
        report = self.cycle.run(full=full)
        self.cycle.steps.end()
        took_ms = round((self._monotonic() - started) * 1000, 2)
        self.pulse.last_cycle_at, self.pulse.last_cycle_ms = datetime.now(UTC), took_ms
        written = dict.fromkeys((*(each.id for each in report.to_file), *report.named))
        if report.to_store or written or report.conflicts:
            event(
                "cycle.done",
                ms=took_ms,
                to_store=[each.id for each in report.to_store],
                to_file=list(written),
                conflicts=[each.id for each in report.conflicts],
            )
        self._tell_news(report)
        is_slow = took_ms > SLOW_CYCLE_MS and not full
        self.meters.count(report, took_ms, self.cycle.steps.took_ms, is_slow=is_slow)
        if is_slow:
            event("cycle.slow", level=logging.WARNING, ms=took_ms, steps=self.cycle.steps.took_ms)
        return report

    def _tell_news(self, report: CycleReport) -> None:
        """Log which holds and problems came and went since the last cycle; titles stay out of the log."""
        held = {(each.guard, each.id) for each in report.held}
        problems = {(each.code, each.path, each.message) for each in report.problems}
        for name, changed in (("hold.began", held - self._held), ("hold.ended", self._held - held)):
            for guard in sorted({guard for guard, _ in changed}):
                event(name, guard=guard, ids=sorted(id for each, id in changed if each == guard))
        changes = (("problem.began", problems - self._problems), ("problem.ended", self._problems - problems))
        for name, gone_or_new in changes:
            for (code, path), number in sorted(Counter((code, path) for code, path, _ in gone_or_new).items()):
                event(name, code=code, path=path, count=number)
        self._held, self._problems = held, problems

    def _is_over(self) -> bool:
        """Return whether a signal came, other settings or another version are there, or the state is lost."""
        if self._ending is None and self._is_lost():
            # Nobody would find what is remembered from now on.
            event("state.lost")
            self._ending = Ending.RELOAD
        if self._ending is None and self._has_new_settings():
            event("config.changed")
            self._ending = Ending.RELOAD
        return self._ending is not None or self._replaced_in_s() == 0

    def _tell_manager(self) -> None:
        """Say that the daemon is alive and, in a line, how it stands; after the first look it is ready."""
        error = self.pulse.error
        held, problems = len(self._held), len(self._problems)
        calm = [self.mode, *([f"{held} held"] if held else [])]
        calm += [f"{problems} problem" + "s" * (problems > 1)] if problems else []
        self._manager.status(f"{error.message}; trying again" if error else ", ".join(calm))
        if not self._is_ready:
            self._is_ready = True
            self._manager.ready()
        self._manager.alive()

    def _expire(self) -> float | None:
        """Put expired leases back to ready; return the seconds until the next one ends."""
        expiry_s = self.cycle.remote.next_expiry_s()
        if expiry_s == 0.0:
            if reclaimed := self._store.reclaim():
                self.meters.expired_leases += len(reclaimed)
                event("lease.expired", ids=list(reclaimed))
            self._waker.wake()
            return RETRY_MIN_S
        return expiry_s

    def _failed(self, error: SyncdError) -> float:
        """Note a failed cycle and return how long to wait, growing, with jitter."""
        if self.pulse.error is None or self.pulse.error.message != error.message:
            event("cycle.failed", code=error.code, message=error.message, hint=error.hint)
        self.pulse.error = error
        self.meters.failures[error.code] += 1
        self.cycle.wake_fully()
        self._retry_s = min(max(self._retry_s * 2, RETRY_MIN_S), RETRY_MAX_S)
        return self._retry_s * random.uniform(0.75, 1.25)

    def _answer(self) -> None:
        """Carry out what other threads asked for."""
        while self._calls and self._ending is None:
            work, done = self._calls.popleft()
            if not done.set_running_or_notify_cancel():
                continue
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001 - the one who asked is told; the daemon goes on
                done.set_exception(error)

    def _refuse(self) -> None:
        """Send away, from any thread, whoever asks for something at the end."""
        with suppress(IndexError):
            while True:
                _, done = self._calls.popleft()
                if done.set_running_or_notify_cancel():
                    done.set_exception(Stopping("the daemon is stopping", hint="Try again."))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        is_hangup = self._had_terminal and not _has_terminal()
        self._ending = Ending.RELOAD if number == signal.SIGHUP and not is_hangup else Ending.STOP
        self._waker.wake()
        self._stopping()


def _has_terminal() -> bool:
    """Return whether this process has a terminal that controls it: one that was closed cannot be opened any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _settle_memory() -> None:
    """Spare the collector the cards that stay: at 10,000 of them it takes longer over them than a cycle does."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
