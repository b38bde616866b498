"""The values of ``syncd.yaml``: what each kind of key can hold, read from the nodes of the YAML.

A value that its key cannot hold is told with its place (``Wrong``).  May import ``syncd.schemas``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from syncd.files.paths import fault
from syncd.schemas.config import (
    SECONDS_MAX,
    STATES,
    VARIABLE,
    Assignment,
    Kind,
    Mode,
    OnRemoved,
    Outlet,
    Side,
    StoreKind,
    StoreRecord,
    TaskEntry,
    is_field,
)


class Wrong(Exception):
    """A value that its key cannot hold: the node where it stands, and why."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


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


def nearest(name: str, among: Mapping[str, object]) -> str:
    """Return a guess at a misspelt name, for a message; empty when none is near."""
    near = difflib.get_close_matches(name, among, n=1)
    return f" (`{near[0]}`?)" if near else ""


def mapping(node: Node) -> dict[str, tuple[Node, Node]]:
    if not isinstance(node, MappingNode):
        raise Wrong(node, "this is no mapping")
    found: dict[str, tuple[Node, Node]] = {}
    for key, value in node.value:
        name = str(plain(key))
        if name in found:
            raise Wrong(key, f"`{name}` stands twice")
        found[name] = (key, value)
    return found


def _sequence(node: Node) -> list[Node]:
    """Return a list's items; a lone value is a list of one."""
    return list(node.value) if isinstance(node, SequenceNode) else [node]


def _text(node: Node) -> str:
    value = plain(node)
    if isinstance(value, dict | list) or value is None:
        raise Wrong(node, "this is no text")
    # A project named 2024 is meant as written.
    text = str(node.value).strip()
    if not text:
        raise Wrong(node, "this is empty")
    return text


def _whole(node: Node) -> int:
    value = plain(node)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(node, "this is no whole number")
    return value


def _count(node: Node, least: int = 0) -> int:
    value = _whole(node)
    if value < least:
        raise Wrong(node, f"{value} is too small")
    return value


def _switch(node: Node) -> bool:
    value = plain(node)
    if not isinstance(value, bool):
        raise Wrong(node, "this is neither true nor false")
    return value


def _variable(node: Node) -> str:
    """Return the name of an environment variable; what is none is never said, since it may be a secret itself."""
    name = _text(node)
    if not re.fullmatch(VARIABLE, name):
        raise Wrong(node, "this is none: letters, digits and `_`, and what it holds stays in the environment")
    return name


