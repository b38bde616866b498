"""The HTTP interface: what the api knows, as JSON, as a stream of events, as metrics, and as one page.

It reads and changes nothing.  A workspace is one connection, so requests look one after another, in threads.
May import ``syncd.api``, ``starlette``.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Any, Final, TypeVar

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from syncd.api import Workspace
from syncd.engine.report import history_json, stats_json, why_json
from syncd.errors import BadValue, NotFound, StoreUnreachable, SyncdError
from syncd.ports import CardFilter
from syncd.schemas.card import Card, Status, card_json
from syncd.web.security import Guarded
from syncd.web.stream import EventHub

T = TypeVar("T")

LIMIT_MAX: Final = 10_000
_STATIC: Final[Mapping[str, str]] = {
    "/": "text/html; charset=utf-8",
    "/app.js": "text/javascript; charset=utf-8",
    "/app.css": "text/css; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}
_STATUS_CODES: Final[Mapping[type[SyncdError], int]] = {NotFound: 404, BadValue: 400, StoreUnreachable: 503}


def make_app(workspace: Workspace, *, token: str, hosts: Iterable[str]) -> Guarded:
    """Return the application over an open workspace."""
    desk = Desk(workspace)
    hub = EventHub(workspace)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        hub.close()

    async def events(request: Request) -> Response:
        since = request.headers.get("last-event-id") or request.query_params.get("since")
        return StreamingResponse(hub.messages(_number(since, "since")), media_type="text/event-stream")

    routes = [Route(path, partial(_static, path=path)) for path in _STATIC]
    routes += [
        Route("/api/coord/status", desk.answer(Desk.status)),
        Route("/api/coord/tasks", desk.answer(Desk.tasks)),
        Route("/api/coord/tasks/{id:path}", desk.answer(Desk.task)),
        Route("/api/coord/missions", desk.answer(Desk.missions)),
        Route("/api/backlog", desk.answer(Desk.tasks)),
        Route("/api/backlog/stats", desk.answer(Desk.stats)),
        Route("/api/backlog/cards/{id:path}", desk.answer(Desk.task)),
        Route("/api/events", events),
        Route("/metrics", desk.metrics),
        Route("/healthz", desk.health),
    ]
    app = Starlette(routes=routes, lifespan=life, exception_handlers={SyncdError: _told})
    return Guarded(app, token=token, hosts=hosts)


class Desk:
    """Looks at a workspace for requests, one at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()

    def answer(self, look: Callable[[Desk, Request], Any]) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler that answers with what ``look`` returns, as JSON."""

        async def handler(request: Request) -> Response:
            return JSONResponse(await self._look(lambda: look(self, request)))

        return handler

    def status(self, _: Request) -> Any:
        """Return the drift report."""
        return self._workspace.status().to_json()

    def tasks(self, request: Request) -> Any:
        """Return the live cards, by status, phase, owner; highest priority first, then oldest."""
        given = request.query_params
        status = given.get("status")
        if status is not None and status not in {each.value for each in Status}:
            raise BadValue(f"no status {status!r}", hint="ready, claimed, blocked or done.")
        limit = _number(given.get("limit"), "limit")
        chosen = CardFilter(
            status=Status(status) if status else None,
            phase=given.get("phase"),
            owner=given.get("owner"),
            ready_only=given.get("ready") in ("1", "true"),
            limit=LIMIT_MAX if limit is None else min(limit, LIMIT_MAX),
            cursor=given.get("cursor"),
        )
        return [card_json(each) for each in self._workspace.backlog.list(chosen)]

    def task(self, request: Request) -> Any:
        """Return one card, what stands between it and a claim, and its last changes."""
        id = request.path_params["id"]
        card: Card = self._workspace.backlog.show(id)
        why = why_json(self._workspace.backlog.why(id))
        past = [history_json(each) for each in self._workspace.past.history(id, limit=20)]
        return {**card_json(card), **why, "history": past}

    def missions(self, _: Request) -> Any:
        """Return the missions as ``status`` has them."""
        return self._workspace.status().missions

    def stats(self, _: Request) -> Any:
        """Return the counts of the queue."""
        return stats_json(self._workspace.backlog.stats())

    async def metrics(self, _: Request) -> Response:
        """Answer with what Prometheus reads."""
        text = await self._look(self._workspace.metrics_text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(self, _: Request) -> Response:
        """Answer 200 when the store answers, 503 when it is away."""
        report = await self._look(self._workspace.status)
        is_well = report.store.reachable
        return JSONResponse({"ok": is_well, "mode": report.mode, "inSync": report.in_sync}, 200 if is_well else 503)

    async def _look(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._lock:
                return work()

        return await to_thread.run_sync(alone)


async def _static(_: Request, *, path: str) -> Response:
    name = "index.html" if path == "/" else path.removeprefix("/")
    return Response((files("syncd.web") / "static" / name).read_bytes(), media_type=_STATIC[path])


async def _told(_: Request, error: Exception) -> Response:
    """Answer an error in the shape of the command line's."""
    assert isinstance(error, SyncdError)
    code = next((code for kind, code in _STATUS_CODES.items() if isinstance(error, kind)), 500)
    return JSONResponse({"error": {"code": error.code, "message": error.message, "hint": error.hint}}, code)


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadValue(f"{name}={text[:40]}", hint="A whole number, 0 or more.")
    return int(text)
