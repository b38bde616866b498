"""Commands about what goes between a workspace and others: agents over MCP, events that go out."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.options import command, globals_of, group, workspace
from syncd.cli.output import emit, show
from syncd.errors import UsageError
from syncd.extras import missing

if TYPE_CHECKING:
    from syncd.api import Workspace

commands = group("Agents.")

TOKEN_VARIABLE = "SYNCD_MCP_TOKEN"


@command(
    commands,
    "mcp",
    "syncd mcp",
    "syncd -C ~/shop mcp --owner planner",
    "SYNCD_MCP_TOKEN=… syncd mcp --http --port 8765",
)
def mcp(
    context: typer.Context,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="W", help="Who claims; else $SYNCD_OWNER, else a name of its own.")
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="On loopback over HTTP, not on stdio.")] = False,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="With --http; 0 is any free port.")] = 0,
) -> None:
    """Serve agents over MCP: tools for the backlog, task files as resources.

    On standard input and output for one client. With --http for several, on 127.0.0.1 only; they send the token in
    $SYNCD_MCP_TOKEN, or the one that is printed. Needs the extra 'mcp'.
    """
    from syncd.agents.opening import Opening
    from syncd.agents.sdk import import_server_half
    from syncd.files.layout import find_root
    from syncd.log import configure

    given = globals_of(context)
    find_root(Path(), os.environ, told=given.directory)
    try:
        if not http:
            import_server_half()
        from syncd.agents import mcp_server
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "syncd":
            raise
        raise missing("the MCP server", "mcp") from error
    configure(given.log_format)
    name = owner or os.environ.get("SYNCD_OWNER") or f"mcp.{secrets.token_hex(3)}"

    def open() -> Workspace:
        from syncd import api

        return api.open(given.directory, mode=given.mode, environ=os.environ, actor=name, face="mcp")

    with closing(Opening(open)) as opening:
        if http:
            mcp_server.serve_http(opening, name, port=port, token=os.environ.get(TOKEN_VARIABLE))
        else:
            mcp_server.serve_stdio(opening, name)


@command(commands, "trust", "syncd trust", "syncd trust --yes", "syncd trust --revoke")
def trust(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Send nothing any more.")] = False,
) -> None:
    """Let the daemon send events where syncd.yaml says.

    Shows the commands, addresses and files, and asks. Settings come with a repository: the daemon sends nothing
    before you have seen them here, and nothing once they have changed. A daemon that runs reads it with SIGHUP.
    """
    from syncd.cli.screens import trust as screens
    from syncd.cli.shapes import trust_json

    given = globals_of(context)
    with workspace(context) as opened:
        found = trust_json(opened)
        if not revoke and not opened.is_trusted and not yes:
            if given.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise UsageError("nobody can be asked here whether these settings are yours", hint="syncd trust --yes")
            show(screens.outlets(found))
            if not typer.confirm("Let the daemon run and send this?"):
                raise typer.Exit(0)
        opened.trust(is_trusted=not revoke)
        found = trust_json(opened)
    emit(context, found, lambda: screens.trusted(found))
