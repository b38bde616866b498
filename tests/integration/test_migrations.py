"""Migrations: complete, recorded, safe with two at once, and equal to the reference."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from syncd.core.plan import Change, ChangeKind
from syncd.errors import AlreadyExists, NotFound, Refused, SchemaVersionError
from syncd.ports import Batch, NewCard
from syncd.store.adopt import OURS, adopt
from syncd.store.migrate import migrate, pending, status
from syncd.store.postgres import PostgresStore
from syncd.store.queries import SCHEMA_VERSION, migrations, query, sql_file
from tests.support.postgres import fresh_database

CATALOG = """
select 'column', table_name, column_name, data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
from information_schema.columns where table_schema = 'public'
union all select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = 'public'
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'public'::regnamespace
union all select 'function', proname, '', pg_get_functiondef(oid)
from pg_proc where pronamespace = 'public'::regnamespace
union all select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
from pg_trigger where not tgisinternal
union all select 'enum', enumtypid::regtype::text, enumlabel, enumsortorder::text from pg_enum
order by 1, 2, 3, 4"""


def catalog(dsn: str) -> set[tuple[str, ...]]:
    """Return what a database holds, the migrations' ledger aside."""
    with psycopg.connect(dsn) as link:
        return {row for row in link.execute(CATALOG).fetchall() if "backlog_migration" not in row[1]}


def test_the_migrations_make_the_reference_schema(embedded_dsn: str) -> None:
    """A migrated database and one made from ``schema.sql`` hold the same, column by column."""
    with fresh_database(embedded_dsn) as migrated, fresh_database(embedded_dsn) as reference:
        migrate(migrated)
        with psycopg.connect(reference) as link:
            link.execute("select set_config('search_path', 'public', true)")
            link.execute(sql_file("schema.sql").encode())
        assert catalog(migrated) == catalog(reference)


def test_the_code_knows_the_last_migration() -> None:
    """Migrations are numbered from one without a gap, and the last is the version that the code works on."""
    assert [each.number for each in migrations()] == list(range(1, SCHEMA_VERSION + 1))


def test_status_tells_what_would_run_and_changes_nothing(postgres_dsn: str) -> None:
    """Before: every migration is pending; after: none, and a second run does nothing."""
    names = tuple(each.name for each in migrations())
    assert pending(postgres_dsn) == names
    assert catalog(postgres_dsn) == set()
    assert migrate(postgres_dsn) == names
    found = status(postgres_dsn)
    assert (found.version, found.known, found.pending) == (SCHEMA_VERSION, SCHEMA_VERSION, ())
    assert migrate(postgres_dsn) == ()


def test_two_migrations_at_once(postgres_dsn: str) -> None:
    """Of several that start together one runs, and none fails."""
    with ThreadPoolExecutor(4) as pool:
        ran = list(pool.map(migrate, [postgres_dsn] * 4))
    assert sorted(map(len, ran)) == [0, 0, 0, SCHEMA_VERSION]


def test_a_changed_migration_is_noticed(postgres_dsn: str) -> None:
    """A recorded checksum that differs from the file's is an error, not a silent difference."""
    migrate(postgres_dsn)
    with psycopg.connect(postgres_dsn) as link:
        link.execute("update backlog_migration set checksum = 'other' where number = 2")
    with pytest.raises(SchemaVersionError, match="0002"):
        migrate(postgres_dsn)


def test_a_newer_schema_is_refused(postgres_dsn: str) -> None:
    """A table that a newer syncd migrated is neither used nor migrated."""
    migrate(postgres_dsn)
    with psycopg.connect(postgres_dsn) as link:
        link.execute("insert into backlog_migration (number, name, checksum) values (99, 'future', '')")
        link.execute("update backlog_meta set value = '99' where key = 'schema_version'")
    with pytest.raises(SchemaVersionError, match="unknown schema version"):
        migrate(postgres_dsn)
    with pytest.raises(SchemaVersionError, match="unknown schema version"):
        open_store(postgres_dsn).info()


def test_a_table_that_is_not_syncds_is_left_alone(postgres_dsn: str) -> None:
    """A foreign ``backlog`` table is refused with the way to adopt it, by the store and by migrate."""
    with psycopg.connect(postgres_dsn) as link:
        link.execute("create table backlog (id text primary key, title text not null)")
    before = catalog(postgres_dsn)
    for attempt in (lambda: migrate(postgres_dsn), lambda: open_store(postgres_dsn).info()):
        with pytest.raises(SchemaVersionError) as caught:
            attempt()
        assert caught.value.hint is not None
        assert "db adopt" in caught.value.hint
    assert catalog(postgres_dsn) == before


def test_an_empty_database_is_refused_with_the_way_out(postgres_dsn: str) -> None:
    """A store on a database without a schema names ``syncd db migrate``."""
    with pytest.raises(SchemaVersionError) as caught:
        open_store(postgres_dsn).info()
    assert caught.value.hint == "syncd db migrate"


def test_functions_work_for_writers_with_another_search_path(postgres_dsn: str) -> None:
    """A schema of its own: a client that names the table in full needs no search_path."""
    with psycopg.connect(postgres_dsn) as link:
        link.execute("create schema tasks")
    migrate(f"{postgres_dsn} options='-c search_path=tasks'")
    with psycopg.connect(postgres_dsn, autocommit=True) as link:
        link.execute("insert into tasks.backlog (id, title, depends_on) values ('A', 'a', '[\"B\"]'), ('B', 'b', '[]')")
        link.execute("update tasks.backlog set status = 'done' where id = 'B'")
        assert link.execute("select unmet from tasks.backlog where id = 'A'").fetchall() == [(0,)]
        assert link.execute("select count(*) from tasks.backlog_history").fetchall() == [(3,)]


