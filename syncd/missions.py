"""Missions, as every face sees them: their state against their cards, milestones, sessions, and what is next.

Changes go to the store, and from there into the mission file with the next cycle, which is run at once.
May import everything below the faces.  Long because it is one interface, to be read in one place.
"""

from __future__ import annotations

import json
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec

from syncd.core.mission import (
    MissionCard,
    Next,
    by_milestone,
    cards_of,
    chosen,
    contradiction,
    counts_of,
    is_done,
    next_of,
    word_for,
)
from syncd.core.mission_merge import RecordChange
from syncd.core.plan import ChangeKind
from syncd.errors import AlreadyExists, BadValue, NotFound, Refused, StaleVersion
from syncd.mission_sessions import Sessions, SessionState
from syncd.mission_wiring import mission_places
from syncd.schemas.card import Status, card_json
from syncd.schemas.mission import Milestone, Mission, Record, RecordKey, RecordKind, instant_text, missions_of

if TYPE_CHECKING:
    from syncd.core.history import HistoryEntry
    from syncd.ports import MissionStore, MissionView
    from syncd.schemas.card import Fields
    from syncd.wiring import Wiring

CAPSULE_NAME: Final = "next-task.json"
DEFAULT_PATH: Final = "mission.json"
ORCHESTRATOR: Final = ".mosaic/orchestrator"
_TRIES: Final = 5


class MilestoneState(msgspec.Struct, frozen=True):
    """A milestone with its cards counted by state; ``drift`` says what contradicts itself, if anything does."""

    record: Record
    cards: Mapping[str, int]
    drift: str | None


class MissionState(msgspec.Struct, frozen=True):
    """A mission, its milestones, all of its cards counted by state, and its sessions."""

    record: Record
    path: str | None
    milestones: tuple[MilestoneState, ...]
    cards: Mapping[str, int]
    sessions: tuple[SessionState, ...]


