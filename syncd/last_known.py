"""The drift report of a daemon that may have no time to give one: then what was last known is told.

Nobody waits long to hear how things stand, least of all while a server hangs, or a first sync takes long.
May import everything below the faces.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import closing
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from syncd.engine.awaiting import UNANSWERED
from syncd.engine.report import StatusReport, StoreStatus
from syncd.wiring import Wiring

if TYPE_CHECKING:
    from syncd.engine.daemon import Daemon

SOON_S: Final = 0.4
"""How long the daemon has for its answer before the server is looked at."""

LATER_S: Final = 0.5
"""How long it has then, when the server is well."""

_HINT: Final = "The daemon goes on without it in a moment, and merges when it answers. What was last known is shown."


def status_in_time(wiring: Wiring, daemon: Daemon) -> StatusReport:
    """Return a daemon's drift report, within two seconds in any case."""

    def look() -> StatusReport:
        return wiring.status(daemon.cycle, daemon=daemon.status(), mode=daemon.mode)

    begun: Future[StatusReport] = daemon.begin(look)
    if (report := _had(begun, SOON_S)) is not None:
        return report
    hangs = wiring.hangs()
    if not hangs and (report := _had(begun, LATER_S)) is not None:
        return report
    begun.cancel()
    return _last_known(wiring, daemon, hangs=hangs)


def _had(begun: Future[StatusReport], within_s: float) -> StatusReport | None:
    """Return what a piece of work has come to in this time; ``None`` when that is nothing yet."""
    try:
        return begun.result(within_s)
    except TimeoutError:
        return begun.result() if begun.done() else None


def _last_known(wiring: Wiring, daemon: Daemon, *, hangs: bool) -> StatusReport:
    """Hold the files, as they are now, against what was known of the store at the last contact; write nothing."""
    is_away = wiring.absence() is not None
    own = Wiring(
        wiring.layout,
        environ=wiring.environ,
        mode=wiring.mode,
        actor=wiring.actor,
        face=wiring.face,
        config=wiring.config,
    )
    with closing(own):
        own.give_up(UNANSWERED)
        report = own.status(daemon=daemon.status(), mode=daemon.mode)
    if hangs:
        return report if is_away else replace(report, store=replace(report.store, since=None, hint=_HINT))
    report = replace(report, in_sync=False, daemon=replace(report.daemon, busy=True))
    if is_away or own.reach is None:
        return report
    return replace(report, mode=daemon.mode, store=StoreStatus(kind=report.store.kind, reachable=True))
