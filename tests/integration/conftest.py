"""Fixtures of the integration tests: a migrated database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.support.migrated import Database


@pytest.fixture
def database(postgres_dsn: str) -> Iterator[Database]:
    """A migrated database on the embedded server."""
    with contextlib.closing(Database(postgres_dsn)) as database:
        yield database
