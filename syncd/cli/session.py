"""Commands about sessions: who works on a mission."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import completing
from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit

if TYPE_CHECKING:
    from syncd.mission_sessions import SessionState

commands = group(
    "Sessions: start, beat, end, list; or run a command as one.",
    "syncd mission session run -- claude",
    "syncd mission session list",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The session.")]
NewId = Annotated[str | None, typer.Option("--id", metavar="ID", help="Its id; else one is made.")]
Mission = Annotated[
    str | None, typer.Option("--mission", metavar="ID", help="The mission; not needed where there is only one.")
]
Milestone = Annotated[str | None, typer.Option("--milestone", metavar="ID", help="What it works on.")]
Runtime = Annotated[str | None, typer.Option("--runtime", metavar="NAME", help="What runs it.")]
Exclusive = Annotated[bool, typer.Option("--exclusive", help="Only when no other session of the mission runs.")]


@command(
    commands,
    "start",
    "syncd mission session start --runtime claude --pid $$",
    "syncd mission session start --exclusive --json | jq -r .id",
)
def start(
    context: typer.Context,
    id: NewId = None,
    mission: Mission = None,
    runtime: Runtime = None,
    pid: Annotated[
        int | None, typer.Option("--pid", metavar="PID", min=1, help="Its process here: it is dead when that is gone.")
    ] = None,
    milestone: Milestone = None,
    exclusive: Exclusive = False,
) -> None:
    """Begin a session.

    With --pid it counts as running while that very process lives, whoever gets its number later. Without, it
    counts as running for five minutes after each 'beat'.
    """
    with workspace(context) as opened:
        begun = opened.missions.sessions.start(
            id, mission=mission, runtime=runtime, pid=pid, milestone=milestone, exclusive=exclusive
        )
        _show(context, begun)


@command(
    commands,
    "run",
    "syncd mission session run -- claude",
    "syncd mission session run --exclusive --milestone M1 -- ./orchestrate.sh",
)
def run(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.")],
    id: NewId = None,
    mission: Mission = None,
    runtime: Runtime = None,
    milestone: Milestone = None,
    exclusive: Exclusive = False,
) -> None:
    """Run a command as a session, from its start to its end.

    The command inherits a lock that the kernel frees when the last process of it is gone, however it ended: so
    a session that crashed is seen as dead at once. Its id is in $SYNCD_SESSION. Ends with the command's code.
    """
    with workspace(context, shows_progress=False) as opened:
        code = opened.missions.sessions.run(
            words, id, mission=mission, runtime=runtime, milestone=milestone, exclusive=exclusive
        )
    raise typer.Exit(code)


@command(commands, "beat", "syncd mission session beat $SYNCD_SESSION --card A4")
def beat(
    context: typer.Context,
    id: Id,
    milestone: Milestone = None,
    card: Annotated[
        str | None,
        typer.Option("--card", metavar="ID", help="The card that it works on.", autocompletion=completing.cards),
    ] = None,
) -> None:
    """Say that a session is there, and what it works on."""
    with workspace(context) as opened:
        _show(context, opened.missions.sessions.beat(id, milestone=milestone, card=card))


@command(commands, "end", "syncd mission session end 20261128-041200-ab12cd --reason paused")
def end(
    context: typer.Context,
    id: Id,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")] = None,
) -> None:
    """End a session, whatever became of its process. Twice is fine."""
    with workspace(context) as opened:
        _show(context, opened.missions.sessions.end(id, reason=reason))


@command(commands, "list", "syncd mission session list", "syncd mission session list --open --json")
def list_(
    context: typer.Context,
    mission: Mission = None,
    open_only: Annotated[bool, typer.Option("--open", help="Without those that have ended.")] = False,
) -> None:
    """List sessions: running, stale (not heard of for long), dead (their process is gone), ended."""
    from syncd.cli.mission_shapes import session_json
    from syncd.cli.screens import mission as screens

    with workspace(context) as opened:
        sessions = [session_json(each) for each in opened.missions.sessions.list(mission)]
    found = [each for each in sessions if not open_only or each["state"] != "ended"]
    emit(context, found, lambda: screens.sessions(found, datetime.now(UTC)))


def _show(context: typer.Context, state: SessionState) -> None:
    """Print a session as it is now."""
    from syncd.cli.mission_shapes import session_json
    from syncd.cli.screens import mission as screens

    found = session_json(state)
    emit(context, found, lambda: screens.session(found, datetime.now(UTC)))
