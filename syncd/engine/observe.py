"""What the files say: documents, local cards, nameless rows and problems, in one look.

A document is parsed once per content.  A file that cannot be read, or that is no text, is *frozen*: its
cards take part in nothing, and nothing is concluded from their absence.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.core.plan import BaseCard, LocalCard
from syncd.core.values import others
from syncd.parsers.document import Document, FileCard, ParseOptions, Problem
from syncd.parsers.tasks_md import parse
from syncd.ports import FileRead, State, TaskFiles

HELD_FILES: Final = "files.held"
"""Under this name the state remembers the contents that are held as a whole: they have settled already."""


class Row(msgspec.Struct, frozen=True):
    """A nameless row: where it stands and what it says; ``mark`` tells it from its equals in the same file."""

    path: str
    key: int
    mark: str
    card: FileCard


class LocalView(msgspec.Struct, frozen=True):
    """The files as one look found them.

    ``keys`` gives a card's file and its key in that file's document; ``elsewhere`` the rows that repeat the
    id of a card in an earlier file.
    """

    reads: Mapping[str, FileRead]
    documents: Mapping[str, Document]
    local: Mapping[str, LocalCard]
    keys: Mapping[str, tuple[str, int]]
    nameless: tuple[Row, ...]
    problems: tuple[Problem, ...]
    frozen: frozenset[str]

    def with_ids(self, ids: Mapping[tuple[str, int], str]) -> LocalView:
        """Return the view as it will be once these nameless rows have these ids."""
        if not ids:
            return self
        local, keys = dict(self.local), dict(self.keys)
        for row in self.nameless:
            id = ids.get((row.path, row.key))
            if id is not None and id not in local:
                local[id] = local_card(id, row.path, row.card)
                keys[id] = (row.path, row.key)
        if len(local) == len(self.local):
            return self
        rank = {path: place for place, path in enumerate(self.reads)}
        order = sorted(local, key=lambda id: (rank[keys[id][0]], keys[id][1]))
        return replace(self, local={id: local[id] for id in order}, keys=keys)

    def with_absent(self, path: str) -> LocalView:
        """Return the view with a task file that is not there."""
        return replace(self, reads={**self.reads, path: FileRead(path, None, None, None)})


def local_card(id: str, path: str, card: FileCard) -> LocalCard:
    """Return reconcile's view of a card in a file."""
    return LocalCard(id=id, fields=card.fields, path=path, line=card.line, weak=card.weak, heading=card.heading)


class _Collected(msgspec.Struct, frozen=True):
    """What a look made of a file's cards; ``is_plain`` when each has an id of its own, and nothing was to be told."""

    cards: Sequence[FileCard]
    local: dict[str, LocalCard]
    keys: dict[str, tuple[str, int]]
    is_plain: bool


