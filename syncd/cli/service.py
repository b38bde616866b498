"""Commands for the daemon as a service of its user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import emit, json_line, progress, show, write_bytes

if TYPE_CHECKING:
    from syncd.api import Service

commands = group("The daemon of a workspace as a systemd service of its user.", "syncd service install")


@command(commands, "install", "syncd service install", "syncd service install --no-start")
def install(
    context: typer.Context,
    no_start: Annotated[bool, typer.Option("--no-start", help="Leave it for the next login.")] = False,
) -> None:
    """Keep this workspace in sync from now on, after each login.

    Writes a unit below ~/.config/systemd/user, enables and starts it. A database's URL that only this shell
    knows goes into a file that only you can read. Twice is fine: it brings an old unit up to date.
    """
    from syncd.cli.screens import service
    from syncd.cli.shapes import service_json

    with workspace(context) as opened:
        found = service_json(opened.service_install(may_start=not no_start))
    emit(context, found, lambda: service.installed(found))


@command(commands, "uninstall", "syncd service uninstall")
def uninstall(context: typer.Context) -> None:
    """Stop the service and take out what 'syncd service install' wrote."""
    from syncd.cli.screens import service
    from syncd.cli.shapes import service_json

    with progress(context.command_path):
        found = service_json(_service(context).uninstall())
    emit(context, found, lambda: service.uninstalled(found))


@command(commands, "status", "syncd service status")
def status(context: typer.Context) -> None:
    """Say whether the service runs, and what to do when it does not."""
    from syncd.cli.screens import service
    from syncd.cli.shapes import service_json

    found = service_json(_service(context).state())
    emit(context, found, lambda: service.status(found))


@command(commands, "logs", "syncd service logs", "syncd service logs --follow", "syncd service logs --lines 200 --json")
def logs(
    context: typer.Context,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="So many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones.")] = False,
) -> None:
    """Show what the service wrote into the journal.

    With --json one entry a line, with the fields of each event.
    """
    from syncd.cli.screens import service

    for entry in _service(context).logs(lines, follow=follow):
        if globals_of(context).json:
            write_bytes(json_line(entry))
        else:
            show(service.entry(entry))


def _service(context: typer.Context) -> Service:
    from syncd import api

    return api.service(globals_of(context).directory, environ=os.environ)
