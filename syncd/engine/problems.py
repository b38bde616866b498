"""Problems that only show between cards, or between a card and the store: they stop nothing else.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from syncd.core.graph import circle_text, find_cycles
from syncd.core.plan import Change, ChangeKind, Hold, LocalCard, Plan, Presence, RemoteCard
from syncd.core.trips import CYCLE
from syncd.core.values import DEPENDS_ON, others
from syncd.engine.observe import LocalView
from syncd.parsers.document import Problem
from syncd.parsers.fields import ID_MAX, is_id
from syncd.ports import BatchResult, Refusal, State

ENGINE_PROBLEM_CODES = {
    "unreadable": "The file cannot be read (permission, or it changes faster than it can be read).",
    "hard-linked": "The file has a second name that the next write does not reach.",
    "bad-settings": "syncd.yaml was edited while the daemon runs, and cannot be used as it is now.",
    "not-configured": "Cards stand in a file that the configuration does not name any more.",
    "cannot-write": "The file cannot be written (read-only folder, full disk).",
    "no-task-table": "Cards of the store have no place: nothing in the file looks like a task list.",
    "unknown-dependency": "A card depends on one that is neither in a file nor in the store.",
    "cycle": "Cards depend on one another in a circle, so none of them can ever start.",
    "state-lost": "What syncd remembered of the last sync was damaged; both sides are compared anew.",
    "refused": "The store cannot hold what the row says.",
    "outside-workspace": "A path in the mission file leads out of the workspace; it is not opened.",
    "unplaceable": "A card of the store has an id that no row can show.",
}
"""Codes of the problems that the engine finds, beside those of the parsers."""


_Flaw: TypeAlias = tuple[Sequence[str], str, str, str]
"""The cards concerned, and the code, message and hint of a problem."""


class CardProblems:
    """Unknown dependencies and dependency cycles: looked for again only when a dependency changed."""

    def __init__(self) -> None:
        self._local: Mapping[str, LocalCard] = {}
        self._remote: Mapping[str, RemoteCard] = {}
        self._depends_on: dict[str, Sequence[str]] = {}
        self._found: list[_Flaw] = []

    def of(self, view: LocalView, remote: Mapping[str, RemoteCard], held: Sequence[Hold]) -> list[Problem]:
        """Return the problems, each at the first row concerned; a circle that is held names the way out."""
        ways = {hold.id: hold.release for hold in held if hold.guard == CYCLE}
        self._look(view.local, remote)
        return [problem for flaw in self._found if (problem := _shown(view, _with_way_out(flaw, ways))) is not None]

    def _look(self, local: Mapping[str, LocalCard], remote: Mapping[str, RemoteCard]) -> None:
        """Find the flaws anew if what some card depends on has changed since the last look."""
        ids = dict.fromkeys((*others(remote, self._remote), *others(local, self._local)))
        self._local, self._remote = local, remote
        seen = {id: _depends_on(local.get(id), remote.get(id)) for id in ids}
        if any(self._depends_on.get(id) != names for id, names in seen.items()):
            known = {**self._depends_on, **seen}
            self._depends_on = {id: names for id, names in known.items() if names is not None}
            self._found = list(_flaws(self._depends_on))


def _depends_on(local: LocalCard | None, remote: RemoteCard | None) -> Sequence[str] | None:
    """Return what a card depends on, as its row says where that shows it; ``None`` for no card."""
    if local is not None and DEPENDS_ON in local.fields:
        names = local.fields[DEPENDS_ON]
    elif remote is not None and remote.presence is not Presence.DELETED:
        names = remote.fields.get(DEPENDS_ON)
    elif local is None:
        return None
    else:
        names = ()
    return names if isinstance(names, tuple) else ()


def _flaws(depends_on: Mapping[str, Sequence[str]]) -> Iterator[_Flaw]:
    """Yield what is wrong with the dependencies."""
    for id, names in depends_on.items():
        if unknown := [each for each in names if each not in depends_on]:
            yield (
                (id,),
                "unknown-dependency",
                f"{id} depends on {', '.join(unknown)}, which {'does' if len(unknown) == 1 else 'do'} not exist",
                "Correct the id, or add that card; until then it counts as not done.",
            )
    for circle in find_cycles(depends_on):
        yield circle, "cycle", circle_text(circle), "Take one of the dependencies out of the file."


def _with_way_out(flaw: _Flaw, ways: Mapping[str, str]) -> _Flaw:
    """Return the flaw, its hint with the command that ends the hold on one of its cards."""
    ids, code, message, hint = flaw
    way = next((ways[id] for id in ids if id in ways), None) if code == "cycle" else None
    return flaw if way is None else (ids, code, message, f"{hint.rstrip('.')}, or {way}")


def _shown(view: LocalView, flaw: _Flaw) -> Problem | None:
    """Return the problem at the first row concerned; a cycle between cards of the store alone at the first file."""
    ids, code, message, hint = flaw
    for id in ids:
        if id in view.keys:
            return _at(view, id, code, message, hint)
    if code == "cycle" and view.reads:
        return Problem(next(iter(view.reads)), 1, 1, code, message, hint)
    return None


def without_unplaceable(view: LocalView, plan: Plan) -> tuple[Plan, tuple[Problem, ...]]:
    """Return the plan less the new rows whose ids cannot stand in a file, and a problem for each."""
    homeless = {each.id for each in plan.to_file if each.kind is ChangeKind.CREATE and not is_id(each.id)}
    if not homeless or not view.reads:
        return plan, ()
    path = next(iter(view.reads))
    problems = tuple(
        Problem(
            path,
            1,
            1,
            "unplaceable",
            f"the id {id!r} of a card in the store cannot stand in a file",
            f"Rename it in the store: no white space, '|' or control characters, and at most {ID_MAX} characters.",
        )
        for id in sorted(homeless)
    )
    return replace(plan, to_file=tuple(each for each in plan.to_file if each.id not in homeless)), problems


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
        self._kept: dict[str, tuple[Change, Refusal]] = {}

    def forget(self) -> None:
        """Let everything be tried again: what stood against it in the store may be gone."""
        self._kept.clear()

    def stands(self, change: Change) -> bool:
        """Return whether this very change was refused before."""
        kept = self._kept.get(change.id)
        return kept is not None and (kept[0].fields, kept[0].version) == (change.fields, change.version)

    def note(self, changes: Sequence[Change], result: BatchResult) -> None:
        """Take in what a batch told.  A lease that stands is no problem: reconcile sees it in the next pass."""
        for change in changes:
            refusal = result.refused.get(change.id)
            if refusal is not None and refusal.code != "not-owner":
                self._kept[change.id] = (change, refusal)
            elif change.id in result.cards:
                self._kept.pop(change.id, None)

    def problems(self, view: LocalView) -> list[Problem]:
        """Return a problem for each refusal that still matters."""
        return [
            _at(view, id, "refused", _named(id, refusal.message), "Change the row; it stays in the file as it is.")
            for id, (_, refusal) in self._kept.items()
            if id in view.local
        ]


def _named(id: str, message: str) -> str:
    return message if message.startswith(id) else f"{id}: {message}"


def _at(view: LocalView, id: str, code: str, message: str, hint: str) -> Problem:
    path, key = view.keys[id]
    card = view.documents[path].cards[key]
    return Problem(path, card.line, card.column, code, message, hint)
