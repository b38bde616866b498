"""Least privilege on a shared database: what each role may see and do, and only in its projects."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from syncd.core.plan import Change, ChangeKind
from syncd.errors import ConfigError
from syncd.ports import Batch, CardFilter, NewCard
from syncd.store.migrate import status
from syncd.store.postgres import PostgresStore
from syncd.store.queries import sql_file
from tests.support.migrated import Database

Login = Callable[[str, str], str]
"""Makes a login in a role, with a project, and returns its dsn."""


@pytest.fixture
def login(database: Database) -> Iterator[Login]:
    """A database with cards of two projects and the roles, and a maker of logins."""
    for _ in range(2):
        database.link.execute(sql_file("roles.sql").encode())
    for project in ("shop", "bank"):
        store = database.store(project=project)
        store.create(NewCard(id="A", title=f"of the {project}"))
        store.create(NewCard(id="B", title="waits", depends_on=("A",)))
    made: list[sql.Identifier] = []

    def make(role: str, project: str) -> str:
        name = f"test_{secrets.token_hex(6)}"
        made.append(sql.Identifier(name))
        database.link.execute(sql.SQL("create role {} login in role {}").format(made[-1], sql.Identifier(role)))
        database.rows("insert into backlog_access (role, project) values (%s, %s)", name, project)
        return make_conninfo(database.dsn, user=name)

    yield make
    for each in made:
        database.link.execute(sql.SQL("drop owned by {}").format(each))
        database.link.execute(sql.SQL("drop role {}").format(each))


def opened(dsn: str, project: str) -> PostgresStore:
    """Open a store as this login."""
    return PostgresStore(dsn, project=project, actor="tester", face="test", replica="r1")


def test_a_worker_does_everything_in_its_project(login: Login) -> None:
    """The whole life of a card and a batch of the sync work, triggers and history included."""
    dsn = login("syncd_worker", "shop")
    assert status(dsn).pending == ()
    store = opened(dsn, "shop")
    assert [card.id for card in store.claim("w", 60)] == ["A"]
    store.complete("A", owner="w", attempt=1)
    assert [card.id for card in store.claim("w", 60)] == ["B"]
    store.fail("B", "broken")
    store.set_paused(True)
    store.set_paused(False)
    assert store.commit(Batch("c1", (Change(ChangeKind.CREATE, "C", {"title": "c", "dependsOn": ("A",)}),), ())).cards
    store.touch_replica("r1", "host", "/path")
    assert store.reserve_ids("T", 1, 0) == 1
    store.remove("C")
    cursor = store.read(None).cursor
    assert store.read(cursor).cursor.epoch == cursor.epoch
    assert len(store.history("A").entries) == 3
    store.close()


def test_a_worker_sees_and_changes_no_other_project(login: Login, database: Database) -> None:
    """Cards of another project are not there for it, neither through syncd nor by plain SQL."""
    dsn = login("syncd_worker", "shop")
    store = opened(dsn, "bank")
    assert list(store.list(CardFilter())) == []
    assert list(store.claim("w", 60)) == []
    assert store.history().entries == ()
    with pytest.raises(ConfigError, match="row-level security"):
        store.create(NewCard(id="C", title="c"))
    store.close()
    with psycopg.connect(dsn, autocommit=True) as link:
        assert link.execute("update backlog set title = 'mine' where project = 'bank'").rowcount == 0
        assert link.execute("select distinct project from backlog").fetchall() == [("shop",)]
        with pytest.raises(errors.InsufficientPrivilege):
            link.execute("update backlog_history set actor = 'somebody else'")
        with pytest.raises(errors.InsufficientPrivilege):
            link.execute("insert into backlog_access values (session_user, 'bank')")
    assert database.one("select title from backlog where project = 'bank' and id = 'A'") == "of the bank"


def test_a_reader_only_reads(login: Login) -> None:
    """A reader lists cards and their history, and can change nothing."""
    store = opened(login("syncd_reader", "shop"), "shop")
    assert [card.id for card in store.list(CardFilter())] == ["A", "B"]
    assert len(store.history().entries) == 2
    for attempt in (
        lambda: store.claim("w", 60),
        lambda: store.create(NewCard(id="C", title="c")),
        lambda: store.set_paused(True),
    ):
        with pytest.raises(ConfigError, match="permission denied"):
            attempt()
    store.close()


def test_an_admin_prunes_every_project(login: Login, database: Database) -> None:
    """An admin sees all projects and forgets old history."""
    dsn = login("syncd_admin", "shop")
    database.rows("update backlog_history set at = at - interval '1 day'")
    store = opened(dsn, "bank")
    assert store.prune(60).history == 2
    store.close()
