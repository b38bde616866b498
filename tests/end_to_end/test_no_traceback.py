"""Whatever is wrong with the machine: one line that says what, an exit code of the contract, and never a traceback."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import DEADLINE_S, TABLE, Desk, desk, until

COMMANDS = (
    ("status",),
    ("sync",),
    ("doctor",),
    ("backlog", "list", "--json"),
    ("log",),
    ("parse", "TASKS.md"),
)
CODES = {0, 1, 2, 3, 4, 5, 70, 74, 75, 78}


def _no_home(environ: dict[str, str]) -> Mapping[str, Any]:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "USER", "LOGNAME"):
        environ.pop(name, None)
    return {}


def _ascii_terminal(environ: dict[str, str]) -> Mapping[str, Any]:
    environ.update(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    return {}


def _few_files(environ: dict[str, str]) -> Mapping[str, Any]:
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (14, 14))}


def _no_output(environ: dict[str, str]) -> Mapping[str, Any]:
    return {"preexec_fn": lambda: os.close(1)}


def _no_temporary_folder(environ: dict[str, str]) -> Mapping[str, Any]:
    environ.update(TMPDIR="/nowhere", XDG_RUNTIME_DIR="/nowhere", XDG_STATE_HOME="/proc/nowhere")
    return {}


FAULTS: Mapping[str, Callable[[dict[str, str]], Mapping[str, Any]]] = {
    "no home": _no_home,
    "an ASCII terminal": _ascii_terminal,
    "few open files": _few_files,
    "stdout closed": _no_output,
    "no temporary folder": _no_temporary_folder,
}


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A workspace with letters of many scripts, in sync but for one edit."""
    here = desk(tmp_path / "shop", postgres_dsn, TABLE.replace("Draw the schema", "Zeichne die Übersicht 店"))
    here("sync")
    here.edit("Write the docs", "Écris la doc")
    return here


def told(here: Desk, fault: Callable[[dict[str, str]], Mapping[str, Any]], words: tuple[str, ...]) -> tuple[int, str]:
    """Run a command under a fault; return its exit code and what it said on stderr."""
    environ = dict(here.environ)
    more = fault(environ)
    with here.start(*words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more) as process:
        _, said = process.communicate(timeout=DEADLINE_S)
    return process.returncode, said


@pytest.mark.parametrize("fault", FAULTS, ids=lambda name: name.replace(" ", "-"))
def test_a_machine_that_is_not_as_it_should_be(fault: str, shop: Desk) -> None:
    """Each command works all the same, or says in a line why it cannot."""
    for words in COMMANDS:
        code, said = told(shop, FAULTS[fault], words)
        assert "Traceback" not in said, (words, said)
        assert code in CODES - {70}, (words, code, said)


@pytest.mark.parametrize("bytes_", [b"", b"not a database", b"SQLite format 3\x00" + b"\xff" * 4096], ids=len)
def test_a_corrupt_state(bytes_: bytes, shop: Desk) -> None:
    """A state that is damaged is told by what reads, and put aside by what writes; nothing is deleted for it."""
    (shop.root / ".syncd" / "state.db").write_bytes(bytes_)
    for name in ("state.db-wal", "state.db-shm"):
        (shop.root / ".syncd" / name).unlink(missing_ok=True)
    for words in (("status",), ("doctor",), ("verify",), ("sync",), ("status",)):
        ended = shop(*words, code=None)
        assert "Traceback" not in ended.said
        assert ended.code in CODES - {70}, (words, ended)
    assert len(shop.sql("select id from backlog where deleted_at is null")) == 3


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("--help",), ("parse", "TASKS.md")])
def test_output_that_cannot_be_written(words: tuple[str, ...], shop: Desk) -> None:
    """A full disk behind stdout is told in one line, and the interpreter says nothing after it."""
    with Path("/dev/full").open("wb") as full, shop.start(*words, stdout=full, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 74
    assert len(said.splitlines()) == 1
    assert "No space left on device" in said


def test_a_folder_that_is_gone(tmp_path: Path, shop: Desk) -> None:
    """Who stands in a folder that was removed is told so, and may name another one."""
    (gone := tmp_path / "gone").mkdir()

    def ended(*words: str) -> tuple[int, str]:
        program = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
        call = ["sh", "-c", program, "sh", str(gone), sys.executable, "-P", "-m", "syncd", *words]
        environ = shop.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(call, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert ended("status") == (3, "syncd: the current folder is not there any more\nhint: cd ~\n")
    gone.mkdir()
    assert ended("init", "--yes")[0] == 3
    gone.mkdir()
    assert ended("-C", str(shop.root), "status") == (0, "")


@pytest.mark.parametrize("words", [("sync",), ("status", "--watch"), ("run",), ("backlog", "events", "--follow")])
def test_ctrl_c_is_quiet(words: tuple[str, ...], shop: Desk) -> None:
    """Ctrl-C at any moment ends a command without a traceback, with 130, or with 0 where it ends by itself."""
    with shop.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: _has_begun(process.pid), "the command is at its work")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in said
    assert process.returncode in (0, 130), (process.returncode, said)


def _has_begun(pid: int) -> bool:
    """Return whether a process has loaded what it speaks to a database with, or has ended.

    Before that it is the interpreter alone that starts, and what it says of Ctrl-C is its own.
    """
    try:
        return "psycopg" in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
    except OSError:
        return True


@pytest.mark.parametrize("words", [("status",), ("sync",), ("doctor",), ("db", "status"), ("service", "status")])
def test_no_password_is_shown(words: tuple[str, ...], shop: Desk) -> None:
    """A password of the URL or of the environment is in no message, of a text or of JSON."""
    secrets = {"PGPASSWORD": "swordfish", "DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/shop?password=hunter2"}
    away = Desk(shop.root, {**shop.environ, **secrets})
    for form in ((), ("--json",), ("--debug",)):
        said = away(*words, *form, code=None).said
        assert "hunter2" not in said
        assert "swordfish" not in said
