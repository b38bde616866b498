"""The MCP server as agents meet it: the SDK's own client over real pipes and sockets."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from syncd.agents import answers
from syncd.agents.tools import TOOLS
from syncd.schemas.card import Card, card_json
from tests.support.desk import DEADLINE_S, Desk, desk
from tests.support.reference import commands

TASKS = """\
| id | status | title | depends_on |
|---|---|---|---|
| A1 | not-started | One | — |
| A2 | not-started | Two | A1 |
"""


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A synced working copy with two cards."""
    made = desk(tmp_path / "shop", postgres_dsn, TASKS)
    made("sync")
    return made


@asynccontextmanager
async def connected(shop: Desk, mode: str = "auto", **options: Any) -> AsyncIterator[Client]:
    """Start a server for a working copy, and a client that speaks with it."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "syncd", "mcp", "--owner", "agent-1"],
        env=dict(shop.environ),
        cwd=shop.root,
    )
    async with Client(server, mode=mode, **options) as client:
        yield client


async def answer(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool that has to succeed and return its JSON."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert not result.is_error, content
    return json.loads(content.text)


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that has to fail and return what it says."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert result.is_error, content
    return str(content.text)


def run(talk: Callable[[], Awaitable[None]]) -> None:
    """Run a conversation to its end, within a deadline."""

    async def limited() -> None:
        async with asyncio.timeout(3 * DEADLINE_S):
            await talk()

    asyncio.run(limited())


def test_every_backlog_verb_is_a_tool() -> None:
    """Each command of the backlog has a tool of its name, beside those that agents of the stack know."""
    verbs = {name.removeprefix("syncd backlog ") for name in commands() if name.startswith("syncd backlog ")}
    assert {f"backlog_{each}" for each in verbs} | {
        "coord_mission_status",
        "coord_list_tasks",
        "coord_task_detail",
    } == set(TOOLS)


def test_the_tools_cost_few_words() -> None:
    """All tools with their schemas take less of a context window than a page of text: 12,000 characters."""
    listed = json.dumps([{"name": each.name, "about": each.about, **each.schema()} for each in TOOLS.values()])
    assert len(listed) < 12_000
    assert '"default": null' not in listed


def test_answers_cost_few_words() -> None:
    """A list of a hundred cards takes a quarter of what it takes on the command line, and a changed card is a line."""
    cards = [
        Card(id=f"T{number}", title=f"Write part {number} of the program", phase="M1", priority=2, depends_on=("T0",))
        for number in range(100)
    ]
    listed = json.dumps(answers.page(cards, 100), separators=(",", ":"))
    assert len(listed) < len(json.dumps([card_json(each) for each in cards])) / 4
    assert len(json.dumps(answers.changed(cards[0]))) < 60


def test_an_agent_does_a_card(shop: Desk) -> None:
    """Claim, renew, complete: the store has it, in the agent's name; answers say no more than is needed."""

    async def talk() -> None:
        async with connected(shop) as client:
            listed = {each.name: each for each in (await client.list_tools()).tools}
            assert set(listed) == set(TOOLS)
            assert listed["backlog_claim"].input_schema["properties"]["ttl"]["minimum"] == 1
            status = await answer(client, "coord_mission_status")
            assert (status["cards"]["total"], status["claimable"]) == (2, ["A1"])
            assert (await answer(client, "coord_list_tasks"))["cards"] == [
                {"id": "A1", "title": "One", "status": "ready"},
                {"id": "A2", "title": "Two", "status": "ready", "dependsOn": ["A1"], "waitsFor": 1},
            ]
            assert await answer(client, "backlog_claim", id="A2") == {
                "card": None,
                "reasons": ["it depends on A1, which is ready"],
            }
            card = (await answer(client, "backlog_claim", ttl=60))["card"]
            assert (card["id"], card["claimOwner"], card["attempt"]) == ("A1", "agent-1", 1)
            assert "body" not in card
            await answer(client, "backlog_renew", id="A1", attempt=1)
            assert (await answer(client, "backlog_complete", id="A1", attempt=1))["status"] == "done"
            assert await answer(client, "coord_list_tasks", ready_only=True) == {
                "cards": [{"id": "A2", "title": "Two", "status": "ready"}]
            }
            assert (await answer(client, "coord_task_detail", id="A2"))["line"] == 4

    run(talk)
    history = shop.json("log", "A1")
    assert {(each["actor"], each["face"]) for each in history[1:]} == {("agent-1", "mcp")}


