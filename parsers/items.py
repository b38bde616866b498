"""The line of a checklist item: its mark, its id, what trails its title, and where each of them stands.

``- [x] **A4**: Title (depends: A1, A2) @owner !3 #phase`` and its relatives are taken apart into
:class:`Token` s; what no token covers is the title.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from syncd.parsers.fields import LINK_TARGET, are_ids, is_id, is_placeholder, looks_like_id
from syncd.parsers.words import PICTOGRAPH, PRIORITY_SIGNS

CHECKBOX: Final = re.compile(r"(?P<lead>\s*(?:[-*+]|\d{1,9}[.)])[ \t]+)\[(?P<mark>.?)\]\*?(?=\s|$)[ \t]*")
"""What an item begins with; an asterisk behind the box, as some planners have it, says that the task is optional."""

_HEADING: Final = re.compile(r" {0,3}#{1,6}[ \t]+")
_CORE: Final = r"(?P<id>[A-Za-z0-9][A-Za-z0-9_.\-]*?)"
_GAP: Final = r"(?:[:.]?(?:[ \t]+(?:[-–—|:][ \t]+)?|$))"
_EMOJI: Final = rf"(?P<emoji>(?:{PICTOGRAPH}[ \t]*)*)"
_LEADING: Final = tuple(
    (style, re.compile(_EMOJI + pattern))
    for style, pattern in (
        ("worded", rf"(?:~~)?(?:[Tt]ask|TASK|[Aa]ufgabe|任务)[ \t]*#?(?P<id>\d[\w.\-]*?){_GAP}"),
        ("paren", r"\(task:(?P<id>[^\s()]+)\)(?:[ \t]+|$)"),
        ("bold", rf"(?:~~)?\*\*{_CORE}[:.]?\*\*{_GAP}"),
        ("bold", rf"\*\*~~{_CORE}[:.]?~~[:.]?\*\*{_GAP}"),
        ("bracket", rf"(?:~~)?\*\*\[{_CORE}\][:.]?\*\*{_GAP}"),
        ("bold", rf"__{_CORE}[:.]?__{_GAP}"),
        ("code", rf"(?:~~)?`{_CORE}`{_GAP}"),
        ("bracket", rf"(?:~~)?\[{_CORE}\](?:{LINK_TARGET})?{_GAP}"),
        ("open", rf"(?:~~)?\*\*(?:~~)?{_CORE}[:.]?[ \t]+(?:[-–—][ \t]+)?(?=[^*\s][^*]*\*\*)"),
        ("plain", rf"~~{_CORE}[:.]?~~{_GAP}"),
        ("plain", rf"(?:~~)?{_CORE}{_GAP}"),
    )
)
_ID_COMMENT: Final = re.compile(r"<!--\s*(?:id|task|task-id):\s*(?P<id>[^\s|]+)\s*-->")
_SIGN_ID: Final = re.compile(r"🆔\ufe0f?\s*(?P<id>[^\s,]+)")
_SIGN_DEPS: Final = re.compile(r"⛔\ufe0f?\s*(?P<ids>[^\s,]+(?:\s*,\s*[^\s,]+)*)")
_KEY_DEPS: Final = re.compile(
    r"(?<!\S)(?P<key>blocked-by|blocked_by|depends-on|depends_on|dependson|depends|deps|after):(?P<ids>[^\s,]+(?:,[^\s,]+)*)",
    re.IGNORECASE,
)
_PAREN_DEPS: Final = re.compile(
    r"[(\[](?P<key>depends[ _-]on|depends|deps|after|blocked[ _-]by|requires|needs)(?P<gap>\s*:\s*|\s+)"
    r"(?P<ids>[^()\[\]]*)[)\]]",
    re.IGNORECASE,
)
_OWNER: Final = re.compile(r"\(?@(?P<name>[\w][\w.:/+-]*)\)?")
_PRIORITY: Final = re.compile(r"!(?P<value>-?\d{1,9})")
_PHASE: Final = re.compile(r"#(?P<name>(?!\d+[\W_]*$)[^\s#()\[\]{},;]+)")
_RANK: Final = re.compile(r"\[(?P<value>[Pp][0-4])\](?:[ \t]+|$)")
_ASSIGNEE: Final = re.compile(r"\[(?P<name>[a-z][\w.-]*)\](?!\()(?:[ \t]+|$)")
_TRAILING_MAX: Final = 100
"""Words that are looked at behind a title; a line with more is prose, or made to keep a reader busy."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:.]+Z?)?")
_META: Final = re.compile(rf"~\S+|[A-Za-z][\w-]*:(?!//)\S+|{_DATE.pattern}|(?:{PICTOGRAPH})+")


