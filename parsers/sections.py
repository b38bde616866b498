"""Tasks that are sections: a heading with keys below it; where their parts stand and how they are written.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from syncd.parsers.boards import Board
from syncd.parsers.bullets import Bullet
from syncd.parsers.document import Container
from syncd.parsers.fields import join_list, read_priority, split_ids, text_of, write_priority
from syncd.parsers.items import ItemLine, Token, scan_heading
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.reading import Reading
from syncd.parsers.source import Replacement, Source
from syncd.parsers.statuses import Spelling, default_text, leading_emoji, read_status, write_emoji, write_status
from syncd.parsers.values import OWNERS, as_list, owner_value, state_of
from syncd.parsers.words import EMPTY_VALUES
from syncd.schemas.card import STATUS_WORD, Fields, Status, Value

_ADDED: Final = frozenset({"dependsOn", "priority", "owner", "phase"})


@dataclass(slots=True)
class Task:
    """A heading that is a task; lines count from 0.

    ``fields_end`` is the line behind its keys, ``end`` the one behind its text; ``bullets`` go by field;
    ``token`` is its id as written, if it has one.
    """

    line: int
    level: int
    heading: ItemLine
    fields_end: int
    end: int
    bullets: dict[str, Bullet] = field(default_factory=dict)
    token: str | None = None

    @property
    def emoji(self) -> str:
        """The emoji before the id, when one of them shows a state."""
        own = self.heading.find("id")
        return leading_emoji(self.heading.line[own.start : own.value_start]) if own else ""


class Sections:
    """The heading tasks under one heading as a place for cards; a position is an index of ``tasks``."""

    dialect = "heading"

    def __init__(
        self, source: Source, lexicon: Lexicon, heading: str | None, tasks: list[Task], peers: Sequence[Container]
    ) -> None:
        self.source = source
        self.lexicon = lexicon
        self.heading = heading
        self.tasks = tasks
        self.peers = peers
        self.board: Board | None = None

    def remember(self, reading: Reading) -> None:
        """Nothing is lent: what stands here is read again."""

    def body_lines(self, position: int) -> tuple[int, int]:
        """Return the lines of the text below the keys, without blank lines around it."""
        task = self.tasks[position]
        first = task.fields_end
        while first < task.end and self.source.is_blank(first):
            first += 1
        return first, task.end

    def body(self, position: int) -> Value:
        """Return the text below the keys."""
        first, end = self.body_lines(position)
        return "\n".join(self.source.lines[first:end]).strip() or None

    # -- writing ------------------------------------------------------------------------------------------

    def rewrite(self, position: int, changes: Fields) -> list[Replacement] | None:
        """Replace the values of the keys, the title and the text that the changes name."""
        pending = dict(changes)
        result: list[Replacement] = []
        if "status" in pending or STATUS_WORD in pending:
            written = self._status(position, pending)
            if written is None:
                return None
            result += written
        if any(name in pending for name in OWNERS):
            pending["owner"] = owner_value(pending)
        for name, value in pending.items():
            if name in ("status", STATUS_WORD, *OWNERS):
                continue
            part = self._written(position, name, value)
            if part is None:
                return None
            result += part
        return result

    def _written(self, position: int, name: str, value: Value) -> list[Replacement] | None:
        task = self.tasks[position]
        bullet = task.bullets.get(name)
        if name == "title" and bullet is None:
            return self._title(task, text_of(value))
        if name == "body" and bullet is None:
            return self._body(position, text_of(value))
        if bullet is None:
            return self._added(position, name, value)
        if name == "acceptance" and bullet.values() is not None:
            return bullet.listed(as_list(value)) if value else None
        text = self._text(name, value, bullet.text())
        return None if text is None else [bullet.replaced(text)]

    def _added(self, position: int, name: str, value: Value) -> list[Replacement] | None:
        """Put in a key that this task lacks and others have, behind its last one."""
        task = self.tasks[position]
        model = next((each.bullets[name] for each in self._all() if name in each.bullets), None)
        last = max(task.bullets.values(), key=lambda each: (each.first, len(each.lead)))
        if (
            name not in _ADDED
            or value in (None, ())
            or model is None
            or model.stop is not None
            or last.stop is not None
        ):
            return None
        text = self._text(name, value, "")
        if not text or "\n" in text:
            return None
        return [self.source.insertion(task.fields_end, [f"{model.lead.rstrip()} {text}"])]

    def _title(self, task: Task, title: str) -> list[Replacement] | None:
        if not title or "\n" in title:
            return None
        base = self.source.starts[task.line]
        pieces = task.heading.pieces()
        if not pieces:
            at = base + len(task.heading.line)
            return [Replacement(at, at, f" {title}")]
        (start, end), *others = pieces
        return [
            Replacement(base + start, base + end, title),
            *(Replacement(base + left - 1, base + right, "") for left, right in others),
        ]

    def _body(self, position: int, text: str) -> list[Replacement]:
        task = self.tasks[position]
        first, end = self.body_lines(position)
        if not text:
            return [self.source.deletion(task.fields_end, end)] if first < end else []
        lines = text.split("\n")
        if first < end:
            ending = self.source.line_end_near(first)
            return [Replacement(self.source.starts[first], self.source.end(end - 1), ending.join(lines))]
        behind = [] if self.source.is_blank(task.fields_end) else [""]
        return [self.source.insertion(task.fields_end, ["", *lines, *behind])]

    def _status(self, position: int, changes: Fields) -> list[Replacement] | None:
        task = self.tasks[position]
        bullet = task.bullets.get("status")
        if bullet is None:
            return self._emoji(task, changes) if task.emoji else None
        current = read_status(bullet.text(), self.lexicon)
        if current.state is None and not current.is_empty:
            return None
        text = self._status_text(current, changes)
        return None if text is None else [bullet.replaced(text)]

    def _emoji(self, task: Task, changes: Fields) -> list[Replacement] | None:
        state = state_of(changes.get("status"))
        own = task.heading.find("id")
        if state is None or own is None or changes.get(STATUS_WORD) is not None:
            return None
        run = task.emoji
        seen = Counter(each.emoji.strip() for each in self._all() if each.emoji)
        at = self.source.starts[task.line] + own.start
        return [Replacement(at, at + len(run), write_emoji(state, seen) + run[len(run.rstrip()) :])]

    def _status_text(self, current: Spelling, changes: Fields) -> str | None:
        word = changes.get(STATUS_WORD)
        state = state_of(changes["status"]) if "status" in changes else current.state
        if state is None:
            return None
        habits = Counter(self._texts("status"))
        if isinstance(word, str) and read_status(word, self.lexicon).state is state:
            return write_status(state, word, current, habits, self.lexicon)
        if "status" not in changes:
            return None if word is not None else default_text(state, current, habits)
        return write_status(state, None, current, habits, self.lexicon)

    def _text(self, name: str, value: Value, current: str) -> str | None:
        others = self._texts(name)
        if name == "priority":
            is_read = current.casefold() in EMPTY_VALUES or read_priority(current) is not None
            if not isinstance(value, int) or not is_read:
                return None
            return write_priority(value, [current, *others])
        if value in (None, ()):
            return self._empty(name, others)
        if name == "dependsOn":
            ids = [self.lexicon.token_of(each) for each in as_list(value)]
            models = [current, *others]
            model = next((each for each in models if len(split_ids(each)) > 1 or each.startswith("[")), "")
            return join_list(ids, model)
        if name == "acceptance":
            return "; ".join(as_list(value))
        names = (each for each in (current, *others) if each.casefold() not in EMPTY_VALUES)
        if name == "owner" and next(names, "").startswith("@"):
            return f"@{value}"
        return text_of(value)

    def _empty(self, name: str, others: Sequence[str]) -> str:
        counts = Counter(text for text in others if text.casefold() in EMPTY_VALUES)
        if counts:
            return counts.most_common(1)[0][0]
        return "[]" if any(text.startswith("[") for text in others) else ""

    def _texts(self, name: str) -> list[str]:
        return [task.bullets[name].text() for task in self._all() if name in task.bullets]

    def _all(self) -> Iterator[Task]:
        yield from self.tasks
        for peer in self.peers:
            if isinstance(peer, Sections) and peer is not self:
                yield from peer.tasks

    def name(self, position: int, id: str) -> list[Replacement] | None:
        """Write an id where the other tasks have theirs: before the title, in a comment, or as a key."""
        task = self.tasks[position]
        token = self.lexicon.token_of(id)
        named = [each for each in self._all() if each.token and each is not task]
        if not named:
            return None
        model = min(named, key=lambda each: abs(each.line - task.line))
        own = model.heading.find("id")
        if own is None:
            lead = model.bullets["id"].lead.rstrip()
            return [self.source.insertion(min(each.first for each in task.bullets.values()), [f"{lead} {token}"])]
        base = self.source.starts[task.line]
        if own.style == "comment":
            at = base + len(task.heading.line.rstrip())
            return [Replacement(at, at, f" <!-- id: {token} -->")]
        line = model.heading.line
        before = line[own.start + len(model.emoji) : own.value_start].replace("~~", "")
        if own.style == "worded" and not token[:1].isdigit():
            before = ""
        after = line[own.value_end : own.end].rstrip()
        at = base + task.heading.text_at
        return [Replacement(at, at, f"{before}{token}{after} ")]

    # -- lines --------------------------------------------------------------------------------------------

    def remove(self, position: int, gone: Set[int]) -> list[Replacement]:
        """Take the heading, its keys and its text out."""
        first, end = self.extent(position)
        if self.source.is_blank(first - 1):
            while end < len(self.source.lines) and self.source.is_blank(end):
                end += 1
        return [self.source.deletion(first, end)]

    def extent(self, position: int) -> tuple[int, int]:
        """Return the lines from the heading to the end of its text."""
        return self.tasks[position].line, self.tasks[position].end

    def sample(self, position: int) -> list[tuple[int, int]]:
        """Return the lines of the task, before it one with an id if it has none, and in a board the headings."""
        task = self.tasks[position]
        ranges = [self.extent(position)]
        if self.board is not None:
            ranges += self.board.heads()
        elif task.token is None:
            named = [each for each in self.tasks[:position] if each.token]
            ranges += [(named[-1].line, named[-1].fields_end)] if named else []
        return sorted(ranges)

    # -- new cards ----------------------------------------------------------------------------------------

    def holds(self, fields: Fields) -> bool:
        """Tell whether the tasks stand under the card's phase, or in the section of its state."""
        if self.board is not None:
            section = self.board.section_of(state_of(fields.get("status")), fields.get(STATUS_WORD))
            return section is not None and self.board.section_at(self.tasks[0].line) is section
        phase = fields.get("phase")
        return phase is not None and phase == self.heading

    def tail(self, fields: Fields) -> int | None:
        """Return the line behind the last task."""
        if self.board is not None:
            section = self.board.section_of(state_of(fields.get("status")), fields.get(STATUS_WORD))
            if section is not None:
                return self.board.tail(section)
        return self.tasks[-1].end

    def admits(self, other: Container, position: int) -> bool:
        """Tell whether a task of another heading can move here: one of the same level, without a phase of its own."""
        if not isinstance(other, Sections) or other is self or self.board is not None or other.board is not None:
            return False
        task = other.tasks[position]
        return "phase" not in task.bullets and task.level == self.tasks[0].level

    def section_for(self, position: int, changes: Fields) -> tuple[int, list[Replacement]] | None:
        """Return where a change of state moves a task whose state is the section's."""
        task = self.tasks[position]
        if self.board is None or "status" in task.bullets or task.emoji:
            return None
        section = self.board.section_of(state_of(changes.get("status")), changes.get(STATUS_WORD))
        if section is None or section is self.board.section_at(task.line):
            return None
        return self.board.tail(section), []

    def compose(self, id: str, fields: Fields) -> list[str] | None:
        """Return the lines of a new section with the keys of the last one; ``None`` without an id."""
        if not id:
            return None
        model = self.tasks[-1]
        token = self.lexicon.token_of(id)
        heading = self._new_heading(model, token, fields)
        if heading is None:
            return None
        lines = ["", heading]
        keys = list(model.bullets.items())
        if keys and keys[0][1].first > model.line + 1:
            lines.append("")
        for first in dict.fromkeys(bullet.first for _, bullet in keys):
            text = self.source.lines[first]
            for name, bullet in reversed([each for each in keys if each[1].first == first]):
                value = self._new_text(name, token, fields)
                lead = text[: bullet.value_at].rstrip()
                text = f"{lead} {value}".rstrip() + ("" if bullet.stop is None else text[bullet.value_end :])
            lines.append(text)
        lines += self._further_keys(model, fields)
        body = text_of(fields.get("body"))
        return [*lines, *(["", *body.split("\n")] if body and "body" not in model.bullets else [])]

    def _new_heading(self, model: Task, token: str, fields: Fields) -> str | None:
        """Return the heading of a new task in the manner of another, else with its id in a key or a comment.

        ``None`` where neither is read as that id with that title.
        """
        title = " ".join((text_of(fields.get("title")) or token).split())
        own = model.heading.find("id")
        plain = f"{model.heading.line[: model.heading.text_at].rstrip()} {title}"
        comment = f"{plain} <!-- id: {token} -->"
        spelled = [plain, comment] if "id" in model.bullets else [comment]
        if own is not None:
            lead = self._lead(model, own, token, fields).rstrip()
            spelled.insert(0, comment if own.style == "comment" else f"{lead} {title}")
        for line in spelled:
            item = scan_heading(line)
            id = item.find("id") if item else None
            is_named = "id" in model.bullets if id is None else item is not None and item.value(id) == token
            if item is not None and is_named and item.title() == title:
                return line
        return None

    def _lead(self, model: Task, own: Token, token: str, fields: Fields) -> str:
        """Return what stands before the title of a new task, in the manner of one whose id stands there."""
        line = model.heading.line
        is_worded = own.style == "worded" and token[:1].isdigit()
        start = line[: own.value_start if is_worded or own.style != "worded" else own.start].replace("~~", "")
        if model.emoji:
            state = state_of(fields.get("status")) or Status.READY
            seen = Counter(each.emoji.strip() for each in self._all() if each.emoji)
            start = start.replace(model.emoji.strip(), write_emoji(state, seen), 1)
        return start + token + line[own.value_end : own.end]

    def _further_keys(self, model: Task, fields: Fields) -> list[str]:
        """Return the lines of keys that a new card needs, its model lacks, and other tasks have."""
        result: list[str] = []
        for name in sorted(_ADDED - model.bullets.keys()):
            value = owner_value(fields) if name == "owner" else fields.get(name)
            other = next((each.bullets[name] for each in self._all() if name in each.bullets), None)
            if value and other is not None and other.stop is None and name != "phase":
                result.append(f"{other.lead.rstrip()} {self._text(name, value, '')}")
        return result

    def _new_text(self, name: str, token: str, fields: Fields) -> str:
        if name == "id":
            return token
        if name == "status":
            state = state_of(fields.get("status")) or Status.READY
            return self._status_text(Spelling("", None, None), {**fields, "status": state.value}) or state.value
        value = owner_value(fields) if name == "owner" else fields.get(name)
        return (self._text(name, value or 0 if name == "priority" else value, "") or "").replace("\n", " ")
