"""How a command ends that does not end well."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from syncd.__main__ import main
from syncd.cli.failures import redact, report
from syncd.errors import Bug, NotFound, SchemaVersionError, StoreUnreachable, SyncdError

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep logs of bugs in a folder of the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "syncd"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("no card A9", hint="syncd backlog list"), 3),
        (StoreUnreachable("db is away", hint="start it"), 5),
        (SchemaVersionError("schema 9", hint="upgrade"), 78),
    ],
)
def test_an_error_is_a_line_and_a_hint(error: SyncdError, code: int, capsys: Captured) -> None:
    """An error of syncd's tree is said in one line with its hint, and its class gives the exit code."""
    assert report(error, ["status"]) == code
    assert capsys.readouterr() == ("", f"syncd: {error.message}\nhint: {error.hint}\n")


def test_with_json_an_error_is_one_json_line(capsys: Captured) -> None:
    """With --json an error is one line on stderr: code, message, hint."""
    assert report(NotFound("no card A9"), ["backlog", "show", "A9", "--json"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {"error": {"code": "not-found", "message": "no card A9", "hint": None}}
    assert err.count("\n") == 1


def test_json_behind_a_double_dash_is_no_option(capsys: Captured) -> None:
    """A word behind -- does not turn errors into JSON."""
    report(NotFound("no card"), ["backlog", "show", "--", "--json"])
    assert capsys.readouterr().err == "syncd: no card\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["backlog", "crate"],
        ["--bogus"],
        ["backlog", "show"],
        ["backlog", "create", "--id", "A"],
        ["--mode", "x", "status"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: Captured) -> None:
    """What does not parse ends with 2, names the help to read, and is JSON with --json."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("syncd: ")
    assert "hint: syncd" in err
    assert err.rstrip().endswith("--help")
    assert main(["--json", *arguments]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "usage"


def test_no_command_shows_the_help(capsys: Captured) -> None:
    """syncd alone shows its help on stderr, as wrong usage; with --json it is an error."""
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: syncd ")
    assert main(["--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["message"] == "no command given"


def test_a_bug_leaves_a_private_log(state: Path, capsys: Captured) -> None:
    """A bug is one line, where the log is and how to report it; the log is the user's alone."""
    with pytest.raises(KeyError) as raised:
        raise KeyError("x")
    assert report(raised.value, ["status"]) == 70
    out, err = capsys.readouterr()
    (log,) = state.iterdir()
    first, second = err.splitlines()
    assert out == ""
    assert first == "syncd: this is a bug in syncd: KeyError: 'x'"
    assert str(log) in second
    assert "report" in second
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert "Traceback" in text
    assert "command: syncd status" in text


def test_debug_shows_the_traceback(state: Path, capsys: Captured) -> None:
    """Only --debug shows a traceback; with --json the error is still the last line."""
    assert report(Bug("impossible"), ["--debug", "--json", "status"]) == 70
    lines = capsys.readouterr().err.splitlines()
    assert any("Bug: impossible" in each for each in lines[:-1])
    assert json.loads(lines[-1])["error"]["code"] == "bug"
    assert state.is_dir()


def test_a_bug_is_told_although_no_log_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    """Where no folder takes a log, the line still comes, and says what to do instead."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    assert report(RuntimeError("broken"), []) == 70
    assert "--debug" in capsys.readouterr().err


def test_passwords_are_taken_out(state: Path, capsys: Captured) -> None:
    """Neither the line nor the log holds a DSN's password, whatever the error says."""
    dsn = "postgresql://me:s3cret@db/app"
    report(RuntimeError(f"cannot reach {dsn} or host=db password=s3cret dbname=app"), ["--x", dsn])
    (log,) = state.iterdir()
    said = capsys.readouterr().err + log.read_text()
    assert "s3cret" not in said
    assert "postgresql://me:***@db/app" in said


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgres://me:a@b:c@db:5432/x?sslmode=require", "postgres://me:***@db:5432/x?sslmode=require"),
        ("postgres://me:p%40ss/word@db/x", "postgres://me:***@db/x"),
        ("postgres:///x?user=me&password=abc&host=db", "postgres:///x?user=me&password=***&host=db"),
        ("host=db password='a b' user=me", "host=db password=*** user=me"),
        (r"password='it\'s' user=me", "password=*** user=me"),
        ("the password: hunter2", "the password: ***"),
        ("http://example.org:8080/x", "http://example.org:8080/x"),
        ("time 06:05 and no secret", "time 06:05 and no secret"),
    ],
)
def test_redact_finds_passwords_of_dsns(text: str, safe: str) -> None:
    """Passwords in URLs, parameters and key words are starred out; ports and times stay."""
    assert redact(text) == safe


def test_control_characters_of_a_message_are_written_out(capsys: Captured) -> None:
    """A message that quotes a hostile title is one line and acts on no terminal."""
    report(NotFound("no card \x1b[2J\nA9"), [])
    assert capsys.readouterr().err == "syncd: no card \\x1b[2J A9\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interrupt_is_quiet(error: BaseException, capsys: Captured) -> None:
    """Ctrl-C, in a prompt too, ends with 130 and says nothing."""
    assert report(error, ["status", "--json"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_full_disk_is_74(capsys: Captured) -> None:
    """An error of the system that is the machine's and not ours is no bug."""
    assert report(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/x"), []) == 74
    assert capsys.readouterr().err == "syncd: No space left on device: /srv/x\n"


def test_a_full_disk_under_stdout_is_74() -> None:
    """Output that cannot be written is an error of its own, said once."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "syncd", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (74, "syncd: the output cannot be written: No space left on device\n")


def test_closed_streams_do_not_matter() -> None:
    """A caller that closes stdin, stdout and stderr gets the exit code and nothing else."""
    command = f"{shlex.quote(sys.executable)} -m syncd schema <&- >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 0


def test_a_reader_that_goes_away_is_quiet() -> None:
    """A broken pipe ends the command without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        ended = subprocess.run(
            [sys.executable, "-m", "syncd", "schema", "status"], stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert (ended.returncode, ended.stderr) == (141, b"")
