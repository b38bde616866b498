"""Commands about the milestones of a mission."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit

if TYPE_CHECKING:
    from syncd.missions import MissionState

commands = group("Milestones: add, start, complete.", "syncd mission milestone complete M1")

Id = Annotated[str, typer.Argument(metavar="ID", help="The milestone.")]
Mission = Annotated[
    str | None, typer.Option("--mission", metavar="ID", help="The mission; not needed where there is only one.")
]


@command(commands, "add", 'syncd mission milestone add M3 --name "Launch"')
def add(
    context: typer.Context,
    id: Id,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What it is called; else its id.")] = None,
    branch: Annotated[str | None, typer.Option("--branch", metavar="TEXT", help="Where the work is.")] = None,
    issue: Annotated[str | None, typer.Option("--issue", metavar="TEXT", help="Where it is talked about.")] = None,
    mission: Mission = None,
) -> None:
    """Add a milestone behind the last one. Cards belong to it whose phase is its id or name, or begins with it."""
    with workspace(context) as opened:
        made = opened.missions.add_milestone(id, mission=mission, name=name, branch=branch, issue=issue)
        _show(context, made)


@command(commands, "start", "syncd mission milestone start M1")
def start(context: typer.Context, id: Id, mission: Mission = None) -> None:
    """Mark a milestone as begun, with the time."""
    with workspace(context) as opened:
        _show(context, opened.missions.start_milestone(id, mission=mission))


@command(commands, "complete", "syncd mission milestone complete M1")
def complete(
    context: typer.Context,
    id: Id,
    mission: Mission = None,
    force: Annotated[bool, typer.Option("--force", help="Although cards of it are open.")] = False,
) -> None:
    """Mark a milestone as done, with the time. Refused while cards of it are open."""
    with workspace(context) as opened:
        _show(context, opened.missions.complete_milestone(id, mission=mission, force=force))


def _show(context: typer.Context, state: MissionState) -> None:
    """Print the mission as it is now."""
    from syncd.cli.mission_shapes import mission_json
    from syncd.cli.screens import mission as screens

    found = mission_json(state)
    emit(context, found, lambda: screens.status(found, datetime.now(UTC)))
