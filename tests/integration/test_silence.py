"""A server that takes what it is sent and answers nobody is noticed; one that is slow, or waits, is waited for."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq

from syncd.core.plan import Change, ChangeKind
from syncd.errors import StoreUnreachable
from syncd.ports import Batch, CardFilter, NewCard
from syncd.schemas.card import Status
from syncd.store import link, probe, silence
from syncd.store.session import connect
from syncd.store.silence import ServerHangs
from tests.support.desk import until
from tests.support.laptop import laptop
from tests.support.migrated import Database
from tests.support.postgres import frozen
from tests.support.workspace import TABLE, site

SOON_S = 30.0
"""Far more than the few seconds that it takes, for a machine with too much to do, and far less than for ever."""

FILLS_THE_LINE = "x" * 40_000_000

WAYS: dict[str, Callable[[Any], object]] = {
    "a short query": lambda store: store.info(),
    "a snapshot": lambda store: store.read(None),
    "a transaction": lambda store: store.commit(
        Batch("c1", (Change(ChangeKind.UPDATE, "A", {"title": "b"}, version=1),), ())
    ),
    "more than the line takes": lambda store: store.create(NewCard(id="B", title=FILLS_THE_LINE)),
    "a short query with more than the line takes": lambda store: store.get(FILLS_THE_LINE),
}


@pytest.fixture
def served(served_dsn: str) -> Iterator[Database]:
    with closing(Database(served_dsn)) as database:
        yield database


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have servers asked early and often, so that a test which waits for the sake of waiting is a short one."""
    for name in ("PATIENCE_S", "AGAIN_S"):
        monkeypatch.setattr(silence, name, 0.2)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _probes() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "syncd-probe"]


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_hangs_is_given_up(served: Database, way: str) -> None:
    """Whatever was asked fails as a lost connection does, leaves nothing open, and works again afterwards."""
    store = served.store()
    store.create(NewCard(id="A", title="a"))
    store.get("A")  # what is asked is prepared
    before = _open_files()
    with ThreadPoolExecutor(1) as pool, frozen(served.dsn):
        asked = pool.submit(WAYS[way], store)
        with pytest.raises(StoreUnreachable, match="does not answer"):
            asked.result(SOON_S)
        until(lambda: not _probes(), "nobody asks any more")
        assert _open_files() < before, "the connection is closed"
        with pytest.raises(StoreUnreachable, match="timeout"):
            store.info()
        assert _open_files() < before, "so is one that was not made"
    assert store.get("A").title in ("a", "b")
    assert _open_files() == before


