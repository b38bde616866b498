"""The YAML block at the top of a file: what it says about the file, or a whole card.

Read and written by the places of its scalars, so that comments, order and quotes stay.  A block with an id, a
title and a status makes the file one card: its text is the card's body, and checklists in it are text.
ruamel.yaml is imported only for a file that has such a block.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from syncd.parsers.document import Container, FrontMatter
from syncd.parsers.fields import is_id, looks_like_id, read_priority, split_ids, text_of, write_priority
from syncd.parsers.lexicon import Lexicon, extra_key
from syncd.parsers.reading import NOTHING_WEAK, Draft, Reading, owner_field
from syncd.parsers.source import Replacement, Source
from syncd.parsers.statuses import author_word, default_text, read_status, write_status
from syncd.parsers.values import OWNERS, as_list, owner_value, state_of
from syncd.parsers.words import EMPTY_VALUES, UNKNOWN_STATUS_HINT
from syncd.schemas.card import STATUS_WORD, Fields, Value

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_KEY: Final = re.compile(r"[^\W\d][\w -]*:(?:\s|$)")
_ID_COMMENT: Final = re.compile(r"#[ \t]*(\S+)[ \t]*")
_FENCES: Final = ("---", "...")
_LINES_MAX: Final = 1000
_PLAIN_IN_LIST: Final = re.compile(r"[^\[\]{},:#'\"&*!|>%@`-][^\[\]{},:#]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of the block: offsets into the file's text.

    ``style`` is ``plain``, ``'``, ``"``, ``flow``, ``block``, or ``other`` for what is never written.
    """

    key: str
    key_end: int
    start: int
    end: int
    style: str
    tag: str
    text: str
    items: tuple[tuple[int, int, str], ...] = ()

    @property
    def value(self) -> Value:
        """The value: a list, a text, or nothing."""
        if self.style in ("flow", "block"):
            return tuple(text for _, _, text in self.items if text)
        return None if self.text.casefold() in EMPTY_VALUES else self.text


@dataclass(frozen=True, slots=True)
class FrontBlock:
    """The block: its keys in order, and the line behind it."""

    entries: tuple[Entry, ...]
    end: int
    id_comment: str | None = None

    def settings(self, nested: dict[str, dict[str, str]]) -> FrontMatter:
        """Return what the block says about the file."""
        texts = {entry.key: entry.text for entry in self.entries if entry.style in ("plain", "'", '"') and entry.text}
        return FrontMatter(texts.get("project"), texts.get("phase"), texts.get("prefix"), nested.get("statuses", {}))


@cache
def _yaml() -> YAML:
    from ruamel.yaml import YAML

    return YAML()


def _compose(text: str) -> Any:
    """Return the node tree of a YAML text; ``ValueError`` when it is none."""
    from ruamel.yaml.error import YAMLError

    try:
        return _yaml().compose(text)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(mark.line if mark else 0) from error


def read_front_matter(source: Source) -> tuple[FrontBlock | None, FrontMatter, int | None]:
    """Read the block at the top of a file.

    Returns:
        The block or ``None``, what it says about the file, and the line of an error or ``None``.
    """
    lines = source.lines
    if not lines or lines[0].rstrip() != "---":
        return None, FrontMatter(), None
    close = next((n for n in range(1, min(len(lines), _LINES_MAX)) if lines[n].rstrip() in _FENCES), None)
    if close is None or not any(_KEY.match(line) for line in lines[1:close]):
        return None, FrontMatter(), None
    base = source.starts[1]
    try:
        root = _compose(source.text[base : source.starts[close]])
    except ValueError as error:
        line = int(error.args[0]) + 1
        return FrontBlock((), close + 1), FrontMatter(), min(line, close)
    if root is None or root.id != "mapping":
        return None, FrontMatter(), None
    entries = tuple(_entry(key, value, base) for key, value in root.value if isinstance(key.value, str))
    nested = {
        key.value: {str(word.value): str(state.value) for word, state in value.value}
        for key, value in root.value
        if isinstance(key.value, str) and value.id == "mapping"
    }
    block = FrontBlock(entries, close + 1, _id_comment(lines[1]))
    return block, block.settings(nested), None