class Observer:
    """Looks at the task files, remembering what it parsed and when each content was first seen.

    Args:
        options: what the configuration says about reading a path.
        monotonic: seconds, from any start; never a wall clock.
        priority_range: the lowest and the highest priority that a row may have.
    """

    def __init__(
        self,
        files: TaskFiles,
        state: State,
        options: Callable[[str], ParseOptions],
        monotonic: Callable[[], float],
        *,
        priority_range: tuple[int, int] | None = None,
    ) -> None:
        self._files = files
        self._priority_range = priority_range
        self._state = state
        self._options = options
        self._monotonic = monotonic
        self._documents: dict[str, tuple[str, Document]] = {}
        self._collected: dict[str, _Collected] = {}
        """What was made of each file at the last look; a row that did not change is not made anew."""
        self._seen_at: dict[str, tuple[str | None, float]] = {}
        self._base: Mapping[str, BaseCard] = {}
        self._homes: frozenset[str] = frozenset()
        self._foreign: frozenset[str] = frozenset()
        self.saw_editor = False
        self.last = LocalView({}, {}, {}, {}, (), (), frozenset())
        self.signatures: dict[str, tuple[int, ...] | None] = {}

    def has_moved(self) -> bool:
        """Return whether any task file may have changed since the last look (one stat a file)."""
        paths = self._paths()
        return set(paths) != self.signatures.keys() or any(
            self._files.signature(path) != self.signatures[path] for path in paths
        )

    def _paths(self) -> tuple[str, ...]:
        """Return the task files, and those that cards are known to stand in although nothing names them any more.

        A glob does not find a file that is gone; its cards are missing all the same.
        """
        named = self._files.paths()
        base = self._state.base()
        if base is not self._base:
            before, self._base = self._base, base
            if any(
                id not in base or id not in before or base[id].path != before[id].path for id in others(base, before)
            ):
                self._homes = frozenset(card.path for card in base.values() if card.path is not None)
        return (*named, *sorted(self._homes.difference(named)))

    def look(self) -> LocalView:
        """Read every task file and return what they say."""
        reads = {path: self._files.read(path) for path in self._paths()}
        self.signatures = {path: read.signature for path, read in reads.items()}
        self._foreign = frozenset(path for path in self._homes.intersection(reads) if not self._files.names(path))
        self.saw_editor = False
        for path, read in reads.items():
            if read.error is None:
                self._date(path, read.digest)
        self.last = self._view(reads)
        self._base = self._state.share(self._base, self.last.local)
        return self.last

    def after(self, written: Mapping[str, tuple[bytes, str] | None]) -> LocalView:
        """Return the last look with these files as syncd has just written them: bytes and digest, or removed."""
        if not written:
            return self.last
        reads = dict(self.last.reads)
        for path, made in written.items():
            data, digest = made or (None, None)
            reads[path] = FileRead(path, data, digest, self.signatures.get(path))
        self.last = self._view(reads)
        return self.last

    def _view(self, reads: Mapping[str, FileRead]) -> LocalView:
        documents: dict[str, Document] = {}
        local: dict[str, LocalCard] = {}
        keys: dict[str, tuple[str, int]] = {}
        nameless: list[Row] = []
        problems: list[Problem] = []
        frozen: set[str] = set()
        for path, read in reads.items():
            if path in self._foreign:
                problems.append(_not_configured(path))
                frozen.add(path)
            elif read.error is not None:
                problems.append(self._or_back(_unreadable(path, read.error, read.remedy)))
                frozen.add(path)
            elif read.data is not None:
                document = documents[path] = self.document(path, read.digest or "", read.data)
                problems.extend(document.problems if document.readable else map(self._or_back, document.problems))
                if read.links > 1:
                    problems.append(_hard_linked(path, read.links))
                if document.readable:
                    self._collect(path, document, local, keys, nameless, problems)
                else:
                    frozen.add(path)
        return LocalView(reads, documents, local, keys, tuple(nameless), tuple(problems), frozenset(frozen))

    def _or_back(self, problem: Problem) -> Problem:
        """Return the problem of a file from which nothing is read, with how to have it back as it was before."""
        if problem.path not in self._homes:
            return problem
        way = f"Or have it back as it was: rm {shlex.quote(problem.path)}, and syncd writes it again."
        return replace(problem, hint=f"{problem.hint} {way}")

    def _collect(
        self,
        path: str,
        document: Document,
        local: dict[str, LocalCard],
        keys: dict[str, tuple[str, int]],
        nameless: list[Row],
        problems: list[Problem],
    ) -> None:
        """Add a document's cards to the view that is being made."""
        past = self._collected.get(path)
        if past is not None and (again := self._collected_again(past, path, document)) is not None:
            self._collected[path] = again
            if local.keys().isdisjoint(again.local):
                local.update(again.local)
                keys.update(again.keys)
                return
        before = {} if past is None else {each.id: each for each in past.cards}
        known = {} if past is None else past.local
        marks: Counter[str] = Counter()
        made: dict[str, LocalCard] = {}
        places: dict[str, tuple[str, int]] = {}
        told = len(problems)
        has_range = self._priority_range is not None
        for card in document.cards:
            id = card.id
            if id is None:
                marks[card.text] += 1
                nameless.append(Row(path, card.key, f"{card.text}#{marks[card.text]}", card))
            elif id in local:
                problems.append(_repeated(path, card, local[id]))
            else:
                if has_range and not self._is_in_range(card):
                    problems.append(_out_of_range(path, card, self._priority_range))
                is_same = before.get(id) is card and id in known
                made[id] = local[id] = known[id] if is_same else self._made(id, path, card)
                places[id] = keys[id] = (path, card.key)
        is_plain = len(made) == len(document.cards) and len(problems) == told
        self._collected[path] = _Collected(document.cards, made, places, is_plain)

    def _collected_again(self, known: _Collected, path: str, document: Document) -> _Collected | None:
        """Return what a file shows in which rows changed but none came or went; ``None`` where more is to be told."""
        cards = document.cards
        if not known.is_plain or len(cards) != len(known.cards):
            return None
        changed = [card for card, was in zip(cards, known.cards, strict=True) if card is not was]
        for card in changed:
            if card.id is None or known.keys.get(card.id) != (path, card.key) or not self._is_in_range(card):
                return None
        made = {str(card.id): self._made(str(card.id), path, card) for card in changed}
        return _Collected(cards, {**known.local, **made}, known.keys, is_plain=True)

    def _made(self, id: str, path: str, card: FileCard) -> LocalCard:
        """Return reconcile's view of a card; one with a priority out of range says nothing of priority."""
        made = local_card(id, path, card)
        if self._is_in_range(card):
            return made
        return replace(made, fields={name: value for name, value in made.fields.items() if name != "priority"})

    def _is_in_range(self, card: FileCard) -> bool:
        priority = card.fields.get("priority")
        if self._priority_range is None or not isinstance(priority, int):
            return True
        return self._priority_range[0] <= priority <= self._priority_range[1]

    def document(self, path: str, digest: str, data: bytes) -> Document:
        """Return the parsed document, from memory when the content is the one parsed last."""
        known = self._documents.get(path)
        if known is not None and known[0] == digest:
            return known[1]
        before = known[1] if known is not None else None
        document = parse(data, path=path, options=self._options(path), previous=before)
        self._documents[path] = (digest, document)
        return document

    def wrote(self, path: str, digest: str) -> None:
        """Note that syncd itself put this content there: it is settled and no news.

        Somebody may have saved right behind that: then the file keeps looking as if it had moved.
        """
        self._seen_at[path] = (digest, float("-inf"))
        read = self._files.read(path)
        if read.digest == digest:
            self.signatures[path] = read.signature

    def age_ms(self, path: str) -> int | None:
        """Return how long ago the content seen last was first seen, ``None`` for one that is no news."""
        _, at = self._seen_at.get(path, (None, float("-inf")))
        return None if at == float("-inf") else int((self._monotonic() - at) * 1000)

    def forget(self) -> None:
        """Make the next look count every file as changed."""
        self.signatures = {}

    def _date(self, path: str, digest: str | None) -> None:
        known = self._seen_at.get(path)
        if known is not None and known[0] == digest:
            return
        is_news = known is not None or (digest is not None and not self._is_known(path, digest))
        is_news = is_news or (digest is None and any(card.path == path for card in self._state.base().values()))
        self.saw_editor |= is_news
        self._seen_at[path] = (digest, self._monotonic() if is_news else float("-inf"))

    def _is_known(self, path: str, digest: str) -> bool:
        """Return whether this content was there when somebody last looked: taken in, or held as a whole."""
        if self._state.version_rank(path, digest) == 0:
            return True
        return bool(json.loads(self._state.meta(HELD_FILES) or "{}").get(path) == digest)


