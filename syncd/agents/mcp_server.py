"""The MCP server: tools and resources of one workspace, on stdio or on loopback over HTTP.

The official SDK speaks the protocol.  Its import is most of the start, so nothing of a workspace is imported
or opened before the first call, and nothing else of syncd imports this module.  May import ``syncd.errors`` and
``syncd.agents``.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp, Receive, Scope, Send

from syncd import __version__
from syncd.agents import answers, resources
from syncd.agents.opening import Opening
from syncd.agents.tools import TOOLS, Caller, Tool
from syncd.errors import SyncdError

INSTRUCTIONS: Final = (
    "Cards of a backlog that TASKS.md and a database share. Take one with backlog_claim, keep its attempt number, "
    "do the work, then backlog_complete with that number (or backlog_fail). Long work: backlog_renew before the "
    "lease ends."
)
_HOST: Final = "127.0.0.1"

Context: TypeAlias = ServerRequestContext[Any]


class Desk:
    """What the server does for its clients.

    Args:
        opening: of the workspace; raises the errors of the api.
        owner: of claims that name none.
    """

    def __init__(self, opening: Opening, owner: str) -> None:
        self._opening = opening
        self._caller = Caller(opening, owner)
        self._bus = InMemorySubscriptionBus()
        self._sessions: dict[str, set[ServerSession]] = {}
        self._watch = resources.Watch(opening, self._tell)
        listen = ListenHandler(self._bus)

        async def listening(context: Context, given: types.SubscriptionsListenRequestParams) -> Any:
            await self._begin_watching()
            return await listen(context, given)

        self.server: Server[Any] = Server(
            "syncd",
            version=__version__,
            instructions=INSTRUCTIONS,
            get_tool_input_schema=lambda name: TOOLS[name].schema() if name in TOOLS else None,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_read_resource=self._read_resource,
            on_subscribe_resource=self._subscribe,
            on_unsubscribe_resource=self._unsubscribe,
            on_subscriptions_listen=listening,
        )

    async def close(self) -> None:
        """Stop watching."""
        await self._watch.close()

    # --- tools ------------------------------------------------------------------------------------

    async def _list_tools(self, _context: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_listed(each) for each in TOOLS.values()])

    async def _call_tool(self, _context: Context, given: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(given.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {given.name}")
        try:
            answer = await asyncio.to_thread(tool.run, self._caller, given.arguments)
        except SyncdError as error:
            return _said(answers.failure(error), is_error=True)
        return _said(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))

    # --- resources --------------------------------------------------------------------------------

    async def _list_resources(
        self, _context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        found = await asyncio.to_thread(lambda: resources.pages(self._opening()))
        return types.ListResourcesResult(
            resources=[
                types.Resource(uri=each.uri, name=each.name, description=each.about, mime_type=each.mime_type)
                for each in found
            ]
        )

    async def _read_resource(
        self, _context: Context, given: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(given.uri)
        try:
            mime_type, text = await asyncio.to_thread(lambda: resources.read(self._opening(), uri))
        except SyncdError as error:
            raise MCPError(types.INVALID_PARAMS, answers.failure(error)) from error
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)])

    async def _subscribe(self, context: Context, given: types.SubscribeRequestParams) -> types.EmptyResult:
        await self._begin_watching()
        self._sessions.setdefault(str(given.uri), set()).add(context.session)
        return types.EmptyResult()

    async def _unsubscribe(self, context: Context, given: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self._sessions.get(str(given.uri), set()).discard(context.session)
        return types.EmptyResult()

    async def _begin_watching(self) -> None:
        """Watch, if nobody does yet: whoever is told that he is heard hears of the very next change."""
        try:
            await self._watch.start()
        except SyncdError as error:
            raise MCPError(types.INTERNAL_ERROR, answers.failure(error)) from error

    async def _tell(self, uri: str) -> None:
        """Tell those who subscribed, in either way of the protocol, that a resource changed."""
        await self._bus.publish(ResourceUpdated(uri=uri))
        for session in list(self._sessions.get(uri, ())):
            try:
                await session.send_resource_updated(uri)
            except Exception:  # noqa: BLE001 - a client that went away; the SDK names no error for it
                self._sessions[uri].discard(session)


def _listed(tool: Tool) -> types.Tool:
    return types.Tool(name=tool.name, description=tool.about, input_schema=tool.schema(), annotations=_hints(tool))


def _hints(tool: Tool) -> types.ToolAnnotations:
    """Return what a client does not take for granted: of a tool without hints it thinks that it writes and destroys."""
    if tool.is_reading:
        return types.ToolAnnotations(read_only_hint=True)
    return types.ToolAnnotations(destructive_hint=tool.is_destructive)


def _said(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)


# --- transports ----------------------------------------------------------------------------------


def serve_stdio(opening: Opening, owner: str) -> None:
    """Serve one client on standard input and output, until it closes them."""

    async def serve() -> None:
        desk = Desk(opening, owner)
        try:
            async with stdio_server() as (reader, writer):
                await desk.server.run(reader, writer, desk.server.create_initialization_options())
        finally:
            await desk.close()

    asyncio.run(serve())


def serve_http(opening: Opening, owner: str, *, port: int, token: str | None) -> None:
    """Serve clients on loopback that know the token, until interrupted; 0 is any free port.

    Effects: the address, and the token where none was given, are printed on standard error.
    """
    import uvicorn

    secret = token or secrets.token_urlsafe(32)

    async def serve() -> None:
        desk = Desk(opening, owner)
        app = with_token(desk.server.streamable_http_app(host=_HOST), secret)
        settings = uvicorn.Config(app, host=_HOST, port=port, log_level="warning", access_log=False)
        server = uvicorn.Server(settings)
        told = asyncio.create_task(_tell_address(server, None if token else secret))
        try:
            await server.serve()
        finally:
            told.cancel()
            await desk.close()

    asyncio.run(serve())


async def _tell_address(server: Any, secret: str | None) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(f"http://{_HOST}:{port}/mcp", file=sys.stderr)
    if secret is not None:
        print(f"Authorization: Bearer {secret}", file=sys.stderr)
    sys.stderr.flush()


def with_token(app: ASGIApp, token: str) -> ASGIApp:
    """Return an app that answers only those who send this token."""
    expected = f"Bearer {token}".encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not secrets.compare_digest(given, expected):
                await _refuse(send)
                return
        await app(scope, receive, send)

    return guarded


async def _refuse(send: Callable[[Any], Awaitable[None]]) -> None:
    headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b"The token is missing or wrong.\n"})
