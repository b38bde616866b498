"""Changing one key of ``syncd.yaml`` while every other byte of it stays.

The text of the value alone is replaced; the result is loaded again and compared.  A file that cannot
be changed so is left for a person.  May import ``syncd.errors``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from syncd.errors import BadValue, ConfigError
from syncd.files.atomic import failure, write_whole
from syncd.files.setting_values import nearest, plain, scalar
from syncd.files.settings import BOM, composed, decoded, parse_config
from syncd.schemas.config import KEYS, Config


def edit_config(path: Path, name: str, value: Any) -> Config:
    """Set one key of a configuration file, and change nothing else in it; return the new settings.

    Args:
        name: a key of ``KEYS``.
        value: plain data, as the YAML would give it.

    Raises:
        BadValue: the key cannot hold that; the file is as it was.
        BadValue: no such key.
        ConfigError: the file is written in a way that only a person can change.
        InputOutputError: the file cannot be read or written.
    """
    if name not in KEYS:
        raise BadValue(f"There is no setting `{name}`{nearest(name, KEYS)}.", hint="syncd config get")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise failure(error, f"Cannot read {path}") from error
    text = decoded(path, data)
    parse_config(text, str(path))
    before = plain(composed(text, str(path)))
    edited = _edited(text, composed(text, str(path)), name.split("."), value)
    if _read_back(edited) != _with(before, name.split("."), value):
        raise ConfigError(f"{path} is written in a way that only a person can change: set `{name}` by hand.")
    try:
        config = parse_config(edited, str(path))
    except ConfigError as error:
        raise BadValue(error.message) from error
    write_whole(path, edited.encode())
    return config


def _read_back(text: str) -> Any:
    try:
        return plain(composed(text, ""))
    except ConfigError:
        return None


def _with(data: Any, names: list[str], value: Any) -> Any:
    """Return plain data with one key set."""
    changed = dict(data or {})
    head, *rest = names
    changed[head] = _with(changed.get(head), rest, value) if rest else value
    return changed


def _edited(text: str, root: Node | None, names: list[str], value: Any) -> str:
    bom = BOM if text.startswith(BOM) else ""
    body = text.removeprefix(BOM)
    end = "\r\n" if "\r\n" in body else "\n"
    head, *rest = names
    pair = _pair(root, head)
    if pair is None:
        written = f"{head}: {_dumped(value)}" if not rest else f"{head}:{end}  {rest[0]}: {_dumped(value)}"
        return bom + _line_after(body, len(body), written, end)
    if not rest:
        return bom + _replaced(body, *pair, value)
    if not isinstance(pair[1], MappingNode):
        return bom + _replaced(body, *pair, {rest[0]: value})
    inner = _pair(pair[1], rest[0])
    if inner is None:
        return bom + _entry_after(body, pair[1], f"{rest[0]}: {_dumped(value)}", end)
    return bom + _replaced(body, *inner, value)


def _pair(node: Node | None, name: str) -> tuple[Node, Node] | None:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next(((key, value) for key, value in pairs if plain(key) == name), None)


def _replaced(body: str, key: Node, node: Node, value: Any) -> str:
    """Put another value in a node's place; nothing at all stands right behind the colon."""
    start, stop = node.start_mark.index, _stop(node, body)
    if start == stop:
        start = stop = body.index(":", key.end_mark.index) + 1
        return f"{body[:start]} {_dumped(value)}{body[stop:]}"
    return body[:start] + _dumped(value, like=node) + body[stop:]


def _stop(node: Node, body: str) -> int:
    """Return where the text of a node ends; the mark of a block lies behind the comments that follow it."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _stop(last[1] if isinstance(last, tuple) else last, body)
    stop: int = node.end_mark.index
    return len(body[:stop].rstrip("\r\n")) if getattr(node, "style", None) in ("|", ">") else stop


def _entry_after(body: str, node: MappingNode, written: str, end: str) -> str:
    """Add an entry to a mapping, in its own style."""
    if node.flow_style:
        stop = node.end_mark.index - 1
        return body[:stop] + (", " if node.value else "") + written + body[stop:]
    line_end = body.find("\n", _stop(node, body))
    return _line_after(body, len(body) if line_end < 0 else line_end + 1, " " * node.start_mark.column + written, end)


def _line_after(body: str, at: int, line: str, end: str) -> str:
    gap = "" if at == 0 or body[:at].endswith("\n") else end
    return body[:at] + gap + line + end + body[at:]


def _dumped(value: Any, *, like: Node | None = None) -> str:
    """Return a value as YAML on one line: JSON, but for texts that need no quotes."""
    if isinstance(value, str):
        style = getattr(like, "style", None)
        if style == "'" and "\n" not in value:
            return "'" + value.replace("'", "''") + "'"
        if style != '"' and _is_bare(value):
            return value
    return json.dumps(value, ensure_ascii=False)


def _is_bare(value: str) -> bool:
    """Return whether a text reads as itself without quotes, in a flow or a block."""
    if not value or any(each in value for each in "\r\n,[]{}#:&*!|>'\"%@`?"):
        return False
    node = YAML(typ="safe", pure=True).compose(value)
    return isinstance(node, ScalarNode) and scalar(node) == value
