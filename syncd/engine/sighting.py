"""The facts that the guards judge by: ages, known versions, markers, the store's history, syncd's own writes.

Measures and remembers; decides nothing.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from syncd.core.plan import BaseCard, Change, ChangeKind, Hold, Policy
from syncd.core.sight import FileSight, OwnWrite, Sight
from syncd.core.values import absent, is_same
from syncd.engine.observe import HELD_FILES, LocalView, Observer
from syncd.engine.own_writes import OWN_WRITES_MAX, OwnWrites
from syncd.engine.remote import RemoteView
from syncd.parsers.document import Document, Problem
from syncd.parsers.remains import lines_naming
from syncd.parsers.tasks_md import PARSER_VERSION
from syncd.ports import Cursor, FileRead, State, TaskFiles
from syncd.schemas.card import Fields, Value

RECENT_S: Final = 10.0
"""How long a value that syncd replaced counts as one that an editor may still have in its buffer."""

GIT_SETTLE_S: Final = 0.3
"""How long after git's writing of files its HEAD may still be about to move."""

GIT_STALE_S: Final = 10.0
"""A lock of git's that stands longer was left behind by a crash."""

_HEAD: Final = "git.head"
_PARSER: Final = "parser.version"
_STANDING: Final = "holds.standing"


class Sighting:
    """Gathers the sight of each pass.

    Args:
        monotonic: seconds from any start.
    """

    def __init__(
        self,
        files: TaskFiles,
        state: State,
        observer: Observer,
        policy: Policy,
        monotonic: Callable[[], float],
    ) -> None:
        self._files = files
        self._state = state
        self._observer = observer
        self._policy = policy
        self._monotonic = monotonic
        self._own = OwnWrites()
        self._replaced: dict[tuple[str, str], tuple[Value, float]] = {}
        self._inserted: dict[str, float] = {}
        self._taken_out: dict[str, tuple[Fields, float]] = {}
        self._git_lock: tuple[int | None, float] = (None, float("-inf"))
        self._was_git_at_work = False
        self._git_until = float("-inf")

    def sight(self, view: LocalView, remote: RemoteView) -> Sight:
        """Return everything that the guards see of this pass."""
        if remote.saw_foreign_writer:
            self._own.clear()
            remote.saw_foreign_writer = False
        elif self._observer.saw_editor:
            self._keep_what_was_undone(view)
        gone = self._gone(view)
        return Sight(
            base=self._state.base(),
            local=view.local,
            remote=remote.remote,
            files={
                path: self._file(path, read, view.documents.get(path), gone.get(path, ()), view.problems)
                for path, read in view.reads.items()
            },
            policy=self._policy,
            store_rewound=self.rewound(remote.cursor),
            short_lived=self.short_lived(view, self._state.base()),
            parser_changed=self._state.meta(_PARSER) not in (None, str(PARSER_VERSION)),
            own_writes=tuple(self._own),
            standing=frozenset(json.loads(self._state.meta(_STANDING) or "[]")),
        )

    def _keep_what_was_undone(self, view: LocalView) -> None:
        """Forget syncd's own writes, since an editor has saved; but not those of fields that only came to be undone.

        A program that answers each write of syncd with what stood there before counts as the other side: that is
        no editor with a will of its own (case 62).
        """
        written = {(each.id, each.field) for each in self._own}
        undone = {
            (id, name): value
            for (id, name), value in self.recent().items()
            if (id, name) in written and id in view.local and is_same(name, view.local[id].fields.get(name), value)
        }
        self._own.keep(lambda each: (each.id, each.field) in undone)
        for (id, name), value in undone.items():
            self._own.note(OwnWrite(id, name, "store", value))

    def recent(self) -> Mapping[tuple[str, str], Value]:
        """Return what syncd's own writes replaced a moment ago, by card and field."""
        now = self._monotonic()
        self._replaced = {key: each for key, each in self._replaced.items() if now - each[1] < RECENT_S}
        return {key: value for key, (value, _) in self._replaced.items()}

    def taken_out(self) -> Mapping[str, Fields]:
        """Return the rows that syncd took out of the files a moment ago, with what they said.

        One that it took out twice is none: whoever brings it back a third time insists.
        """
        now = self._monotonic()
        self._taken_out = {id: each for id, each in self._taken_out.items() if now - each[1] < RECENT_S}
        return {id: fields for id, (fields, _) in self._taken_out.items()}

    def short_lived(self, view: LocalView, base: Mapping[str, BaseCard]) -> Mapping[str, float]:
        """Return the rows that syncd had put into a file a moment before they went, each with its life in seconds."""
        now = self._monotonic()
        lives: dict[str, float] = {}
        for id, at in self._inserted.items():
            path = base[id].path if id in base and id not in view.local else None
            changed_ms = self._observer.age_ms(path) if path is not None else None
            if changed_ms is not None and (life := now - at - changed_ms / 1000) < RECENT_S:
                lives[id] = life
        self._inserted = {id: at for id, at in self._inserted.items() if id in lives or now - at < RECENT_S}
        return lives

    def rewound(self, cursor: Cursor | None) -> str | None:
        """Return why the store seems to have gone back in time, ``None`` when it has not."""
        known = self._state.cursor()
        # A place without an epoch is one in a database that was never reached; and while it is away, it tells nothing.
        if known is None or cursor is None or not (known.epoch and cursor.epoch) or cursor.beside is not None:
            return None
        if not known.is_of_another_history(cursor):
            return None
        if known.epoch != cursor.epoch:
            return "the store is another one than before (restored, failed over, or made anew)"
        return "the store has forgotten transactions that were seen before (restored from a backup)"

    def wrote(self, changes: Sequence[Change], view: LocalView) -> None:
        """Remember what syncd's write to the files replaced, and that it was syncd's."""
        now = self._monotonic()
        for change in changes:
            if change.kind is ChangeKind.CREATE:
                self._inserted[change.id] = now
            before = view.local.get(change.id)
            if change.kind is ChangeKind.REMOVE and before is not None and self._taken_out.pop(change.id, None) is None:
                self._taken_out[change.id] = (before.fields, now)
            for name, value in change.fields.items():
                if before is not None and name in before.fields:
                    self._replaced[change.id, name] = (before.fields[name], now)
                self._own.note(OwnWrite(change.id, name, "file", value))

    def forget_writes(self) -> None:
        """Forget syncd's own writes: somebody took one back on purpose, which is no old buffer and no ping-pong."""
        self._own.clear()
        self._replaced.clear()
        self._inserted.clear()
        self._taken_out.clear()

    def expect(self, id: str, names: Iterable[str]) -> None:
        """Forget what syncd replaced in these fields: somebody who has seen it is about to edit them."""
        for name in names:
            self._replaced.pop((id, name), None)

    def sent(self, changes: Sequence[Change]) -> None:
        """Remember what syncd wrote to the store: of very many changes the last, which would drive out the others."""
        for change in changes[-OWN_WRITES_MAX:]:
            for name, value in change.fields.items():
                self._own.note(OwnWrite(change.id, name, "store", value))

    def remember(
        self,
        view: LocalView,
        holds: Sequence[Hold],
        marks: frozenset[str],
        closed: frozenset[str],
        *,
        is_waiting: bool,
    ) -> None:
        """Keep the versions of the files that were taken in, and the holds and marks that stand.

        Args:
            is_waiting: something waits, a field that was held perhaps: nothing ceases to stand meanwhile.

        Effects: writes the state only for what is new.
        """
        for path, read in view.reads.items():
            is_open = path not in closed and path not in view.frozen
            is_news = read.data is not None and read.digest is not None and is_open
            if is_news and read.data is not None and self._state.version_rank(path, read.digest or "") != 0:
                self._state.remember_version(path, read.digest or "", read.data)
        stand = {*marks, *(each for hold in holds for each in (hold.fingerprint, *hold.parts))}
        if is_waiting:
            stand.update(json.loads(self._state.meta(_STANDING) or "[]"))
        standing = json.dumps(sorted(stand))
        whole = {hold.path for hold in holds if hold.id == hold.path}
        held = {path: read.digest for path, read in view.reads.items() if path in whole}
        facts: dict[str, str | None] = {_STANDING: standing, HELD_FILES: json.dumps(held, sort_keys=True)}
        if not is_waiting:
            # Whether HEAD moved with a change is asked until that change is taken in.
            facts[_HEAD] = self._files.head()
        if not any(hold.guard == "everything-changed" for hold in holds):
            facts[_PARSER] = str(PARSER_VERSION)
        for key, value in facts.items():
            known = self._state.meta(key)
            is_first_of_nothing = known is None and key in (_STANDING, HELD_FILES) and not (holds or marks)
            if known != value and not is_first_of_nothing:
                self._state.set_meta(key, value)

    def _gone(self, view: LocalView) -> Mapping[str, Sequence[str]]:
        """Return, by file, the cards that stood in it and stand in no file now."""
        gone: dict[str, list[str]] = {}
        base = self._state.base()
        for id in absent(base, view.local):
            if (path := base[id].path) is not None:
                gone.setdefault(path, []).append(id)
        return gone

    def _file(
        self,
        path: str,
        read: FileRead,
        document: Document | None,
        gone: Sequence[str],
        problems: Sequence[Problem],
    ) -> FileSight:
        age_ms = self._observer.age_ms(path)
        if read.error is not None or (document is not None and not document.readable):
            return FileSight(path, is_readable=False)
        if read.data is None:
            return FileSight(path, exists=False, missing_ms=age_ms)
        rank = self._state.version_rank(path, read.digest or "")
        is_news = rank != 0
        head_moved = is_news and self._has_checked_out()
        is_older = bool(rank) and not head_moved
        has_markers = document is not None and document.has_markers is not None
        return FileSight(
            path,
            changed_ms_ago=age_ms,
            marker_line=document.has_markers if document is not None else None,
            version_rank=rank,
            bad_id_line=_line_of("bad-id", path, problems),
            repeated_line=_line_of("duplicate-id", path, problems),
            unread=lines_naming(document, gone) if document is not None and gone else {},
            head_moved=head_moved,
            git_wait_ms=self._git_wait_ms(age_ms) if is_older else 0,
            is_truncation=is_news and document is not None and self._is_truncation(path, read.data, document),
            has_past=not has_markers or self._state.newest_version(path) is not None,
        )

    def _has_checked_out(self) -> bool:
        """Return whether git put another tree into the folder since syncd last looked; a commit alone does not."""
        head = self._state.meta(_HEAD)
        return head is not None and self._files.has_checked_out(head)

    def _git_wait_ms(self, age_ms: int | None) -> int:
        """Return how long to wait until HEAD tells whether a checkout put these older bytes there; 0 for not."""
        if self._files.head() is None:
            return 0
        now = self._monotonic()
        if (lock := self._files.git_lock()) is not None and lock != self._git_lock[0]:
            self._git_lock = (lock, now)
        is_held = lock is not None and now - self._git_lock[1] < GIT_STALE_S
        if is_held or self._was_git_at_work:
            # HEAD moves right after the lock has gone, which may have been a moment ago.
            self._git_until = now + GIT_SETTLE_S
        self._was_git_at_work = is_held
        young_s = 0.0 if age_ms is None else GIT_SETTLE_S - age_ms / 1000
        return max(0, math.ceil(max(self._git_until - now, young_s) * 1000))

    def _is_truncation(self, path: str, data: bytes, document: Document) -> bool:
        """Return whether new bytes look like the beginning of a write that goes on."""
        before = self._state.newest_version(path)
        if before is not None and len(data) < len(before) and before.startswith(data):
            return True
        # An editor may be in the middle of its save when a file is looked at for the first time.
        if (before is None or before.endswith(b"\n")) and not data.endswith(b"\n"):
            return True
        last = data.count(b"\n") + (not data.endswith(b"\n"))
        return any(problem.code == "too-few-cells" and problem.line == last for problem in document.problems)


def _line_of(code: str, path: str, problems: Iterable[Problem]) -> int | None:
    """Return the first line of a file that has such a problem."""
    return next((each.line for each in problems if each.code == code and each.path == path), None)