def test_every_named_query_is_read() -> None:
    """A query is found by its name, with the card's columns filled in."""
    assert "b.depends_on" in query("cards")
    assert "{card}" not in query("claim")


def open_store(dsn: str) -> PostgresStore:
    """Return a store of the default project."""
    return PostgresStore(dsn, project="default", actor="tester", face="test", replica="r1")


MOSAIC = """
create type backlog_status as enum ('ready', 'claimed', 'blocked', 'done');
create table backlog (
    id text primary key, title text not null, body text, phase text, priority integer not null default 0,
    status backlog_status not null default 'ready', depends_on jsonb not null default '[]', claim_owner text,
    claim_ttl_seconds integer, claimed_at timestamptz, attempts integer not null default 0,
    idempotency_key text unique, acceptance jsonb, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now());
insert into backlog (id, title, status, depends_on, idempotency_key) values
    ('A', 'a', 'done', '[]', 'k'), ('B', 'b', 'ready', '["A", "C"]', null), ('C', 'c', 'ready', '[]', null)"""


def test_adopting_a_mosaic_table(postgres_dsn: str) -> None:
    """A table of the Mosaic service is taken over in place; its rows stay, its clients go on, syncd works on it."""
    with psycopg.connect(postgres_dsn, autocommit=True) as link:
        link.execute(MOSAIC)
        rows = link.execute("select id, title, status, updated_at from backlog order by id").fetchall()
        before = catalog(postgres_dsn)
        plan = adopt(postgres_dsn, dry_run=True)
        assert (plan.cards, plan.is_done) == (3, False)
        assert catalog(postgres_dsn) == before
        assert adopt(postgres_dsn).is_done
        assert link.execute("select id, title, status, updated_at from backlog order by id").fetchall() == rows
        assert link.execute("select unmet from backlog order by id").fetchall() == [(0,), (1,), (0,)]
        upsert = (
            "insert into backlog (id, title) values ('A', 'x') on conflict (id) do update set title = excluded.title"
        )
        link.execute(upsert)
        link.execute("insert into backlog (id, title, idempotency_key) values ('D', 'd', 'k') on conflict do nothing")
    with contextlib.closing(open_store(postgres_dsn)) as store:
        assert store.get("A").title == "x"
        assert [card.id for card in store.claim("w", 60)] == ["C"]
        store.complete("C")
        assert [card.id for card in store.claim("w", 60)] == ["B"]
    assert migrate(postgres_dsn) == ()
    with pytest.raises(Refused):
        adopt(postgres_dsn)


def test_an_id_of_another_project_in_an_adopted_table(postgres_dsn: str) -> None:
    """In an adopted table ids are unique for all projects: a card that would collide is refused, alone."""
    with psycopg.connect(postgres_dsn) as link:
        link.execute(MOSAIC)
    adopt(postgres_dsn)
    store = PostgresStore(postgres_dsn, project="other", actor="tester", face="test", replica="r1")
    with contextlib.closing(store):
        changes = tuple(Change(ChangeKind.CREATE, id, {"title": "t"}) for id in ("A", "Z"))
        result = store.commit(Batch("c1", changes, ()))
        for new in (NewCard(id="A", title="t"), NewCard(id="Y", title="t", idempotency_key="k")):
            with pytest.raises(AlreadyExists, match="another project"):
                store.create(new)
        with pytest.raises(AlreadyExists, match="there is a card Z already"):
            store.create(NewCard(id="Z", title="t"))
    assert {id: each.code for id, each in result.refused.items()} == {"A": "already-exists"}
    assert result.cards.keys() == {"Z"}


def test_what_is_no_mosaic_table_is_not_adopted(postgres_dsn: str) -> None:
    """Without a table there is nothing to adopt; one of another shape is named for what it lacks."""
    with pytest.raises(NotFound):
        adopt(postgres_dsn)
    with psycopg.connect(postgres_dsn) as link:
        link.execute("create table backlog (id integer primary key)")
    with pytest.raises(SchemaVersionError, match="title text"):
        adopt(postgres_dsn)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("alter table backlog add column version text", "column version is another one"),
        ("alter table backlog add column project text", "column project is another one"),
        ("alter table backlog add column project integer", "column project is another one"),
        ("alter type backlog_status add value 'review'", "its states are .*review"),
        ("alter table backlog drop constraint backlog_pkey", "nothing keeps id unique"),
        ("alter table backlog drop constraint backlog_idempotency_key_key", "nothing keeps idempotency_key unique"),
        ("alter table backlog rename to cards; create view backlog as select * from cards", "no plain table"),
    ],
)
def test_a_table_that_adopting_would_break_is_refused(postgres_dsn: str, change: str, says: str) -> None:
    """What would stop clients or syncd afterwards is said before, by the dry run too, and nothing is changed."""
    with psycopg.connect(postgres_dsn, autocommit=True) as link:
        link.execute(MOSAIC)
        link.execute(change)
        before = catalog(postgres_dsn)
        for dry_run in (True, False):
            with pytest.raises(SchemaVersionError, match=says):
                adopt(postgres_dsn, dry_run=dry_run)
        assert catalog(postgres_dsn) == before


def test_the_columns_that_may_be_there_are_those_that_are_added() -> None:
    """What adopting looks for beforehand is what its statements add."""
    added = re.findall(r"if not exists (\w+) +(\w+)(.*)", sql_file("adopt.sql").partition("create")[0])
    kinds = {"timestamptz": "timestamp with time zone"}
    assert {name: (kinds.get(kind, kind), "not null" in rest) for name, kind, rest in added} == OURS
