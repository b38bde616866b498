"""Commands that need no workspace: what syncd reads in a file, and the JSON Schemas of what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from syncd.cli import completing
from syncd.cli.options import command, globals_of, group
from syncd.cli.output import emit

commands = group("Files and schemas.")


@command(commands, "parse", "syncd parse TASKS.md", "syncd parse docs/TASKS.md --check")
def parse(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A task file.")],
    check: Annotated[bool, typer.Option("--check", help="End with 1 when there are problems.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what each part of the file was taken for, and why.")
    ] = False,
) -> None:
    """Show what syncd reads in a file.

    Its cards with their lines, and its problems with what to do about them.
    """
    from syncd import api
    from syncd.cli.screens import files
    from syncd.cli.shapes import parse_json
    from syncd.first_contact import why_empty

    document = api.parse_file(file)
    found = parse_json(document, is_explained=explain)
    why = "" if found["cards"] else why_empty(document)
    emit(context, found, lambda: files.parsed(str(file), found, why=why))
    if check and found["problems"]:
        raise typer.Exit(1)


@command(commands, "schema", "syncd schema", "syncd schema status > status.schema.json")
def schema(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Which; without, their names.", autocompletion=completing.schemas),
    ] = None,
) -> None:
    """Print the JSON Schema of an output, complete in itself."""
    from syncd.cli import schemas
    from syncd.cli.output import json_line, write_bytes
    from syncd.cli.screens import files

    if name is None:
        titles = schemas.titles()
        emit(context, sorted(titles), lambda: files.schema_names(titles))
        return
    bundled = schemas.bundle(name)
    write_bytes(json_line(bundled, indent=None if globals_of(context).json else 2))
