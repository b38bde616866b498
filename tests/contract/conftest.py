"""The stores that the contract holds for, and what a test may do to each behind its back."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from syncd.ports import Store
from syncd.store.flatfile.rules import ManifestStore
from syncd.store.migrate import migrate
from syncd.store.postgres import PostgresStore
from tests.support.flatfile import delete_outright, flatfile
from tests.support.memory_store import MemoryDatabase
from tests.support.postgres import fresh_database


class World(Protocol):
    """A database with one project of the test's own."""

    store: Store

    def open(self, *, project: str | None = None, replica: str = "r2") -> Store:
        """Open another store on the same database."""

    def advance(self, seconds: float) -> None:
        """Let time pass for leases and delays."""

    def delete_outright(self, id: str) -> None:
        """Delete a row as a foreign client does."""

    def age_history(self, seconds: float) -> None:
        """Have everything in the audit trail be older."""

    def age_replicas(self, seconds: float) -> None:
        """Have it be longer ago that working copies were seen."""


class MemoryWorld:
    """The store in memory."""

    def __init__(self) -> None:
        self._database = MemoryDatabase()
        self.store: Store = self._database.store()

    def open(self, *, project: str | None = None, replica: str = "r2") -> Store:
        return self._database.store(project or "default", replica)

    def advance(self, seconds: float) -> None:
        self._database.advance(seconds)

    def delete_outright(self, id: str) -> None:
        self._database.delete_outright("default", id)

    def age_history(self, seconds: float) -> None:
        self._database.advance(seconds)

    age_replicas = age_history


class FlatfileWorld:
    """A manifest in a folder of its own; another project lies in another folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._late_s = 0.0
        self.store: ManifestStore = self.open(replica="r1")

    def open(self, *, project: str | None = None, replica: str = "r2") -> ManifestStore:
        folder = self._folder / (project or "default")
        folder.mkdir(exist_ok=True)
        return flatfile(folder, project=project or "default", replica=replica, clock=self._now)

    def advance(self, seconds: float) -> None:
        self._late_s += seconds

    age_history = age_replicas = advance

    def delete_outright(self, id: str) -> None:
        delete_outright(self.open(), id)

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._late_s)


class PostgresWorld:
    """A project of its own in a database that the module's tests share."""

    def __init__(self, dsn: str, stack: contextlib.ExitStack) -> None:
        self._dsn = dsn
        self._stack = stack
        self.project = f"p{secrets.token_hex(4)}"
        self.store: Store = self.open(replica="r1")

    def open(self, *, project: str | None = None, replica: str = "r2") -> Store:
        store = PostgresStore(
            self._dsn, project=project or self.project, actor="tester", face="contract", replica=replica
        )
        self._stack.callback(store.close)
        return store

    def advance(self, seconds: float) -> None:
        self._sql(
            "update backlog set claimed_at = claimed_at - make_interval(secs => %(s)s),"
            " run_after = run_after - make_interval(secs => %(s)s),"
            " created_at = created_at - make_interval(secs => %(s)s) where project = %(p)s",
            s=seconds,
        )

    def delete_outright(self, id: str) -> None:
        self._sql("delete from backlog where project = %(p)s and id = %(id)s", id=id)

    def age_history(self, seconds: float) -> None:
        self._sql("update backlog_history set at = at - make_interval(secs => %(s)s) where project = %(p)s", s=seconds)

    def age_replicas(self, seconds: float) -> None:
        self._sql(
            "update backlog_replica set seen_at = seen_at - make_interval(secs => %(s)s) where project = %(p)s",
            s=seconds,
        )

    def _sql(self, statement: str, **parameters: object) -> None:
        with psycopg.connect(self._dsn) as link:
            link.execute(statement, {"p": self.project, **parameters})


@pytest.fixture(scope="module")
def embedded_contract_dsn(embedded_dsn: str) -> Iterator[str]:
    """A migrated database on the embedded server."""
    with fresh_database(embedded_dsn) as dsn:
        migrate(dsn)
        yield dsn


@pytest.fixture(scope="module")
def served_contract_dsn(served_server_dsn: str) -> Iterator[str]:
    """A migrated database on an older server, over TCP."""
    with fresh_database(served_server_dsn) as dsn:
        migrate(dsn)
        yield dsn


@pytest.fixture(params=["memory", "flatfile", "embedded", "served"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Each store in turn, empty."""
    if request.param == "flatfile":
        yield FlatfileWorld(tmp_path)
        return
    if request.param == "memory":
        yield MemoryWorld()
        return
    with contextlib.ExitStack() as stack:
        yield PostgresWorld(request.getfixturevalue(f"{request.param}_contract_dsn"), stack)
