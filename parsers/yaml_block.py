"""The YAML block at the top of a file: its keys, each with the place of its value.

ruamel.yaml is imported only for a file that has such a block.  Imports nothing of syncd but its neighbours.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from syncd.parsers.document import FrontMatter
from syncd.parsers.fields import looks_like_id
from syncd.parsers.source import Source
from syncd.parsers.words import EMPTY_VALUES
from syncd.parsers.yaml_limits import excess, is_overgrown
from syncd.schemas.card import Value

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_KEY: Final = re.compile(r"[^\W\d][\w -]*:(?:\s|$)")
_ID_COMMENT: Final = re.compile(r"#[ \t]*(\S+)[ \t]*")
_FENCES: Final = ("---", "...")
_LINES_MAX: Final = 1000


class Entry(msgspec.Struct, frozen=True):
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


class FrontBlock(msgspec.Struct, frozen=True):
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


def compose(text: str) -> Any:
    """Return the node tree of a YAML text; ``ValueError`` with the line when it is none, or too large to be one."""
    from ruamel.yaml.error import YAMLError

    if (found := excess(text)) is not None:
        raise ValueError(found[0])
    try:
        root = _yaml().compose(text)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(mark.line if mark else 0) from error
    if root is not None and is_overgrown(root):
        raise ValueError(0)
    return root


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
        root = compose(source.text[base : source.starts[close]])
    except ValueError as error:
        line = int(error.args[0]) + 1
        return FrontBlock((), close + 1), FrontMatter(), min(line, close)
    if root is None or root.id != "mapping":
        return None, FrontMatter(), None
    entries = tuple(_entry(key, value, base) for key, value in root.value if isinstance(key.value, str))
    nested = {
        key.value: {
            word.value: state.value for word, state in value.value if word.id == "scalar" and state.id == "scalar"
        }
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