class Missions:
    """The missions of a workspace.

    Args:
        sync: brings files and store together now.
        nudge: does so as far as the store can be reached.
    """

    def __init__(self, wiring: Wiring, *, sync: Callable[[], object], nudge: Callable[[], None]) -> None:
        self._wiring = wiring
        self._sync = sync
        self._nudge = nudge

    @property
    def sessions(self) -> Sessions:
        """Who works on the missions."""
        return Sessions(self._wiring, sync=self._sync, nudge=self._nudge)

    # --- looking ----------------------------------------------------------------------------------

    def all(self) -> tuple[MissionState, ...]:
        """Return the state of every mission of the project, by id."""
        view, cards = self._read.read(), self._cards()
        sessions = self.sessions.list()
        return tuple(self._state(each, view, cards, sessions) for each in missions_of(view.records))

    def status(self, id: str | None = None) -> MissionState:
        """Return the state of a mission; of the only one where none is named.

        Raises: NotFound without it, BadValue when one of several is to be named.
        """
        view = self._view_of(id)
        mission = chosen(id, missions_of(view.records), self._file_ids())
        return self._state(mission, view, self._cards(), self.sessions.list(mission.id))

    def next(self, id: str | None = None) -> Next:
        """Return the card to do next for a mission, or that all is done, or why nothing can be done.

        Raises: as ``status``.
        """
        from syncd.ports import CardFilter

        view = self._view_of(id)
        mission = chosen(id, missions_of(view.records), self._file_ids())
        store = self._wiring.store(may_make=False)
        cards, claimable = store.list(CardFilter()), store.list(CardFilter(ready_only=True))
        own = {each.id for each in cards_of(mission, store.mission_cards(), missions_of(view.records))}
        return next_of(
            mission,
            [card for card in cards if card.id in own],
            cards,
            claimable=frozenset(card.id for card in claimable),
        )

    def history(self, id: str | None = None, *, limit: int | None = None) -> Sequence[HistoryEntry]:
        """Return the audit trail of a mission or of all: the last entries, oldest first."""
        return self._read.history(id, limit)

    # --- making and changing ----------------------------------------------------------------------

    def init(
        self,
        id: str | None = None,
        *,
        name: str,
        description: str | None = None,
        milestones: Sequence[tuple[str, str]] = (),
        path: str | None = None,
    ) -> MissionState:
        """Write a new mission file and sync it.

        Args:
            id: by default the name, in small letters with dashes.
            milestones: id and name of each.
            path: by default ``mission.json``, in ``.mosaic/orchestrator/`` where that folder exists.

        Raises: AlreadyExists when there is the mission or the file, BadValue for an id or path that cannot be.
        """
        from syncd.parsers.fields import is_id
        from syncd.parsers.mission_edit import starter

        id = id or _slug(name)
        wrong = next((each for each in (id, *(milestone for milestone, _ in milestones)) if not is_id(each)), None)
        if wrong is not None:
            raise BadValue(f"{wrong!r} is no id", hint="Letters, digits, '-', '_' and '.': no white space.")
        missions = self._wiring.store().missions
        if RecordKey(RecordKind.MISSION, id) in missions.read().records:
            raise AlreadyExists(f"there is a mission {id} already", hint=f"syncd mission status {shlex.quote(id)}")
        place = path or self._usual_path()
        fields: dict[str, Any] = {"name": name, "description": description, "status": "active"}
        tasks = self._wiring.files.paths()
        fields["tasks_file"] = tasks[0] if len(tasks) == 1 else None
        fields["created_at"] = _now()
        said = {name: value for name, value in fields.items() if value is not None}
        below: list[tuple[str, Fields]] = [(each, {"name": title, "status": "pending"}) for each, title in milestones]
        self._make_file(place, starter(id, said, below))
        self._sync()
        return self.status(id)

    def add_milestone(
        self, milestone: str, *, mission: str | None = None, name: str | None = None, **fields: str | None
    ) -> MissionState:
        """Add a milestone at the end.  Raises AlreadyExists, NotFound, BadValue."""
        from syncd.parsers.fields import is_id

        if not is_id(milestone):
            raise BadValue(f"{milestone!r} is no id", hint="Letters, digits, '-', '_' and '.': no white space.")
        view = self._view_of(mission)
        found = chosen(mission, missions_of(view.records), self._file_ids())
        key = RecordKey(RecordKind.MILESTONE, found.id, milestone)
        if key in view.records:
            raise AlreadyExists(f"{found.id} has a milestone {milestone} already", hint="syncd mission status")
        said = {"name": name or milestone, "status": word_for(found, None, "pending"), **fields}
        self._commit([RecordChange(ChangeKind.CREATE, key, said)])
        return self._after(found.id)

    def start_milestone(self, milestone: str, *, mission: str | None = None) -> MissionState:
        """Mark a milestone as begun.  Raises NotFound, Refused when it is done."""

        def change(found: Mission, record: Record) -> Fields:
            if is_done(_as_milestone(record)):
                raise Refused(f"{milestone} is done", hint="Change its status in the mission file to open it again.")
            begun = record.fields.get("started_at") or _now()
            return {"status": word_for(found, Status.CLAIMED, "in-progress"), "started_at": begun}

        return self._change_milestone(milestone, mission, change)

    def complete_milestone(self, milestone: str, *, mission: str | None = None, force: bool = False) -> MissionState:
        """Mark a milestone as done.

        Args:
            force: although cards of it are open.

        Raises: NotFound, Refused while cards are open.
        """

        def change(found: Mission, record: Record) -> Fields:
            cards = by_milestone(found, self._cards()).get(milestone, [])
            open_ones = [card.id for card in cards if card.fields["status"] != Status.DONE]
            if open_ones and not force:
                said = f"{len(open_ones)} of {len(cards)} cards of {milestone} are open: {', '.join(open_ones[:5])}"
                raise Refused(said, hint=f"syncd mission milestone complete {shlex.quote(milestone)} --force")
            done = record.fields.get("completed_at") or _now()
            word = record.fields.get("status")
            is_already = is_done(_as_milestone(record))
            return {"status": word if is_already else word_for(found, Status.DONE, "completed"), "completed_at": done}

        return self._change_milestone(milestone, mission, change)

    # --- conflicts --------------------------------------------------------------------------------

    def resolve(self, name: str, field: str | None, use: str) -> MissionState:
        """Settle a conflict of a mission, a milestone or a session; return how the mission is then.

        Args:
            name: as ``syncd conflicts`` has it: ``mission:shop/M1``.

        Raises: BadValue for another name, and as ``resolve_record``.
        """
        self.settle(name, field, use)
        self._nudge()
        return self.status(_key_of(name).mission)

    def settle(self, name: str, field: str | None, use: str) -> None:
        """Settle a conflict in the store alone: the files follow with the next sync.  Raises: as ``resolve``."""
        from syncd.engine.mission_decisions import resolve_record

        store, new_id = self._wiring.store(), self._wiring.new_commit_id
        resolve_record(store, self._write, _key_of(name), field, use, new_id=new_id)

    # --- the capsule ------------------------------------------------------------------------------

    def write_capsule(self, found: Next, mission: str | None = None, path: str | None = None) -> str:
        """Write what is next as a file for a runtime that wants it so; return its path.

        Args:
            path: inside the workspace; by default ``next-task.json`` beside the mission file.

        Raises: BadValue for a path outside, InputOutputError.
        """
        from syncd.files.atomic import write_whole
        from syncd.files.paths import inside

        state = self.status(mission)
        folder = (state.path or DEFAULT_PATH).rpartition("/")[0]
        place = path or (f"{folder}/{CAPSULE_NAME}" if folder else CAPSULE_NAME)
        target = inside(self._wiring.layout.root, place)
        target.parent.mkdir(parents=True, exist_ok=True)
        capsule = _capsule(state, found, str(self._wiring.layout.root))
        write_whole(target, (json.dumps(capsule, ensure_ascii=False, indent=2) + "\n").encode())
        return place

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _read(self) -> MissionStore:
        return self._wiring.store(may_make=False).missions

    @property
    def _write(self) -> MissionStore:
        return self._wiring.store().missions

    def _view_of(self, mission: str | None) -> MissionView:
        """Return the store's missions; a mission that only a file knows yet is brought there first."""
        view = self._read.read()
        known = {key.mission for key in view.records}
        wanted = {mission} if mission is not None else set(self._file_ids())
        if wanted - known and set(self._file_ids()) & (wanted - known):
            self._sync()
            view = self._read.read()
        return view

    def _file_ids(self) -> tuple[str, ...]:
        """Return the missions that this working copy's files tell of."""
        return tuple(self._places())

    def _places(self) -> dict[str, str]:
        return mission_places(self._wiring.mission_files, self._wiring.config)

    def _cards(self) -> Sequence[MissionCard]:
        return self._wiring.store(may_make=False).mission_cards()

    def _state(
        self, mission: Mission, view: MissionView, cards: Sequence[MissionCard], sessions: Sequence[SessionState]
    ) -> MissionState:
        own = cards_of(mission, cards, missions_of(view.records))
        belonging = by_milestone(mission, own)
        milestones = []
        for each in mission.milestones:
            counts = counts_of(belonging.get(each.id, ()))
            record = view.records[RecordKey(RecordKind.MILESTONE, mission.id, each.id)]
            milestones.append(MilestoneState(record, counts, contradiction(each, counts)))
        return MissionState(
            record=view.records[RecordKey(RecordKind.MISSION, mission.id)],
            path=self._places().get(mission.id),
            milestones=tuple(milestones),
            cards=counts_of(own),
            sessions=tuple(each for each in sessions if each.session.mission == mission.id),
        )

    def _change_milestone(
        self, milestone: str, mission: str | None, change: Callable[[Mission, Record], Fields]
    ) -> MissionState:
        """Change a milestone at the version that was looked at, again when it moved meanwhile."""
        for _ in range(_TRIES):
            view = self._view_of(mission)
            found = chosen(mission, missions_of(view.records), self._file_ids())
            key = RecordKey(RecordKind.MILESTONE, found.id, milestone)
            record = view.records.get(key)
            if record is None:
                self._sync()
                record = self._read.read().records.get(key)
            if record is None:
                known = ", ".join(each.id for each in found.milestones) or "none"
                raise NotFound(f"{found.id} has no milestone {milestone}", hint=f"It has {known}.")
            try:
                self._commit([RecordChange(ChangeKind.UPDATE, key, change(found, record), record.version)])
            except StaleVersion:
                continue
            return self._after(found.id)
        raise StaleVersion(f"{milestone} changes all the time", hint="Try again.")

    def _commit(self, changes: Sequence[RecordChange]) -> None:
        from syncd.ports import MissionBatch

        result = self._write.commit(MissionBatch(uuid4().hex, tuple(changes)))
        if result.moved:
            raise StaleVersion(f"{min(map(str, result.moved))} was changed meanwhile", hint="Try again.")
        for refusal in result.refused.values():
            raise BadValue(refusal.message)

    def _after(self, mission: str) -> MissionState:
        self._nudge()
        return self.status(mission)

    def _usual_path(self) -> str:
        named = self._wiring.config.mission
        if isinstance(named, str):
            return named
        has_folder = (self._wiring.layout.root / ORCHESTRATOR).is_dir()
        return f"{ORCHESTRATOR}/{DEFAULT_PATH}" if has_folder else DEFAULT_PATH

    def _make_file(self, path: str, data: bytes) -> None:
        """Write a file that must not be there yet; one that nothing names as a mission file gets named."""
        from syncd.files.settings import get_setting
        from syncd.files.settings_edit import edit_config
        from syncd.files.workspace import MISSION_PATHS, mission_entries

        files, config = self._wiring.mission_files, self._wiring.config
        staged = files.stage(path, data)
        if not files.replace(path, staged, None).matched:
            files.discard(staged)
            raise AlreadyExists(f"{path} is there already", hint="syncd sync takes it as it is; --path names another.")
        others = [
            each for each in mission_entries(config) if each != path and (self._wiring.layout.root / each).exists()
        ]
        if files.names(path) and not (config.mission is None and others):
            return
        now = get_setting(config, "mission")
        named = now if isinstance(now, list) else [now] if now else [each for each in MISSION_PATHS if each in others]
        edit_config(self._wiring.layout.config, "mission", [*named, path] if named else path)
        self._wiring.reread()