def _unreadable(path: str, error: str, remedy: str | None) -> Problem:
    return Problem(
        path=path,
        line=1,
        column=1,
        code="unreadable",
        message=error,
        hint=f"{remedy or 'Make the file readable again'}; nothing is synced from it or to it until then.",
    )


def _hard_linked(path: str, links: int) -> Problem:
    return Problem(
        path=path,
        line=1,
        column=1,
        code="hard-linked",
        message=f"{path} has {links} names; the first write parts it from the others, which stay as they are",
        hint="Make the other names symbolic links to it, or copies.",
    )


def _not_configured(path: str) -> Problem:
    return Problem(
        path=path,
        line=1,
        column=1,
        code="not-configured",
        message=f"{path} is no task file of this workspace any more, but cards stand in it",
        hint=f"Put {path} back under tasks: in syncd.yaml; or move its rows to another task file first.",
    )


def _out_of_range(path: str, card: FileCard, bounds: tuple[int, int] | None) -> Problem:
    lowest, highest = bounds or (0, 0)
    return Problem(
        path=path,
        line=card.line,
        column=card.column,
        code="bad-priority",
        message=f"{card.id} has the priority {card.fields['priority']}; it may be {lowest} to {highest}",
        hint="Correct it, or change priority_range in syncd.yaml.",
    )


def _repeated(path: str, card: FileCard, first: LocalCard) -> Problem:
    return Problem(
        path=path,
        line=card.line,
        column=card.column,
        code="duplicate-id",
        message=f"{card.id} stands in {first.path} already, line {first.line}; that one is the card",
        hint="Give this row an id of its own, or take it out.",
    )
