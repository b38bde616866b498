"""A migrated database, and plain connections to it that know nothing of syncd."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import psycopg

from syncd.store.migrate import migrate
from syncd.store.postgres import PostgresStore


class Database:
    """A migrated database of a test's own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        migrate(dsn)
        self._open = contextlib.ExitStack()
        self.link = self._open.enter_context(
            contextlib.closing(psycopg.connect(dsn, autocommit=True, application_name="psql"))
        )

    def store(self, **options: Any) -> PostgresStore:
        """Open a store of the project ``default``."""
        settings = {"dsn": self.dsn, "project": "default", "actor": "tester", "face": "test", "replica": "r1"}
        store = PostgresStore(**{**settings, **options})
        self._open.callback(store.close)
        return store

    def rows(self, statement: str, *parameters: Any) -> list[Sequence[Any]]:
        """Run a statement as a foreign client and return its rows, if it gives any."""
        result = self.link.execute(statement, parameters or None)
        return result.fetchall() if result.description else []

    def one(self, statement: str, *parameters: Any) -> Any:
        """Return the one value of the one row that a statement gives."""
        ((value,),) = self.rows(statement, *parameters)
        return value

    def wrong_counts(self) -> list[Any]:
        """Return the ids whose count of unmet dependencies is wrong, mending them."""
        return [row[0] for row in self.rows("select backlog_mend('default')")]

    def close(self) -> None:
        """Close every connection."""
        self._open.close()
