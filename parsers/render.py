"""Writing a task file: the source with the edits made, and not a byte more.

Each dialect says what an edit replaces; here the edits of all cards are joined and made at once.  Before
a value is written it is read back from the row as it would stand: a place that would give anything else
cannot show the value, and is left alone.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Final, NamedTuple

from syncd.parsers.document import (
    AssignId,
    Container,
    Document,
    Edit,
    InsertCard,
    RemoveCard,
    SetField,
)
from syncd.parsers.fields import is_id, text_of
from syncd.parsers.proof import STATE_FIELDS, Made, is_as_meant, is_in_state, most, read_alone, reads_back
from syncd.parsers.rows import Table
from syncd.parsers.source import Replacement, patch
from syncd.parsers.tasks_md import parse
from syncd.parsers.values import as_list
from syncd.schemas.card import OWNER_TEXT, STATUS_WORD, Status, Value, canonical

_TITLE: Final = "# Tasks"
_TABLE: Final = ("| id | status | title | depends_on | priority |", "|---|---|---|---|---|")
_PLACES_MAX: Final = 20
"""Containers that are tried for a new card, before it gets a table of its own."""

_NUMBERED: Final = re.compile(r"(.*?)(\d+)", re.DOTALL)
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


def render(document: Document) -> bytes:
    """Return the bytes of a document: exactly those that it was read from."""
    return apply(document, ()) if document.readable else document.source


def apply(document: Document, edits: Sequence[Edit]) -> bytes:
    """Return the bytes of a document with all edits made at once.

    Args:
        edits: in any order; a card that is removed is not changed besides, and of two values for one field
            the last counts.

    Returns:
        The new file.  An edit for which :func:`can_show` says no, and a card for which the file has no
        place, change nothing.

    Holds: every byte that no edit names stays as it was; without edits, the source.
    """
    if not document.readable or not edits:
        return document.source
    made = _made(document, edits)
    if not made.is_local and not is_as_meant(document, made):
        kept = set(map(id, most(edits, partial(_made, document), partial(is_as_meant, document))))
        left = [edit for edit in edits if id(edit) not in kept]
        apart = {edit.id for edit in left if isinstance(edit, InsertCard)}
        fixed = {edit.key for edit in left if isinstance(edit, SetField)}
        make = partial(_made, document, apart=apart, fixed=fixed)
        made = make(most(edits, make, partial(is_as_meant, document)))
    return made.text.encode()


def _made(
    document: Document, edits: Sequence[Edit], *, apart: Set[str] = frozenset(), fixed: Set[int] = frozenset()
) -> Made:
    """Make edits, each judged by the lines of its card alone.

    Args:
        apart: ids of new cards that get a table of their own.
        fixed: keys of cards that stay where they stand, whatever changes.
    """
    changes: dict[int, dict[str, Value]] = {}
    removed: set[int] = set()
    names: dict[int, str] = {}
    inserts: list[InsertCard] = []
    for edit in edits:
        match edit:
            case SetField(key, field, value):
                changes.setdefault(key, {})[field] = canonical(value)
            case AssignId(key, id):
                names[key] = id
            case InsertCard():
                inserts.append(edit)
            case RemoveCard(key):
                removed.add(key)
    plan = _Plan(document, fixed)
    for key in sorted(changes.keys() - removed):
        plan.change(key, changes[key])
    for key in sorted(names.keys() - removed):
        plan.name(key, names[key])
    is_local = not plan.moves and all(isinstance(edit, SetField) and _is_row(document, edit.key) for edit in edits)
    news, added = _insertions(document, inserts, apart)
    text = patch(document.text.text, [*plan.replacements(), *_removals(document, removed), *news])
    return Made(text, plan.shown, plan.named, removed, added, is_local)


def _is_row(document: Document, key: int) -> bool:
    """Tell whether a card is a line that no value can make another kind of line."""
    return isinstance(document.homes[key][0], Table)


def can_show(document: Document, key: int, field: str, value: Value) -> bool:
    """Tell whether a card's place can hold this value of a field, so that reading it again gives the same."""
    return _shown(document, key, _with_state(document, field, canonical(value))) is not None


def id_habit(document: Document, key: int) -> tuple[str, int, int]:
    """Return how ids are made near a card, for one that has none.

    Returns:
        The prefix that most ids of the card's table or list have (else of the file's), the width to which
        their numbers are padded with zeros, and the highest number that the file has with this prefix.
        ``("", 0, 0)`` when no id ends in a number.
    """
    home = document.homes[key][0]
    near = [card.id for card, (container, _) in zip(document.cards, document.homes, strict=True) if container is home]
    everywhere = [card.id for card in document.cards]
    for ids in (near, everywhere):
        found = [parts for id in ids if id and (parts := _NUMBERED.fullmatch(id))]
        if not found:
            continue
        counts: dict[str, int] = {}
        for parts in found:
            counts[parts[1]] = counts.get(parts[1], 0) + 1
        prefix = max(counts, key=counts.__getitem__)
        numbers = [parts[2] for id in everywhere if id and (parts := _NUMBERED.fullmatch(id)) and parts[1] == prefix]
        width = max((len(each) for each in numbers if each.startswith("0")), default=1)
        return prefix, width, max(map(int, numbers))
    return "", 0, 0


