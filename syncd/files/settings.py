"""Reading ``syncd.yaml``.

Values are checked where they stand: a wrong one is told with file and line and what is allowed.  May
import ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode

from syncd.errors import BadValue, ConfigError
from syncd.files.atomic import failure
from syncd.files.setting_values import READERS, Wrong, is_empty, mapping, nearest, plain, scalar
from syncd.parsers.yaml_limits import excess, is_overgrown
from syncd.schemas.config import (
    GROUPS,
    KEYS,
    Config,
    Key,
)

BOM: Final = "\ufeff"


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
    except Wrong as wrong:
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


# --- checking ------------------------------------------------------------------------------------


def _config(root: Node) -> Config:
    values: dict[str, Any] = {}
    for name, (at, value) in mapping(root).items():
        if name in GROUPS and not is_empty(value):
            group = {
                each: _value(_known(key_node, f"{name}.{each}"), node)
                for each, (key_node, node) in mapping(value).items()
            }
            values[name] = GROUPS[name](**group)
        elif name not in GROUPS:
            values[name] = _value(_known(at, name), value)
    return Config(**values)


def _known(at: Node, name: str) -> Key:
    if name in KEYS:
        return KEYS[name]
    allowed = ", ".join(KEYS)
    raise Wrong(at, f"there is no setting `{name}`{nearest(name, KEYS)}; there are {allowed}.")


def _value(key: Key, node: Node) -> Any:
    """Return a key's value; an empty one means the default."""
    if isinstance(node, ScalarNode) and scalar(node) is None:
        return key.default
    try:
        return READERS[key.kind](node)
    except Wrong as wrong:
        raise Wrong(wrong.node, f"`{key.name}` takes {key.kind}, and {wrong.reason}.") from wrong
