"""The command line: ``syncd``, where each command comes from, and one run of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import typer

from syncd.cli import (
    agents,
    backlog,
    config,
    db,
    decisions,
    editing,
    git,
    health,
    history,
    leases,
    mission,
    queue,
    reading,
    service,
    ui,
    workers,
    workspace,
)
from syncd.cli.options import RootGroup, group
from syncd.cli.output import emit
from syncd.errors import UsageError

app = group(
    "Two-way sync between the task files that agents edit and the backlog that orchestrators read.",
    "syncd init",
    "syncd status",
    "syncd backlog claim --owner worker-1 --json",
    cls=RootGroup,
    has_completion=True,
)
cards = group(
    "The store's cards: create, list, claim, complete, …",
    "syncd backlog list --ready-only",
)
for part in (workspace, decisions, history, editing, reading, workers, health, agents, ui):
    app.add_typer(part.commands)
for part in (backlog, leases, queue):
    cards.add_typer(part.commands)
app.add_typer(cards, name="backlog")
app.add_typer(db.commands, name="db")
app.add_typer(git.commands, name="git")
app.add_typer(mission.commands, name="mission")
app.add_typer(config.commands, name="config")
app.add_typer(service.commands, name="service")


@app.callback(invoke_without_command=True)
def syncd(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version, and what it runs on.")] = False,
) -> None:
    """Answer ``--version``; anything else needs a command."""
    if version:
        from syncd.cli.versions import screen, versions

        found = versions()
        emit(context, found, lambda: screen(found))
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise UsageError("no command given", hint="syncd --help")


@cache
def _command() -> Any:
    """Return what typer makes of the app; a daemon runs many command lines with it."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Returns:
        The exit code: 0, or what the command ended with.

    Raises:
        Exception: whatever the command raises; ``failures.report`` says it.
    """
    code = _command().main(list(arguments), prog_name="syncd", standalone_mode=False)
    return code if isinstance(code, int) and not isinstance(code, bool) else 0
