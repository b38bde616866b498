"""Commands about missions: init, list, status, next, log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from syncd.cli import milestone, session
from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit
from syncd.errors import BadValue

DEADLOCK: Final = 1
"""The exit code of ``next`` when nothing that is left can ever be claimed."""

commands = group(
    "Missions: their milestones against their cards, who works on them, what is next.",
    "syncd mission status",
    "syncd mission next --json",
)
commands.add_typer(milestone.commands, name="milestone")
commands.add_typer(session.commands, name="session")

Mission = Annotated[
    str | None, typer.Argument(metavar="[MISSION]", help="The mission; not needed where there is only one.")
]


@command(
    commands,
    "init",
    'syncd mission init --name "Web shop" --milestone M1="Foundations" --milestone M2="Front"',
    'syncd mission init --name "Web shop" --path docs/mission.json',
)
def init(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What the mission is called.")],
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id; else made from the name.", show_default=False)
    ] = None,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is for.")] = None,
    milestones: Annotated[
        list[str] | None, typer.Option("--milestone", metavar="ID=NAME", help="A milestone; may be given often.")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path", metavar="PATH", help="The file; else mission.json, in .mosaic/orchestrator/ if it is there."
        ),
    ] = None,
) -> None:
    """Begin a mission: write its mission.json, and sync it.

    A mission.json that is there already needs no init: 'syncd sync' takes it as it is.
    """
    from syncd.cli.mission_shapes import mission_json
    from syncd.cli.screens import mission as screens

    below = [_pair(each) for each in milestones or ()]
    with workspace(context) as opened:
        made = opened.missions.init(id, name=name, description=description, milestones=below, path=path)
        found = mission_json(made)
    emit(context, found, lambda: screens.status(found, datetime.now(UTC)))


@command(commands, "list", "syncd mission list")
def list_(context: typer.Context) -> None:
    """List the project's missions."""
    from syncd.cli.mission_shapes import mission_json
    from syncd.cli.screens import mission as screens

    with workspace(context) as opened:
        found = [mission_json(each) for each in opened.missions.all()]
    emit(context, found, lambda: screens.missions(found))


@command(commands, "status", "syncd mission status", "syncd mission status web-shop --json")
def status(context: typer.Context, mission: Mission = None) -> None:
    """Show how far a mission is, and where a milestone and its cards contradict each other."""
    from syncd.cli.mission_shapes import mission_json
    from syncd.cli.screens import mission as screens

    with workspace(context) as opened:
        found = mission_json(opened.missions.status(mission))
    emit(context, found, lambda: screens.status(found, datetime.now(UTC)))


@command(
    commands,
    "next",
    "syncd mission next",
    "syncd mission next --json | jq -r .card.id",
    "syncd mission next --capsule",
)
def next_(
    context: typer.Context,
    mission: Mission = None,
    capsule: Annotated[
        bool, typer.Option("--capsule", help="Write it to next-task.json beside the mission file as well.")
    ] = False,
) -> None:
    """Say which card is to be done next.

    The first of the first milestone that can be claimed, or that all is done, or that others are at work, or
    that there is a deadlock and why: then it ends with 1. It claims nothing.
    """
    from syncd.cli.mission_shapes import next_json
    from syncd.cli.screens import mission as screens
    from syncd.core.mission import Outlook

    with workspace(context) as opened:
        missions = opened.missions
        id = missions.status(mission).record.key.mission
        answer = missions.next(id)
        found = next_json(id, answer, missions.write_capsule(answer, id) if capsule else None)
    emit(context, found, lambda: screens.next_card(found))
    if answer.outlook is Outlook.DEADLOCK:
        raise typer.Exit(DEADLOCK)


@command(commands, "log", "syncd mission log", "syncd mission log web-shop --limit 5 --json")
def log(
    context: typer.Context,
    mission: Mission = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="The last N changes.")] = 50,
) -> None:
    """Show who changed what in missions, from what to what. Oldest first; plain SQL is in it, too."""
    from syncd.cli.screens import history as screens
    from syncd.engine.report import history_json

    with workspace(context) as opened:
        found = [history_json(each) for each in opened.missions.history(mission, limit=limit)]
    emit(context, found, lambda: screens.entries(found))


def _pair(text: str) -> tuple[str, str]:
    id, _, name = text.partition("=")
    if not id.strip():
        raise BadValue(f"--milestone {text!r} names no id", hint='--milestone M1="Foundations"')
    return id.strip(), name.strip() or id.strip()