def has_place(document: Document) -> bool:
    """Tell whether the document has a table, list or section to which a card can be added, empty ones too."""
    return document.can_insert and bool(document.containers)


def starter(cards: Sequence[InsertCard] = ()) -> bytes:
    """Return the content of a new task file, with a table and these cards in it."""
    empty = "\n".join([_TITLE, "", *_TABLE, ""]).encode()
    return apply(parse(empty), cards)


# -- changes of a card ------------------------------------------------------------------------------------


class _Plan:
    """What is replaced for each card, and which cards move."""

    def __init__(self, document: Document, fixed: Set[int]) -> None:
        self.document = document
        self.fixed = fixed
        self.changed: list[tuple[int, Replacement]] = []
        self.moves: list[tuple[tuple[int, int], int]] = []
        self.shown: dict[int, Mapping[str, Value]] = {}
        self.named: dict[int, str] = {}

    def change(self, key: int, wanted: Mapping[str, Value]) -> None:
        """Add the changes of one card: all of them together, or those that can be shown."""
        if "status" not in wanted and "status" not in self.document.cards[key].fields:
            # Whose claim it is cannot be said where nothing says that it is claimed.
            wanted = {name: value for name, value in wanted.items() if name != "claimOwner"}
        show = partial(_shown, self.document, key, may_move=key not in self.fixed)
        shown = show(wanted)
        if shown is None:
            able: dict[str, Value] = {}
            for group in _groups(wanted):
                if show(group) is not None:
                    able.update(group)
            wanted, shown = able, show(able) if able else None
        if shown is None:
            return
        self.shown[key] = wanted
        container, position = self.document.homes[key]
        self._add(key, shown.replacements)
        if shown.target is not None:
            self.moves.append((container.extent(position), shown.target))

    def name(self, key: int, id: str) -> None:
        """Add the id of a nameless row."""
        container, position = self.document.homes[key]
        card = self.document.cards[key]
        written = container.name(position, id) if card.id is None and is_id(id) else None
        again = read_alone(self.document, key, written, [], is_open_allowed=True) if written else None
        named = again.card_by_id(id) if again else None
        if written and named and named.fields.get("title") == card.fields.get("title"):
            self.named[key] = id
            self._add(key, written)

    def _add(self, key: int, replacements: Iterable[Replacement]) -> None:
        line = self.document.cards[key].line - 1
        self.changed += [(line, each) for each in replacements]

    def replacements(self) -> list[Replacement]:
        """Return all replacements; what changes in lines that move, moves with them."""
        source = self.document.text
        moved: list[Replacement] = []
        for (first, end), target in self.moves:
            lines: list[str] = []
            if any(heading.line == first for heading in self.document.headings):
                # A section takes the blank line before it along.
                if not source.is_blank(target - 1):
                    lines.append("")
                deleted = next((n for n in range(first, 0, -1) if not source.is_blank(n - 1)), first)
            else:
                deleted = first
            inside = [each for line, each in self.changed if first <= line < end]
            self.changed = [(line, each) for line, each in self.changed if not first <= line < end]
            lines += _LINE_END.split(patch(source.slice(first, end), inside, source.starts[first]))
            if not lines[-1]:
                lines.pop()
            moved += [source.insertion(target, _spaced(self.document, target, lines)), source.deletion(deleted, end)]
        return [*(each for _, each in self.changed), *moved]


def _groups(wanted: Mapping[str, Value]) -> Iterable[dict[str, Value]]:
    """Yield the changes that can be tried apart; what belongs to the state is tried together, then alone."""
    state = {name: value for name, value in wanted.items() if name in STATE_FIELDS}
    if len(state) > 1:
        for dropped in ((), (STATUS_WORD,), (OWNER_TEXT, "claimOwner")):
            yield {name: value for name, value in state.items() if name not in dropped}
    for name, value in wanted.items():
        if len(state) <= 1 or name not in state or name == "status":
            yield {name: value}


def _with_state(document: Document, field: str, value: Value) -> dict[str, Value]:
    """Return a change as it would come: an author's word with the state that it means, a claim with its state."""
    if field == "claimOwner":
        return {"status": Status.CLAIMED.value, field: value}
    return {field: value}


class _Shown(NamedTuple):
    """The replacements that show new values, and the line to which the card moves for them, if it does."""

    replacements: list[Replacement]
    target: int | None


def _shown(document: Document, key: int, wanted: Mapping[str, Value], *, may_move: bool = True) -> _Shown | None:
    """Return what shows the values, or ``None`` when the place cannot show all of them.

    A plan asks whether a value can be shown before and after the guards, and once more when it is written.
    """
    question = (key, tuple(wanted.items()), may_move)
    return document.once(question, lambda: _worked_out(document, key, wanted, may_move=may_move))