class Token(NamedTuple):
    """A part of the line that is no title.

    ``start`` to ``end`` is what is taken out with it, ``value_start`` to ``value_end`` what it says;
    ``style`` is how it is written.
    """

    kind: str
    start: int
    end: int
    value_start: int
    value_end: int
    style: str


@dataclass(slots=True)
class ItemLine:
    """One checklist line taken apart; offsets count from its begin."""

    line: str
    mark: str
    mark_at: int
    text_at: int
    tokens: list[Token] = field(default_factory=list)
    is_template: bool = False
    accept_number: bool = True
    _title: str | None = None

    def find(self, kind: str) -> Token | None:
        """Return the first token of a kind."""
        for token in self.tokens:
            if token.kind == kind:
                return token
        return None

    def value(self, token: Token) -> str:
        """Return what a token says."""
        return self.line[token.value_start : token.value_end]

    def pieces(self) -> list[tuple[int, int]]:
        """Return where the title stands: the stretches between the tokens, without a strike through them all."""
        spans = list(_stripped_gaps(self.line, self.text_at, len(self.line.rstrip()), self.tokens))
        if not spans or not self.line.endswith("~~", 0, spans[-1][1]) or not self.line.startswith("~~", spans[0][0]):
            return spans
        if self.title_count(spans, "~~") != 2:
            return spans
        start, end = spans[-1]
        spans[-1] = (start, end - 2)
        spans[0] = (spans[0][0] + 2, spans[0][1])
        return [(start, end) for start, end in spans if start < end]

    def title_count(self, spans: Sequence[tuple[int, int]], text: str) -> int:
        """Count a text in the stretches of the title."""
        return sum(self.line.count(text, start, end) for start, end in spans)

    def title(self) -> str:
        """Return the title as one line."""
        if self._title is None:
            self._title = " ".join(self.line[start:end] for start, end in self.pieces()).strip()
        return self._title


