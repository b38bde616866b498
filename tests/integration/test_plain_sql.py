"""Clients that know only the Mosaic columns keep working, and what they do is seen."""

from __future__ import annotations

import psycopg
import pytest

from syncd.ports import NewCard
from tests.support.feeds import caught_up
from tests.support.migrated import Database

STATE = "select status::text, claim_owner, claim_ttl_seconds, claimed_at is not null, attempts, version from backlog"
CLAIM = """
update backlog set status = 'claimed', claim_owner = %s, claim_ttl_seconds = 600, claimed_at = now()
where id = (select id from backlog where status = 'ready' order by priority desc limit 1 for update skip locked)
returning id"""


def test_insert_claim_complete_delete(database: Database) -> None:
    """The whole life of a card in plain SQL: leases, attempts and versions follow."""
    database.rows("insert into backlog (id, title, priority) values ('A', 'a', 1), ('B', 'b', 0)")
    assert database.one(CLAIM, "w") == "A"
    assert database.rows(f"{STATE} where id = 'A'") == [("claimed", "w", 600, True, 1, 2)]
    database.rows("update backlog set status = 'done' where id = 'A'")
    assert database.rows(f"{STATE} where id = 'A'") == [("done", None, None, False, 1, 3)]
    database.rows("delete from backlog where id = 'A'")
    assert database.one("select count(*) from backlog") == 1


def test_a_status_set_back_by_hand_ends_the_lease(database: Database) -> None:
    """``set status = 'ready'`` after a claim leaves no owner behind, and the next claim counts."""
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    database.one(CLAIM, "w")
    database.rows("update backlog set status = 'ready' where id = 'A'")
    assert database.rows(STATE) == [("ready", None, None, False, 1, 3)]
    database.one(CLAIM, "v")
    assert database.rows(STATE) == [("claimed", "v", 600, True, 2, 4)]


def test_a_claim_that_counts_itself_is_not_counted_twice(database: Database) -> None:
    """A writer that raises ``attempts`` is taken at its word; one that sets no time gets the store's."""
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    database.rows("update backlog set status = 'claimed', claim_owner = 'w', attempts = attempts + 1 where id = 'A'")
    assert database.rows(STATE) == [("claimed", "w", None, True, 1, 2)]
    database.rows("update backlog set claim_owner = 'v' where id = 'A'")
    assert database.rows(STATE) == [("claimed", "v", None, True, 2, 3)]


def test_only_a_real_change_moves_version_and_time(database: Database) -> None:
    """Writing equal values, or touching ``updated_at`` alone, is no change; ``updated_at`` follows one."""
    database.rows("insert into backlog (id, title, depends_on, updated_at) values ('A', 'a', '[\"B\"]', 'epoch')")
    database.rows("update backlog set title = 'a', depends_on = '[ \"B\" ]'")
    database.rows("update backlog set updated_at = '1980-01-01Z'")
    assert database.rows("select version, extract(year from updated_at)::int from backlog") == [(1, 1980)]
    database.rows("update backlog set title = 'b'")
    assert database.rows("select version, updated_at > now() - interval '1 minute' from backlog") == [(2, True)]
    database.rows("update backlog set title = 'c', updated_at = '1990-01-01Z'")
    assert database.rows("select version, extract(year from updated_at)::int from backlog") == [(3, 1990)]


@pytest.mark.parametrize("value", ["null", "{}", '"A"', "7", "[1, null, {}]", '[["A"]]'])
def test_a_malformed_dependency_list_is_no_dependency(database: Database, value: str) -> None:
    """JSON of any shape in ``depends_on`` breaks no trigger, and a sync leaves it as it is."""
    database.rows("insert into backlog (id, title, depends_on) values ('A', 'a', '[]')")
    database.rows("update backlog set depends_on = %s where id = 'A'", value)
    store = database.store()
    assert store.get("A").depends_on == ()
    assert store.get("A").unmet == 0
    store.update("A", {"title": "changed"})
    assert database.one("select depends_on = %s::jsonb from backlog", value)


def test_a_dependency_cycle_of_others_is_let_in(database: Database) -> None:
    """Plain SQL may close a cycle: its cards wait, nothing breaks, and unlinking frees them."""
    database.rows("insert into backlog (id, title, depends_on) values ('A', 'a', '[\"B\"]'), ('B', 'b', '[\"A\"]')")
    assert database.rows("select id, unmet from backlog order by id") == [("A", 1), ("B", 1)]
    assert database.store().unlink("A", "B").unmet == 0


def test_history_has_every_writer(database: Database) -> None:
    """Insert, update, delete and truncate by anybody are in the audit trail, with who and what."""
    user = database.one("select session_user")
    database.rows("insert into backlog (id, title) values ('A', 'a'), ('B', 'b')")
    database.rows("update backlog set title = 'z', priority = 2 where id = 'A'")
    database.rows("delete from backlog where id = 'A'")
    database.store().create(NewCard(id="C", title="c"))
    database.rows("truncate backlog")
    found = database.rows("select op, id, version, actor, face, before, after from backlog_history order by seq")
    assert [row[:5] for row in found[:4]] == [
        ("insert", "A", 1, user, "psql"),
        ("insert", "B", 1, user, "psql"),
        ("update", "A", 2, user, "psql"),
        ("delete", "A", 3, user, "psql"),
    ]
    assert found[2][5:] == ({"title": "a", "priority": 0}, {"title": "z", "priority": 2})
    assert found[3][5]["title"] == "z"
    assert found[4][:5] == ("insert", "C", 1, "tester", "test")
    assert sorted(row[:3] for row in found[5:]) == [("truncate", "B", 2), ("truncate", "C", 2)]


