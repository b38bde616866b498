"""The names and texts of the systemd service."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from syncd.schemas.config import StoreKind
from syncd.service import daemon_variables, escaped, unit_environment
from syncd.stores import StoreChoice

PATHS = (
    "/",
    "/home/me/shop",
    "/home/me/my shop",
    "/tmp/.hidden/a-b",
    "/.x",
    "//a//b/",
    "/Müller's %f/店",
    "/a\\b:c_d.e",
)


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="this machine has no systemd-escape to compare with")
@pytest.mark.parametrize("path", PATHS)
def test_paths_are_escaped_as_systemd_does(path: str) -> None:
    """The instance of a path is the one that systemd itself gives it."""
    words = ["systemd-escape", "--path", "--", path]
    assert escaped(path) == subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_the_daemon_gets_the_variable_that_named_the_store() -> None:
    """Of the environment goes along what leads to the store, and nothing else."""
    choice = StoreChoice(StoreKind.POSTGRES, "postgresql://h/d", "$DATABASE_URL", dsn="postgresql://u:p@h/d")
    environ = {"DATABASE_URL": "postgresql://u:p@h/d", "PGSSLMODE": "require", "HOME": "/h", "AWS_SECRET": "x"}
    assert daemon_variables(choice, environ) == {"DATABASE_URL": "postgresql://u:p@h/d", "PGSSLMODE": "require"}


def test_an_embedded_store_needs_only_its_folder() -> None:
    """With the embedded store no variable of a database goes along."""
    choice = StoreChoice(StoreKind.EMBEDDED, "/data", "the default")
    assert daemon_variables(choice, {"PGPASSWORD": "x", "XDG_DATA_HOME": "/d"}) == {"XDG_DATA_HOME": "/d"}


def test_an_environment_file_keeps_odd_values() -> None:
    """Quotes, dollars and backslashes of a password are plain text to systemd."""
    assert unit_environment({"A": 'a"b$c\\d`e'}).splitlines()[1] == 'A="a\\"b\\$c\\\\d\\`e"'
    assert unit_environment({}) == ""
