"""Reading ``syncd.yaml``.

Values are checked where they stand: a wrong one is told with file and line and what is allowed.  May
import ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from syncd.errors import BadValue, ConfigError
from syncd.files.atomic import failure
from syncd.files.paths import fault
from syncd.parsers.yaml_limits import excess, is_overgrown
from syncd.schemas.config import (
    KEYS,
    STATES,
    Config,
    Guards,
    Key,
    Kind,
    Mode,
    OnRemoved,
    Side,
    StoreKind,
    StoreRecord,
    TaskEntry,
    is_field,
)

BOM: Final = "\ufeff"
_GROUPS: Final = frozenset(name.partition(".")[0] for name in KEYS if "." in name)


class _Wrong(Exception):
    """A value that its key cannot hold: the node where it stands, and why."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


def read_config(path: Path) -> Config:
    """Return the settings in a file; an absent or empty one gives the defaults.

    Raises:
        ConfigError: unknown key, wrong value, no YAML, with file and line.
        InputOutputError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise failure(error, f"Cannot read {path}") from error
    return parse_config(decoded(path, data), str(path))


def parse_config(text: str, name: str) -> Config:
    """Return the settings in a text; ``name`` is the file's, for messages.  Raises ConfigError."""
    root = composed(text, name)
    try:
        return Config() if root is None else _config(root)
    except _Wrong as wrong:
        raise ConfigError(f"{name}:{wrong.node.start_mark.line + 1}: {wrong.reason}") from wrong


# --- YAML ----------------------------------------------------------------------------------------


def get_setting(config: Config, name: str) -> Any:
    """Return one setting as plain data (text, numbers, lists, mappings).

    Raises:
        BadValue: no such key.
    """
    if name not in KEYS:
        raise BadValue(f"There is no setting `{name}`{nearest(name, KEYS)}.", hint="syncd config get")
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return _plain_value(value)


def parse_value(text: str) -> Any:
    """Return what a text stands for where it is a value in ``syncd.yaml``.

    Raises:
        BadValue: it is no YAML.
    """
    try:
        return plain(composed(text, "the value"))
    except ConfigError as error:
        raise BadValue(error.message, hint="Quote a text that has colons, brackets or a leading dash.") from error


def _plain_value(value: Any) -> Any:
    """Return a setting as it would be written: a task file without more to say is its path."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {each.name: _plain_value(getattr(value, each.name)) for each in fields(value)}
        said = {name: each for name, each in said.items() if each is not None}
        return said["path"] if said.keys() == {"path"} else said
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain_value(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def decoded(path: Path, data: bytes) -> str:
    """Return a file's text.  Raises ConfigError."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: the bytes are no UTF-8.") from error


def composed(text: str, name: str) -> Node | None:
    """Return the YAML of a text as nodes with their places, counted without a BOM.  Raises ConfigError."""
    # A BOM would shift the positions of the nodes.
    text = text.removeprefix(BOM)
    if (found := excess(text)) is not None:
        raise ConfigError(f"{name}:{found[0] + 1}: this is not read: {found[1]}.")
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{name}{line}: this is no YAML: {error.problem or error.context}.") from error
    except (YAMLError, RecursionError) as error:
        raise ConfigError(f"{name}: this is no YAML.") from error
    if root is not None and is_overgrown(root):
        raise ConfigError(f"{name}: this is not read: its aliases grow into too much.")
    return root


def plain(node: Node | None) -> Any:
    """Return a node as plain data."""
    match node:
        case MappingNode():
            return {plain(key): plain(value) for key, value in node.value}
        case SequenceNode():
            return [plain(each) for each in node.value]
        case ScalarNode():
            return scalar(node)
        case _:
            return None


def scalar(node: ScalarNode) -> Any:
    """Return a scalar as plain data."""
    text: str = node.value
    match str(node.tag).rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" | "float" as kind:
            return _read_number(text.replace("_", ""), kind)
        case _:
            return text


def _read_number(text: str, kind: str) -> int | float | str:
    """Return a number; one that Python writes otherwise (``0b11``), or that has thousands of digits, stays text."""
    try:
        if kind == "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return int(text, 10 if text.lstrip("+-").startswith("0") else 0)
    except ValueError:
        return text


def is_empty(node: Node) -> bool:
    """Return whether a node is an empty value: nothing, ``~`` or ``null``."""
    return isinstance(node, ScalarNode) and scalar(node) is None


# --- checking ------------------------------------------------------------------------------------


def _config(root: Node) -> Config:
    values: dict[str, Any] = {}
    for name, (at, value) in _mapping(root).items():
        if name in _GROUPS and not is_empty(value):
            guards = {
                each: _value(_known(key_node, f"{name}.{each}"), node)
                for each, (key_node, node) in _mapping(value).items()
            }
            values[name] = Guards(**guards)
        elif name not in _GROUPS:
            values[name] = _value(_known(at, name), value)
    return Config(**values)


def _known(at: Node, name: str) -> Key:
    if name in KEYS:
        return KEYS[name]
    allowed = ", ".join(KEYS)
    raise _Wrong(at, f"there is no setting `{name}`{nearest(name, KEYS)}; there are {allowed}.")


def nearest(name: str, among: Mapping[str, object]) -> str:
    """Return a guess at a misspelt name, for a message; empty when none is near."""
    near = difflib.get_close_matches(name, among, n=1)
    return f" (`{near[0]}`?)" if near else ""


