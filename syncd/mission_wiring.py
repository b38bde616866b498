"""Joining the adapters of missions, for ``wiring``: their files, their half of the store, their sync.

May import ``syncd.engine``, ``syncd.files``, and what they may.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from syncd.schemas.config import Config, TaskEntry
from syncd.schemas.mission import Mission
from syncd.schemas.mission import missions_of as missions_in

if TYPE_CHECKING:
    from syncd.core.sight import Thresholds
    from syncd.engine.mission_sync import MissionSync
    from syncd.files.layout import Layout
    from syncd.files.task_files import WorkspaceFiles
    from syncd.ports import MissionStore, Pending, State, SyncStore
    from syncd.schemas.mission import Records


def mission_files(layout: Layout, config: Config) -> WorkspaceFiles:
    """Return the mission files: files like task files, that are read otherwise."""
    from syncd.files.task_files import WorkspaceFiles
    from syncd.files.workspace import mission_entries

    return WorkspaceFiles(layout, replace(config, tasks=tuple(map(TaskEntry, mission_entries(config)))))


def missions_of(store: object) -> MissionStore | None:
    """Return the missions' half of a store, ``None`` where it has none."""
    from syncd.ports import KeepsMissions

    # The class is asked: a store that is away answers nothing by itself.
    return store.missions if hasattr(type(store), "missions") and isinstance(store, KeepsMissions) else None


def pending(state: State) -> Pending:
    """Return the batch about missions that the journal has under way, and what it sets."""
    from syncd.engine.mission_memory import MissionMemory
    from syncd.ports import Pending

    journal = MissionMemory(state).journal
    if journal is None:
        return Pending()
    sent = {str(key): record.fields for key, record in journal.sent.items()}
    return Pending(mission_commit_id=journal.commit_id, mission_sent=sent)


def agreed(state: State) -> Records:
    """Return the mission records as files and store last agreed on them."""
    from syncd.engine.mission_memory import MissionMemory

    return MissionMemory(state).base


class Host(Protocol):
    """The wiring of a workspace, as far as missions need it."""

    layout: Layout
    environ: Mapping[str, str]
    config: Config

    @property
    def mission_files(self) -> WorkspaceFiles:
        """The mission files."""

    def new_commit_id(self) -> str:
        """Return a fresh id for a store transaction."""


def mission_sync(host: Host, store: SyncStore, state: State, thresholds: Thresholds, *, is_paced: bool) -> MissionSync:
    """Return the sync of the mission files, for a cycle over the same store and state."""
    from syncd.engine.mission_look import MissionObserver
    from syncd.engine.mission_memory import MissionMemory
    from syncd.engine.mission_sync import MissionSync
    from syncd.engine.mission_writer import MissionWriter
    from syncd.engine.pace import Pace
    from syncd.engine.postponement import Postponement
    from syncd.files.atomic import digest
    from syncd.files.lock import AdvisoryLock
    from syncd.files.paths import is_glob, outside

    layout, config, files = host.layout, host.config, host.mission_files
    named, memory = config.mission, MissionMemory(state)
    creates = named if isinstance(named, str) and not is_glob(named) else None
    pace = Pace(config.file_write_interval_ms, time.monotonic) if is_paced else None
    postponement = Postponement(pace, AdvisoryLock(layout, host.environ))
    observer = MissionObserver(
        files,
        memory,
        time.monotonic,
        wants_first=named is None,
        outside=lambda path: outside(layout.root, path),
    )
    return MissionSync(
        files,
        lambda: missions_of(store),
        store,
        state,
        observer,
        MissionWriter(files, state, memory, postponement, digest, creates=creates, grace_s=thresholds.grace_s),
        thresholds,
        monotonic=time.monotonic,
        new_commit_id=host.new_commit_id,
        digest=digest,
        creates=creates,
    )


def read_missions(files: WorkspaceFiles, config: Config) -> tuple[Mission, ...]:
    """Return the missions that the files tell of, as far as they can be read."""
    return tuple(mission for _, mission in _told(files, config))


def mission_places(files: WorkspaceFiles, config: Config) -> dict[str, str]:
    """Return in which file each mission stands."""
    return {mission.id: path for path, mission in _told(files, config)}


def _told(files: WorkspaceFiles, config: Config) -> Iterator[tuple[str, Mission]]:
    """Yield each file that tells of a mission, and that mission; of the usual names only the first file there is."""
    from syncd.parsers.mission_json import parse_mission

    seen: set[str] = set()
    for path in files.paths():
        data = files.read(path).data
        if data is None:
            continue
        for mission in missions_in(parse_mission(data, path=path).records):
            if mission.id not in seen:
                seen.add(mission.id)
                yield path, mission
        if config.mission is None:
            break
