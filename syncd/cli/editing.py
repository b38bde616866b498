"""Commands with which scripts change the task file without getting into anybody's way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from syncd.cli import completing
from syncd.cli.changes import change_card
from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit
from syncd.cli.values import parse_fields

commands = group("The task file.")


@command(commands, "edit", "syncd edit A4 status=done", 'syncd edit A4 "title=Write the parser" priority=7')
def edit(
    context: typer.Context,
    id: Annotated[
        str, typer.Argument(metavar="ID", help="The card, as the file names it.", autocompletion=completing.cards)
    ],
    assignments: Annotated[
        list[str],
        typer.Argument(
            metavar="FIELD=VALUE...",
            help="title, body, phase, priority, status, dependsOn, acceptance, extra.KEY; no value empties it.",
        ),
    ],
) -> None:
    """Edit a card in its task file, and sync it.

    Every other byte stays, and an edit that somebody makes at the same moment is not lost. Works without
    a reachable store. What the card's place in the file cannot show is refused.
    """
    fields = parse_fields(assignments)
    change_card(context, "Edited", lambda opened: opened.edit(id, fields))


@command(commands, "fmt", "syncd fmt", "syncd fmt --check", "syncd fmt docs/TASKS.md")
def fmt(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Task files of the workspace; else all of them.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; end with 1 when a file would change.")] = False,
) -> None:
    """Pad the tables of the task files, and change nothing else.

    Each column gets the width that it shows. A sync never does this by itself, unless `repad: true`
    says so.
    """
    from syncd.cli.screens import files as screens

    with workspace(context) as opened:
        found = opened.format([_inside(opened.root, each) for each in files or ()], is_check=check)
    told = [{"path": each.path, "changed": each.is_changed} for each in found]
    emit(context, told, lambda: screens.formatted(told, is_check=check))
    if check and any(each.is_changed for each in found):
        raise typer.Exit(1)


def _inside(root: Path, path: Path) -> str:
    """Return a path as the workspace names it."""
    whole = Path.cwd() / path
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(path)


@command(commands, "with-lock", "syncd with-lock -- ./renumber TASKS.md", "syncd with-lock --wait 5 -- sh edit.sh")
def with_lock(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command, and its arguments.")],
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="SEC", min=0, help="How long to wait for the lock; else for ever."),
    ] = None,
) -> None:
    """Run a command while nobody else edits the task files.

    No other script, and not syncd. Ends with the command's exit code; signals go on to it.
    'flock .syncd/TASKS.md.lock CMD' takes the same lock.
    """
    with workspace(context, shows_progress=False) as opened:
        code = opened.run_locked(words, wait_s=wait)
    raise typer.Exit(code)