def test_a_renamed_id_is_one_that_went_and_one_that_came(database: Database) -> None:
    """Changing a card's id outright is a deletion and an insertion to everybody else."""
    database.rows("insert into backlog (id, title, depends_on) values ('A', 'a', '[]'), ('B', 'b', '[\"A\"]')")
    store = database.store()
    cursor = caught_up(store)
    database.rows("update backlog set id = 'A2' where id = 'A'")
    feed = store.read(cursor)
    assert (feed.gone, feed.cards.keys()) == ({"A"}, {"A2"})
    database.rows("update backlog set status = 'done'")
    assert database.one("select unmet from backlog where id = 'B'") == 1
    assert database.wrong_counts() == []


def test_truncate_is_in_the_feed(database: Database) -> None:
    """Every row that a TRUNCATE took is gone in the next read."""
    database.rows("insert into backlog (id, title, depends_on) values ('A', 'a', '[]'), ('B', 'b', '[\"A\"]')")
    store = database.store()
    cursor = caught_up(store)
    database.rows("truncate backlog")
    assert store.read(cursor).gone == {"A", "B"}
    assert database.one("select count(*) from backlog_edge") == 0


def test_a_tombstone_does_not_stand_in_the_way_of_an_insert(database: Database) -> None:
    """A client that knows no tombstones makes a card under a removed id; it never claims the removed one."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    tombstone = store.remove("A")
    assert database.rows(CLAIM, "w") == []
    database.rows("insert into backlog (id, title) values ('A', 'again')")
    card = store.get("A")
    assert (card.title, card.version > tombstone.version) == ("again", True)


def test_the_version_is_written_by_the_trigger_alone(database: Database) -> None:
    """A writer that sets ``version`` back cannot make two states share one."""
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    database.rows("update backlog set title = 'b', version = 1 where id = 'A'")
    database.rows("update backlog set unmet = 0, version = 0 where id = 'A'")
    assert database.one("select version from backlog") == 2


def test_a_statement_notifies_once_and_only_for_changes(database: Database) -> None:
    """One empty notification a transaction; none for an update that changes nothing."""
    with psycopg.connect(database.dsn, autocommit=True) as listener:
        listener.execute("listen syncd")
        with database.link.transaction():
            database.rows("insert into backlog (id, title) select 'T' || n, 't' from generate_series(1, 50) n")
            database.rows("update backlog set priority = 1")
        database.rows("update backlog set priority = 1")
        database.rows("delete from backlog where id = 'nobody'")
        database.rows("notify syncd, 'end'")
        heard = []
        for notify in listener.notifies(timeout=30):
            heard.append(notify.payload)
            if notify.payload == "end":
                break
    assert heard == ["", "end"]


def test_a_big_statement_after_small_ones_stays_fast(database: Database) -> None:
    """Plans kept from statements of one row do not make one of thousands quadratic."""
    for number in range(8):
        database.rows("insert into backlog (id, title) values (%s, 't')", f"S{number}")
        database.rows("update backlog set title = 'u', depends_on = '[\"S0\"]' where id = %s", f"S{number}")
    database.rows("set statement_timeout = '20s'")
    database.rows(
        "insert into backlog (id, title, depends_on)"
        " select 'T' || n, 't', jsonb_build_array('T' || n - 1) from generate_series(1, 3000) n"
    )
    database.rows("update backlog set status = 'done' where id like 'T%%'")
    database.rows("update backlog set depends_on = depends_on || '[\"S1\"]' where id like 'T%%'")
    database.rows("delete from backlog where id like 'T1%%'")
    database.rows("reset statement_timeout")
    assert database.wrong_counts() == []


def test_a_card_that_a_trigger_of_others_keeps_open_meets_nobody(database: Database) -> None:
    """A row that another trigger keeps from being done, beside one that only gets a title, counts nothing down."""
    database.rows("insert into backlog (id, title) values ('A', 'a'), ('B', 'b')")
    database.rows("insert into backlog (id, title, depends_on) values ('C', 'c', '[\"A\"]'), ('D', 'd', '[\"B\"]')")
    database.rows(
        "create function veto() returns trigger language plpgsql as $$ begin return null; end $$;"
        " create trigger zzz_veto before update on backlog for each row when (old.id = 'A') execute function veto()"
    )
    database.rows(
        "update backlog set title = 'x', status = case id when 'A' then 'done' else status end where id < 'C'"
    )
    assert database.rows("select id, status::text, unmet from backlog where id > 'A' order by id") == [
        ("B", "ready", 0),
        ("C", "ready", 1),
        ("D", "ready", 1),
    ]
    database.rows("update backlog set status = 'done' where id = 'B'")
    assert database.one("select unmet from backlog where id = 'D'") == 0
    database.rows("update backlog set status = 'ready' where id = 'B'")
    assert database.one("select unmet from backlog where id = 'D'") == 1
