"""Commands about the workspace as a whole: make it, keep it in sync, and say how it stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import completing
from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import emit, follow, show
from syncd.cli.screen import Screen, visible
from syncd.errors import UsageError

if TYPE_CHECKING:
    from syncd.core.plan import Wait

commands = group("The workspace.")


@command(commands, "init", "syncd init", "syncd init --tasks docs/TASKS.md --tasks docs/api/TASKS.md --yes")
def init(
    context: typer.Context,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="The project in the store; one that exists is joined.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="A task file or a pattern; may be repeated.")
    ] = None,
    mission: Annotated[str | None, typer.Option(metavar="PATH", help="The mission file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Make a workspace here: syncd.yaml and .syncd/.

    Shows what syncd reads in the task files and what the first sync will do, and asks before it joins a
    store that holds cards already. Task files stay as they are; a starter one is written only where
    there is none. Twice is fine.
    """
    from syncd import api
    from syncd.cli.output import progress
    from syncd.cli.screens import setup

    given = globals_of(context)
    root = given.directory or Path(os.environ.get("SYNCD_WORKSPACE") or ".")
    with progress(context.command_path):
        plan = api.init(root, project=project, tasks=tasks or (), mission=mission, mode=given.mode, environ=os.environ)
    with plan:
        if not given.json:
            show(setup.init_plan(plan))
        if plan.store_cards and not plan.already and not yes:
            _ask(f"Join this store and its {plan.store_cards} cards?", may_ask=not given.json)
        with progress(context.command_path):
            settings = plan.carry_out()
    emit(context, settings, lambda: setup.init_done(settings, was_there=plan.already))


def _ask(question: str, *, may_ask: bool) -> None:
    """Ask a person to go on; without one, say what to pass.

    Raises:
        UsageError: nobody can be asked.
        typer.Exit: the answer was no.
    """
    if not (may_ask and sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the store holds cards already, and nobody can be asked here", hint="syncd init --yes")
    if not typer.confirm(question):
        raise typer.Exit(0)


@command(commands, "run", "syncd run", "syncd run --once", "syncd --log-format json run")
def run(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One cycle, then end.")] = False,
) -> None:
    """Run the daemon in the foreground.

    It keeps files and store in sync until SIGTERM or Ctrl-C. SIGTERM finishes the step under way and
    ends with 0; SIGHUP reads the configuration again.
    """
    from syncd import api
    from syncd.agents.companions import start_outlets_and_monitor, start_valkey
    from syncd.cli.served import run_served

    given = globals_of(context)
    code = api.run(
        given.directory,
        mode=given.mode,
        environ=os.environ,
        once=once,
        log_format=given.log_format,
        commands=run_served,
        companions=[partial(each, environ=os.environ) for each in (start_outlets_and_monitor, start_valkey)],
    )
    raise typer.Exit(code)


@command(commands, "sync", "syncd sync", "syncd sync --dry-run")
def sync(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; write nothing.")] = False,
) -> None:
    """Run one cycle now.

    The files' edits go to the store, the store's changes into the files."""
    from syncd.cli.screens import drift

    with workspace(context) as opened:
        report = opened.sync(dry_run=dry_run, on_wait=_wait_teller()).to_json()
        if opened.is_away and sys.stderr.isatty():
            print("The database does not answer: this is kept here and merged when it does.", file=sys.stderr)
    emit(context, report, lambda: drift.cycle(report, is_dry=dry_run))


def _wait_teller() -> Callable[[Wait], None]:
    """Return what says on a terminal, once for each file, what a command waits for."""
    told: set[str] = set()

    def tell(wait: Wait) -> None:
        if sys.stderr.isatty() and wait.path not in told:
            told.add(wait.path)
            print(f"waiting: {visible(wait.reason)}", file=sys.stderr, flush=True)

    return tell


@command(commands, "status", "syncd status", "syncd status --exit-code || syncd diff", "syncd status --all --watch")
def status(
    context: typer.Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 when file and store are not in sync.")
    ] = False,
    all_: Annotated[
        bool,
        typer.Option(
            "--all", help="All my workspaces on this machine, and the other working copies of their projects."
        ),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and show each change, until Ctrl-C.")] = False,
) -> None:
    """Say whether all is in sync, and what needs a hand.

    Reads only, needs no daemon, and does not wait for a database that is away. With --watch --json it prints
    one value a line, when something has changed.
    """
    from syncd import api
    from syncd.cli.screens import drift
    from syncd.cli.shapes import standing_json

    with ExitStack() as stack:
        opened = None if all_ else stack.enter_context(workspace(context, shows_progress=not watch))

        def look() -> Any:
            if opened is not None:
                return opened.status().to_json()
            return [standing_json(each) for each in api.overview(environ=os.environ)]

        def draw(found: Any) -> Screen:
            now = datetime.now(UTC)
            return drift.status(found, now) if opened is not None else drift.overview(found, now)

        if watch:
            follow(context, look, draw)
        found = look()
    emit(context, found, lambda: draw(found))
    if exit_code and not all(each.get("inSync") for each in (found if all_ else [found])):
        raise typer.Exit(1)


@command(commands, "diff", "syncd diff", "syncd diff A4")
def diff(
    context: typer.Context,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Only this card.", autocompletion=completing.cards)
    ] = None,
) -> None:
    """Show the files against the store, field by field."""
    from syncd.cli.screens import drift
    from syncd.engine.report import drift_json, problem_json

    with workspace(context) as opened:
        entries = [drift_json(each) for each in opened.diff(id)]
        unread = [problem_json(each) for each in opened.unread()]
    emit(context, entries, lambda: drift.diff(entries, unread))
