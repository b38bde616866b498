"""``syncd status --all``: how each of a user's workspaces on this machine stands, and who else has its cards.

Each is asked by itself, all at once: one that cannot say is a line that says why, and holds up no other.
May import everything below the faces.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from syncd.errors import SyncdError
from syncd.files.layout import Layout
from syncd.files.registry import known
from syncd.log import event
from syncd.wiring import Wiring

if TYPE_CHECKING:
    from syncd.engine.report import StatusReport
    from syncd.ports import Replica

AT_ONCE: Final = 8


class Standing(msgspec.Struct, frozen=True):
    """How one workspace stands: its report, or why there is none.

    ``replicas`` are the working copies of its project on all hosts; ``None`` when its store cannot tell now.
    """

    root: Path
    report: StatusReport | None
    error: SyncdError | None
    replicas: Sequence[Replica] | None = None


def overview(environ: Mapping[str, str]) -> tuple[Standing, ...]:
    """Return how each known workspace stands, in the order in which they were made; reads only."""
    roots = known(environ)
    if not roots:
        return ()
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(roots))) as workers:
        return tuple(workers.map(lambda root: _standing(root, environ), roots))


def _standing(root: Path, environ: Mapping[str, str]) -> Standing:
    from syncd.engine.report import StatusReport

    try:
        wiring = Wiring(Layout(root), environ=environ, mode=None, actor=None, face="cli")
        try:
            answer = wiring.ask({"op": "status"})
            report = StatusReport.from_wire(answer) if answer is not None else wiring.status()
            replicas = _replicas(wiring) if report.store.reachable else None
        finally:
            wiring.close()
    except SyncdError as error:
        return Standing(root, None, error)
    except TimeoutError:
        return Standing(root, None, SyncdError("its daemon does not answer", hint=f"syncd -C {root} doctor"))
    return Standing(root, report, None, replicas)


def _replicas(wiring: Wiring) -> Sequence[Replica] | None:
    try:
        return wiring.store(may_make=False).replicas()
    except SyncdError as error:
        event("replicas.unknown", level=logging.DEBUG, message=error.message)
        return None
