"""What goes wrong with a database, and the error that a user sees for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd.core.plan import Change, ChangeKind
from syncd.errors import (
    BadValue,
    Busy,
    ConfigError,
    CredentialsError,
    Refused,
    SchemaVersionError,
    StoreUnreachable,
    SyncdError,
)
from syncd.ports import Batch, CardFilter, NewCard
from syncd.store.dsn import address, parse, with_keepalives
from syncd.store.failures import said
from syncd.store.migrate import migrate
from syncd.store.postgres import PostgresStore
from tests.support.migrated import Database


@contextlib.contextmanager
def opened(dsn: str, **options: object) -> Iterator[PostgresStore]:
    """Open a store of the default project and close it."""
    store = PostgresStore(dsn, project="default", actor="tester", face="test", replica="r1", **options)  # type: ignore[arg-type]
    with contextlib.closing(store):
        yield store


def failure(dsn: str) -> SyncdError:
    """Return the error that a first look at a store raises."""
    with opened(dsn) as store, pytest.raises(SyncdError) as caught:
        store.info()
    return caught.value


def test_nobody_listens() -> None:
    """A port without a server is unreachable: exit 5, the address in the message, a hint."""
    error = failure("postgresql://me:hunter2@127.0.0.1:1/tasks")
    assert type(error) is StoreUnreachable
    assert error.exit_code == 5
    assert "postgresql://me@127.0.0.1:1/tasks" in error.message
    assert error.hint


def test_an_unknown_host() -> None:
    """A name that does not resolve is unreachable."""
    assert type(failure("host=nobody.invalid dbname=tasks")) is StoreUnreachable


def test_a_wrong_password_is_no_outage(served_dsn: str) -> None:
    """Refused credentials are exit 78, and neither password is in the message."""
    error = failure(make_conninfo(served_dsn, password="wrong-hunter2"))
    assert type(error) is CredentialsError
    assert error.exit_code == 78
    assert "hunter2" not in f"{error.message} {error.hint} {error!r}"


def test_a_role_or_database_that_does_not_exist(postgres_dsn: str) -> None:
    """A wrong name is a configuration error, not an outage."""
    assert type(failure(make_conninfo(postgres_dsn, dbname="nowhere"))) is ConfigError
    assert isinstance(failure(make_conninfo(postgres_dsn, user="nobody_at_all")), CredentialsError)


@pytest.mark.parametrize("dsn", ["postgresql://a:secret@[broken/x", "host=x nonsense=secret", "'secret"])
def test_an_unreadable_url_is_not_repeated(dsn: str) -> None:
    """A URL that cannot be parsed may hold a password anywhere: none of it is shown."""
    with pytest.raises(ConfigError) as caught:
        PostgresStore(dsn, project="p", actor="a", face="f", replica="r")
    assert "secret" not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"


def test_rights_that_are_missing(database: Database) -> None:
    """A role that may not read the table gets a configuration error."""
    role = f"syncd_test_{database.one('select pg_backend_pid()')}"
    database.link.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(role)))
    try:
        error = failure(make_conninfo(database.dsn, options=f"-c role={role}"))
        assert type(error) is ConfigError
    finally:
        database.link.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_a_standby_or_read_only_server(database: Database) -> None:
    """A server that takes no writes is unreachable for writing, with the way out."""
    dsn = make_conninfo(database.dsn, options="-c default_transaction_read_only=on")
    with opened(dsn) as store, pytest.raises(StoreUnreachable, match="read-only") as caught:
        store.create(NewCard(id="A", title="a"))
    assert caught.value.hint


def test_case_58_a_column_that_goes_missing(database: Database) -> None:
    """A column dropped under a running store is a schema error."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    database.rows("alter table backlog drop column path")
    with pytest.raises(SchemaVersionError):
        store.list(CardFilter())


def test_case_58_an_unknown_column_is_ignored(database: Database) -> None:
    """A column that others add breaks nothing, and a change of it alone moves the version."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    database.rows("alter table backlog add column colour text")
    database.rows("update backlog set colour = 'red'")
    assert store.update("A", {"title": "b"}).version == 3


def test_a_connection_that_was_cut_while_idle(database: Database) -> None:
    """An idle connection that the server closed is replaced before it is used."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    cut(database)
    assert store.get("A").title == "a"


def test_a_server_that_refuses_afterwards(database: Database) -> None:
    """When the connection cannot be made again, the store is unreachable; once it can, it works."""
    store = database.store()
    store.create(NewCard(id="A", title="a"))
    name = conninfo_to_dict(database.dsn)["dbname"]
    forbid = sql.SQL("alter database {} allow_connections {}")
    with psycopg.connect(make_conninfo(database.dsn, dbname="postgres"), autocommit=True) as link:
        link.execute(forbid.format(sql.Identifier(str(name)), sql.SQL("false")))
        cut(database)
        with pytest.raises(StoreUnreachable):
            store.get("A")
        link.execute(forbid.format(sql.Identifier(str(name)), sql.SQL("true")))
    assert store.get("A").title == "a"


def test_rows_that_stay_locked(database: Database) -> None:
    """A row that another session keeps locked is Busy after the lock timeout."""
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    with (
        psycopg.connect(database.dsn) as holder,
        opened(make_conninfo(database.dsn, options="-c lock_timeout=100ms")) as store,
    ):
        holder.execute("update backlog set title = 'b' where id = 'A'")
        with pytest.raises(Busy) as caught:
            store.update("A", {"title": "c"})
    assert caught.value.exit_code == 75


