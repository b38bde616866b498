"""Commands about the past: what changed, a card as it was, the task file as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import completing
from syncd.cli.changes import change_card
from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import emit, json_line, show, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncd.core.history import HistoryEntry

commands = group("The past.")


@command(commands, "log", "syncd log", "syncd log A4 --limit 5", "syncd log --follow --json")
def log(
    context: typer.Context,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Only this card.", autocompletion=completing.cards)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="The last N changes.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each change as it is made.")] = False,
) -> None:
    """Show who changed what, from what to what.

    And when, and through which face. Oldest first; every writer is in it, plain SQL too. With --follow and
    --json each change is a line.
    """
    from syncd.cli.screens import history as screens
    from syncd.engine.report import history_json

    with workspace(context, shows_progress=not follow) as opened:
        if follow:
            _stream(context, opened.past.follow(id, limit=limit))
        found = [history_json(each) for each in opened.past.history(id, limit=limit)]
    emit(context, found, lambda: screens.entries(found))


def _stream(context: typer.Context, entries: Iterable[HistoryEntry]) -> None:
    """Print each entry as it comes."""
    from syncd.cli.screens import history as screens
    from syncd.engine.report import history_json

    is_json = globals_of(context).json
    for each in entries:
        found = history_json(each)
        if is_json:
            write_bytes(json_line(found))
        else:
            show(screens.entries([found]))


@command(commands, "restore", "syncd restore A4", "syncd restore A4 --version 3")
def restore(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The card.", autocompletion=completing.cards)],
    version: Annotated[
        int | None,
        typer.Option("--version", metavar="N", help="As it was then; 'syncd log ID' shows the versions."),
    ] = None,
) -> None:
    """Bring a card back as it was.

    One that was deleted or archived comes back as it was; with --version any card goes back to what it
    said then, as a new version. A claim does not come back.
    """
    change_card(context, "Restored", lambda opened: opened.past.restore(id, version))


@command(commands, "undo", "syncd undo", "syncd undo docs/TASKS.md")
def undo(
    context: typer.Context,
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="The task file, where syncd writes several.")
    ] = None,
) -> None:
    """Take back syncd's last write to the task file.

    The file is as it was before that write, and that is synced: the values that come back go to the store
    as any edit does. Ids that rows were given stay. A second undo takes the first one back. Refused when the file
    was edited since.
    """
    from syncd.cli.screens import history as screens
    from syncd.cli.shapes import undo_json

    with workspace(context) as opened:
        found = undo_json(opened.past.undo(path))
    emit(context, found, lambda: screens.undone(found))
