"""Events that go out: to commands, to webhooks and to files, each at least once.

Every outlet has a thread and a place in the trail of events that survives restarts.  It reads on from there,
hands out what is meant for it, and moves its place on when that has arrived; nobody waits for it.  What a
receiver refuses for good is logged and left behind, so that one event cannot stop those behind it; a
receiver that is away is asked again, for as long as it takes.  May import ``syncd.api``, ``syncd.core``,
``syncd.schemas``, ``syncd.errors``, ``syncd.log`` and ``syncd.agents``.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final

from syncd.agents.delivery import Away, Courier, Refused, courier
from syncd.api import Workspace
from syncd.core.events import event_json
from syncd.errors import SyncdError
from syncd.log import event as log
from syncd.ports import Listener
from syncd.schemas.config import Outlet

PAGE: Final = 100
IDLE_S: Final = 30.0
RETRY_MIN_S: Final = 0.5
RETRY_MAX_S: Final = 60.0
CLOSE_WAIT_S: Final = 5.0


class Outlets:
    """All outlets of a workspace, at work until they are closed.

    Args:
        environ: where secrets of webhooks are found, and what commands get.
    """

    def __init__(self, workspace: Workspace, outlets: Sequence[Outlet], environ: Mapping[str, str]) -> None:
        self._pumps = [_Pump(workspace, each, courier(each, workspace.root, environ)) for each in outlets]
        self._listener: Listener | None = None
        self._stopped = threading.Event()
        self._starter = threading.Thread(target=self._start, args=[workspace], name="syncd-outlets", daemon=True)
        self._starter.start()

    def announce(self, told: Mapping[str, Any]) -> None:
        """Hand out an event that is not in the trail, to those who want it and can take it now."""
        for each in self._pumps:
            each.announce(told)

    def close(self) -> None:
        """Stop; what is under way is broken off and delivered again the next time."""
        self._stopped.set()
        for each in self._pumps:
            each.stop()
        self._starter.join(CLOSE_WAIT_S)
        if self._listener is not None:
            self._listener.close()
        for each in self._pumps:
            each.join()

    def _start(self, workspace: Workspace) -> None:
        """Listen, as soon as there is a store, and let every outlet run."""
        pause_s = RETRY_MIN_S
        while not self._stopped.is_set():
            try:
                self._listener = workspace.workers.listen(self._wake)
                for each in self._pumps:
                    each.start()
            except SyncdError as error:
                log("events.waiting", message=error.message)
                self._stopped.wait(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)
            else:
                return

    def _wake(self) -> None:
        for each in self._pumps:
            each.wake()


class _Pump:
    """One outlet: its place, its courier and its thread."""

    def __init__(self, workspace: Workspace, outlet: Outlet, courier: Courier) -> None:
        self._workspace = workspace
        self._outlet = outlet
        self._courier = courier
        self._key = f"outlet.{outlet.label}"
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"syncd-{self._key}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopped.set()
        self._woken.set()
        self._courier.abort()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)

    def announce(self, told: Mapping[str, Any]) -> None:
        if self._wants(str(told["type"])):
            threading.Thread(target=self._hand_over, args=[told], daemon=True).start()

    def _wants(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._outlet.on)

    def _run(self) -> None:
        pause_s = RETRY_MIN_S
        with ThreadPoolExecutor(self._outlet.concurrency, f"syncd-{self._key}") as pool:
            while not self._stopped.is_set():
                self._woken.clear()
                try:
                    has_more = self._pump(pool)
                except SyncdError as error:
                    log("events.waiting", outlet=self._outlet.label, message=error.message)
                    self._stopped.wait(pause_s)
                    pause_s = min(2 * pause_s, RETRY_MAX_S)
                    continue
                pause_s = RETRY_MIN_S
                if not has_more:
                    self._woken.wait(IDLE_S)

    def _pump(self, pool: ThreadPoolExecutor) -> bool:
        """Hand out a page of events; return whether there may be more."""
        place = self._place()
        page = list(islice(self._workspace.backlog.events(place), PAGE))
        wanted = [each for each in page if self._wants(each.type.value)]
        size = self._outlet.concurrency
        for start in range(0, len(wanted), size):
            part = wanted[start : start + size]
            arrived = list(pool.map(self._hand_over, map(event_json, part)))
            if not all(arrived):
                return False
            self._keep_place(part[-1].seq)
        if page and not self._stopped.is_set():
            self._keep_place(page[-1].seq)
        return len(page) == PAGE

    def _hand_over(self, told: Mapping[str, Any]) -> bool:
        """Deliver one event, however often it takes; return False when stopped before it arrived."""
        failures, pause_s = 0, RETRY_MIN_S
        while not self._stopped.is_set():
            try:
                self._courier.deliver(told)
            except Away as away:
                self._tell("events.away", told, str(away))
            except Refused as refused:
                failures += 1
                if failures > self._outlet.retries:
                    self._tell("events.undelivered", told, str(refused), level=logging.ERROR)
                    return True
                self._tell("events.refused", told, str(refused))
            else:
                return True
            self._stopped.wait(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(2 * pause_s, RETRY_MAX_S)
        return False

    def _tell(self, name: str, told: Mapping[str, Any], reason: str, *, level: int = logging.WARNING) -> None:
        if not self._stopped.is_set():
            log(name, level=level, outlet=self._outlet.label, seq=told.get("seq"), reason=reason)

    def _place(self) -> int | None:
        """Return the last event that arrived; an outlet that is new begins with what happens from now on."""
        known = self._workspace.recall(self._key)
        if known is None:
            last = self._workspace.past.history(limit=1)
            self._keep_place(last[-1].seq if last else 0)
            known = self._workspace.recall(self._key)
        return int(known) or None if known is not None else None

    def _keep_place(self, seq: int) -> None:
        self._workspace.remember(self._key, str(seq))
