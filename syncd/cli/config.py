"""Commands about ``syncd.yaml``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from syncd.cli import completing
from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit
from syncd.cli.screen import Screen, line

commands = group("The settings in syncd.yaml.", "syncd config get")

Key = Annotated[
    str, typer.Argument(metavar="KEY", help="A setting, as 'guards.deletions_max'.", autocompletion=completing.settings)
]


@command(commands, "get", "syncd config get", "syncd config get tasks")
def get(
    context: typer.Context,
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="One setting; else all.", autocompletion=completing.settings)
    ] = None,
) -> None:
    """Print one setting, or all of them with their defaults."""
    with workspace(context) as opened:
        value = opened.settings() if key is None else opened.config_get(key)
    emit(context, value, lambda: _setting(value))


@command(commands, "set", "syncd config set project shop", "syncd config set guards.deletions_max 10")
def set_(
    context: typer.Context,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="As it would stand in the file.")],
) -> None:
    """Change one setting.

    Every other byte of syncd.yaml stays as it was.
    """
    with workspace(context) as opened:
        opened.config_set(key, value)
    with workspace(context) as opened:
        found = opened.config_get(key)
    emit(context, found, lambda: [line(f"{key}: {_word(found)}")])


@command(commands, "path", "syncd config path", '"$EDITOR" "$(syncd config path)"')
def path(context: typer.Context) -> None:
    """Print where syncd.yaml is."""
    with workspace(context) as opened:
        found = str(opened.config_path)
    emit(context, found, lambda: [line(found)])


def _setting(value: Any) -> Screen:
    """Return a setting as ``key: value`` lines, a list as its members."""
    match value:
        case dict():
            return [line(f"{key}: {_word(each)}") for key, each in value.items()]
        case list() | tuple():
            return [line(_word(each)) for each in value]
        case _:
            return [line(_word(value))]


def _word(value: Any) -> str:
    """Return a value as YAML would say it on one line."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)
