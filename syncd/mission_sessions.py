"""Sessions of missions, as every face sees them: who works, with what, and whether they still live.

Several may work on one mission at once, since edits merge and claims are exclusive; who wants to be alone asks
for it.  May import everything below the faces.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from syncd.core.mission import chosen
from syncd.core.mission_merge import RecordChange
from syncd.core.plan import ChangeKind
from syncd.core.session import Liveness, Session, liveness
from syncd.errors import NotFound, Refused, SyncdError, UsageError
from syncd.log import event
from syncd.mission_wiring import mission_places
from syncd.schemas.mission import RecordKey, RecordKind, instant_text, missions_of

if TYPE_CHECKING:
    from syncd.ports import MissionStore
    from syncd.schemas.card import Fields
    from syncd.schemas.mission import Mission
    from syncd.wiring import Wiring


class SessionState(msgspec.Struct, frozen=True):
    """A session and how it is."""

    session: Session
    liveness: Liveness


class Sessions:
    """The sessions of a workspace's missions.

    Args:
        sync: brings files and store together now.
        nudge: does so as far as the store can be reached.
    """

    def __init__(self, wiring: Wiring, *, sync: Callable[[], object], nudge: Callable[[], None]) -> None:
        self._wiring = wiring
        self._sync = sync
        self._nudge = nudge

    def list(self, mission: str | None = None) -> tuple[SessionState, ...]:
        """Return the sessions of a mission or of all, the oldest first, and how each is."""
        return tuple(map(self._state, self._read.sessions(mission)))

    def start(
        self,
        session: str | None = None,
        *,
        mission: str | None = None,
        runtime: str | None = None,
        pid: int | None = None,
        milestone: str | None = None,
        exclusive: bool = False,
        has_lock: bool = False,
    ) -> SessionState:
        """Begin a session.

        Args:
            session: its id; by default one is made.
            pid: the process that it is, on this machine; it counts as dead when that process is gone.
            exclusive: refuse while another session of the mission runs or may run.
            has_lock: it holds its lock (``files.sessions``).

        Raises: NotFound, AlreadyExists, Refused.
        """
        from syncd.files.sessions import proof_of

        found = self._mission(mission)
        key = RecordKey(RecordKind.SESSION, found.id, session or new_session_id())
        fields: dict[str, Any] = {"runtime": runtime, "milestone_id": milestone, "started_at": _now()}

        def admit(open_ones: Sequence[Session]) -> None:
            for each in map(self._state, open_ones):
                if exclusive and each.liveness in (Liveness.RUNNING, Liveness.STALE):
                    who = each.session
                    raise Refused(
                        f"{found.id} has a session already: {who.id} ({each.liveness.value})",
                        hint=f"syncd mission session end {shlex.quote(who.id)}",
                    )

        begun = self._write.start_session(key, fields, proof_of(pid, has_lock=has_lock), admit)
        self._nudge()
        return self._state(begun)

    def beat(self, session: str, *, milestone: str | None = None, card: str | None = None) -> SessionState:
        """Note that a session was here now, and what it works on.  Raises NotFound."""
        known = self._session(session)
        key = RecordKey(RecordKind.SESSION, known.mission, known.id)
        return self._state(self._write.beat(key, milestone=milestone, card=card))

    def end(self, session: str, *, reason: str | None = None) -> SessionState:
        """End a session, whatever became of its process; one that has ended stays as it is.  Raises NotFound."""
        from syncd.ports import MissionBatch

        known = self._session(session)
        if known.ended_at is None:
            key = RecordKey(RecordKind.SESSION, known.mission, known.id)
            fields: Fields = {"ended_at": _now(), "ended_reason": reason or "ended"}
            self._write.commit(MissionBatch(uuid4().hex, (RecordChange(ChangeKind.UPDATE, key, fields),)))
            self._nudge()
        return self._state(self._session(session))

    def run(
        self,
        command: Sequence[str],
        session: str | None = None,
        *,
        mission: str | None = None,
        runtime: str | None = None,
        milestone: str | None = None,
        exclusive: bool = False,
    ) -> int:
        """Run a command as a session, from its start to its end; return its exit code.

        Effects: ``SYNCD_SESSION`` and ``SYNCD_MISSION`` are in its environment.  The session counts as running
        while any process of the command lives, and as dead when none does, however they ended.

        Raises: as ``start``, UsageError without such a command.
        """
        from syncd.files.sessions import MISSION_VARIABLE, SESSION_VARIABLE, run_command, session_lock

        if shutil.which(command[0], path=self._wiring.environ.get("PATH")) is None:
            raise UsageError(f"no such command: {command[0]}")
        found = self._mission(mission)
        id = session or new_session_id()
        with session_lock(self._wiring.layout, found.id, id) as lock:
            self.start(
                id, mission=found.id, runtime=runtime or command[0].rpartition("/")[2], pid=os.getpid(),
                milestone=milestone, exclusive=exclusive, has_lock=True,
            )  # fmt: skip
            reason = "failed"
            try:
                named = {SESSION_VARIABLE: id, MISSION_VARIABLE: found.id}
                code = run_command(command, {**self._wiring.environ, **named}, lock, lambda: self._beat_quietly(id))
                reason = f"exit {code}"
                return code
            finally:
                self.end(id, reason=reason)

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _read(self) -> MissionStore:
        return self._wiring.store(may_make=False).missions

    @property
    def _write(self) -> MissionStore:
        return self._wiring.store().missions

    def _mission(self, id: str | None) -> Mission:
        """Return the mission that is meant; one that only a file knows yet is brought to the store first."""
        here = tuple(mission_places(self._wiring.mission_files, self._wiring.config))
        missions = missions_of(self._read.read().records)
        if set(here) - {each.id for each in missions}:
            self._sync()
            missions = missions_of(self._read.read().records)
        return chosen(id, missions, here)

    def _session(self, id: str) -> Session:
        found = [each for each in self._read.sessions() if each.id == id]
        if not found:
            raise NotFound(f"no session {id}", hint="syncd mission session list")
        return next((each for each in found if each.ended_at is None), found[-1])

    def _state(self, session: Session) -> SessionState:
        from syncd.files.sessions import is_alive

        alive = is_alive(self._wiring.layout, session.mission, session.id, session.proof)
        return SessionState(session, liveness(session, alive))

    def _beat_quietly(self, id: str) -> None:
        """Beat; a store that is away for a while hears of the session the next time."""
        try:
            self.beat(id)
        except SyncdError as error:
            event("session.unheard", id=id, message=error.message)


def new_session_id() -> str:
    """Return an id that no other session has."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _now() -> str:
    return instant_text(datetime.now(UTC).replace(microsecond=0))
