"""One file, one card: a block of YAML at the top with an id, a title and a status; the text below is the body.

Read and written by the places of its scalars, so that comments, order and quotes stay.  Checklists in such a file are
text.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence, Set
from typing import Final

from syncd.parsers.dialect import FRONT_MATTER, Offer
from syncd.parsers.document import Container
from syncd.parsers.fields import is_id, read_priority, split_ids, text_of, write_priority
from syncd.parsers.lexicon import Lexicon, extra_key
from syncd.parsers.reading import NOTHING_WEAK, Draft, Reading, owner_field
from syncd.parsers.source import Replacement, Source
from syncd.parsers.statuses import author_word, default_text, read_status, write_status
from syncd.parsers.values import OWNERS, as_list, owner_value, state_of
from syncd.parsers.words import UNKNOWN_STATUS_HINT
from syncd.parsers.yaml_block import Entry, FrontBlock, compose
from syncd.schemas.card import STATUS_WORD, Fields, Value

_PLAIN_IN_LIST: Final = re.compile(r"[^\[\]{},:#'\"&*!|>%@`-][^\[\]{},:#]*")
_TELLING: Final = frozenset({"priority", "dependsOn", "owner", "acceptance"})


class FrontMatterCards:
    """The dialect: a file that is one card.

    With an id, title and status the block alone says so.  Without an id it takes one more key that only tasks
    have, and nothing else in the file that is a card: many a board has a title and a status of its own.
    """

    name = "front-matter"
    reads = "a YAML block with an id, a title and a status: one file, one card"
    kinds = frozenset({FRONT_MATTER})

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._nameless: SingleCard | None = None

    def offer(self, offer: Offer) -> int | None:
        """Take the file as one card when its block names it."""
        block = offer.front
        if block is None:
            return None
        keys = _fields_of(self._reading, block)
        token = keys["id"].text if "id" in keys else block.id_comment
        card = SingleCard(self._reading.source, self._reading.lexicon, block, keys)
        if {"title", "status"} <= keys.keys():
            if token and is_id(token):
                _read_card(self._reading, card, token)
                return offer.index + 1
            is_task = _TELLING & keys.keys() and read_status(keys["status"].text, self._reading.lexicon).state
            if not token and is_task:
                self._nameless = card
        if self._nameless is None:
            self._reading.take(FRONT_MATTER, 0, "settings of the file")
        return None

    def finish(self) -> None:
        """Take the file as one nameless card when nothing in it is a card, or could get one."""
        if self._nameless is None:
            return
        if self._reading.containers:
            self._reading.take(FRONT_MATTER, 0, "settings of the file: its cards stand below")
        else:
            _read_card(self._reading, self._nameless, None)


def _fields_of(reading: Reading, block: FrontBlock) -> dict[str, Entry]:
    """Return the keys of a block by the fields that they are."""
    keys: dict[str, Entry] = {}
    for entry in block.entries:
        field = reading.lexicon.field_of(entry.key)
        if field is None or field in keys or (field == "title" and entry.key.casefold() not in ("title", "name")):
            field = extra_key(entry.key)
        keys.setdefault(field, entry)
    return keys


def _read_card(reading: Reading, card: SingleCard, token: str | None) -> None:
    fields: dict[str, Value] = {"body": card.body()}
    for name, entry in card.keys.items():
        if name not in ("id", "owner") and entry.style != "other":
            _read_key(reading, name, entry, token, fields)
    if "owner" in card.keys:
        fields[owner_field(fields)] = text_of(card.keys["owner"].value) or None
    text = " ".join(text_of(entry.value) for name, entry in card.keys.items() if name != "id")
    reading.is_single = True
    reading.containers.append(card)
    reading.drafts.append(Draft(1, 0, token, fields, NOTHING_WEAK, None, text, card, 0))
    reading.take(FRONT_MATTER, 0, "the file is one card", 1)


def _read_key(reading: Reading, name: str, entry: Entry, token: str | None, fields: dict[str, Value]) -> None:
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

    def remember(self, reading: Reading) -> None:
        """Nothing is lent: what stands here is read again."""

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
        """Write the id as the first key of the block, or into the key that stands empty."""
        token = self.lexicon.token_of(id)
        if "id" in self.keys:
            return [self._scalar(self.keys["id"], token)]
        return [self.source.insertion(1, [f"id: {_spelled(token, 'plain', '')}"])]

    def remove(self, position: int, gone: Set[int]) -> list[Replacement]:
        """Take everything out: the card is the file, and whoever writes it has no file then."""
        return [Replacement(0, len(self.source.text), "")]

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
            node = compose(f"k: {text}\n").value[0][1]
        except (ValueError, AttributeError, IndexError, TypeError):
            node = None
        if node is not None and node.id == "scalar" and node.value == text and node.tag in (tag, _TEXT_TAG):
            return text
    return "'" + text.replace("'", "''") + "'"


_TEXT_TAG: Final = "tag:yaml.org,2002:str"
