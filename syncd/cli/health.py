"""Commands that look whether all is well: the doctor, and a comparison of all three sides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import emit, json_line, progress, write_bytes

commands = group("Whether all is well.")


@command(commands, "doctor", "syncd doctor", "syncd doctor --fix")
def doctor(
    context: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without losing anything.")] = False,
) -> None:
    """Look at everything that this workspace stands on, and say how to mend what is wrong.

    Settings, files, locks, disk, daemon, service, git and the store with its schema. Takes ten seconds at most,
    whatever is away. Ends with 1 when something does not work.
    """
    from syncd import api
    from syncd.cli.screens import health
    from syncd.cli.shapes import check_json

    given = globals_of(context)
    found = []
    with progress(context.command_path):
        for check in api.doctor(given.directory, mode=given.mode, environ=os.environ, fix=fix):
            found.append(check_json(check))
    emit(context, found, lambda: health.checks(found))
    if any(each["health"] == "error" for each in found):
        raise typer.Exit(1)


@command(commands, "verify", "syncd verify", "syncd verify --json")
def verify(context: typer.Context) -> None:
    """Compare files, base and store anew, and explain each difference.

    Reads every file and every row, and changes nothing. Ends with 1 when they do not agree.
    """
    from syncd.cli.screens import health
    from syncd.cli.shapes import verification_json

    with workspace(context) as opened:
        found = verification_json(opened.verify())
    emit(context, found, lambda: health.verification(found))
    if not found["agrees"]:
        raise typer.Exit(1)


@command(commands, "metrics", "syncd metrics", "syncd metrics --textfile /var/lib/node_exporter/syncd.prom")
def metrics(
    context: typer.Context,
    textfile: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write them into this file, all at once, instead.")
    ] = None,
) -> None:
    """Print the metrics of this workspace for Prometheus.

    What status tells, and what the daemon counts: cycles, their steps, changes, failures. Needs the extra
    'metrics'; --json does without.
    """
    with workspace(context) as opened:
        if globals_of(context).json:
            found = opened.metrics()
        elif textfile is not None:
            opened.write_metrics(textfile)
            return
        else:
            write_bytes(opened.metrics_text().encode())
            return
    write_bytes(json_line(found))
