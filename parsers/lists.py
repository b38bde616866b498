"""The items of one checklist: what belongs to each, and how values are written into it.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from typing import Final

from msgspec.structs import replace

from syncd.parsers.boards import Board
from syncd.parsers.bullets import Bullet, undented
from syncd.parsers.document import Container
from syncd.parsers.entries import LEADING_STYLES, Entry, next_lead, spelled_id
from syncd.parsers.fields import join_list, read_priority, text_of, write_priority
from syncd.parsers.items import CHECKBOX, scan_item
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.reading import Reading
from syncd.parsers.source import Replacement, Source, patch
from syncd.parsers.statuses import write_mark
from syncd.parsers.values import OWNERS, as_list, owner_value, state_of
from syncd.parsers.words import MARK_STATES, PRIORITY_SIGNS
from syncd.schemas.card import STATUS_WORD, Fields, Status, Value

_DEFAULTS: Final = {"id": "plain", "dependsOn": "(depends: ", "priority": "!", "owner": "@"}
_RANK_OF_ZERO: Final = 3
_CLOSING: Final = {"(": ")", "[": "]"}


class Checklist:
    """A list as a place for cards; a card's position is the index of its entry."""

    dialect = "checklist"

    def __init__(
        self,
        source: Source,
        lexicon: Lexicon,
        lines: tuple[int, int],
        entries: list[Entry],
        heading: str | None,
        peers: Sequence[Container],
    ) -> None:
        self.source = source
        self.lexicon = lexicon
        self.first, self.end = lines
        self.entries = entries
        self.heading = heading
        self.peers = peers
        self.board: Board | None = None
        self.is_certain = False

    def with_source(self, source: Source) -> Checklist:
        """Return the list with other text in the lines of its items."""
        entries = [each.with_source(source) if each.bullets else each for each in self.entries]
        lines = (self.first, self.end)
        checklist = Checklist(source, self.lexicon, lines, entries, self.heading, self.peers)
        checklist.is_certain = self.is_certain
        return checklist

    def remember(self, reading: Reading) -> None:
        """Lend the items that were taken apart to the next reading of the file."""
        for entry in self.entries:
            reading.known_items[entry.item.line, entry.item.accept_number] = entry.item

    def body(self, position: int) -> Value:
        """Return the text below an item, without the indentation that its lines share."""
        entry = self.entries[position]
        if bullet := entry.bullets.get("body"):
            return bullet.text() or None
        lines = [line for first, end in entry.body for line in self.source.lines[first:end]]
        return "\n".join(undented(lines)).strip() or None

    # -- habits -------------------------------------------------------------------------------------------

    def _peers(self) -> Iterator[Checklist]:
        yield self
        for peer in self.peers:
            if isinstance(peer, Checklist) and peer is not self:
                yield peer

    def _marks(self) -> Counter[str]:
        return Counter(entry.item.mark for peer in self._peers() for entry in peer.entries)

    def _model(self, kind: str) -> tuple[str, Entry | None]:
        """Return how a field is mostly written, in this list or else in the file, with an entry that shows it."""
        for peers in ((self,), self._peers()):
            counts: Counter[str] = Counter()
            models: dict[str, Entry] = {}
            for entry in (each for peer in peers for each in peer.entries):
                token = entry.item.find(kind)
                style = "bullet" if kind in entry.bullets else token.style if token else None
                if style:
                    counts[style] += 1
                    models[style] = entry
            if counts:
                style = counts.most_common(1)[0][0]
                return style, models[style]
        return _DEFAULTS[kind], None

    # -- writing ------------------------------------------------------------------------------------------

    def rewrite(self, position: int, changes: Fields) -> list[Replacement] | None:
        """Replace, add or take out the parts of an item that the changes name."""
        result: list[Replacement] = []
        pending = dict(changes)
        if any(name in pending for name in OWNERS):
            pending["owner"] = owner_value(pending)
        for name, value in pending.items():
            if name in OWNERS:
                continue
            written = self._written(position, name, value)
            if written is None:
                return None
            result += written
        return result

    def _written(self, position: int, name: str, value: Value) -> list[Replacement] | None:
        entry = self.entries[position]
        if name == "status":
            return self._mark(entry, state_of(value))
        if name == "title":
            return self._title(entry, text_of(value))
        if name == "body":
            return self._body(position, text_of(value))
        if name == "acceptance":
            return self._acceptance(entry, as_list(value))
        if name in ("dependsOn", "priority", "owner", "phase"):
            return self._part(entry, name, value)
        bullet = entry.bullets.get(name)
        return None if bullet is None else [bullet.replaced(text_of(value))]

    def _mark(self, entry: Entry, state: Status | None) -> list[Replacement] | None:
        if state is None or entry.item.mark not in MARK_STATES:
            return None
        section = self.board.section_at(entry.first) if self.board else None
        if self.board and section and section.state is state:
            mark = self.board.mark_for(section, entry.item.mark, self._marks())
        elif MARK_STATES.get(entry.item.mark) is state:
            mark = entry.item.mark
        else:
            mark = write_mark(state, self._marks().elements())
        at = self.source.starts[entry.first] + entry.item.mark_at
        return [Replacement(at, at + 1, mark)] if mark != entry.item.mark else []

    def _title(self, entry: Entry, title: str) -> list[Replacement] | None:
        if not title or "\n" in title:
            return None
        base = self.source.starts[entry.first]
        pieces = entry.item.pieces()
        if not pieces:
            at = base + len(entry.item.line.rstrip())
            return [Replacement(at, at, f" {title}")]
        (start, end), *others = pieces
        rest = [Replacement(base + left - 1, base + right, "") for left, right in others]
        return [Replacement(base + start, base + end, title), *rest]

    def _part(self, entry: Entry, name: str, value: Value) -> list[Replacement] | None:
        """Write a field that is a token of the line or a bullet below it."""
        if bullet := entry.bullets.get(name):
            text = self._text(name, value, bullet.text(), "bullet")
            if text is None:
                return None
            return [bullet.replaced(text) if text else self.source.deletion(bullet.first, bullet.end)]
        base = self.source.starts[entry.first]
        token = entry.item.find(name)
        if token is None:
            return self._added(entry, name, value)
        current = entry.item.value(token)
        if (name == "priority" and value == 0 and token.style != "rank") or value in (None, ()):
            start = base + len(entry.item.line[: token.start].rstrip())
            return [Replacement(start, base + token.end, "")] if token.style != "bracket" else None
        text = self._text(name, value, current, token.style)
        return None if text is None else [Replacement(base + token.value_start, base + token.value_end, text)]

    def _added(self, entry: Entry, name: str, value: Value) -> list[Replacement] | None:
        if value in (None, ()) or (name == "priority" and value == 0):
            return []
        style, model = self._model(name) if name in _DEFAULTS else ("", None)
        if style == "bullet" and model is not None:
            text = self._text(name, value, "", style)
            return None if text is None else [self._new_bullet(entry, model.bullets[name], text)]
        text = self._inline(name, value, style, model)
        if text is None:
            return None
        at = self.source.starts[entry.first] + len(entry.item.line.rstrip())
        return [Replacement(at, at, text)]

    def _inline(self, name: str, value: Value, style: str, model: Entry | None) -> str | None:
        """Return what is put behind a title to say a field."""
        if name == "owner":
            text = text_of(value)
            return f" (@{text})" if style.startswith("(") else f" @{text}"
        if name == "priority":
            if style == "sign" and (sign := self._text(name, value, "🔼", style)) in PRIORITY_SIGNS:
                return f" {sign}"
            return f" !{value}"
        if name != "dependsOn":
            return None
        token = model.item.find(name) if model else None
        ids = self._text(name, value, model.item.value(token) if model and token else "", style)
        if style == "sign":
            return f" ⛔ {ids}"
        return f" {style}{ids}{_CLOSING.get(style[:1], '')}"

    def _text(self, name: str, value: Value, current: str, style: str) -> str | None:
        if name == "dependsOn":
            ids = [self.lexicon.token_of(each) for each in as_list(value)]
            is_tight = style == "sign" or (style.endswith(":") and style[0] not in _CLOSING)
            return ",".join(ids) if is_tight else join_list(ids, current)
        if name != "priority":
            return text_of(value)
        if not isinstance(value, int):
            return None
        if style == "sign":
            return next((sign for sign, number in PRIORITY_SIGNS.items() if number == value), None)
        if style == "rank":
            number = _RANK_OF_ZERO - value
            return f"P{number}" if 0 <= number <= 4 else None
        if style == "!":
            return str(value)
        if read_priority(current) is None:
            return None
        entries = (entry for peer in self._peers() for entry in peer.entries if name in entry.bullets)
        others = (entry.bullets[name].text() for entry in entries)
        return write_priority(value, [current, *others])

    def _new_bullet(self, entry: Entry, model: Bullet, text: str) -> Replacement:
        nearest = next(iter(entry.bullets.values()), None)
        indent = nearest.lead[: len(nearest.lead) - len(nearest.lead.lstrip())] if nearest else _inner_indent(entry)
        at = max((each.end for each in entry.bullets.values()), default=entry.first + 1)
        return self.source.insertion(at, [f"{indent}{model.lead.strip()} {text}"])

    def _acceptance(self, entry: Entry, values: Sequence[str]) -> list[Replacement] | None:
        bullet = entry.bullets.get("acceptance")
        if bullet is None:
            return None
        if bullet.values() is not None:
            return bullet.listed(values) if values else None
        return [bullet.replaced("; ".join(values))]

    def _body(self, position: int, text: str) -> list[Replacement] | None:
        entry = self.entries[position]
        if bullet := entry.bullets.get("body"):
            return [bullet.replaced(text)]
        new = self._indented(entry, text)
        if not entry.body:
            # Right below a bullet the text would be taken for more of its value.
            if new and (entry.bullets or any(self._model(kind)[0] == "bullet" for kind in _DEFAULTS)):
                new.insert(0, "")
            at = max((each.end for each in entry.bullets.values()), default=entry.first + 1)
            return [self.source.insertion(at, new)] if new else []
        first, end = entry.body[0]
        removed = [self.source.deletion(*lines) for lines in entry.body]
        if end == len(self.source.lines) and new:
            ending = self.source.line_end_near(first)
            return [*removed[1:], Replacement(removed[0].start, self.source.end(end - 1), ending.join(new))]
        return [self.source.insertion(first, new), *removed] if new else removed

    def _indented(self, entry: Entry, text: str) -> list[str]:
        if not text:
            return []
        for first, end in (*entry.body, *((each.first, each.end) for each in entry.bullets.values())):
            line = next((each for each in self.source.lines[first:end] if each.strip()), "")
            if line:
                indent = line[: len(line) - len(line.lstrip())]
                break
        else:
            indent = _inner_indent(entry)
        return [indent + line if line.strip() else "" for line in text.split("\n")]

    # -- ids ----------------------------------------------------------------------------------------------

    def name(self, position: int, id: str) -> list[Replacement] | None:
        """Write an id into a nameless item, where the list's other items have theirs."""
        entry = self.entries[position]
        token = self.lexicon.token_of(id)
        style, model = self._model("id")
        if style == "bullet" and model is not None:
            return [self._new_bullet(entry, model.bullets["id"], token)]
        at = self.source.starts[entry.first] + entry.item.text_at
        own = model.item.find("id") if model else None
        if style == "open" and model and own and (pieces := entry.item.pieces()) and "*" not in entry.item.line:
            end = self.source.starts[entry.first] + pieces[0][1]
            gap = model.item.line[own.value_end : own.end]
            return [Replacement(at, at, f"**{token}{gap}"), Replacement(end, end, "**")]
        if style in LEADING_STYLES:
            spelled = spelled_id(token, style, model)
            if self._reads_as(spelled, token, entry):
                return [Replacement(at, at, spelled)]
            style = "comment"
        at += len(entry.item.line.rstrip()) - entry.item.text_at
        return [Replacement(at, at, f" {spelled_id(token, style, model).strip()}")]

    def _reads_as(self, spelled: str, token: str, entry: Entry) -> bool:
        """Tell whether an id put before a title is read as the id, with the same title behind it."""
        others = (each for each in self.entries if each.first != entry.first)
        has_ids = all(each.item.find("id") or "id" in each.bullets for each in others)
        line, at = entry.item.line, entry.item.text_at
        item = scan_item(line[:at] + spelled + line[at:], accept_number=has_ids)
        own = item.find("id") if item else None
        return bool(item and own and item.value(own) == token and item.title() == entry.item.title())

    # -- lines --------------------------------------------------------------------------------------------

    def remove(self, position: int, gone: Set[int]) -> list[Replacement]:
        """Take an item's own lines out; items nested below it stay, one level further out."""
        entry = self.entries[position]
        result: list[Replacement] = []
        at = entry.first
        for each in entry.nested:
            nested = self.entries[each]
            result.append(self.source.deletion(at, nested.first))
            at = nested.end
            if each not in gone:
                result += self._outdented(nested, nested.indent - entry.indent)
        end = entry.end
        if self.source.is_blank(entry.first - 1):
            while end < len(self.source.lines) and self.source.is_blank(end):
                end += 1
        result.append(self.source.deletion(at, end))
        return result

    def _outdented(self, entry: Entry, width: int) -> list[Replacement]:
        result = []
        for line in range(entry.first, entry.end):
            text = self.source.lines[line]
            start = self.source.starts[line]
            result.append(Replacement(start, start + min(width, len(text) - len(text.lstrip())), ""))
        return result

    def extent(self, position: int) -> tuple[int, int]:
        """Return the lines of an item and of all that is nested below it."""
        entry = self.entries[position]
        return entry.first, entry.end

    def sample(self, position: int) -> list[tuple[int, int]]:
        """Return the lines of an item, in a board with the headings."""
        ranges = self.board.heads() if self.board else []
        return sorted([*ranges, self.extent(position)])

    # -- new cards ----------------------------------------------------------------------------------------

    def holds(self, fields: Fields) -> bool:
        """Tell whether the list stands under the card's phase, or in the board that has its state."""
        if self.board is not None:
            return self.board.section_of(state_of(fields.get("status")), fields.get(STATUS_WORD)) is not None
        phase = fields.get("phase")
        return phase is not None and phase == self.heading

    def tail(self, fields: Fields) -> int | None:
        """Return the line behind the last item."""
        if self.board is not None:
            section = self.board.section_of(state_of(fields.get("status")), fields.get(STATUS_WORD))
            if section is not None:
                return self.board.tail(section)
        return self.end

    def admits(self, other: Container, position: int) -> bool:
        """Tell whether an item of another list can move here: no nested one, and none of a board."""
        return (
            isinstance(other, Checklist)
            and other is not self
            and self.board is None
            and other.board is None
            and other.entries[position].parent is None
            and other.entries[position].item.find("phase") is None
            and "phase" not in other.entries[position].bullets
            and other.entries[position].indent == self.entries[0].indent
        )

    def section_for(self, position: int, changes: Fields) -> tuple[int, list[Replacement]] | None:
        """Return where a change of state moves an item of a board."""
        entry = self.entries[position]
        if self.board is None or entry.parent is not None:
            return None
        state = state_of(changes.get("status"))
        section = self.board.section_of(state, changes.get(STATUS_WORD))
        if section is None or section.line < entry.first < section.end:
            return None
        marks = Counter(each.item.mark for peer in self._peers() for each in peer.entries if self.board is peer.board)
        mark = self.board.mark_for(section, entry.item.mark, marks)
        at = self.source.starts[entry.first] + entry.item.mark_at
        return self.board.tail(section), [Replacement(at, at + 1, mark)] if mark != entry.item.mark else []

    def compose(self, id: str, fields: Fields) -> list[str] | None:
        """Return the lines of a new item in the habits of the list."""
        models = [entry for entry in self.entries if entry.parent is None] or self.entries
        model = models[-1]
        box = CHECKBOX.match(model.item.line)
        lead = box["lead"] if box else "- "
        state = state_of(fields.get("status")) or Status.READY
        mark = write_mark(state, self._marks().elements())
        if self.board is not None and (section := self.board.section_of(state, fields.get(STATUS_WORD))):
            mark = self.board.mark_for(section, " ", self._marks())
        line = f"{next_lead(lead)}[{mark}] {text_of(fields.get('title')) or id}".replace("\n", " ")
        item = scan_item(line)
        if item is None:
            return None
        entries = [Entry(0, 1, item, None), *(replace(each, first=each.first + 1) for each in self.entries)]
        draft = Checklist(Source(line + "\n"), self.lexicon, (0, 1), entries, self.heading, self.peers)
        wanted: dict[str, Value] = {"dependsOn": fields.get("dependsOn", ()), "priority": fields.get("priority", 0)}
        wanted["owner"] = owner_value(fields)
        wanted["body"] = fields.get("body")
        result = (draft.name(0, id) if id else None) or []
        for name, value in wanted.items():
            result += draft._written(0, name, value) or []
        lines = patch(line + "\n", result).split("\n")[:-1]
        is_loose = len(models) > 1 and self.source.is_blank(models[-1].first - 1)
        return ["", *lines] if is_loose else lines


def _inner_indent(entry: Entry) -> str:
    """Return the indentation of what stands below an item: up to its own text."""
    box = CHECKBOX.match(entry.item.line)
    lead = box["lead"] if box else "  "
    return lead[: len(lead) - len(lead.lstrip())] + " " * len(lead.lstrip())
