"""The command that serves the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import json_line, show, write_bytes
from syncd.cli.screen import Line, Span, line
from syncd.errors import Refused
from syncd.extras import missing

commands = group("The dashboard.")

PORT = 7420


@command(commands, "ui", "syncd ui", "syncd ui --port 0 --json")
def ui(
    context: typer.Context,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 for one that is free.")] = PORT,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    public: Annotated[bool, typer.Option("--public", help="Allow a --host that other machines reach.")] = False,
) -> None:
    """Serve a dashboard on this machine, until Ctrl-C.

    It shows what syncd knows and changes nothing. Open the address that is printed: the token in it is new each
    time, and every request needs it. The same as JSON: /api/coord/status, /api/coord/tasks, /api/backlog,
    /api/events (a stream), /metrics (Prometheus), /healthz, with 'Authorization: Bearer TOKEN'.
    """
    try:
        from syncd.web.security import is_loopback
        from syncd.web.server import serve
    except ModuleNotFoundError as error:
        raise missing("the dashboard", "ui") from error

    if not is_loopback(host) and not public:
        raise Refused(
            f"{host} can be reached from other machines, and what is sent is not encrypted",
            hint="syncd ui --public if that is meant; or forward the port: ssh -L 7420:127.0.0.1:7420 HOST",
        )

    def announce(address: str) -> None:
        if globals_of(context).json:
            write_bytes(json_line({"url": address}))
        else:
            show([line("The dashboard is at"), Line((Span(address, "cyan"),), indent=2, is_whole=True)])

    with workspace(context, shows_progress=False) as opened:
        serve(opened, host, port, announce)
