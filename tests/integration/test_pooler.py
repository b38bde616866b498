"""Behind PgBouncer in transaction mode: everything works, and nothing rests on a session."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from syncd import api
from syncd.core.plan import Change, ChangeKind
from syncd.ports import Batch, NewCard
from syncd.store.migrate import migrate
from syncd.store.postgres import PostgresStore
from tests.support.desk import until
from tests.support.pooler import pooled

CARDS = 40


@pytest.fixture
def pooler_dsn(served_dsn: str) -> Iterator[str]:
    """A migrated database, reached through a pool of two connections; migrated through it, too."""
    with pooled(served_dsn) as dsn:
        migrate(dsn)
        yield dsn


def opened(dsn: str, actor: str, listen_dsn: str | None = None) -> PostgresStore:
    """Open a store through the pooler."""
    return PostgresStore(
        dsn, project="default", actor=actor, face="test", replica="r1", pooled=True, listen_dsn=listen_dsn
    )


def test_more_clients_than_connections_lease_every_card_once(pooler_dsn: str, served_dsn: str) -> None:
    """Four clients on a pool of two: each card is claimed and completed once, each change in its actor's name."""
    with contextlib.closing(opened(pooler_dsn, "maker")) as store:
        store.create_many([NewCard(id=f"T{each}", title="t") for each in range(CARDS)])

    def work(owner: str) -> list[str]:
        done = []
        with contextlib.closing(opened(pooler_dsn, owner)) as mine:
            while cards := mine.claim(owner, 60):
                done += [mine.complete(card.id, owner=owner, attempt=card.attempts).id for card in cards]
        return done

    owners = [f"w{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = [id for ids in pool.map(work, owners) for id in ids]
    assert sorted(done) == sorted(f"T{each}" for each in range(CARDS))
    with psycopg.connect(served_dsn) as link:
        wrong = "select count(*) from backlog_history where op = 'update' and after->>'claim_owner' <> actor"
        assert link.execute(wrong).fetchall() == [(0,)]
        mixed = "select count(distinct actor) from backlog_history where op = 'update'"
        assert link.execute(mixed).fetchall()[0][0] > 1


def test_batches_and_feed_work_through_the_pooler(pooler_dsn: str) -> None:
    """A batch is written once and read back through the feed, with timeouts set in each transaction."""
    with contextlib.closing(opened(pooler_dsn, "w")) as store:
        batch = Batch("c1", tuple(Change(ChangeKind.CREATE, f"T{each}", {"title": "t"}) for each in range(5)), ())
        cursor = store.read(None).cursor
        assert len(store.commit(batch).cards) == len(store.commit(batch).cards) == 5
        assert store.read(cursor).cards.keys() == {f"T{each}" for each in range(5)}


def test_listen_goes_past_the_pooler(pooler_dsn: str, served_dsn: str) -> None:
    """Through the pooler a listener polls; with a way past it, it is live and hears of a change."""
    woken = threading.Event()
    with contextlib.closing(opened(pooler_dsn, "w")) as store:
        polling = store.listen(woken.set)
        assert woken.wait(60)
        assert polling.mode == "poll"
        polling.close()
    with contextlib.closing(opened(pooler_dsn, "w", served_dsn)) as store:
        listener = store.listen(woken.set)
        until(lambda: listener.mode == "live", "the listener is live")
        woken.clear()
        store.create(NewCard(id="A", title="a"))
        assert woken.wait(60)
        listener.close()


def test_a_workspace_behind_a_pooler(pooler_dsn: str, served_dsn: str, tmp_path: Path) -> None:
    """With ``pooled`` in its settings and a URL to listen on, a workspace syncs through the pooler."""
    (tmp_path / "TASKS.md").write_text("| id | status | title |\n|---|---|---|\n| A | not-started | Draw |\n")
    (tmp_path / "syncd.yaml").write_text("pooled: true\n")
    environ = {
        "PATH": os.environ["PATH"],
        "SYNCD_DATABASE_URL": pooler_dsn,
        "SYNCD_LISTEN_URL": served_dsn,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    with api.init(tmp_path, environ=environ) as plan:
        plan.carry_out()
    with api.open(tmp_path, environ=environ) as workspace:
        workspace.sync()
        card = workspace.backlog.claim("w")
        assert card is not None
        workspace.backlog.complete(card.id)
        workspace.sync()
        assert workspace.status().in_sync
    assert "| A | done | Draw |" in (tmp_path / "TASKS.md").read_text()
