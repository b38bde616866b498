"""Heading per task: ``### T-001 Title`` with ``- key: value`` or ``Status: Done`` at once below it.

A heading is a task when it has an id and at least one key that is a card's field.  What follows the keys
is the task's text, up to the next heading of its level or a card of another dialect.  Writing is in
``sections.py``.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from syncd.parsers.blocks import Block
from syncd.parsers.bullets import Bullet, read_bullet, read_line
from syncd.parsers.fields import is_placeholder, read_priority, split_ids
from syncd.parsers.items import scan_heading, scan_item
from syncd.parsers.lexicon import extra_key
from syncd.parsers.reading import NOTHING_WEAK, Draft, Reading, owner_field
from syncd.parsers.sections import Sections, Task
from syncd.parsers.statuses import author_word, read_status
from syncd.parsers.words import EMPTY_VALUES, UNKNOWN_STATUS_HINT
from syncd.schemas.card import STATUS_WORD, Value

_LIST_GAP: Final = re.compile(r"[;\n]")
_KNOWN: Final = frozenset({"status", "priority", "dependsOn", "phase", "owner"})


def read_heading_task(reading: Reading, blocks: Sequence[Block], index: int) -> tuple[Task, int] | None:
    """Return the task that begins at a heading, with the index of the block behind it; ``None`` if it is none."""
    block = blocks[index]
    task = _task_at(reading, blocks, index)
    if task is None:
        return None
    behind = index + 2
    while behind < len(blocks) and not _ends_body(reading, blocks, behind, block.level):
        behind += 1
    # A paragraph of keys can hold text too: its block is the body's first part.
    task.end = max(task.fields_end, blocks[behind - 1].end)
    return task, behind


def _task_at(reading: Reading, blocks: Sequence[Block], index: int) -> Task | None:
    block = blocks[index]
    heading = scan_heading(reading.source.lines[block.first])
    if heading is None or index + 1 >= len(blocks) or heading.is_template:
        return None
    found = _keys(reading, blocks[index + 1])
    if not found:
        return None
    own = heading.find("id")
    bullets: dict[str, Bullet] = {}
    for bullet in found:
        field = reading.lexicon.field_of(bullet.key)
        if field is None or field in bullets or (field == "title" and heading.title()):
            field = extra_key(bullet.key)
        bullets.setdefault(field, bullet)
    token = heading.value(own) if own else bullets["id"].text() if "id" in bullets else ""
    if not token or is_placeholder(token) or not _KNOWN & bullets.keys():
        return None
    has_status = "status" in bullets and read_status(bullets["status"].text(), reading.lexicon).state
    if own is not None and own.style == "plain" and token.isdigit() and "id" not in bullets and not has_status:
        return None
    return Task(block.first, block.level, heading, found[-1].end, found[-1].end, bullets)


def _keys(reading: Reading, block: Block) -> list[Bullet]:
    """Return the keys of the block below a heading, as far as they go without a break."""
    source = reading.source
    if block.kind == "list":
        if any(scan_item(source.lines[each.first]) for each in block.children):
            return []
        candidates = [read_bullet(source, each) for each in block.children]
    elif block.kind == "paragraph":
        candidates = [read_line(source, line) for line in range(block.first, block.end)]
    else:
        return []
    found: list[Bullet] = []
    for each in candidates:
        if each is None:
            break
        found.append(each)
    return found


def _ends_body(reading: Reading, blocks: Sequence[Block], index: int, level: int) -> bool:
    block = blocks[index]
    if block.kind == "heading":
        return block.level <= level or _task_at(reading, blocks, index) is not None
    if block.kind == "list":
        items = [scan_item(reading.source.lines[each.first]) for each in block.children]
        return any(item is not None and item.find("id") is not None for item in items)
    return block.kind == "table" and "|" in reading.source.lines[block.first] and _is_task_table(reading, block)


def _is_task_table(reading: Reading, block: Block) -> bool:
    names = {name for cell in reading.source.lines[block.first].split("|") for name in reading.lexicon.ranks(cell)}
    return {"id", "status"} <= names


def read_sections(reading: Reading, found: Sequence[tuple[Task, str | None]]) -> None:
    """Read the cards of all heading tasks of a file; those under one heading share a container."""
    groups: dict[str | None, Sections] = {}
    for task, heading in found:
        if heading not in groups:
            groups[heading] = Sections(reading.source, reading.lexicon, heading, [], reading.containers)
            reading.containers.append(groups[heading])
        groups[heading].tasks.append(task)
    for heading, sections in groups.items():
        for position, task in enumerate(sections.tasks):
            _read_task(reading, sections, position, task, heading)
            reading.take("heading", task.line, "has an id and keys below it", 1)


def _read_task(reading: Reading, sections: Sections, position: int, task: Task, heading: str | None) -> None:
    source = reading.source
    own = task.heading.find("id")
    token = task.heading.value(own) if own else task.bullets["id"].text()
    fields: dict[str, Value] = {}
    weak = NOTHING_WEAK
    if "phase" not in task.bullets:
        phase, weak = reading.weak_phase(heading)
        fields.update(phase)
    fields["title"] = task.heading.title() or None
    fields["body"] = sections.body(position)
    for name, bullet in task.bullets.items():
        if name not in ("id", "owner"):
            _read_key(reading, name, bullet, token, fields)
    if "owner" in task.bullets:
        fields[owner_field(fields)] = _value(task.bullets["owner"].text())
    line = task.heading.line
    text = [line if own is None else line[: own.start] + " " + line[own.end :], *source.lines[task.line + 1 : task.end]]
    reading.drafts.append(
        Draft(task.line, 0, token, fields, weak, heading, " ".join(" ".join(text).split()), sections, position)
    )


def _read_key(reading: Reading, name: str, bullet: Bullet, token: str, fields: dict[str, Value]) -> None:
    text = bullet.text()
    reader = _READERS.get(name)
    if name == "dependsOn":
        ids = () if text.casefold() in EMPTY_VALUES else split_ids(text)
        fields[name] = reading.dependencies(ids, token, bullet.first, bullet.value_at)
    elif name == "status":
        _read_status(reading, bullet, text, fields)
    elif name == "acceptance":
        listed = bullet.values()
        values = listed if listed is not None else [] if text in EMPTY_VALUES else _LIST_GAP.split(text)
        fields[name] = tuple(each.strip() for each in values if each.strip())
    elif reader is None:
        fields[name] = _value(text)
    elif (value := reader(text)) is not None:
        fields[name] = value
    else:
        reading.report(
            bullet.first,
            bullet.value_at,
            "bad-priority",
            f"{text!r} is no priority",
            "Write a whole number, P0 to P4, or low, medium, high, urgent, critical.",
        )


def _read_priority(text: str) -> int | None:
    return 0 if text.casefold() in EMPTY_VALUES else read_priority(text)


_READERS: Final[dict[str, Callable[[str], int | None]]] = {"priority": _read_priority}


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