def test_every_other_verb_does_what_its_command_does(shop: Desk) -> None:
    """Create, update, link, fail, retry, block, reclaim, pause and the rest, one after another."""

    async def talk() -> None:
        async with connected(shop) as client:
            await answer(client, "backlog_create", id="B1", title="New", depends_on=["A1"], extra={"area": "x"})
            changed = await answer(client, "backlog_update", id="B1", title="Newer", extra={"area": None})
            assert changed["version"] == 2
            shown = await answer(client, "backlog_show", id="B1")
            assert shown["version"] == 2
            assert "stale-version" in await refusal(client, "backlog_update", id="B1", title="No", if_version=1)
            await answer(client, "backlog_unlink", id="B1", depends_on="A1")
            await answer(client, "backlog_link", id="B1", depends_on="A2")
            assert (await answer(client, "backlog_graph"))["waits"] == {"A2": ["A1"], "B1": ["A2"]}
            await answer(client, "backlog_claim", id="A1", owner="other", ttl=900)
            assert (await answer(client, "backlog_fail", id="A1", error="no"))["lastError"] == "no"
            assert (await answer(client, "backlog_retry", id="A1"))["status"] == "ready"
            await answer(client, "backlog_claim", id="A1")
            assert (await answer(client, "backlog_release", id="A1"))["status"] == "ready"
            await answer(client, "backlog_claim", id="A1")
            assert await answer(client, "backlog_reclaim", id="A1") == {"reclaimed": ["A1"]}
            assert (await answer(client, "backlog_block", id="A1", reason="wait"))["status"] == "blocked"
            assert (await answer(client, "backlog_unblock", id="A1"))["status"] == "ready"
            assert (await answer(client, "backlog_stats"))["ready"] == 3
            assert await answer(client, "backlog_pause") == {"paused": True}
            assert "paused" in await refusal(client, "backlog_claim")
            assert await answer(client, "backlog_resume") == {"paused": False}
            page = await answer(client, "backlog_list", limit=2)
            assert [each["id"] for each in page["cards"]] == ["A1", "A2"]
            assert (await answer(client, "backlog_list", cursor=page["next"]))["cards"][0]["id"] == "B1"
            assert await answer(client, "backlog_remove", id="B1") == {"id": "B1", "removed": True}
            first = await answer(client, "backlog_events", limit=1)
            assert first["events"][0]["type"] == "task.queued"
            assert (await answer(client, "backlog_events", since=first["next"]))["events"]
            assert (await answer(client, "backlog_why", id="A1")) == {"claimable": True, "reasons": []}
            assert (await answer(client, "backlog_show", id="A1"))["title"] == "One"

    run(talk)


def test_errors_say_what_to_do(shop: Desk) -> None:
    """A wrong call is no crash: it names the argument, the holder, or the tool that helps."""

    async def talk() -> None:
        async with connected(shop) as client:
            assert "missing required field `id`" in await refusal(client, "backlog_show")
            assert "$.ttl" in await refusal(client, "backlog_claim", ttl="soon")
            assert "It takes id, reason" in await refusal(client, "backlog_block", id="A1", why="x")
            assert "Hint: backlog_list" in await refusal(client, "backlog_show", id="ZZ")
            shop("backlog", "claim", "--owner", "somebody", "--id", "A1")
            assert "claimed by somebody" in await refusal(client, "backlog_release", id="A1")
            assert "nothing to change" in await refusal(client, "backlog_update", id="A1")
            with pytest.raises(MCPError, match="no tool"):
                await client.session.call_tool("no_such_tool", {})
            with pytest.raises(MCPError, match="no resource"):
                await client.read_resource("syncd://nowhere")

    run(talk)


def test_files_are_resources_that_tell_of_their_changes(shop: Desk) -> None:
    """The task file, the mission and the open cards can be read; who listens hears of an edit and of a claim."""
    (shop.root / "mission.json").write_text('{"mission_id": "m1", "name": "Ship it"}\n')

    async def talk() -> None:
        async with connected(shop) as client:
            uris = [str(each.uri) for each in (await client.list_resources()).resources]
            assert uris == ["syncd://tasks/TASKS.md", "syncd://mission/mission.json", "syncd://backlog"]
            texts = [(await client.read_resource(each)).contents[0].text for each in uris]
            assert texts[0] == TASKS
            assert "Ship it" in texts[1]
            assert [each["id"] for each in json.loads(texts[2])] == ["A1", "A2"]
            async with client.listen(resource_subscriptions=[uris[0], uris[2]]) as heard:
                shop.edit("| One |", "| One more |")
                await _hears(heard, uris[0])
                await asyncio.to_thread(shop, "backlog", "claim", "--owner", "w")
                await _hears(heard, uris[2])

    run(talk)


