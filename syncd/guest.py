"""What a daemon answers on its socket, and a workspace as a command sees it that the daemon runs for its caller.

Such a command works on the daemon's own objects: its store is the TaskEngine's, its status the daemon's.
May import everything below the faces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, cast

from syncd.engine.awaiting import awaited
from syncd.engine.endpoint import Handler, Printed
from syncd.engine.report import problem_json
from syncd.engine.task_engine import TaskEngine, through_engine
from syncd.errors import UsageError
from syncd.last_known import status_in_time
from syncd.wiring import Wiring

if TYPE_CHECKING:
    from syncd.engine.daemon import Daemon
    from syncd.engine.report import Look
    from syncd.fresh_settings import FreshSettings
    from syncd.parsers.document import Document
    from syncd.ports import Absence, KeepsWorkers, Store, WorkerRegistry

CALL_TIMEOUT_S: Final = 28.0
"""How long a caller waits for a daemon that is busy: less than ``hot.TIMEOUT_S``, so that it is told."""

Commands = Callable[[Wiring, Mapping[str, Any]], tuple[int, bytes, bytes]]
"""Runs a command line: given the wiring to work on and the request, returns exit code, stdout and stderr."""


class Guest(Wiring):
    """The daemon's wiring, lent to one command.

    Args:
        host: the daemon's own.
        ask: answers what a command would ask the daemon.
        actor: who gave the command.
    """

    def __init__(
        self, host: Wiring, daemon: Daemon, engine: TaskEngine, ask: Mapping[str, Handler], actor: str
    ) -> None:
        super().__init__(host.layout, environ=host.environ, mode=host.mode, actor=actor, face="cli", config=host.config)
        self._host = host
        self._daemon = daemon
        self._ask = ask
        self._desk = through_engine(engine, actor, "cli", host.hangs)
        self.files = host.files

    def store(self, *, may_make: bool = True) -> Store:
        """Return the daemon's store, through its engine."""
        return self._desk

    def registry(self, *, may_make: bool = True) -> WorkerRegistry:
        """Return the daemon's registry of workers, through its engine where the database keeps it."""
        if self._host.reach is None:
            return self._host.registry(may_make=may_make)
        return cast("KeepsWorkers", self._desk).registry

    def absence(self) -> Absence | None:
        """Return since when the daemon finds the database away."""
        return self._host.absence()

    def hurry(self) -> None:
        """Have the daemon try the database with its next call."""
        self._host.hurry()

    def known_document(self, path: str) -> Document | None:
        """Return a task file as the daemon read it last."""
        return self._daemon.cycle.document(path)

    def looking(self) -> Callable[[], Look]:
        """Return what has the daemon look, which has read both sides already."""
        return lambda: cast(
            "Look", awaited(self._daemon.begin(self._daemon.cycle.look), self._host.hangs, timeout_s=CALL_TIMEOUT_S)
        )

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Return the daemon's answer, without a detour over its socket."""
        handler = self._ask.get(str(request["op"]))
        return None if handler is None else handler(request)


def handlers(
    wiring: Wiring, daemon: Daemon, engine: TaskEngine, commands: Commands | None, settings: FreshSettings
) -> Mapping[str, Handler]:
    """Return what the daemon answers, by operation."""

    def between_cycles(work: Callable[[], Any]) -> Any:
        return awaited(daemon.begin(work), wiring.hangs, timeout_s=CALL_TIMEOUT_S)

    def sync(_: Mapping[str, Any]) -> Any:
        wiring.hurry()
        return between_cycles(lambda: daemon.sync().to_wire())

    def status(_: Mapping[str, Any]) -> Any:
        found = status_in_time(wiring, daemon).to_json()
        if settings.problem is not None:
            found["problems"].append(problem_json(settings.problem))
        return found

    def metrics(_: Mapping[str, Any]) -> Any:
        return {"status": status({}), "daemon": between_cycles(daemon.meters.to_json)}

    def undo(request: Mapping[str, Any]) -> Any:
        def work() -> Any:
            done = daemon.cycle.undo(str(request["path"]))
            return {"kept": done.kept, "report": daemon.sync().to_wire()}

        return between_cycles(work)

    def command(request: Mapping[str, Any]) -> Printed:
        if commands is None:
            raise UsageError("this daemon runs no commands")
        actor = str(request.get("actor") or wiring.actor)
        with closing(Guest(wiring, daemon, engine, own, actor)) as guest:
            return Printed(*commands(guest, request))

    own = {"sync": sync, "status": status}

    def edit(request: Mapping[str, Any]) -> Any:
        id, names = str(request["id"]), [str(each) for each in request["fields"]]
        return between_cycles(lambda: daemon.cycle.expect_edit(id, names))

    return {**own, "metrics": metrics, "undo": undo, "edit": edit, "command": command}
