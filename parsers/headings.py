"""Heading per task: ``### T-001 Title`` with ``- key: value`` or ``Status: Done`` at once below it.

A heading is a task when it has an id and at least one key that is a card's field.  One without an id is a task among
such headings, when its keys say a status.  What follows the keys is the task's text, up to the next heading of its
level or a card of another dialect.  Writing is in ``sections.py``.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from syncd.parsers.blocks import Block
from syncd.parsers.boards import read_board
from syncd.parsers.bullets import Bullet, read_bullet, read_line
from syncd.parsers.dialect import Offer
from syncd.parsers.document import Heading
from syncd.parsers.fields import is_placeholder, read_priority, split_ids
from syncd.parsers.items import scan_heading, scan_item
from syncd.parsers.lexicon import extra_key
from syncd.parsers.reading import NOTHING_WEAK, Draft, Reading, owner_field
from syncd.parsers.sections import Sections, Task
from syncd.parsers.statuses import author_word, emoji_state, read_status
from syncd.parsers.words import EMPTY_VALUES, UNKNOWN_STATUS_HINT
from syncd.schemas.card import STATUS_WORD, Value

_LIST_GAP: Final = re.compile(r"[;\n]")
_KNOWN: Final = frozenset({"status", "priority", "dependsOn", "phase", "owner"})


class HeadingTasks:
    """The dialect: headings with keys below them."""

    name = "heading"
    reads = "a heading with an id, and `key: value` lines at once below it"
    kinds = frozenset({"heading"})

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._headings: dict[int, Heading] = {}
        self._named: set[tuple[int, int]] = set()
        self._tasks: list[tuple[Task, Heading | None]] = []

    def offer(self, offer: Offer) -> int | None:
        """Take a heading with its keys and its text."""
        task = self._task_at(offer.blocks, offer.index)
        if isinstance(task, str):
            self._reading.take("heading", offer.block.first, task)
            return None
        self._tasks.append((task, self._above(offer.block)))
        behind = offer.index + 2
        while behind < len(offer.blocks) and not self._ends_body(offer.blocks, behind, offer.block.level):
            behind += 1
        # A paragraph of keys can hold text too: its block is the body's first part.
        task.end = max(task.fields_end, offer.blocks[behind - 1].end)
        return behind

    def finish(self) -> None:
        """Read all tasks of the file; those under one heading share a container."""
        reading = self._reading
        groups: dict[int | None, Sections] = {}
        for task, heading in self._tasks:
            place = heading.line if heading else None
            if place not in groups:
                text = heading.text if heading else None
                groups[place] = Sections(reading.source, reading.lexicon, text, [], reading.containers)
                reading.containers.append(groups[place])
            groups[place].tasks.append(task)
        board = None
        if any("status" not in task.bullets for task, _ in self._tasks):
            items = [(heading, " ") for task, heading in self._tasks if "status" not in task.bullets]
            board = read_board(reading.source, reading.lexicon, reading.headings, items)
        if board:
            board.items = [(task.line, task.end) for task, _ in self._tasks]
        for sections in groups.values():
            sections.board = board if board and board.section_at(sections.tasks[0].line) else None
            for position, task in enumerate(sections.tasks):
                _read_task(reading, sections, position, task)
                reading.take("heading", task.line, _REASON if task.token else "a task among others, without an id", 1)

    def _above(self, block: Block) -> Heading | None:
        """Return the heading of the section in which a heading stands."""
        if not self._headings:
            self._headings = _parents(self._reading.headings)
        return self._headings.get(block.first)

    def _task_at(self, blocks: Sequence[Block], index: int) -> Task | str:
        """Return the task that begins at a heading, or why there is none."""
        reading, block = self._reading, blocks[index]
        heading = scan_heading(reading.source.lines[block.first])
        if heading is None:
            return "a heading of two lines"
        if heading.is_template:
            return "a template: its id is still to be filled in"
        found = _keys(reading, blocks[index + 1]) if index + 1 < len(blocks) else []
        if not found:
            return "no `key: value` at once below it"
        own = heading.find("id")
        bullets: dict[str, Bullet] = {}
        for bullet in found:
            field = reading.lexicon.field_of(bullet.key)
            if field is None or field in bullets or (field == "title" and heading.title()):
                field = extra_key(bullet.key)
            bullets.setdefault(field, bullet)
        token = heading.value(own) if own else bullets["id"].text() if "id" in bullets else ""
        if is_placeholder(token):
            return "a template: its id is still to be filled in"
        if not _KNOWN & bullets.keys():
            return "none of its keys is a card's field"
        has_status = "status" in bullets and read_status(bullets["status"].text(), reading.lexicon).state is not None
        if own is not None and own.style == "plain" and token.isdigit() and "id" not in bullets and not has_status:
            return "a number alone is an id only beside a status"
        task = Task(block.first, block.level, heading, found[-1].end, found[-1].end, bullets, token or None)
        above = self._above(block)
        place = (block.level, above.line if above else -1)
        if token:
            self._named.add(place)
        elif place not in self._named or not has_status or "id" in bullets:
            return "no id"
        return task

    def _ends_body(self, blocks: Sequence[Block], index: int, level: int) -> bool:
        block = blocks[index]
        if block.kind == "heading":
            return block.level <= level or isinstance(self._task_at(blocks, index), Task)
        if block.kind == "list":
            items = [scan_item(self._reading.source.lines[each.first]) for each in block.children]
            return any(item is not None and item.find("id") is not None for item in items)
        return block.kind == "table" and _is_task_table(self._reading, block)


_REASON: Final = "has an id and keys below it"


def _parents(headings: Sequence[Heading]) -> dict[int, Heading]:
    """Return for the line of each heading the heading of the section around it."""
    parents: dict[int, Heading] = {}
    around: list[Heading] = []
    for heading in headings:
        while around and around[-1].level >= heading.level:
            around.pop()
        if around:
            parents[heading.line] = around[-1]
        around.append(heading)
    return parents


def _keys(reading: Reading, block: Block) -> list[Bullet]:
    """Return the keys of the block below a heading, as far as they go without a break."""
    source = reading.source
    if block.kind == "list":
        if any(scan_item(source.lines[each.first]) for each in block.children):
            return []
        candidates = [[bullet] if (bullet := read_bullet(source, each)) else [] for each in block.children]
    elif block.kind == "paragraph":
        candidates = [read_line(source, line) for line in range(block.first, block.end)]
    else:
        return []
    found: list[Bullet] = []
    for each in candidates:
        if not each:
            break
        found += each
    return found


def _is_task_table(reading: Reading, block: Block) -> bool:
    names = {name for cell in reading.source.lines[block.first].split("|") for name in reading.lexicon.ranks(cell)}
    return {"id", "status"} <= names


def _read_task(reading: Reading, sections: Sections, position: int, task: Task) -> None:
    source = reading.source
    own = task.heading.find("id")
    fields: dict[str, Value] = {}
    weak = NOTHING_WEAK
    if "phase" not in task.bullets and sections.board is None:
        phase, weak = reading.weak_phase(sections.heading)
        fields.update(phase)
    fields["title"] = task.heading.title() or None
    fields["body"] = sections.body(position)
    if "status" not in task.bullets:
        _read_place(sections, task, fields)
    for name, bullet in task.bullets.items():
        if name not in ("id", "owner"):
            _read_key(reading, name, bullet, task.token, fields)
    if "owner" in task.bullets:
        fields[owner_field(fields)] = _value(task.bullets["owner"].text().lstrip("@"))
    line = task.heading.line
    text = [line if own is None else line[: own.start] + " " + line[own.end :], *source.lines[task.line + 1 : task.end]]
    rest = " ".join(text)
    reading.drafts.append(Draft(task.line, 0, task.token, fields, weak, sections.heading, rest, sections, position))


def _read_place(sections: Sections, task: Task, fields: dict[str, Value]) -> None:
    """Read the state of a task without such a key: from an emoji before its id, or from the section around it."""
    if (state := emoji_state(task.emoji)) is not None:
        fields["status"] = state.value
    elif sections.board is not None and (section := sections.board.section_at(task.line)) is not None:
        fields["status"], fields[STATUS_WORD] = section.state.value, section.word


def _read_key(reading: Reading, name: str, bullet: Bullet, token: str | None, fields: dict[str, Value]) -> None:
    text = bullet.text()
    if name == "dependsOn":
        ids = () if text.casefold() in EMPTY_VALUES else split_ids(text)
        fields[name] = reading.dependencies(ids, token, bullet.first, bullet.value_at)
    elif name == "status":
        _read_status(reading, bullet, text, fields)
    elif name == "acceptance":
        listed = bullet.values()
        values = listed if listed is not None else [] if text in EMPTY_VALUES else _LIST_GAP.split(text)
        fields[name] = tuple(each.strip() for each in values if each.strip())
    elif name != "priority":
        fields[name] = _value(text)
    elif (priority := 0 if text.casefold() in EMPTY_VALUES else read_priority(text)) is not None:
        fields[name] = priority
    else:
        reading.report(
            bullet.first,
            bullet.value_at,
            "bad-priority",
            f"{text!r} is no priority",
            "Write a whole number, P0 to P4, or low, medium, high, urgent, critical.",
        )


def _value(text: str) -> Value:
    return None if text.casefold() in EMPTY_VALUES else text


def _read_status(reading: Reading, bullet: Bullet, text: str, fields: dict[str, Value]) -> None:
    spelling = read_status(text, reading.lexicon)
    if spelling.state is not None:
        fields["status"], fields[STATUS_WORD] = spelling.state.value, author_word(spelling)
    elif not spelling.is_empty:
        reading.report(
            bullet.first,
            bullet.value_at,
            "unknown-status",
            f"{text!r} is no status that is known",
            UNKNOWN_STATUS_HINT,
        )