def _stripped_gaps(line: str, start: int, end: int, tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    at = start
    for left, right in (*sorted((each.start, each.end) for each in tokens), (end, end)):
        text = line[at:left]
        if at < left and (content := text.strip()):
            begin = at + text.index(content)
            yield begin, begin + len(content)
        at = max(at, right)


def scan_item(line: str, *, accept_number: bool = True) -> ItemLine | None:
    """Take a checklist line apart; ``None`` when it has no checkbox.

    Args:
        accept_number: whether a bare number in front (``3 apples``) is an id.
    """
    box = CHECKBOX.match(line)
    if box is None:
        return None
    item = ItemLine(line, box["mark"], box.end("lead") + 1, box.end(), accept_number=accept_number)
    _scan_anywhere(item)
    _scan_leading(item, accept_number)
    _scan_trailing(item)
    item.tokens.sort(key=lambda token: token.start)
    return item


def scan_heading(line: str) -> ItemLine | None:
    """Take the line of a heading apart into its id and its title; ``None`` when it is no heading of one line."""
    mark = _HEADING.match(line)
    if mark is None:
        return None
    text = line.rstrip()
    closed = text.rstrip("#")
    if closed.endswith((" ", "\t")) and len(closed) > mark.end():
        text = closed.rstrip()
    item = ItemLine(text, "", mark.end(), mark.end())
    _scan_comments(item)
    if item.find("id") is None:
        _scan_leading(item, accept_number=True, is_heading=True)
    item.tokens.sort(key=lambda token: token.start)
    return item


def _scan_anywhere(item: ItemLine) -> None:
    line = item.line
    _scan_comments(item)
    if "🆔" in line and (found := _SIGN_ID.search(line, item.text_at)) and item.find("id") is None:
        item.tokens.append(Token("id", found.start(), found.end(), *found.span("id"), "sign"))
    if "⛔" in line and (found := _SIGN_DEPS.search(line, item.text_at + 1)):
        item.tokens.append(Token("dependsOn", found.start(), found.end(), *found.span("ids"), "sign"))
    elif ":" in line and (found := _KEY_DEPS.search(line, item.text_at)):
        item.tokens.append(Token("dependsOn", found.start(), found.end(), *found.span("ids"), found["key"] + ":"))


def _scan_comments(item: ItemLine) -> None:
    line = item.line
    start = line.find("<!--", item.text_at)
    while start >= 0 and (close := line.find("-->", start)) >= 0:
        end = close + 3
        found = _ID_COMMENT.fullmatch(line, start, end) if item.find("id") is None else None
        kind, name = ("id", found.span("id")) if found else ("comment", (start, end))
        item.tokens.append(Token(kind, start, end, *name, "comment"))
        start = line.find("<!--", end)


def _scan_leading(item: ItemLine, accept_number: bool, *, is_heading: bool = False) -> None:
    line = item.line
    at = item.text_at
    if item.find("id") is None:
        for style, pattern in _LEADING:
            found = pattern.match(line, at)
            if found is None:
                continue
            if is_placeholder(found["id"]):
                item.is_template = True
            if style == "worded" and not is_heading:
                continue
            if not _is_leading_id(found, style, accept_number or is_heading):
                continue
            # The emoji before an id and a strike that opens there stay in front of whatever is written.
            item.tokens.append(Token("id", at, found.end(), *found.span("id"), style))
            at = found.end()
            if style == "open":
                close = line.index("**", at)
                item.tokens.append(Token("comment", close, close + 2, close, close + 2, style))
            _scan_strike(item, found)
            break
        else:
            item.is_template = item.is_template or is_placeholder(line[at:].split(" ")[0])
    else:
        item.is_template = any(is_placeholder(item.value(each)) for each in item.tokens if each.kind == "id")
    if not is_heading and (rank := _RANK.match(line, at)):
        item.tokens.append(Token("priority", rank.start(), rank.end(), *rank.span("value"), "rank"))
        if (own := item.find("id")) and own.style == "paren" and (name := _ASSIGNEE.match(line, rank.end())):
            item.tokens.append(Token("owner", name.start(), name.end(), *name.span("name"), "bracket"))


def _scan_strike(item: ItemLine, found: re.Match[str]) -> None:
    """Find the end of a strike that opens before the id; a remark may stand behind it."""
    line, start, end = item.line, *found.span("id")
    if "~~" not in line[found.start() : start] or "~~" in line[end : found.end()] or line.count("~~", end) != 1:
        return
    close = line.index("~~", end)
    item.tokens.append(Token("comment", close, close + 2, close, close + 2, "strike"))


def _is_leading_id(found: re.Match[str], style: str, accept_number: bool) -> bool:
    token = found["id"]
    if style == "paren":
        return is_id(token)
    if not looks_like_id(token):
        return False
    if style == "bracket":
        return len(token) > 3 or not token.isalnum()
    if style in ("plain", "open") and token.isdigit():
        return accept_number or found.string[found.end("id") : found.end("id") + 1] in (".", ":")
    return True


def _scan_trailing(item: ItemLine) -> None:
    """Read fields off the end of the line, over words that are data too (``~2h``, ``ref:GH#1``)."""
    line = item.line
    tags: list[tuple[int, int, bool]] = []
    only_fields = True
    end = len(line)
    begin = max([item.text_at, *(each.end for each in item.tokens if each.kind == "id" and each.start == item.text_at)])
    for _ in range(_TRAILING_MAX):
        while end > begin and line[end - 1].isspace():
            end -= 1
        if end <= begin:
            break
        if token := next((each for each in item.tokens if each.end == end), None):
            end = token.start
            continue
        opening = {")": "(", "]": "["}.get(line[end - 1])
        if opening and (found := _PAREN_DEPS.fullmatch(line, max(begin, line.rfind(opening, begin, end)), end)):
            if item.find("dependsOn") is not None or not are_ids(found["ids"]):
                break
            style = opening + found["key"] + found["gap"]
            item.tokens.append(Token("dependsOn", found.start(), end, *found.span("ids"), style))
            end = found.start()
            continue
        start = max(begin, *(line.rfind(sign, begin, end) + 1 for sign in " \t"))
        word = line[start:end]
        kind = _field_word(item, start, end, word)
        if kind == "tag":
            tags.append((start, end, only_fields))
        elif kind is None:
            if not _META.fullmatch(word):
                break
            only_fields = False
        end = start
    if len(tags) == 1 and tags[0][2]:
        start, end, _ = tags[0]
        item.tokens.append(Token("phase", start, end, start + 1, end, "#"))


def _field_word(item: ItemLine, start: int, end: int, word: str) -> str | None:
    if (name := _OWNER.fullmatch(word)) and item.find("owner") is None:
        at = start + name.start("name")
        item.tokens.append(Token("owner", start, end, at, at + len(name["name"]), word[: name.start("name")]))
        return "owner"
    if (number := _PRIORITY.fullmatch(word)) and item.find("priority") is None:
        item.tokens.append(Token("priority", start, end, start + number.start("value"), end, "!"))
        return "priority"
    if word.rstrip("\ufe0f") in PRIORITY_SIGNS and item.find("priority") is None:
        item.tokens.append(Token("priority", start, end, start, end, "sign"))
        return "priority"
    return "tag" if _PHASE.fullmatch(word) else None