def _entry(key: Any, value: Any, base: int) -> Entry:
    start, end = value.start_mark.index + base, value.end_mark.index + base
    common = (key.value, key.end_mark.index + base)
    if value.id == "scalar":
        style = value.style or "plain"
        return Entry(*common, start, end, style if style in ("plain", "'", '"') else "other", value.tag, value.value)
    if value.id == "sequence" and all(each.id == "scalar" for each in value.value):
        items = tuple((each.start_mark.index + base, each.end_mark.index + base, each.value) for each in value.value)
        return Entry(*common, start, end, "flow" if value.flow_style else "block", value.tag, "", items)
    return Entry(*common, start, end, "other", value.tag, "")


def _id_comment(line: str) -> str | None:
    found = _ID_COMMENT.fullmatch(line)
    return found[1] if found and (looks_like_id(found[1]) or re.fullmatch(r"[a-z]+-[a-z0-9]+", found[1])) else None


def read_single_card(reading: Reading, block: FrontBlock) -> bool:
    """Read the card that the whole file is; return whether it is one."""
    keys: dict[str, Entry] = {}
    for entry in block.entries:
        field = reading.lexicon.field_of(entry.key)
        if field is None or field in keys or (field == "title" and entry.key.casefold() not in ("title", "name")):
            field = extra_key(entry.key)
        keys.setdefault(field, entry)
    token = keys["id"].text if "id" in keys else block.id_comment
    if not token or not is_id(token) or not {"title", "status"} <= keys.keys():
        return False
    card = SingleCard(reading.source, reading.lexicon, block, keys)
    fields: dict[str, Value] = {"body": card.body()}
    for name, entry in keys.items():
        if name not in ("id", "owner") and entry.style != "other":
            _read_key(reading, name, entry, token, fields)
    if "owner" in keys:
        fields[owner_field(fields)] = text_of(keys["owner"].value) or None
    text = " ".join(text_of(entry.value) for name, entry in keys.items() if name != "id")
    reading.containers.append(card)
    reading.drafts.append(Draft(1, 0, token, fields, NOTHING_WEAK, None, " ".join(text.split()), card, 0))
    return True


def _read_key(reading: Reading, name: str, entry: Entry, token: str, fields: dict[str, Value]) -> None:
    line = reading.source.text.count("\n", 0, entry.key_end)
    if name == "status":
        spelling = read_status(entry.text, reading.lexicon)
        if spelling.state is not None:
            fields["status"], fields[STATUS_WORD] = spelling.state.value, author_word(spelling)
        elif not spelling.is_empty:
            reading.report(
                line,
                0,
                "unknown-status",
                f"{entry.text!r} is no status that is known",
                UNKNOWN_STATUS_HINT,
            )
    elif name == "priority":
        priority = 0 if entry.value is None else read_priority(entry.text)
        if priority is None:
            hint = "Write a whole number, P0 to P4, or low, medium, high, urgent, critical."
            reading.report(line, 0, "bad-priority", f"{entry.text!r} is no priority", hint)
        else:
            fields[name] = priority
    elif name == "dependsOn":
        value = entry.value
        ids = tuple(dict.fromkeys(value)) if isinstance(value, tuple) else split_ids(text_of(value))
        fields[name] = reading.dependencies(ids, token, line, 0)
    elif name == "acceptance":
        fields[name] = as_list(entry.value)
    elif name not in fields:
        fields[name] = entry.value or None