def _value(key: Key, node: Node) -> Any:
    """Return a key's value; an empty one means the default."""
    if isinstance(node, ScalarNode) and scalar(node) is None:
        return key.default
    try:
        return _READERS[key.kind](node)
    except _Wrong as wrong:
        raise _Wrong(wrong.node, f"`{key.name}` takes {key.kind}, and {wrong.reason}.") from wrong


def _mapping(node: Node) -> dict[str, tuple[Node, Node]]:
    if not isinstance(node, MappingNode):
        raise _Wrong(node, "this is no mapping")
    found: dict[str, tuple[Node, Node]] = {}
    for key, value in node.value:
        name = str(plain(key))
        if name in found:
            raise _Wrong(key, f"`{name}` stands twice")
        found[name] = (key, value)
    return found


def _sequence(node: Node) -> list[Node]:
    """Return a list's items; a lone value is a list of one."""
    return list(node.value) if isinstance(node, SequenceNode) else [node]


def _text(node: Node) -> str:
    value = plain(node)
    if isinstance(value, dict | list) or value is None:
        raise _Wrong(node, "this is no text")
    # A project named 2024 is meant as written.
    text = str(node.value).strip()
    if not text:
        raise _Wrong(node, "this is empty")
    return text


def _whole(node: Node) -> int:
    value = plain(node)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong(node, "this is no whole number")
    return value


def _count(node: Node, least: int = 0) -> int:
    value = _whole(node)
    if value < least:
        raise _Wrong(node, f"{value} is too small")
    return value


def _switch(node: Node) -> bool:
    value = plain(node)
    if not isinstance(value, bool):
        raise _Wrong(node, "this is neither true nor false")
    return value


def _number(node: Node, most: float = float("inf")) -> float:
    value = plain(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(node, "this is no number")
    if not 0 <= value <= most:
        raise _Wrong(node, f"{value} is out of range")
    return float(value)


def _path(node: Node) -> str:
    path = _text(node)
    if (reason := fault(path)) is not None:
        raise _Wrong(node, f"{path} cannot be used: {reason}")
    return path.removeprefix("./")


def _paths(node: Node) -> str | tuple[str, ...]:
    if not isinstance(node, SequenceNode):
        return _path(node)
    paths = tuple(map(_path, _sequence(node)))
    if not paths:
        raise _Wrong(node, "the list is empty")
    return paths


def _range(node: Node) -> tuple[int, int]:
    ends = [_whole(each) for each in _sequence(node)]
    if len(ends) != 2 or ends[0] > ends[1]:
        raise _Wrong(node, "this is no range")
    return ends[0], ends[1]


def _tasks(node: Node) -> tuple[TaskEntry, ...]:
    entries = tuple(_task_entry(each) for each in _sequence(node))
    if not entries:
        raise _Wrong(node, "the list is empty")
    return entries


def _task_entry(node: Node) -> TaskEntry:
    if not isinstance(node, MappingNode):
        return TaskEntry(_path(node))
    parts = _mapping(node)
    for name, (at, _) in parts.items():
        if name not in ("path", "namespace"):
            raise _Wrong(at, f"a task file has no `{name}`")
    if "path" not in parts:
        raise _Wrong(node, "a task file has no `path`")
    texts = {name: _text(value) for name, (_, value) in parts.items() if name != "path"}
    return TaskEntry(_path(parts["path"][1]), **texts)


def _store(node: Node) -> StoreRecord:
    parts = _mapping(node)
    for name, (at, _) in parts.items():
        if name not in ("kind", "address"):
            raise _Wrong(at, f"a store has no `{name}`")
    if "kind" not in parts or "address" not in parts:
        raise _Wrong(node, "`kind` and `address` are both needed")
    address_node = parts["address"][1]
    address = _text(address_node)
    user = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if ":" in user or "password=" in address:
        raise _Wrong(address_node, "a password has no place in this file")
    return StoreRecord(StoreKind(_word(parts["kind"][1], StoreKind)), address)


def _word(node: Node, allowed: Any) -> str:
    word = _text(node)
    words = [str(each) for each in allowed]
    if word not in words:
        raise _Wrong(node, f"`{word}` is none of {', '.join(words)}")
    return word


def _word_map(allowed: Any) -> Callable[[Node], dict[str, str]]:
    return lambda node: {name.strip().lower(): _word(value, allowed) for name, (_, value) in _mapping(node).items()}


def _headers(node: Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for word, (_, value) in _mapping(node).items():
        found[word.strip().lower()] = _field(value, _text(value))
    return found


def _policy(node: Node) -> dict[str, str]:
    return {_field(at, name): _word(value, Side) for name, (at, value) in _mapping(node).items()}


def _field(node: Node, name: str) -> str:
    if not is_field(name):
        raise _Wrong(node, f"`{name}` is no field of a card")
    return name


_READERS: Final[Mapping[Kind, Callable[[Node], Any]]] = {
    Kind.TEXT: _text,
    Kind.SWITCH: _switch,
    Kind.COUNT: _count,
    Kind.SIZE: lambda node: _count(node, 1),
    Kind.SHARE: lambda node: _number(node, 1),
    Kind.SECONDS: _number,
    Kind.MILLISECONDS: _count,
    Kind.PATHS: _paths,
    Kind.WORDS: lambda node: tuple(_text(each) for each in _sequence(node)),
    Kind.MODE: lambda node: Mode(_word(node, Mode)),
    Kind.ON_REMOVED: lambda node: OnRemoved(_word(node, OnRemoved)),
    Kind.TASKS: _tasks,
    Kind.STORE: _store,
    Kind.HEADERS: _headers,
    Kind.STATUSES: _word_map(STATES),
    Kind.POLICY: _policy,
    Kind.RANGE: _range,
}
