"""What the mission files say: documents, records and problems, in one look.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from syncd.engine.mission_memory import MissionMemory
from syncd.parsers.document import Problem
from syncd.parsers.json_text import line_and_column
from syncd.parsers.mission_json import LISTS, MissionDocument, camel, parse_mission
from syncd.ports import FileRead, TaskFiles
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, RecordKind, Records


class MissionLook(msgspec.Struct, frozen=True):
    """The mission files as one look found them.

    ``documents`` are those that can be read, each of another mission.  ``broken`` are those that cannot and
    told a mission before, with why; ``missing_s`` those that are gone, with the seconds since.
    """

    reads: Mapping[str, FileRead] = msgspec.field(default_factory=dict)
    documents: Mapping[str, MissionDocument] = msgspec.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    broken: Mapping[str, str] = msgspec.field(default_factory=dict)
    missing_s: Mapping[str, float] = msgspec.field(default_factory=dict)

    @property
    def records(self) -> Records:
        """What the readable files say together."""
        return {key: record for document in self.documents.values() for key, record in document.records.items()}

    def places(self) -> dict[str, str]:
        """Return in which file each mission stands."""
        return {document.mission: path for path, document in self.documents.items() if document.mission is not None}

    def shown(self, base: Records) -> dict[str, frozenset[RecordKind]]:
        """Return by mission which kinds of records its file shows.

        A file without a list of sessions wants none.  One that lost its list of milestones says nothing of
        them: absent is never a change.
        """
        return {
            mission: frozenset(_shown(mission, self.documents[path], base)) for mission, path in self.places().items()
        }


def _shown(mission: str, document: MissionDocument, base: Records) -> Iterator[RecordKind]:
    yield RecordKind.MISSION
    root = document.root
    for kind, name in LISTS.items():
        member = root.member(name) if root is not None else None
        is_new = kind is RecordKind.MILESTONE and not any(key.mission == mission and key.kind is kind for key in base)
        if is_new or (member is not None and member.node.value is not None):
            yield kind


class MissionObserver:
    """Looks at the mission files.

    Args:
        wants_first: of the named files only the first that exists is a mission file (the usual names).
        outside: why a path that a file names leads out of the workspace; ``None`` when it does not.
    """

    def __init__(
        self,
        files: TaskFiles,
        memory: MissionMemory,
        monotonic: Callable[[], float],
        *,
        wants_first: bool,
        outside: Callable[[str], str | None],
    ) -> None:
        self._files = files
        self._memory = memory
        self._monotonic = monotonic
        self._wants_first = wants_first
        self._outside = outside
        self._documents: dict[str, tuple[str, MissionDocument]] = {}
        self._missing_since: dict[str, float] = {}
        self.signatures: dict[str, tuple[int, ...] | None] = {}

    def paths(self) -> tuple[str, ...]:
        """Return the mission files: those that the configuration names, and those that told one before."""
        named = self._files.paths()
        if self._wants_first:
            named = tuple(path for path in named if self._files.signature(path) is not None)[:1]
        return tuple(dict.fromkeys((*named, *self._memory.paths)))

    def has_moved(self) -> bool:
        """Return whether a file may have changed since the last look (one stat a file)."""
        return self.signatures != {path: self._files.signature(path) for path in self.paths()}

    def look(self) -> MissionLook:
        """Read the files.  A file that is as it was is not parsed again."""
        self.signatures = {path: self._files.signature(path) for path in self.paths()}
        reads = {path: self._files.read(path) for path in self.signatures}
        known = self._memory.paths
        documents: dict[str, MissionDocument] = {}
        problems: list[Problem] = []
        broken: dict[str, str] = {}
        missions: dict[str, str] = {}
        for path, read in reads.items():
            if read.error is not None:
                problems.append(
                    Problem(path, 1, 1, "unreadable", read.error, f"{read.remedy or 'Make the file readable'}.")
                )
                broken[path] = read.error
            if read.data is None:
                continue
            document, own = self._parsed(path, read.digest or "", read.data)
            problems += own
            if document.is_frozen:
                if path in known:
                    broken[path] = document.problems[0].message
            elif (first := missions.setdefault(document.mission or "", path)) != path:
                said = f"the mission {document.mission} stands in {first} already"
                problems.append(Problem(path, 1, 1, "duplicate-id", said, "Give this one a mission_id of its own."))
            else:
                documents[path] = document
        absent = [
            path
            for path, read in reads.items()
            if read.data is None and read.error is None and path in known and known[path] not in missions
        ]
        return MissionLook(reads, documents, tuple(problems), broken, self._missing(absent))

    def _missing(self, absent: list[str]) -> dict[str, float]:
        now = self._monotonic()
        self._missing_since = {path: self._missing_since.get(path, now) for path in absent}
        return {path: now - since for path, since in self._missing_since.items()}

    def _parsed(self, path: str, digest: str, data: bytes) -> tuple[MissionDocument, tuple[Problem, ...]]:
        kept = self._documents.get(path)
        if kept is None or kept[0] != digest:
            document = parse_mission(data, path=path)
            kept = self._documents[path] = (digest, document)
        # Whether a path leads outside depends on links too, which may change while the file does not.
        return kept[1], (*kept[1].problems, *self._outsiders(kept[1]))

    def _outsiders(self, document: MissionDocument) -> Iterator[Problem]:
        """Yield a problem for each path in a file that leads out of the workspace."""
        for key, each in document.found.items():
            for name, kind in RECORD_FIELDS[key.kind].items():
                value = each.record.fields.get(name)
                if kind is not FieldKind.PATH or not isinstance(value, str):
                    continue
                reason = self._outside(value)
                member = each.node.member(name, camel(name))
                if reason is None or member is None:
                    continue
                line, column = line_and_column(document.text, member.node.start)
                hint = "Name a path inside the workspace, relative to its folder."
                said = f"{member.name} is not opened: {reason}"
                yield Problem(document.path, line, column, "outside-workspace", said, hint)
