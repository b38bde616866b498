"""Checklists: which items are cards, and what they say.

An item is a card when it has a checkbox and a text.  Indented text below is its body, ``- **Key**: value``
below are fields, and checklist items below are cards of their own.  Writing is in ``lists.py``.
May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from syncd.parsers.blocks import Block
from syncd.parsers.boards import read_board
from syncd.parsers.bullets import read_bullet
from syncd.parsers.dialect import Offer
from syncd.parsers.document import Heading
from syncd.parsers.entries import Entry, priority_of
from syncd.parsers.fields import is_empty, read_priority, split_ids
from syncd.parsers.lexicon import extra_key
from syncd.parsers.lists import Checklist
from syncd.parsers.reading import NOTHING_WEAK, Draft, Reading, owner_field
from syncd.parsers.statuses import section_state
from syncd.parsers.words import MARK_STATES
from syncd.schemas.card import STATUS_WORD, Value

_PLAIN_KEYS: Final = frozenset({"id", "dependsOn", "priority", "owner", "acceptance", "body"})
_PLAIN_EXTRA: Final = frozenset({"files", "tags"})
_COUNTED_MIN: Final = 3
_LIST_GAP: Final = re.compile(r"[;\n]")


class Listed(msgspec.Struct, frozen=True):
    """A top-level list of the file, with the heading above it."""

    block: Block
    heading: Heading | None
    is_ignored: bool


class Checklists:
    """The dialect: lists whose items have a checkbox; whether they make a board shows only in all of them."""

    name = "checklist"
    reads = "a list whose items have a checkbox"
    kinds = frozenset({"list"})

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._lists: list[Listed] = []

    def offer(self, offer: Offer) -> int | None:
        """Keep a list for later."""
        self._lists.append(Listed(offer.block, offer.heading, offer.is_ignored))
        return offer.index + 1

    def finish(self) -> None:
        """Read the cards of all lists."""
        _read_checklists(self._reading, self._lists)


def _read_checklists(reading: Reading, lists: Sequence[Listed]) -> None:
    """Read the cards of all checklists of a file; whether it is a board shows only in all of them."""
    found: list[tuple[Checklist, Heading | None]] = []
    for listed in lists:
        heading = listed.heading.text if listed.heading else None
        entries: list[Entry] = []
        _collect(reading, listed.block, None, entries)
        if not entries:
            reading.take("list", listed.block.first, "no item has a checkbox")
            continue
        _settle_numbers(reading, entries)
        if reason := _refusal(reading, listed, entries):
            reading.take("list", listed.block.first, reason)
            continue
        block = listed.block
        checklist = Checklist(
            reading.source, reading.lexicon, (block.first, block.end), entries, heading, reading.containers
        )
        reading.containers.append(checklist)
        found.append((checklist, listed.heading))
    board = read_board(
        reading.source,
        reading.lexicon,
        reading.headings,
        [
            (heading, each.item.mark)
            for each_list, heading in found
            for each in each_list.entries
            if each.parent is None
        ],
    )
    has_states = any(section_state(each.text, reading.lexicon) for each in reading.headings)
    if board:
        board.items = [(each.first, each.end) for made, _ in found for each in made.entries if each.parent is None]
    for checklist, _ in found:
        checklist.is_certain = not has_states and any(_token(each) for each in checklist.entries)
        checklist.board = board if board and board.section_at(checklist.first) else None
        before = len(reading.drafts)
        _read_entries(reading, checklist)
        reason = "items with a checkbox under a heading that is a state" if checklist.board else "items with a checkbox"
        reading.take("checklist", checklist.first, reason, len(reading.drafts) - before)


def _refusal(reading: Reading, listed: Listed, entries: Sequence[Entry]) -> str | None:
    if listed.is_ignored:
        return f"under {listed.heading.text!r}, which ignore_headings names" if listed.heading else "ignored"
    titles = [entry.item.title() for entry in entries]
    is_named = any(_token(entry) for entry in entries)
    if len(entries) > 1 and not is_named and all(map(reading.lexicon.is_state_name, titles)):
        return "a legend: every item is a status word"
    if not any(entry.item.mark in MARK_STATES for entry in entries) and not is_named:
        return "no mark in its boxes is known"
    if not any(entry.is_card for entry in entries):
        return "a template: its ids are still to be filled in" if any(titles) else "no item has a text"
    return None


def _collect(reading: Reading, block: Block, parent: int | None, entries: list[Entry]) -> None:
    """Add the items of a list that have a checkbox, with those below them, in the order of the file."""
    for each in block.children:
        item = reading.item(each.first)
        position = parent
        if item is not None:
            position = len(entries)
            entry = Entry(each.first, each.end if parent is None else _own_end(reading, each), item, parent)
            entry.is_card = bool(item.title() or item.find("id")) and not item.is_template
            entries.append(entry)
            if parent is not None:
                entries[parent].nested.append(position)
        for child in each.children:
            if child.kind == "list":
                if item is not None:
                    _read_bullets(reading, entries[-1] if position is None else entries[position], child)
                _collect(reading, child, position, entries)
        if item is not None and position is not None:
            _find_body(reading, entries, position)


def _own_end(reading: Reading, item: Block) -> int:
    """Return the line behind a nested item.

    Markdown lets its text go on in lines that are indented less; a person means the item above with them.
    """
    lines = reading.source.lines
    width = _width(lines[item.first])
    return next(
        (n for n in range(item.first + 1, item.end) if lines[n].strip() and _width(lines[n]) <= width), item.end
    )


def _width(line: str) -> int:
    text = line.expandtabs(4)
    return len(text) - len(text.lstrip())


def _read_bullets(reading: Reading, entry: Entry, block: Block) -> None:
    for each in block.children:
        bullet = read_bullet(reading.source, each)
        if bullet is None:
            continue
        field = reading.lexicon.field_of(bullet.key)
        if not bullet.is_bold and field not in _PLAIN_KEYS and bullet.key.casefold() not in _PLAIN_EXTRA:
            continue
        if field is None or field in ("title", "status"):
            field = extra_key(bullet.key)
        own = entry.item.find("id")
        if field == "id" and own is not None and own.style in ("comment", "sign"):
            continue
        entry.bullets.setdefault(field, bullet)


def _find_body(reading: Reading, entries: Sequence[Entry], position: int) -> None:
    """Find the lines below an item that are neither a field nor an item of their own."""
    entry = entries[position]
    lines = reading.source.lines
    others = {
        line
        for first, end in (
            *((each.first, each.end) for each in entry.bullets.values()),
            *((entries[each].first, entries[each].end) for each in entry.nested),
        )
        for line in range(first, end)
    }
    start: int | None = None
    for line in range(entry.first + 1, entry.end + 1):
        text = lines[line] if line < entry.end else ""
        is_own = line < entry.end and line not in others and (not text or text[0] in " \t")
        if is_own and text.strip() and start is None:
            start = line
        elif not is_own and start is not None:
            end = line
            while not lines[end - 1].strip():
                end -= 1
            entry.body.append((start, end))
            start = None


def _settle_numbers(reading: Reading, entries: Sequence[Entry]) -> None:
    """Read bare numbers in front as ids where half of the items have one, each higher than the one before.

    ``3 apples`` is a title: beside items without an id, it takes three such numbers, or a first one that is 1.
    """
    tokens = [entry.item.find("id") for entry in entries]
    texts = [entry.item.value(own) for entry, own in zip(entries, tokens, strict=True) if own]
    numbers = [int(text) for text in texts if text.isdecimal()]
    is_counted = len(numbers) * 2 >= len(entries) and all(one < next for one, next in pairwise(numbers))
    is_named = all(own or "id" in entry.bullets for entry, own in zip(entries, tokens, strict=True))
    if not numbers or (is_counted and (is_named or numbers[0] == 1 or len(numbers) >= _COUNTED_MIN)):
        return
    for entry in entries:
        again = reading.item(entry.first, accept_number=False)
        if again is not None:
            entry.item = again


def _read_entries(reading: Reading, checklist: Checklist) -> None:
    for position, entry in enumerate(checklist.entries):
        if entry.is_card:
            read_entry(reading, checklist, position)


def read_entry(reading: Reading, checklist: Checklist, position: int) -> None:
    """Read the card of one item."""
    entry = checklist.entries[position]
    token = _token(entry)
    fields: dict[str, Value] = {}
    weak = _read_place(reading, checklist, entry, fields)
    _read_fields(reading, checklist, position, token, fields)
    if entry.parent is not None and (parent := _token(checklist.entries[entry.parent])) is not None:
        fields["extra.parent"] = reading.lexicon.id_of(parent)
    own = entry.item.find("id")
    rest = entry.item.line if own is None else entry.item.line[: own.start] + " " + entry.item.line[own.end :]
    reading.drafts.append(
        Draft(entry.first, entry.indent, token, fields, weak, checklist.heading, rest, checklist, position)
    )


def _token(entry: Entry) -> str | None:
    if bullet := entry.bullets.get("id"):
        return bullet.text().partition("\n")[0].strip("`*") or None
    own = entry.item.find("id")
    return entry.item.value(own) if own else None


def _read_place(reading: Reading, checklist: Checklist, entry: Entry, fields: dict[str, Value]) -> frozenset[str]:
    """Read the state and the phase, which may both come from the heading; return what is weak."""
    state = MARK_STATES.get(entry.item.mark)
    if state is None:
        reading.report(
            entry.first,
            entry.item.mark_at,
            "unknown-status",
            f"[{entry.item.mark}] is no mark that is known",
            "Write [ ], [~], [!] or [x].",
        )
    elif checklist.board is not None:
        section = checklist.board.section_at(entry.first)
        if section is not None and (entry.item.mark == " " or state is section.state):
            state = section.state
            fields[STATUS_WORD] = section.word
        elif section is not None:
            fields[STATUS_WORD] = None
    if state is not None:
        fields["status"] = state.value
    own = entry.item.find("phase")
    if bullet := entry.bullets.get("phase"):
        fields["phase"] = bullet.text() or None
    elif own is not None:
        fields["phase"] = entry.item.value(own)
    elif checklist.board is None:
        phase, weak = reading.weak_phase(checklist.heading)
        fields.update(phase)
        return weak
    return NOTHING_WEAK


def _read_fields(
    reading: Reading, checklist: Checklist, position: int, own: str | None, fields: dict[str, Value]
) -> None:
    entry = checklist.entries[position]
    item = entry.item
    fields["title"] = item.title() or None
    fields["body"] = checklist.body(position)
    texts = {name: bullet.text() for name, bullet in entry.bullets.items()}
    token = item.find("dependsOn")
    if "dependsOn" in texts or token is not None:
        text = texts["dependsOn"] if "dependsOn" in texts else item.value(token) if token else ""
        fields["dependsOn"] = reading.dependencies(split_ids(text), own, entry.first, token.start if token else 0)
    else:
        fields["dependsOn"] = ()
    _read_priority(reading, entry, texts.get("priority"), fields)
    token = item.find("owner")
    owner = texts["owner"].lstrip("@") if "owner" in texts else item.value(token) if token else ""
    fields[owner_field(fields)] = owner or None
    if bullet := entry.bullets.get("acceptance"):
        listed = bullet.values()
        values = listed if listed is not None else _LIST_GAP.split(texts["acceptance"])
        fields["acceptance"] = tuple(each.strip() for each in values if each.strip())
    for name, text in texts.items():
        if name.startswith("extra."):
            fields[name] = None if is_empty(text) else text


def _read_priority(reading: Reading, entry: Entry, text: str | None, fields: dict[str, Value]) -> None:
    token = entry.item.find("priority")
    if text is None and token is not None:
        fields["priority"] = priority_of(token, entry.item)
        return
    priority = read_priority(text or "")
    if priority is not None:
        fields["priority"] = priority
        return
    bullet = entry.bullets["priority"]
    reading.report(
        bullet.first,
        bullet.value_at,
        "bad-priority",
        f"{text!r} is no priority",
        "Write a whole number, P0 to P4, or low, medium, high, urgent, critical.",
    )