def test_a_trigger_of_others_that_says_no(database: Database) -> None:
    """A constraint or trigger that others put on the table holds back its card only.  (Case 55.)"""
    database.rows("alter table backlog add constraint short check (length(title) < 10)")
    database.rows(
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin if new.title = 'never' then raise 'not this one'; end if; return new; end $$"
    )
    database.rows("create trigger refuse before insert on backlog for each row execute function refuse()")
    store = database.store()
    titles = {"A": "fine", "B": "far too long", "C": "never", "D": "good"}
    changes = tuple(Change(ChangeKind.CREATE, id, {"title": title}) for id, title in titles.items())
    result = store.commit(Batch("c1", changes, ()))
    assert {id: each.code for id, each in result.refused.items()} == {"B": "bad-value", "C": "bad-value"}
    assert result.cards.keys() == {"A", "D"}
    assert store.has_commit("c1")
    with pytest.raises(BadValue):
        store.create(NewCard(id="E", title="far too long"))
    with pytest.raises(Refused):
        store.create(NewCard(id="F", title="never"))


def test_case_56_a_trigger_that_changes_what_was_written(database: Database) -> None:
    """The result of a commit is the row as stored, not as sent."""
    database.rows(
        "create function upper_title() returns trigger language plpgsql as"
        " $$ begin new.title := upper(new.title); return new; end $$"
    )
    database.rows("create trigger upper_title before insert on backlog for each row execute function upper_title()")
    result = database.store().commit(Batch("c1", (Change(ChangeKind.CREATE, "A", {"title": "quiet"}),), ()))
    assert result.cards["A"].title == "QUIET"


def test_case_50_an_unknown_outcome_is_waited_for(database: Database) -> None:
    """While a batch still commits on the server, asking for it waits and then tells the truth."""
    store = database.store()
    with psycopg.connect(database.dsn) as running:
        running.execute("insert into backlog_commit (project, id) values ('default', 'c1')")
        answer: list[bool] = []
        asking = threading.Thread(target=lambda: answer.append(store.has_commit("c1")))
        asking.start()
        waits = "select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))"
        while not database.one(waits, running.info.backend_pid):
            assert asking.is_alive()
        running.commit()
    asking.join(30)
    assert answer == [True]


def test_a_store_is_shared_by_threads(database: Database) -> None:
    """Threads that use one store at once each get their own answer."""
    store = database.store()
    done: list[str] = []

    def work(name: str) -> None:
        for number in range(20):
            done.append(store.create(NewCard(id=f"{name}{number}", title=name)).id)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ABCD"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == sorted(store.read(None).cards)


def test_behind_a_pooler_settings_last_for_a_transaction(database: Database) -> None:
    """With ``pooled`` nothing is prepared and nothing stays on the session; history still knows who."""
    with opened(database.dsn, pooled=True) as store:
        for number in range(8):
            store.create(NewCard(id=f"T{number}", title="t"))
        assert store.claim("w", 60, count=3)
    assert database.rows("select distinct actor, face from backlog_history") == [("tester", "test")]


def test_a_deadlock_is_retried(database: Database) -> None:
    """Two batches that lock the same cards in opposite order both go through in the end."""
    migrate(database.dsn)
    ids = [f"T{number}" for number in range(20)]
    database.rows("insert into backlog (id, title) select unnest(%s::text[]), 't'", ids)
    failed: list[Exception] = []

    def work(name: str, order: list[str]) -> None:
        with opened(database.dsn) as store:
            for turn in range(10):
                changes = tuple(Change(ChangeKind.UPDATE, id, {"title": f"{name}{turn}"}) for id in order)
                try:
                    store.commit(Batch(f"{name}{turn}", changes, ()))
                except SyncdError as error:
                    failed.append(error)

    threads = [threading.Thread(target=work, args=("a", ids)), threading.Thread(target=work, args=("b", ids[::-1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


# --- connection strings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://u:hunter2@db:5433/tasks?sslmode=require", "postgresql://u@db:5433/tasks"),
        ("host=db user=u password='hunter 2' dbname=tasks", "postgresql://u@db/tasks"),
        ("host=/run/pg user=u dbname=tasks password=hunter2", "postgresql://u@/tasks?host=/run/pg"),
        ("dbname=tasks", "postgresql://localhost/tasks"),
    ],
)
def test_an_address_shows_no_secret(dsn: str, shown: str) -> None:
    """Both forms of a connection string are shown alike, without password and options."""
    assert address(dsn) == shown


def test_timeouts_are_added_where_the_user_set_none() -> None:
    """A dead server is noticed in seconds, unless the URL says otherwise."""
    parts = parse(with_keepalives("postgresql://db/tasks?connect_timeout=9"))
    assert parts["connect_timeout"] in (9, "9")
    assert str(parts["tcp_user_timeout"]) == "3000"


def test_a_server_that_repeats_a_password_is_not_quoted() -> None:
    """What libpq says is shown without anything that looks like a password."""
    for text in ("bad password=hunter2 here", "at postgres://me:hunter2@db/x", "password='hunter2 x'"):
        assert "hunter2" not in said(psycopg.OperationalError(text))


def cut(database: Database) -> None:
    """Close every other connection to the database from the server's side."""
    database.rows(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