@pytest.mark.usefixtures("impatient")
def test_a_statement_that_waits_for_a_row_is_waited_for(served: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is asked again and again meanwhile, is well, and the answer comes when it comes."""
    asked: list[str] = []

    class Counted(probe.Question):
        def __init__(self, dsn: str, *, silent_s: float) -> None:
            asked.append(dsn)
            super().__init__(dsn, silent_s=silent_s)

    monkeypatch.setattr(link, "Question", Counted)
    store = served.store()
    store.create(NewCard(id="A", title="a"))
    with ThreadPoolExecutor(1) as pool, psycopg.connect(served.dsn) as other:
        other.execute("update backlog set priority = 8 where id = 'A'")
        waiting = pool.submit(store.update, "A", {"title": "b"})
        until(lambda: len(asked) >= 3 or waiting.done(), "the server was asked")
        assert not waiting.done()
        other.commit()
        card = waiting.result(SOON_S)
    assert (card.title, card.priority) == ("b", 8)


def test_a_server_that_answers_in_time_is_asked_nothing_more(served: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other connection is made, and no thread, unless somebody waits for long."""
    monkeypatch.setattr(silence, "PATIENCE_S", 60.0)
    monkeypatch.setattr(link, "Question", None)
    store = served.store()
    for number in range(50):
        store.create(NewCard(id=f"A{number}", title="a"))
    assert len(store.list(CardFilter())) == 50


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("more", [{"connect_timeout": 60}, {}], ids=["an address that says so", "a pooler"])
def test_a_server_may_take_the_time_that_it_needs(
    served: Database, more: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where letting somebody in takes long, a silence that is as long proves nothing."""
    monkeypatch.setattr(link, "ANSWER_S", 0.2)
    monkeypatch.setattr(link, "ANSWER_POOLED_S", 60.0)
    store = served.store(dsn=psycopg.conninfo.make_conninfo(served.dsn, **more), pooled=not more)  # type: ignore[arg-type]
    store.info()
    with ThreadPoolExecutor(1) as pool:
        with frozen(served.dsn):
            asked = pool.submit(store.info)
            with pytest.raises(TimeoutError):
                asked.result(4.0)
        assert asked.result(SOON_S)


@pytest.mark.usefixtures("impatient")
def test_what_one_connection_has_found_holds_for_the_others(served: Database) -> None:
    """Two that wait for the same server ask it once, and end together."""
    vigil = silence.Vigil()
    stores = [served.store(vigil=vigil) for _ in range(2)]
    for store in stores:
        store.info()
    with frozen(served.dsn), ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(store.info) for store in stores]
        until(lambda: vigil.has_just_hung, "it was found out")
        for each in waiting:
            with pytest.raises(StoreUnreachable, match="does not answer"):
                each.result(SOON_S)


def test_the_server_is_asked_where_it_is(served: Database) -> None:
    """Of several servers in an address the one is asked that the connection leads to, without looking up its name."""
    place = psycopg.conninfo.conninfo_to_dict(served.dsn)
    several = psycopg.conninfo.make_conninfo(served.dsn, host=f"{place['host']},localhost", port=f"{place['port']},9")
    with closing(connect(several)) as found:
        asked = psycopg.conninfo.conninfo_to_dict(found._same_server())
    assert (asked["host"], asked["hostaddr"], asked["port"]) == (place["host"], place["host"], place["port"])
    assert asked["password"] == place["password"]


def test_what_a_connection_left_behind_is_never_done(served: Database, tmp_path: Path) -> None:
    """A statement that the server had taken, and reads when all the work of the absence is merged, comes too late."""
    with site(tmp_path / "laptop", served.dsn, TABLE) as made:
        made.sync()
        store = made.wiring.store()
        store.block("A2")
        store.unblock("A2")
        behind = store._primary._session._lane.link.info.backend_pid  # type: ignore[attr-defined]
        with frozen(served.dsn, but_go_on_without=behind):
            assert store.block("A2").status is Status.BLOCKED
            assert made.wiring.absence() is not None
            assert store.unblock("A2").status is Status.READY
        try:
            made.wiring.hurry()
            made.sync()
            assert made.wiring.absence() is None
            assert made.column("status", "A2") == "ready"
        finally:
            os.kill(behind, signal.SIGCONT)
        until(lambda: not Path(f"/proc/{behind}").exists(), "the server's end of the connection is gone")
        made.sync()
        assert made.column("status", "A2") == "ready"
        assert not store.conflicts()


def test_another_who_has_the_same_number_is_spared(served: Database) -> None:
    """What was left behind may be gone, and its number given to somebody who came later."""
    vigil = silence.Vigil()
    with psycopg.connect(served.dsn, autocommit=True) as other:
        vigil.leave(silence.LeftBehind(other.info.backend_pid, time.monotonic() - 3600))
        served.store(vigil=vigil).info()
        other.execute("select 1")
        assert not vigil.take_left()


def test_a_wait_that_is_interrupted_is_over_although_nobody_takes_the_word(
    served: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is to end does not wait until a server is found to hang."""
    monkeypatch.setattr(silence, "PATIENCE_S", 2 * SOON_S)
    store = served.store()
    store.info()
    lane = store._session._lane
    assert lane is not None
    with frozen(served.dsn), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.info)
        until(lambda: lane.link.pgconn.transaction_status == pq.TransactionStatus.ACTIVE, "it is asked")
        store.interrupt()
        with pytest.raises(StoreUnreachable):
            waiting.result(SOON_S)


def test_others_go_on_while_the_database_is_tried(tmp_path: Path, postgres_dsn: str) -> None:
    """Whoever finds out whether it is back may wait long for that; nobody else waits along."""
    tried, answered = threading.Event(), threading.Event()
    with laptop(tmp_path / "laptop", postgres_dsn, TABLE) as (made, line), ThreadPoolExecutor(2) as pool:
        made.sync()
        line.is_cut = True
        store, reach = made.wiring.store(), made.wiring.reach
        assert reach is not None
        store.update("A2", {"title": "Away"})
        reach.revive = lambda: (tried.set(), answered.wait(SOON_S))[1]  # type: ignore[method-assign]
        reach.hurry()
        trying = pool.submit(store.get, "A2")
        assert tried.wait(SOON_S)
        other = pool.submit(made.wiring.another_store().update, "A3", {"title": "Away, too"})
        assert other.result(SOON_S / 2).title == "Away, too"
        line.is_cut = False
        answered.set()
        assert trying.result(SOON_S).title == "Away"
        assert made.wiring.absence() is None
        assert made.column("title", "A3") == "Away, too"


def test_a_hang_is_an_error_of_the_connection() -> None:
    """So everything that handles a connection which broke handles it."""
    assert issubclass(ServerHangs, psycopg.OperationalError)