def _key_of(name: str) -> RecordKey:
    """Return the record that a conflict names."""
    key = RecordKey.parse(name)
    if key is None:
        raise BadValue(f"{name!r} names no mission", hint="syncd conflicts")
    return key


def _as_milestone(record: Record) -> Milestone:
    status = record.fields.get("status")
    return Milestone(id=record.key.id, status=None if status is None else str(status))


def _capsule(state: MissionState, found: Next, root: str) -> dict[str, Any]:
    fields = state.record.fields
    gates = fields.get("quality_gates")
    milestone = found.milestone
    return {
        "generated_at": _now(),
        "host": socket.gethostname(),
        "mission_id": state.record.key.mission,
        "mission_name": fields.get("name"),
        "working_directory": root,
        "tasks_file": fields.get("tasks_file"),
        "quality_gates": None if gates is None else json.loads(str(gates)),
        "current_milestone": None if milestone is None else {"id": milestone.id, "name": milestone.name},
        "state": found.outlook.value,
        "next_task": None if found.card is None else found.card.id,
        "task": None if found.card is None else card_json(found.card),
        "reasons": [{"id": id, "reason": reason} for id, reason in found.reasons],
        "progress": {"done": found.done, "total": found.total},
    }


def _slug(name: str) -> str:
    import re

    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "mission"


def _now() -> str:
    return instant_text(datetime.now(UTC).replace(microsecond=0))
