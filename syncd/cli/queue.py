"""Commands about the queue as a whole: pause, resume, why, graph, events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from syncd.cli import completing
from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import emit, json_line, show, write_bytes

if TYPE_CHECKING:
    from syncd.core.events import Event

commands = group("The queue.")


@command(commands, "pause", "syncd backlog pause")
def pause(context: typer.Context) -> None:
    """Hand out no more cards.

    Leases that stand go on; 'claim' ends with 4 until 'resume'.
    """
    from syncd.cli.screens import queue as screens

    with workspace(context) as opened:
        opened.backlog.pause()
    emit(context, {"paused": True}, lambda: screens.paused(True))


@command(commands, "resume", "syncd backlog resume")
def resume(context: typer.Context) -> None:
    """Hand out cards again."""
    from syncd.cli.screens import queue as screens

    with workspace(context) as opened:
        opened.backlog.resume()
    emit(context, {"paused": False}, lambda: screens.paused(False))


@command(commands, "why", "syncd backlog why A4")
def why(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The card.", autocompletion=completing.cards)],
) -> None:
    """Say what stands between a card and a claim."""
    from syncd.cli.screens import queue as screens
    from syncd.engine.report import why_json

    with workspace(context) as opened:
        found = why_json(opened.backlog.why(id))
    emit(context, found, lambda: screens.why(id, found))


@command(
    commands,
    "graph",
    "syncd backlog graph",
    "syncd backlog graph --format mermaid > graph.mmd",
    "syncd backlog graph --format dot | dot -Tsvg > graph.svg",
)
def graph(
    context: typer.Context,
    format: Annotated[Literal["text", "mermaid", "dot"], typer.Option("--format", help="How it is drawn.")] = "text",
) -> None:
    """Draw which card waits for which.

    With --json: the cards and the dependencies, whatever the format.
    """
    from syncd.cli import graphs
    from syncd.cli.shapes import graph_json
    from syncd.ports import CardFilter

    with workspace(context) as opened:
        found = graph_json(opened.backlog.list(CardFilter()))
    if globals_of(context).json or format == "text":
        emit(context, found, lambda: graphs.text(found))
    else:
        write_bytes((graphs.mermaid(found) if format == "mermaid" else graphs.dot(found)).encode())


@command(commands, "events", "syncd backlog events --since 120", "syncd backlog events --follow --json")
def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each event as it comes.")] = False,
    since: Annotated[
        int | None, typer.Option("--since", metavar="SEQ", help="From behind this event; else from the oldest kept.")
    ] = None,
) -> None:
    """Stream what happens in the queue, whoever does it.

    With --json one event a line. Starting again with --since and the seq of the last event seen leaves none
    out and repeats none. Numbers may have gaps, and need not rise.
    """
    with workspace(context, shows_progress=not follow) as opened:
        backlog = opened.backlog
        _stream(context, backlog.follow_events(since) if follow else backlog.events(since))


def _stream(context: typer.Context, found: Iterable[Event]) -> None:
    """Print each event as it comes."""
    from syncd.cli.screens import queue as screens
    from syncd.core.events import event_json

    is_json = globals_of(context).json
    for each in found:
        if is_json:
            write_bytes(json_line(event_json(each)))
        else:
            show(screens.event(event_json(each)))
