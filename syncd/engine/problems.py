"""Problems that only show between cards, or between a card and the store: they stop nothing else.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncd.core.graph import find_cycles
from syncd.core.plan import Change, Presence, RemoteCard
from syncd.engine.observe import LocalView
from syncd.parsers.document import Problem
from syncd.ports import BatchResult, Refusal, State
from syncd.schemas.card import Fields

ENGINE_PROBLEM_CODES = {
    "unreadable": "The file cannot be read (permission, or it changes faster than it can be read).",
    "cannot-write": "The file cannot be written (read-only folder, full disk).",
    "no-task-table": "Cards of the store have no place: nothing in the file looks like a task list.",
    "unknown-dependency": "A card depends on one that is neither in a file nor in the store.",
    "cycle": "Cards depend on one another in a circle, so none of them can ever start.",
    "state-lost": "What syncd remembered of the last sync was damaged; both sides are compared anew.",
    "refused": "The store cannot hold what the row says.",
}
"""Codes of the problems that the engine finds, beside those of the parsers."""


def card_problems(view: LocalView, remote: Mapping[str, RemoteCard]) -> list[Problem]:
    """Return unknown dependencies and dependency cycles, at the first row concerned."""
    depends_on: dict[str, Sequence[str]] = {}
    for id, card in remote.items():
        if card.presence is not Presence.DELETED:
            depends_on[id] = _ids(card.fields)
    problems = []
    for id, local in view.local.items():
        if "dependsOn" in local.fields:
            depends_on[id] = _ids(local.fields)
        else:
            depends_on.setdefault(id, ())
    for id, local in view.local.items():
        unknown = [each for each in _ids(local.fields) if each not in depends_on]
        if unknown:
            problems.append(
                _at(
                    view,
                    id,
                    "unknown-dependency",
                    f"{id} depends on {', '.join(unknown)}, which does not exist",
                    "Correct the id, or add that card; until then it counts as not done.",
                )
            )
    for circle in find_cycles(depends_on):
        shown = next((each for each in circle if each in view.local), None)
        message = f"a circle of dependencies: {' -> '.join((*circle, circle[0]))}"
        hint = "Take one of these dependencies out."
        if shown is not None:
            problems.append(_at(view, shown, "cycle", message, hint))
        elif view.reads:
            problems.append(Problem(next(iter(view.reads)), 1, 1, "cycle", f"in the store, {message}", hint))
    return problems


def state_problems(state: State) -> list[Problem]:
    """Return a problem for a state that was damaged, until both sides were compared without it."""
    if state.was_lost is None:
        return []
    return [
        Problem(
            path=".syncd/state.db",
            line=1,
            column=1,
            code="state-lost",
            message=f"the state was damaged and is kept as .syncd/{state.was_lost}; the next sync deletes nothing",
            hint="Nothing to do: files and store are compared as at first contact.",
        )
    ]


class Refusals:
    """What the store would not take, kept until the row says something else: no change is sent twice in vain."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Fields, Refusal]] = {}

    def stands(self, change: Change) -> bool:
        """Return whether this very change was refused before."""
        kept = self._kept.get(change.id)
        return kept is not None and kept[0] == change.fields

    def note(self, changes: Sequence[Change], result: BatchResult) -> None:
        """Take in what a batch told.  A lease that stands is no problem: reconcile sees it in the next pass."""
        for change in changes:
            refusal = result.refused.get(change.id)
            if refusal is not None and refusal.code != "not-owner":
                self._kept[change.id] = (change.fields, refusal)
            elif change.id in result.cards:
                self._kept.pop(change.id, None)

    def problems(self, view: LocalView) -> list[Problem]:
        """Return a problem for each refusal that still matters."""
        return [
            _at(view, id, "refused", f"{id}: {refusal.message}", "Change the row; it stays in the file as it is.")
            for id, (_, refusal) in self._kept.items()
            if id in view.local
        ]


def _at(view: LocalView, id: str, code: str, message: str, hint: str) -> Problem:
    path, key = view.keys[id]
    card = view.documents[path].cards[key]
    return Problem(path, card.line, card.column, code, message, hint)


def _ids(fields: Fields) -> Sequence[str]:
    value = fields.get("dependsOn")
    return value if isinstance(value, tuple) else ()
