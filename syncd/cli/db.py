"""Commands about the store's schema and its size."""

from __future__ import annotations

from typing import Annotated

import typer

from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit
from syncd.errors import BadValue

commands = group("The store: its schema and where it is.", "syncd db status")


@command(commands, "status", "syncd db status")
def status(context: typer.Context) -> None:
    """Show the store and its schema.

    Where the store is, which schema it has, and which migrations would run. Changes nothing.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import db_json

    with workspace(context) as opened:
        found = db_json(opened.database.status())
    emit(context, found, lambda: setup.database(found))


@command(commands, "migrate", "syncd db migrate")
def migrate(context: typer.Context) -> None:
    """Bring the store's schema up to date.

    Safe to repeat, and with two at once.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import db_json

    with workspace(context, has_to_be=False) as opened:
        found = db_json(opened.database.migrate())
    emit(context, found, lambda: setup.database(found))


@command(commands, "adopt", "syncd db adopt --dry-run", "syncd db adopt")
def adopt(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it does; change nothing.")] = False,
) -> None:
    """Take over a backlog table that a Mosaic service made.

    In place and in one transaction; the rows stay as they are, and its clients go on using it unchanged.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import adoption_json

    with workspace(context, has_to_be=False) as opened:
        found = adoption_json(opened.database.adopt(dry_run=dry_run))
    emit(context, found, lambda: setup.adopted(found))


@command(commands, "move", "syncd db move flatfile --dry-run", "DATABASE_URL=… syncd db move postgres")
def move(
    context: typer.Context,
    to: Annotated[str, typer.Argument(metavar="KIND", help="postgres, embedded or flatfile.")],
    project: Annotated[str | None, typer.Option("--project", metavar="P", help="Whose cards they are there.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it does; change nothing.")] = False,
) -> None:
    """Move the cards to another store.

    Cards, leases and open conflicts are copied and compared, then the workspace names the other store; the one
    before is left as it is, with its history. Stop the daemon first.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import moved_json

    if to not in ("postgres", "embedded", "flatfile"):
        raise BadValue(f"no such kind of store: {to}", hint="postgres, embedded or flatfile")
    with workspace(context) as opened:
        found = moved_json(opened.database.move(to, project=project, dry_run=dry_run))
    emit(context, found, lambda: setup.moved(found))


@command(commands, "prune", "syncd db prune --dry-run", "syncd db prune --days 30")
def prune(
    context: typer.Context,
    days: Annotated[float, typer.Option("--days", metavar="N", min=0, help="What is older goes.")] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count it; delete nothing.")] = False,
) -> None:
    """Forget the old history of this project.

    With it the ids of old syncs, and working copies that were not seen since. What reports and versions of
    deleted cards rest on is kept.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import pruned_json

    with workspace(context) as opened:
        found = pruned_json(opened.database.prune(days * 86400, dry_run=dry_run), is_dry=dry_run)
    emit(context, found, lambda: setup.pruned(found))


@command(commands, "backup", "syncd db backup", "syncd db backup /var/backups/shop.jsonl.gz")
def backup(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="By default PROJECT-DATE.jsonl.gz in the workspace.")
    ] = None,
) -> None:
    """Write this project to a file.

    All that the store holds of it, as it is at one moment: cards, audit trail, conflicts, missions. Other
    projects of the same database are not in it. JSON lines, one row a line; a name that ends in .gz compresses
    it. Works while a daemon runs.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import backup_json

    with workspace(context) as opened:
        found = backup_json(opened.database.backup(file))
    emit(context, found, lambda: setup.backed_up(found))


@command(commands, "restore", "syncd db restore --dry-run shop.jsonl.gz", "syncd db restore --replace shop.jsonl.gz")
def restore(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `syncd db backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite the cards that differ; remove those that are not in FILE.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it changes; change nothing.")] = False,
) -> None:
    """Make this project what a backup says.

    In one transaction, and like any other edit: it stands in the audit trail, and the task files follow. Claims
    are not brought back. FILE may be another project's or another database's. A project that has cards is
    overwritten only with --replace.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import restored_json

    with workspace(context) as opened:
        found = restored_json(opened.database.restore(file, replace=replace, dry_run=dry_run))
    emit(context, found, lambda: setup.restored(found))


@command(commands, "upgrade", "syncd db upgrade", "syncd db upgrade --programs /usr/lib/postgresql/17/bin")
def upgrade(
    context: typer.Context,
    programs: Annotated[
        str | None,
        typer.Option("--programs", metavar="DIR", help="Where `postgres` of the version that made the data is."),
    ] = None,
) -> None:
    """Bring embedded data to the installed PostgreSQL.

    For data that another major version made: its own server dumps it, and the new one loads it. All workspaces
    of the embedded server come with it; nothing may use it meanwhile. The old folder stays beside the new one.
    """
    from syncd.cli.screens import setup
    from syncd.cli.shapes import upgraded_json

    with workspace(context) as opened:
        found = upgraded_json(opened.database.upgrade(programs))
    emit(context, found, lambda: setup.upgraded(found))
