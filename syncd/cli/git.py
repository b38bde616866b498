"""Commands for task files that git merges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit

commands = group("git merges task files card by card and field by field.", "syncd git install")


@command(commands, "install", "syncd git install && git add .gitattributes")
def install(context: typer.Context) -> None:
    """Let git merge the workspace's task files with syncd.

    An entry in the repository's config, for this clone and its worktrees, and a line for each task file
    in .gitattributes, which is to be committed. Twice is fine.
    """
    from syncd.cli.screens import git
    from syncd.cli.shapes import git_json

    with workspace(context) as opened:
        found = git_json(opened.git_install())
    emit(context, found, lambda: git.installed(found))


@command(commands, "uninstall", "syncd git uninstall")
def uninstall(context: typer.Context) -> None:
    """Take out what 'syncd git install' put in, and nothing else."""
    from syncd.cli.screens import git
    from syncd.cli.shapes import git_json

    with workspace(context) as opened:
        found = git_json(opened.git_uninstall())
    emit(context, found, lambda: git.uninstalled(found))


@command(commands, "merge-driver", "syncd git merge-driver base.md local.md remote.md TASKS.md")
def merge_driver(
    context: typer.Context,
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The common version (%O).")],
    local: Annotated[Path, typer.Argument(metavar="LOCAL", help="This side's version (%A); gets the result.")],
    remote: Annotated[Path, typer.Argument(metavar="REMOTE", help="The other side's version (%B).")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="What the file is called (%P).")],
    marker_size: Annotated[
        int, typer.Option("--marker-size", metavar="N", min=1, help="How long conflict markers are (%L).")
    ] = 7,
) -> None:
    """Merge three versions of a task file.

    As git asks a merge driver to. Needs no workspace and no store. Ends with 1 when conflict markers are left.
    """
    from syncd import api
    from syncd.cli.screens import git

    conflicts = api.merge_driver(base, local, remote, path, marker_size=marker_size)
    emit(context, {"path": path, "conflicts": conflicts}, lambda: git.merged(path, conflicts))
    if conflicts:
        raise typer.Exit(1)
