"""Commands about the store's schema."""

from __future__ import annotations

import typer

from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit

commands = group("The store: its schema and where it is.", "syncd db status")


@command(commands, "status", "syncd db status")
def status(context: typer.Context) -> None:
    """Show the store and its schema.

    Where the store is, which schema it has, and which migrations would run. Changes nothing.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import db_json

    with workspace(context) as opened:
        found = db_json(opened.db_status())
    emit(context, found, lambda: setup.database(found))


@command(commands, "migrate", "syncd db migrate")
def migrate(context: typer.Context) -> None:
    """Bring the store's schema up to date.

    Safe to repeat, and with two at once.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import db_json

    with workspace(context) as opened:
        found = db_json(opened.db_migrate())
    emit(context, found, lambda: setup.database(found))
