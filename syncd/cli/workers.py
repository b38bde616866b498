"""Commands about workers: work, and who works; drain and kill."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from syncd.cli import completing
from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import emit
from syncd.errors import UsageError

commands = group("Workers.")

KIBIBYTE: Final = 1024

Name = Annotated[str | None, typer.Option("--owner", metavar="W", help="The workers of this name.")]
All = Annotated[bool, typer.Option("--all", help="All workers of the project, on every host.")]


@command(
    commands,
    "work",
    "syncd work --owner builder -- ./do-card.sh",
    "syncd work --owner agent --concurrency 2 --ttl 300 --worktree --timeout 1800 -- my-agent --headless",
    "syncd work --owner ci --until-done -- make card",
)
def work(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command, and its arguments.")],
    owner: Annotated[str, typer.Option("--owner", metavar="W", help="The worker's name.")],
    concurrency: Annotated[int, typer.Option(metavar="N", min=1, help="So many cards at once.")] = 5,
    ttl: Annotated[
        int, typer.Option("--ttl", metavar="SEC", min=1, help="When a lease ends that is renewed no more.")
    ] = 900,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SEC", min=0.001, help="A card's time limit; a card's own field 'timeout' goes before."),
    ] = None,
    kill_after: Annotated[
        float, typer.Option("--kill-after", metavar="SEC", min=0, help="From SIGTERM to SIGKILL.")
    ] = 10.0,
    grace: Annotated[
        float, typer.Option(metavar="SEC", min=0, help="How long running cards may go on after SIGTERM or Ctrl-C.")
    ] = 60.0,
    output: Annotated[int, typer.Option(metavar="KIB", min=1, help="Output kept of each attempt.")] = KIBIBYTE,
    cwd: Annotated[Path | None, typer.Option(metavar="DIR", help="Where CMD runs; else in the workspace.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A variable for CMD; may be repeated.")] = None,
    worktree: Annotated[bool, typer.Option("--worktree", help="A fresh git worktree for each attempt.")] = False,
    assigned: Annotated[bool, typer.Option("--assigned", help="Claim nothing; run what is assigned.")] = False,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when no card can be claimed any more, now or later.")
    ] = False,
) -> None:
    """Run a command for each card, several at once.

    CMD gets the card as JSON on stdin, and SYNCD_CARD_ID, SYNCD_ATTEMPT and SYNCD_OWNER in its environment;
    exit 0 completes the card, anything else fails it with the last lines of stderr. What it prints is kept in
    .syncd/attempts/. Its lease is renewed while it runs; when the lease is lost, the card killed or its
    time over, all its processes are ended. SIGTERM or Ctrl-C: no new cards, running ones may finish for --grace
    seconds and are released then; a second one releases them at once.
    """
    from syncd.work.start import Job, work

    given = globals_of(context)
    job = Job(
        name=owner,
        command=words,
        concurrency=concurrency,
        ttl_s=ttl,
        timeout_s=timeout,
        kill_after_s=kill_after,
        grace_s=grace,
        output_max=output * KIBIBYTE,
        folder=cwd,
        variables=_variables(env or ()),
        has_worktrees=worktree,
        takes_assigned=assigned,
        until_done=until_done,
    )
    raise typer.Exit(work(given.directory, job, mode=given.mode, environ=os.environ, log_format=given.log_format))


def _variables(pairs: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in pairs:
        name, is_given, value = each.partition("=")
        if not name or not is_given:
            raise UsageError(f"--env takes NAME=VALUE, not {each!r}")
        found[name] = value
    return found


@command(commands, "workers", "syncd workers", "syncd workers --json")
def workers(context: typer.Context) -> None:
    """List the workers: hosts, processes, cards, and when each was last heard of.

    While the database is away those of other hosts cannot be heard of; who held which cards at last is told.
    """
    from syncd.cli.screens import workers as screens
    from syncd.cli.shapes import worker_json

    with workspace(context) as opened:
        found = [worker_json(each) for each in opened.workers.all()]
        unheard = opened.workers.unheard()
    emit(context, found, lambda: screens.workers(found, unheard))


@command(commands, "drain", "syncd drain", "syncd drain --owner builder")
def drain(context: typer.Context, owner: Name = None) -> None:
    """Let workers finish what they run and end.

    They claim nothing more. Without --owner: all workers of the project, on every host.
    """
    from syncd.cli.screens import workers as screens
    from syncd.cli.shapes import worker_json

    with workspace(context) as opened:
        drained = [worker_json(each) for each in opened.workers.drain(owner)]
    emit(context, {"drained": drained}, lambda: screens.drained(drained))


@command(commands, "kill", "syncd kill A4", "syncd kill --owner builder", "syncd kill --all")
def kill(
    context: typer.Context,
    id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The card whose processes are ended.", autocompletion=completing.cards),
    ] = None,
    owner: Name = None,
    all: All = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SEC", min=0, help="How long to wait until all of it has ended.")
    ] = 15.0,
) -> None:
    """End what runs for a card, or workers with all they run, on any host.

    A card that is killed is blocked until 'syncd backlog retry'. The cards of a worker that is killed are
    ready for others; the worker ends.
    """
    from syncd.cli.screens import workers as screens
    from syncd.cli.shapes import killed_json

    if (id is not None) + (owner is not None) + all != 1:
        raise UsageError("kill takes a card, --owner or --all", hint="syncd kill --help")
    with workspace(context) as opened:
        if id is not None:
            killed = opened.workers.kill_card(id, wait_seconds=wait)
        else:
            killed = opened.workers.kill(owner, wait_seconds=wait)
    found = [killed_json(each) for each in killed]
    emit(context, {"killed": found}, lambda: screens.killed(found, id))