async def _hears(heard: Any, uri: str) -> None:
    """Wait for the news that a resource changed."""
    async for each in heard:
        if str(each.uri) == uri:
            return


@pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed")
def test_older_clients_subscribe_to_a_resource(shop: Desk) -> None:
    """A client of the handshake's time subscribes, hears of a change, and hears no more once it unsubscribed."""

    async def talk() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def note(message: Any) -> None:
            if getattr(message, "method", "") == "notifications/resources/updated":
                heard.put_nowait(str(message.params.uri))

        async with connected(shop, mode="legacy", message_handler=note) as client:
            uri = "syncd://tasks/TASKS.md"
            await client.subscribe_resource(uri)
            shop.file.write_bytes(shop.file.read_bytes() + b"\n")
            async with asyncio.timeout(DEADLINE_S):
                assert await heard.get() == uri
            await client.unsubscribe_resource(uri)

    run(talk)


def test_http_answers_those_who_know_the_token_and_nobody_else(shop: Desk) -> None:
    """On loopback over HTTP: no token, a wrong token and a foreign host are refused; the right one works."""
    process = shop.start("mcp", "--http", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        url, header = (process.stderr.readline().strip() for _ in range(2))
        token = header.removeprefix("Authorization: ")
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert httpx2.post(url, json={}, headers=headers, timeout=DEADLINE_S).status_code == 401
        foreign = {"Authorization": token, "Host": "evil.example"}
        assert httpx2.post(url, json={}, headers=foreign, timeout=DEADLINE_S).status_code == 421

        async def talk() -> None:
            async with (
                httpx2.AsyncClient(headers={"Authorization": token}, timeout=DEADLINE_S) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                assert (await answer(client, "backlog_claim"))["card"]["id"] == "A1"

        run(talk)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        process.stderr.close()


MEASURED_MAX = 8
"""Neighbours cost a program something, too: so often it is measured at most."""

FIRST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def cost_s(*words: str, shop: Desk, told: str = "") -> tuple[float, str]:
    """Return how much of the processor a program took, which other programs do not change, and what it said."""
    with subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=shop.root,
        env=dict(shop.environ),
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(told)
        process.stdin.close()
        said = process.stdout.read() + process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return usage.ru_utime + usage.ru_stime, said


def test_the_start_costs_about_what_the_sdk_costs(shop: Desk) -> None:
    """An agent's first answer costs about what importing the SDK as a whole does: the server takes a part of that."""
    first = json.dumps(FIRST) + "\n"
    imports, starts = [], []
    for _ in range(MEASURED_MAX):
        imports.append(cost_s("-c", "import mcp", shop=shop)[0])
        cost, said = cost_s("-P", "-m", "syncd", "mcp", shop=shop, told=first)
        assert json.loads(said)["result"]["serverInfo"]["name"] == "syncd"
        starts.append(cost)
        if min(starts) < 1.25 * min(imports):
            return
    raise AssertionError((starts, imports))


def test_the_first_answer_needs_neither_workspace_nor_client(shop: Desk) -> None:
    """What reads and syncs a workspace is imported by the first call, and the SDK's client never."""
    words = ("-X", "importtime", "-P", "-m", "syncd", "mcp")
    _, said = cost_s(*words, shop=shop, told=json.dumps(FIRST) + "\n")
    imported = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert {"mcp.server.runner", "syncd.agents.mcp_server"} <= imported
    assert imported.isdisjoint({"syncd.api", "syncd.wiring", "psycopg", "mcp.client", "mcp.server.mcpserver", "httpx2"})


def test_a_folder_without_a_workspace_is_told_at_the_start(tmp_path: Path, shop: Desk) -> None:
    """Whoever configures an agent for the wrong folder sees it at once, and not with the first call."""
    assert "is in no syncd workspace" in shop("mcp", code=3, cwd=tmp_path).stderr


def test_missions_are_told_as_the_store_has_them(shop: Desk) -> None:
    """The state of the project has each mission of the store, also one that no file of this working copy tells."""
    shop("mission", "init", "--id", "flight", "--name", "Fly", "--milestone", "M1=Wings")
    (shop.root / "mission.json").unlink()

    async def talk() -> None:
        async with connected(shop) as client:
            status = await answer(client, "coord_mission_status")
            assert [each["id"] for each in status["missions"]] == ["flight"]
            assert [each["id"] for each in status["missions"][0]["milestones"]] == ["M1"]

    run(talk)
