"""Ids for rows that have none.

A row that lost its id takes it back; a row that was being named when syncd died gets the same id again;
any other gets the next free number of its table, reserved in the store so that no two hosts give the
same.  While the store is away nobody can reserve: the number then bears the working copy's short name (``T15-dfce``).
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Set

from syncd.engine.observe import LocalView, Row
from syncd.parsers.render import id_habit
from syncd.parsers.tasks_md import parse
from syncd.ports import State, SyncStore
from syncd.schemas.card import Card

RowId = tuple[str, int]


class Names:
    """Gives ids to nameless rows, the same one for the same row until it stands in the file.

    Args:
        prefix: begins ids where a file shows no habit.
        own_name: what numbers bear now, so that no other working copy gives the same; nothing while they are
            reserved for all.
    """

    def __init__(self, store: SyncStore, state: State, prefix: str, own_name: Callable[[], str] = lambda: "") -> None:
        self._store = store
        self._state = state
        self._prefix = prefix
        self._own_name = own_name
        self._given: dict[tuple[str, str], str] = {}

    @property
    def pending(self) -> Mapping[tuple[str, str], str]:
        """The ids that were given and not seen in a file yet, by file and mark of the row."""
        return self._given

    def learn(self, ids: Mapping[tuple[str, str], str]) -> None:
        """Take over the ids that a journal had given (file and mark of the row: id)."""
        self._given.update(ids)

    def seen(self, view: LocalView) -> None:
        """Forget the ids that stand in a file now.

        No other reason will do: a look may show a file half written, or not at all.
        """
        self._given = {row: id for row, id in self._given.items() if id not in view.local}

    def give(self, view: LocalView, stored: Mapping[str, Card], *, closed: Set[str]) -> dict[RowId, str]:
        """Return an id for each nameless row outside the closed files; new numbers are reserved in the store."""
        return self._name(view, stored, closed, reserve=True)

    def guess(self, view: LocalView, stored: Mapping[str, Card]) -> dict[RowId, str]:
        """Return the ids that ``give`` would give now, reserving nothing."""
        return self._name(view, stored, frozenset(), reserve=False)

    def _name(
        self, view: LocalView, stored: Mapping[str, Card], closed: Set[str], *, reserve: bool
    ) -> dict[RowId, str]:
        rows = [row for row in view.nameless if row.path not in closed]
        if not rows:
            return {}
        ids: dict[RowId, str] = {}
        taken = set(view.local)
        lost = self._lost(view)
        unnamed: dict[tuple[str, int], list[tuple[Row, int]]] = defaultdict(list)
        for row in rows:
            known = self._given.get((row.path, row.mark)) or lost.get((row.path, row.card.text))
            if known is not None and known not in taken:
                ids[row.path, row.key] = known
                taken.add(known)
                continue
            prefix, width, highest = id_habit(view.documents[row.path], row.key)
            unnamed[prefix or self._prefix, width].append((row, highest))
        own_name = self._own_name()
        for (prefix, width), group in unnamed.items():
            floor = max([highest for _, highest in group] + [_highest(prefix, stored), _highest(prefix, taken)])
            first = self._store.reserve_ids(prefix, len(group), floor) if reserve else floor + 1
            for number, (row, _) in enumerate(group, start=first):
                ids[row.path, row.key] = f"{prefix}{number:0{max(width, 1)}d}{own_name}"
        if reserve:
            marks = {(row.path, row.key): (row.path, row.mark) for row in rows}
            self._given.update((marks[row], id) for row, id in ids.items())
        return ids

    def _lost(self, view: LocalView) -> dict[tuple[str, str], str]:
        """Return the ids that vanished from a file in this change, by the text of their rows where that is unique."""
        found: dict[tuple[str, str], str] = {}
        for path in {row.path for row in view.nameless}:
            before = self._state.newest_version(path)
            if before is None:
                continue
            document = view.documents[path]
            gone = [
                card
                for card in parse(before, path=path, options=document.options).cards
                if card.id is not None and card.id not in view.local
            ]
            texts = Counter(card.text for card in gone)
            found.update({(path, card.text): card.id for card in gone if card.id and texts[card.text] == 1})
        return found


def _highest(prefix: str, ids: Collection[str]) -> int:
    """Return the highest number that follows a prefix in these ids, 0 without any."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,9})(?:-[a-p]{4})?$")
    return max((int(found[1]) for id in ids if (found := pattern.match(id))), default=0)


def short_name(replica: str) -> str:
    """Return a working copy's short name as its numbers bear it: of letters, so that no number ends in another."""
    letters = "abcdefghijklmnop"
    # A working copy that was never written has a word instead of hexadecimal digits.
    digits = (int(each, 16) if each in "0123456789abcdef" else ord(each) % 16 for each in replica[:4].ljust(4, "0"))
    return "-" + "".join(letters[each] for each in digits)
