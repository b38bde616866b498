"""The short way of hot commands: the daemon runs them, and nobody sees the difference but for the time."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import typer.main

from syncd import hot
from syncd.cli.app import app
from tests.support.desk import Desk, desk

HEAVY = {"typer", "click", "psycopg", "json", "asyncio", "pathlib", "typing", "re", "dataclasses", "msgspec", "rich"}


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Iterator[Desk]:
    """A workspace with a running daemon that has made its first sync."""
    here = desk(tmp_path / "a shop", postgres_dsn)
    with here.daemon():
        yield here


def call(here: Desk, *words: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a user does, from inside the workspace."""
    return subprocess.run(
        [sys.executable, "-P", *python, "-m", "syncd", *words],
        cwd=here.root,
        env=dict(here.environ),
        capture_output=True,
        check=False,
        timeout=60,
    )


def long_way(here: Desk, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the same command in a process of its own, past the daemon's socket."""
    return call(here, "--log-format", "text", *words)


def test_every_hot_name_is_a_command() -> None:
    """What the short way lets through is a command of the app, so that the two cannot drift apart."""
    root = typer.main.get_command(app())
    names = set(root.commands)  # type: ignore[attr-defined]
    assert names >= hot.HOT
    for group, commands in hot.HOT_GROUPS.items():
        assert set(root.commands[group].commands) >= commands, group  # type: ignore[attr-defined]


def test_a_hot_command_imports_next_to_nothing(shop: Desk) -> None:
    """Beside a daemon a hot command loads none of the packages that make a start slow."""
    told = call(shop, "backlog", "list", python=("-X", "importtime"))
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.decode().splitlines()}
    started = "syncd.hot" in told.stderr.decode()
    after = told.stderr.decode().partition("| syncd.hot")[2]
    late = {line.rpartition("|")[2].strip().partition(".")[0] for line in after.splitlines()}
    assert started
    assert told.stdout.startswith(b"ID ")
    assert not late & HEAVY
    assert not loaded & {"typer", "click", "psycopg", "asyncio", "msgspec", "rich", "json"}


@pytest.mark.parametrize(
    "words",
    [
        ("backlog", "list"),
        ("backlog", "list", "--status", "ready", "--json"),
        ("backlog", "show", "A2"),
        ("backlog", "show", "A2", "--json"),
        ("backlog", "show", "nobody"),
        ("backlog", "show", "nobody", "--json"),
        ("backlog", "list", "--nonsense"),
        ("backlog", "update", "A2", "colour=red"),
        ("backlog", "link", "--from", "A1", "--to", "A3"),
        ("backlog", "graph"),
        ("log",),
        ("log", "A1", "--limit", "1", "--json"),
        ("conflicts", "--json"),
        ("diff",),
        ("diff", "A9"),
        ("diff", "A1", "--json"),
        ("held", "--json"),
        ("sync",),
        ("sync", "--dry-run", "--json"),
        ("verify",),
        ("verify", "--json"),
        ("workers",),
        ("mission", "list"),
        ("mission", "status", "--json"),
        ("mission", "next"),
        ("backlog", "events"),
        ("backlog", "resume", "--json"),
        ("db", "status"),
    ],
    ids=" ".join,
)
def test_both_ways_print_the_same(shop: Desk, words: tuple[str, ...]) -> None:
    """Output, messages and exit code of a hot command are those of the long way."""
    short, long = call(shop, *words), long_way(shop, *words)
    assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr)


def test_a_folder_that_is_named_is_the_workspace_itself(shop: Desk) -> None:
    """Only who names none is looked for upwards: ``-C`` with a folder inside a workspace is refused, daemon or not."""
    (shop.root / "docs").mkdir()
    for words in (("-C", "docs", "backlog", "list"), ("backlog", "list", "-C", "docs", "--json")):
        short, long = call(shop, *words), long_way(shop, *words)
        assert short.returncode == long.returncode == 3
        assert (short.stdout, short.stderr) == (long.stdout, long.stderr)
    assert call(shop, "-C", ".", "backlog", "list").returncode == 0


def test_the_actor_is_the_callers(shop: Desk) -> None:
    """What a caller has the daemon do is recorded as the caller's doing, through the command line."""
    environ = {**shop.environ, "SYNCD_ACTOR": "agent-7"}
    told = subprocess.run(
        [sys.executable, "-P", "-m", "syncd", "backlog", "claim", "--owner", "w", "--json"],
        cwd=shop.root,
        env=environ,
        capture_output=True,
        check=True,
    )
    assert b'"claimOwner": "w"' in told.stdout
    assert shop.sql("select actor, face from backlog_history order by seq desc limit 1") == [("agent-7", "cli")]


def test_a_terminal_gets_colour_from_the_daemon(shop: Desk) -> None:
    """On a terminal the daemon prints for that terminal: with colour, in its width."""
    ours, theirs = pty.openpty()
    environ = {**shop.environ, "TERM": "xterm-256color"}
    environ.pop("NO_COLOR", None)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "syncd", "status"], cwd=shop.root, env=environ, stdout=theirs, check=False
    )
    os.close(theirs)
    text = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "\x1b[32mIn sync" in text


def test_a_daemon_of_another_version_is_left_alone(tmp_path: Path, postgres_dsn: str) -> None:
    """A socket that greets with another version is not used: the command does its work itself."""
    here = desk(tmp_path / "shop", postgres_dsn)
    here("sync")
    with _server(here.root / ".syncd" / "sock", b'{"syncd":1,"version":"0.0.1"}\n'):
        assert call(here, "backlog", "list").stdout.startswith(b"ID ")


def test_a_daemon_that_dies_midway_is_told(tmp_path: Path, postgres_dsn: str) -> None:
    """When the daemon goes away with the command in its hands, nobody claims twice: it is an error with exit code 5."""
    here = desk(tmp_path / "shop", postgres_dsn)
    here("sync")
    with _server(here.root / ".syncd" / "sock", hot._greeting() + b"\n"):
        told = call(here, "backlog", "claim", "--owner", "w", "--json")
    assert told.returncode == 5
    assert b"store-unreachable" in told.stderr
    assert here.sql("select count(*) from backlog where status = 'claimed'") == [(0,)]


class _server:  # noqa: N801 - used as a function
    """Something that listens at a path, greets, reads a little and hangs up."""

    def __init__(self, path: Path, greeting: bytes) -> None:
        self._path = path
        self._greeting = greeting

    def __enter__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self._path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        self._path.unlink()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            # Who knows enough hangs up at any moment.
            with connection, suppress(ConnectionError):
                connection.sendall(self._greeting)
                connection.recv(1 << 16)
