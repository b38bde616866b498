"""Fixtures that all tests share: databases on real Postgres servers."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The suite draws the same cases in every run, so that it is red for a change and not by chance. What chance finds is
# looked for on purpose: HYPOTHESIS_PROFILE=explore with these tests, `make fuzz` and `make sim` for hours.
# How fast the machine is says nothing about a law.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


# Whoever runs the tests in the background may have them ignore SIGINT, which every process they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short runtime directory for the user, as a login session sets it."""
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)


@pytest.fixture
def embedded_home(tmp_path: Path, runtime_dir: Path) -> Iterator[Path]:
    """A folder for an embedded server of one test, which has stopped when the test is over."""
    from tests.support.embedded import wait_until_stopped

    folder = tmp_path / "a folder" / "postgres"
    yield folder
    wait_until_stopped(folder)


@pytest.fixture(scope="session")
def embedded_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one embedded server of the test run; all its workers share it."""
    from tests.support.postgres import embedded_server

    with embedded_server(tmp_path_factory) as server:
        yield server.dsn


@pytest.fixture
def postgres_dsn(embedded_dsn: str) -> Iterator[str]:
    """An empty database on the embedded server."""
    from tests.support.postgres import fresh_database

    with fresh_database(embedded_dsn) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def served_server_dsn() -> Iterator[str]:
    """A Postgres on TCP with a password, one for each worker; skips where the machine has none."""
    from tests.support.postgres import served_postgres

    with served_postgres() as dsn:
        yield dsn


@pytest.fixture
def served_dsn(served_server_dsn: str) -> Iterator[str]:
    """An empty database on the served Postgres."""
    from tests.support.postgres import fresh_database

    with fresh_database(served_server_dsn) as dsn:
        yield dsn