class SingleCard:
    """A file that is one card, as its place."""

    dialect = "front-matter"
    heading: str | None = None

    def __init__(self, source: Source, lexicon: Lexicon, block: FrontBlock, keys: dict[str, Entry]) -> None:
        self.source = source
        self.lexicon = lexicon
        self.block = block
        self.keys = keys

    def _body_lines(self) -> tuple[int, int]:
        first, end = self.block.end, len(self.source.lines)
        while first < end and self.source.is_blank(first):
            first += 1
        while end > first and self.source.is_blank(end - 1):
            end -= 1
        return first, end

    def body(self) -> Value:
        """Return the text below the block."""
        first, end = self._body_lines()
        return "\n".join(self.source.lines[first:end]).strip() or None

    def rewrite(self, position: int, changes: Fields) -> list[Replacement] | None:
        """Replace the scalars and lists that the changes name."""
        pending = dict(changes)
        result: list[Replacement] = []
        if "status" in pending or STATUS_WORD in pending:
            text = self._status_text(pending)
            if text is None:
                return None
            pending["status"] = text
        if any(name in pending for name in OWNERS):
            pending["owner"] = owner_value(pending)
        for name, value in pending.items():
            if name == STATUS_WORD or name in OWNERS:
                continue
            written = self._body(text_of(value)) if name == "body" and name not in self.keys else self._key(name, value)
            if written is None:
                return None
            result += written
        return result

    def _status_text(self, changes: Fields) -> str | None:
        current = read_status(self.keys["status"].text, self.lexicon)
        word = changes.get(STATUS_WORD)
        state = state_of(changes["status"]) if "status" in changes else current.state
        if state is None or (current.state is None and not current.is_empty):
            return None
        if isinstance(word, str) and read_status(word, self.lexicon).state is state:
            return write_status(state, word, current, {}, self.lexicon)
        return None if word is not None and "status" not in changes else default_text(state, current, {})

    def _key(self, name: str, value: Value) -> list[Replacement] | None:
        entry = self.keys.get(name)
        if entry is None or entry.style == "other":
            return None
        if name == "dependsOn":
            value = tuple(self.lexicon.token_of(each) for each in as_list(value))
        if entry.style in ("flow", "block"):
            return self._list(entry, as_list(value))
        if name == "priority" and isinstance(value, int):
            if entry.value is not None and read_priority(entry.text) is None:
                return None
            value = write_priority(value, [entry.text])
        return [self._scalar(entry, text_of(value))]

    def _scalar(self, entry: Entry, text: str) -> Replacement:
        colon = self.source.text.index(":", entry.key_end) + 1
        if not text:
            return Replacement(colon, max(colon, entry.end), "")
        new = _spelled(text, entry.style, entry.tag)
        if entry.start == entry.end:
            return Replacement(colon, colon, f" {new}")
        return Replacement(entry.start, entry.end, new)

    def _list(self, entry: Entry, values: Sequence[str]) -> list[Replacement]:
        text = self.source.text
        if entry.style == "flow":
            quoted = (each if _PLAIN_IN_LIST.fullmatch(each) else _spelled(each, "'", "") for each in values)
            return [Replacement(entry.start, entry.end, f"[{', '.join(quoted)}]")]
        first, last = entry.items[0][0], entry.items[-1][1]
        begin = max(text.rfind("\n", 0, first), text.rfind("\r", 0, first)) + 1
        if not values:
            colon = text.index(":", entry.key_end) + 1
            return [Replacement(colon, last, " []")]
        ending = "\r\n" if text[begin - 2 : begin] == "\r\n" else text[begin - 1 : begin]
        lead = text[begin:first].rstrip("'\"")
        return [Replacement(begin, last, ending.join(lead + _spelled(each, "plain", "") for each in values))]

    def _body(self, text: str) -> list[Replacement]:
        first, end = self._body_lines()
        lines = text.split("\n") if text else []
        if first == end:
            return [self.source.insertion(self.block.end, ["", *lines])] if lines else []
        ending = self.source.line_end_near(first)
        return [Replacement(self.source.starts[first], self.source.end(end - 1), ending.join(lines))]

    def name(self, position: int, id: str) -> list[Replacement] | None:
        """A file without an id is no card, so that none needs one."""
        return None

    def remove(self, position: int, gone: Set[int]) -> list[Replacement]:
        """The card is the file: it is removed by whoever removes the file."""
        return []

    def extent(self, position: int) -> tuple[int, int]:
        """Return all lines."""
        return 0, len(self.source.lines)

    def sample(self, position: int) -> list[tuple[int, int]]:
        """Return all lines."""
        return [self.extent(position)]

    def holds(self, fields: Fields) -> bool:
        """Tell that no other card has its place here."""
        return False

    def tail(self, fields: Fields) -> int | None:
        """Tell that no other card has its place here."""
        return None

    def compose(self, id: str, fields: Fields) -> list[str] | None:
        """Tell that no other card has its place here."""
        return None

    def admits(self, other: Container, position: int) -> bool:
        """Tell that no other card has its place here."""
        return False

    def section_for(self, position: int, changes: Fields) -> tuple[int, list[Replacement]] | None:
        """A change never moves the card."""
        return None


def _spelled(text: str, style: str, tag: str) -> str:
    """Return a text as a YAML scalar in a style, or in the simplest one that can say it."""
    if "\n" in text or style == '"':
        return json.dumps(text, ensure_ascii=False)
    if style == "plain" and text.strip() == text:
        try:
            node = _compose(f"k: {text}\n").value[0][1]
        except (ValueError, AttributeError, IndexError, TypeError):
            node = None
        if node is not None and node.id == "scalar" and node.value == text and node.tag in (tag, _TEXT_TAG):
            return text
    return "'" + text.replace("'", "''") + "'"


_TEXT_TAG: Final = "tag:yaml.org,2002:str"
