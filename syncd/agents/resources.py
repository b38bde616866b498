"""What agents can read and watch: the task files, the mission, and the open cards.

Files are looked at once a second while somebody watches; the backlog changes when the store says so.
May import ``syncd.api``, ``syncd.ports``, ``syncd.errors``, ``syncd.log`` and ``syncd.agents``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from syncd.agents import answers
from syncd.agents.opening import Opening
from syncd.errors import NotFound, StoreUnreachable, SyncdError
from syncd.log import event
from syncd.ports import CardFilter, Listener
from syncd.schemas.card import Status

if TYPE_CHECKING:
    from syncd.api import Workspace

BACKLOG: Final = "syncd://backlog"
MISSION: Final = "syncd://mission/"
TASKS: Final = "syncd://tasks/"
LOOK_S: Final = 1.0

JSON_TYPE: Final = "application/json"
MARKDOWN_TYPE: Final = "text/markdown"


class Page(msgspec.Struct, frozen=True):
    """One resource: where it is, what it is called, and its type."""

    uri: str
    name: str
    about: str
    mime_type: str


def pages(workspace: Workspace) -> list[Page]:
    """Return what there is to read."""
    found = [
        Page(f"{TASKS}{quote(path)}", path, "A task file, as it is now.", MARKDOWN_TYPE)
        for path in workspace.task_files()
    ]
    found += [
        Page(f"{MISSION}{quote(path)}", path, "A mission, as its file is now.", JSON_TYPE)
        for path in workspace.mission_files()
    ]
    found.append(Page(BACKLOG, "backlog", "The cards that are not done, as the store has them.", JSON_TYPE))
    return found


def read(workspace: Workspace, uri: str) -> tuple[str, str]:
    """Return a resource's type and text.  Raises NotFound, StoreUnreachable."""
    page = next((each for each in pages(workspace) if each.uri == uri), None)
    if page is None:
        raise NotFound(f"there is no resource {uri}", hint="List the resources")
    if uri == BACKLOG:
        cards = workspace.backlog.list(CardFilter())
        open_ones = [answers.brief(each) for each in cards if each.status is not Status.DONE]
        return page.mime_type, json.dumps(open_ones, ensure_ascii=False)
    data = workspace.read_file(page.name)
    if data is None:
        raise NotFound(f"{page.name} is not there, or cannot be read")
    return page.mime_type, data.decode("utf-8", "replace")


class Watch:
    """Tells which resources changed, as long as somebody wants to know.

    Args:
        tell: called in the loop with the address of each resource that changed.
    """

    def __init__(self, opening: Opening, tell: Callable[[str], Awaitable[None]]) -> None:
        self._opening = opening
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Begin to watch; every change from its return on is told.  A second time nothing happens.

        Raises: the errors of opening the workspace.
        """
        async with self._starting:
            if self._task is not None and not self._task.done():
                return
            loop = asyncio.get_running_loop()
            woken = asyncio.Event()

            def wake() -> None:
                loop.call_soon_threadsafe(woken.set)

            seen = await asyncio.to_thread(self._signatures)
            listener = await self._listening(wake)
            self._task = asyncio.create_task(self._run(seen, woken, listener))

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, seen: Mapping[str, Any], woken: asyncio.Event, listener: Listener | None) -> None:
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await woken.wait()
                if woken.is_set():
                    woken.clear()
                    await self._tell(BACKLOG)
                try:
                    now = await asyncio.to_thread(self._signatures)
                except SyncdError as error:
                    # Settings in the middle of an edit: whoever watches goes on when they can be read again.
                    event("resources.waiting", message=error.message)
                    continue
                for uri in now:
                    if now[uri] != seen.get(uri):
                        await self._tell(uri)
                seen = now
        finally:
            if listener is not None:
                await asyncio.shield(asyncio.to_thread(listener.close))

    async def _listening(self, wake: Callable[[], None]) -> Listener | None:
        try:
            return await asyncio.to_thread(lambda: self._opening().workers.listen(wake))
        except StoreUnreachable:
            return None

    def _signatures(self) -> Mapping[str, Any]:
        workspace = self._opening()
        return {page.uri: workspace.file_signature(page.name) for page in pages(workspace) if page.uri != BACKLOG}
