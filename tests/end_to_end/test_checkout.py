"""A real git that checks something out under a running daemon, which sees the files before HEAD moves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.desk import Desk, desk, until

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "core.autocrlf=false")


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A working copy in a repository whose checkouts take a while."""
    here = desk(tmp_path / "shop", postgres_dsn)
    git(here, "init", "-q")
    fill(here, "a")
    git(here, "add", ".")
    git(here, "commit", "-qm", "first")
    return here


def git(here: Desk, *words: str) -> None:
    """Run git in a workspace, with no settings but its own."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run([*GIT, *words], cwd=here.root, env=environ, capture_output=True, check=True)


def fill(here: Desk, letter: str) -> None:
    """Write files that git has to write again when it goes from one commit to the other."""
    for number in range(200):
        (here.root / f"zz{number}.txt").write_text(letter * 20_000)


def test_case_35_a_checkout_is_waited_for(shop: Desk) -> None:
    """One card that a checkout reverts is held, although its file was there before HEAD moved; going back ends it."""
    with shop.daemon():
        for letter in ("b", "c"):
            before = shop.cell("title", "A1")
            shop.edit(before, f"Title {letter}")
            until(lambda letter=letter: shop.cell("title", "A1") == f"Title {letter}", "the edit is in the table")
            fill(shop, letter)
            git(shop, "commit", "-qam", letter)
            git(shop, "checkout", "-q", "HEAD~1")
            until(lambda: shop.ask("status")["held"], "the revert is held")
            assert [(each["id"], each["guard"]) for each in shop.ask("status")["held"]] == [("A1", "time-travel")]
            assert shop.cell("title", "A1") == f"Title {letter}"
            git(shop, "checkout", "-q", "-")
            until(lambda: not shop.ask("status")["held"], "the cause is gone")
            assert shop.cell("title", "A1") == f"Title {letter}"