def _worked_out(document: Document, key: int, wanted: Mapping[str, Value], *, may_move: bool) -> _Shown | None:
    if not wanted or not all(_is_text(each) for value in wanted.values() for each in as_list(value)):
        return None
    container, position = document.homes[key]
    card = document.cards[key]
    pending = dict(wanted)
    target: int | None = None
    moved: list[Replacement] = []
    if "phase" in pending and ("phase" in card.weak or "phase" not in card.fields):
        phase = pending.pop("phase")
        if phase != card.fields.get("phase"):
            target = _place_under(document, container, position, phase) if may_move else None
            if target is None:
                return None
    if may_move and (section := container.section_for(position, pending)):
        target, moved = section
        pending = {name: value for name, value in pending.items() if name not in ("status", STATUS_WORD)}
    written = container.rewrite(position, pending) if pending else []
    if written is None or (pending and not reads_back(document, key, written, pending)):
        return None
    return _Shown(written + moved, target)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" or each == "\0" for each in value)


def _place_under(document: Document, home: Container, position: int, phase: Value) -> int | None:
    """Return the line behind the last container under a heading that can take the card's lines."""
    for container in reversed(document.containers):
        if container.heading == phase and container.admits(home, position):
            return container.tail({})
    return None


# -- cards that come and go -------------------------------------------------------------------------------


def _removals(document: Document, removed: set[int]) -> list[Replacement]:
    gone: dict[int, set[int]] = {}
    for key in removed:
        container, position = document.homes[key]
        gone.setdefault(id(container), set()).add(position)
    return [
        each
        for key in sorted(removed)
        for container, position in [document.homes[key]]
        for each in container.remove(position, gone[id(container)])
    ]


def _insertions(
    document: Document, inserts: Sequence[InsertCard], apart: Set[str]
) -> tuple[list[Replacement], list[InsertCard]]:
    """Return the replacements that add cards, and those cards: each at the end of its phase's container.

    One without a phase here goes to the last container; one that cannot stand there, or is ``apart``, to a new table.
    """
    if not document.can_insert:
        return [], []
    result: list[Replacement] = []
    added: list[InsertCard] = []
    homeless: list[InsertCard] = []
    for insert in inserts:
        if insert.id and not is_id(insert.id):
            continue
        put = None if insert.id in apart else _put(document, insert)
        if put is None:
            homeless += [insert] if insert.id else []
        else:
            result.append(put)
            added.append(insert)
    if homeless:
        table = _new_table(document, homeless)
        after = parse(patch(document.text.text, [table]).encode(), options=document.options)
        # Behind a fence or a comment that nobody closed, nothing can be put in.
        if all(after.card_by_id(each.id) for each in homeless):
            result.append(table)
            added += homeless
    return result, added


def _put(document: Document, insert: InsertCard) -> Replacement | None:
    """Return what adds a new card to the container of its phase or state, else to the last in which it can stand."""
    containers = document.containers[::-1]
    fitting = [each for each in containers if each.holds(insert.fields)]
    for container in itertools.islice(dict.fromkeys([*fitting[:1], *containers]), _PLACES_MAX):
        line, lines = container.tail(insert.fields), container.compose(insert.id, insert.fields)
        if line is not None and lines is not None and _stands(document, container, insert, lines):
            return document.text.insertion(line, _spaced(document, line, lines))
    return None


def _stands(document: Document, container: Container, insert: InsertCard, lines: list[str]) -> bool:
    """Tell whether a new card's lines, behind the last card of its container, are read as that card."""
    there = (card for card in reversed(document.cards) if document.homes[card.key][0] is container)
    last = next(there, None)
    # What a table is can depend on the ids in it.
    last = last if last is None or last.id is not None else next((card for card in there if card.id), last)
    if last is None:
        return True
    again = read_alone(document, last.key, [], lines)
    if again is None or not again.cards:
        return False
    new = again.card_by_id(insert.id) if insert.id else again.cards[-1]
    if new is None or (new.id or "") != insert.id:
        return False
    # Where the container is the card's, it stands under another heading than the last one, perhaps.
    if not container.holds(insert.fields) and not is_in_state(new, insert):
        return False
    title = text_of(insert.fields.get("title"))
    return not title or title.split() == text_of(new.fields.get("title", title)).split()


def _spaced(document: Document, line: int, lines: list[str]) -> list[str]:
    """Return lines with a blank one behind them where a heading follows at once."""
    return [*lines, ""] if any(heading.line == line for heading in document.headings) else lines


def _new_table(document: Document, inserts: Sequence[InsertCard]) -> Replacement:
    """Return the replacement that puts a table at the end of a file that has no place for cards."""
    source = document.text
    ending = source.line_end_near(len(source.lines) - 1)
    table = parse(("\n".join(_TABLE) + "\n").encode(), options=document.options)
    rows = _made(table, inserts).text.removesuffix("\n").split("\n")
    last = len(source.lines) - 1
    gap = "" if not source.lines else ending if source.is_blank(last) else ending * (1 if source.line_end(last) else 2)
    if source.lines and source.is_blank(last) and source.line_end(last):
        gap = ""
    end = len(source.text)
    return Replacement(end, end, gap + "".join(row + ending for row in rows))
