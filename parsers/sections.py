"""Tasks that are sections: a heading with keys below it; where their parts stand and how they are written.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from syncd.parsers.bullets import Bullet
from syncd.parsers.document import Container
from syncd.parsers.fields import join_list, read_priority, split_ids, text_of, write_priority
from syncd.parsers.items import ItemLine
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.source import Replacement, Source
from syncd.parsers.statuses import Spelling, default_text, read_status, write_status
from syncd.parsers.values import OWNERS, as_list, owner_value, state_of
from syncd.parsers.words import EMPTY_VALUES
from syncd.schemas.card import STATUS_WORD, Fields, Status, Value


@dataclass(slots=True)
class Task:
    """A heading that is a task; lines count from 0.

    ``fields_end`` is the line behind its keys, ``end`` the one behind its text; ``bullets`` go by field.
    """

    line: int
    level: int
    heading: ItemLine
    fields_end: int
    end: int
    bullets: dict[str, Bullet] = field(default_factory=dict)


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
            result.append(written)
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
            return None
        if name == "acceptance" and bullet.values() is not None:
            return bullet.listed(as_list(value)) if value else None
        text = self._text(name, value, bullet.text())
        return None if text is None else [bullet.replaced(text)]

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

    def _status(self, position: int, changes: Fields) -> Replacement | None:
        bullet = self.tasks[position].bullets.get("status")
        if bullet is None:
            return None
        current = read_status(bullet.text(), self.lexicon)
        if current.state is None and not current.is_empty:
            return None
        text = self._status_text(current, changes)
        return None if text is None else bullet.replaced(text)

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
        """A heading without an id is no task, so that none needs one."""
        return None

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
        """Return the lines of the task."""
        return [self.extent(position)]

    # -- new cards ----------------------------------------------------------------------------------------

    def holds(self, fields: Fields) -> bool:
        """Tell whether the tasks stand under the card's phase."""
        phase = fields.get("phase")
        return phase is not None and phase == self.heading

    def tail(self, fields: Fields) -> int | None:
        """Return the line behind the last task."""
        return self.tasks[-1].end

    def admits(self, other: Container, position: int) -> bool:
        """Sections are not moved."""
        return False

    def section_for(self, position: int, changes: Fields) -> tuple[int, list[Replacement]] | None:
        """A change of a section never moves it."""
        return None

    def compose(self, id: str, fields: Fields) -> list[str] | None:
        """Return the lines of a new section with the keys of the last one; ``None`` without an id."""
        if not id:
            return None
        model = self.tasks[-1]
        line = model.heading.line
        token = self.lexicon.token_of(id)
        own = model.heading.find("id")
        title = text_of(fields.get("title")) or token
        lead = line[: model.heading.text_at]
        if own is not None and own.style != "comment":
            lead = line[: own.value_start] + token + line[own.value_end : own.end]
        lines = ["", f"{lead.rstrip()} {title}".replace("\n", " ")]
        if own is not None and own.style == "comment":
            lines[1] += f" <!-- id: {token} -->"
        keys = list(model.bullets.items())
        if keys and keys[0][1].first > model.line + 1:
            lines.append("")
        for name, bullet in keys:
            lines.append(f"{bullet.lead.rstrip()} {self._new_text(name, token, fields)}".rstrip())
        body = text_of(fields.get("body"))
        return [*lines, *(["", *body.split("\n")] if body and "body" not in model.bullets else [])]

    def _new_text(self, name: str, token: str, fields: Fields) -> str:
        if name == "id":
            return token
        if name == "status":
            state = state_of(fields.get("status")) or Status.READY
            return self._status_text(Spelling("", None, None), {**fields, "status": state.value}) or state.value
        value = owner_value(fields) if name == "owner" else fields.get(name)
        return (self._text(name, value or 0 if name == "priority" else value, "") or "").replace("\n", " ")