def _number(node: Node, most: float = SECONDS_MAX) -> float:
    value = plain(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(node, "this is no number")
    if not 0 <= value <= most:
        raise Wrong(node, f"{value} is out of range")
    return float(value)


def _time_limit(node: Node) -> float:
    seconds = _number(node)
    if seconds == 0:
        raise Wrong(node, "a time limit is more than 0 seconds")
    return seconds


def _path(node: Node) -> str:
    path = _text(node)
    if (reason := fault(path)) is not None:
        raise Wrong(node, f"{path} cannot be used: {reason}")
    return path.removeprefix("./")


def _paths(node: Node) -> str | tuple[str, ...]:
    if not isinstance(node, SequenceNode):
        return _path(node)
    paths = tuple(map(_path, _sequence(node)))
    if not paths:
        raise Wrong(node, "the list is empty")
    return paths


def _range(node: Node) -> tuple[int, int]:
    ends = [_whole(each) for each in _sequence(node)]
    if len(ends) != 2 or ends[0] > ends[1]:
        raise Wrong(node, "this is no range")
    return ends[0], ends[1]


def _tasks(node: Node) -> tuple[TaskEntry, ...]:
    entries = tuple(_task_entry(each) for each in _sequence(node))
    if not entries:
        raise Wrong(node, "the list is empty")
    return entries


def _task_entry(node: Node) -> TaskEntry:
    if not isinstance(node, MappingNode):
        return TaskEntry(_path(node))
    return TaskEntry(**_record(node, "a task file", {"path": _path, "namespace": _text}, needs="path"))


def _store(node: Node) -> StoreRecord:
    parts = mapping(node)
    _record(node, "a store", {"kind": _text, "address": _text})
    if "kind" not in parts or "address" not in parts:
        raise Wrong(node, "`kind` and `address` are both needed")
    address_node = parts["address"][1]
    address = _text(address_node)
    user = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if ":" in user or "password=" in address:
        raise Wrong(address_node, "a password has no place in this file")
    return StoreRecord(StoreKind(_word(parts["kind"][1], StoreKind)), address)


def _record(
    node: Node, what: str, readers: Mapping[str, Callable[[Node], Any]], *, needs: str | None = None
) -> dict[str, Any]:
    """Return a mapping's values by the readers of their names; what is empty is left out."""
    parts = mapping(node)
    for name, (at, _) in parts.items():
        if name not in readers:
            raise Wrong(at, f"{what} has no `{name}`{nearest(name, readers)}")
    if needs is not None and needs not in parts:
        raise Wrong(node, f"{what} has no `{needs}`")
    return {name: readers[name](value) for name, (_, value) in parts.items() if not is_empty(value)}


def _outlet(node: Node) -> Outlet:
    values = _record(node, "an outlet", _OUTLET)
    if len({"run", "url", "file"} & values.keys()) != 1:
        raise Wrong(node, "an outlet has exactly one of `run`, `url` and `file`")
    if not str(values.get("url", "https://")).startswith(("https://", "http://")):
        raise Wrong(node, "a webhook's address begins with https:// or http://")
    return Outlet(**values)


def _command(node: Node) -> tuple[str, ...]:
    """Return a command's words; a text goes to the shell."""
    return _words(node) if isinstance(node, SequenceNode) else ("sh", "-c", _text(node))


def _words(node: Node) -> tuple[str, ...]:
    return tuple(_text(each) for each in _sequence(node))


def _word(node: Node, allowed: Any) -> str:
    word = _text(node)
    words = [str(each) for each in allowed]
    if word not in words:
        raise Wrong(node, f"`{word}` is none of {', '.join(words)}")
    return word


def _word_map(allowed: Any) -> Callable[[Node], dict[str, str]]:
    return lambda node: {name.strip().lower(): _word(value, allowed) for name, (_, value) in mapping(node).items()}


def _headers(node: Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for word, (_, value) in mapping(node).items():
        found[word.strip().lower()] = _field(value, _text(value))
    return found


def _policy(node: Node) -> dict[str, str]:
    return {_field(at, name): _word(value, Side) for name, (at, value) in mapping(node).items()}


def _field(node: Node, name: str) -> str:
    if not is_field(name):
        raise Wrong(node, f"`{name}` is no field of a card")
    return name


_OUTLET: Final[Mapping[str, Callable[[Node], Any]]] = {
    "run": _command,
    "url": _text,
    "file": _path,
    "on": _words,
    "name": _text,
    "timeout_s": _time_limit,
    "concurrency": lambda node: _count(node, 1),
    "retries": _count,
    "secret_env": _variable,
}
_ASSIGNMENT: Final[Mapping[str, Callable[[Node], Any]]] = {
    "worker": _text,
    "phase": _text,
    "agent": _text,
    "labels": _words,
}
READERS: Final[Mapping[Kind, Callable[[Node], Any]]] = {
    Kind.TEXT: _text,
    Kind.VARIABLE: _variable,
    Kind.SWITCH: _switch,
    Kind.COUNT: _count,
    Kind.SIZE: lambda node: _count(node, 1),
    Kind.SHARE: lambda node: _number(node, 1),
    Kind.SECONDS: _number,
    Kind.MILLISECONDS: _count,
    Kind.PATHS: _paths,
    Kind.WORDS: _words,
    Kind.MODE: lambda node: Mode(_word(node, Mode)),
    Kind.ON_REMOVED: lambda node: OnRemoved(_word(node, OnRemoved)),
    Kind.TASKS: _tasks,
    Kind.STORE: _store,
    Kind.HEADERS: _headers,
    Kind.STATUSES: _word_map(STATES),
    Kind.POLICY: _policy,
    Kind.RANGE: _range,
    Kind.OUTLETS: lambda node: tuple(_outlet(each) for each in _sequence(node)),
    Kind.ASSIGNMENTS: lambda node: tuple(
        Assignment(**_record(each, "an assignment", _ASSIGNMENT, needs="worker")) for each in _sequence(node)
    ),
}
