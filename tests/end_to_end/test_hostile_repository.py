"""A repository that a stranger wrote: what it says reaches no terminal as a command, and its links lead nowhere."""

from __future__ import annotations

import json
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.__main__ import main
from tests.support.desk import TABLE, Desk, Ended, desk

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m"
TURNED = "\u202egnp.exe\u2066"
UNSEEN = "\u200b\U000e0041\U000e0042"
"""Letters that no person sees and that a model reads."""

EVIL = ESCAPES + TURNED + UNSEEN
FILE = f"""\
# Phase {EVIL}

| id | status | title | depends_on | owner | note{EVIL} |
|----|--------|-------|------------|-------|------|
| A1 | not-started | one {EVIL} | — | ann{EVIL} | x{EVIL} |
| A2{EVIL} | not-started | two | A1 | | |
| A3 | blocked{EVIL} | three | A1 | | |
| A4 | not-started | four | A9{TURNED} | | |

- [ ] B{TURNED}1 a {EVIL} @bob{TURNED}
  body {EVIL}
"""
MISSION = {"mission_id": f"m{EVIL}", "name": EVIL, "milestones": [{"id": f"M1{EVIL}", "name": EVIL, "status": "done"}]}
SCREENS = (
    ("sync",),
    ("status",),
    ("diff",),
    ("conflicts",),
    ("held",),
    ("log",),
    ("parse", "TASKS.md"),
    ("parse", "TASKS.md", "--explain"),
    ("backlog", "list"),
    ("backlog", "show", "A1"),
    ("backlog", "why", f"B{TURNED}1"),
    ("backlog", "graph"),
    ("backlog", "graph", "--format", "mermaid"),
    ("backlog", "graph", "--format", "dot"),
    ("backlog", "events"),
    ("mission", "list"),
    ("mission", "status"),
    ("mission", "log"),
    ("workers",),
    ("doctor",),
    ("verify",),
    ("backlog", "show", f"no{EVIL}"),
    ("resolve", f"no{EVIL}", "--field", f"f{EVIL}", "--use", "local"),
)


@pytest.fixture
def hostile(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A workspace whose file, mission and names are full of what acts on a terminal."""
    made = desk(tmp_path / "repo", postgres_dsn, FILE)
    (made.root / "mission.json").write_text(json.dumps(MISSION), "utf-8")
    return made


def _acts(text: str) -> list[str]:
    """Return the characters of an output that act on a terminal, or that nobody sees."""
    return sorted({each for each in text if each in EVIL and not (each.isascii() and each.isprintable())})


def test_no_screen_acts_on_the_terminal(
    hostile: Desk, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """No screen, message, log line or JSON has a control character, a turn of direction or an unseen letter in it."""
    monkeypatch.chdir(hostile.root)
    for name in ("SYNCD_DATABASE_URL", "SYNCD_WORKSPACE", "SYNCD_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", hostile.dsn)
    for words in SCREENS:
        for more in ((), ("--json",)) if "graph" not in words else ((),):
            code = main([*words, *more])
            said = capfdbinary.readouterr()
            assert code in (0, 3), (words, said)
            assert not _acts(said.out.decode() + said.err.decode()), (words, said)
            if more and code == 0:
                for line in said.out.splitlines():
                    json.loads(line)


def test_no_log_acts_on_the_terminal(hostile: Desk) -> None:
    """What the daemon logs is as harmless, as text and as JSON."""
    for log_format in ("text", "json"):
        with hostile.daemon("--log-format", log_format) as running:
            hostile("sync")
        assert not _acts(running.text)


@pytest.fixture
def open_mask() -> Iterator[None]:
    """The umask of a user who lets everybody write."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_mask")
def test_what_syncd_keeps_is_its_users_alone(tmp_path: Path, postgres_dsn: str) -> None:
    """Whatever the umask, and though a clone brought an open .syncd/, nobody else reads state or reaches the socket."""
    here = desk(tmp_path / "repo", postgres_dsn, TABLE)
    dot = here.root / ".syncd"
    dot.chmod(0o777)
    with here.daemon():
        here("backlog", "update", "A1", "status=done")
        here("sync")
        assert stat.S_IMODE(dot.stat().st_mode) == 0o700
        assert stat.S_IMODE(here.socket.stat().st_mode) == 0o600
        for each in dot.iterdir():
            if each.is_file() and each.name != ".gitignore":
                assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each.name


def test_links_out_of_the_workspace_are_not_followed(tmp_path: Path, postgres_dsn: str) -> None:
    """A task file, a folder of a glob, or syncd's own folders that lead elsewhere are neither read nor written."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "TASKS.md").write_text("| id | status | title |\n|--|--|--|\n| X1 | done | secret |\n")
    before = {each.name: each.read_bytes() for each in outside.iterdir()}
    here = desk(tmp_path / "repo", postgres_dsn, TABLE, tasks=["TASKS.md", "link.md", "docs/*.md", "**/deep.md"])
    (here.root / "link.md").symlink_to(outside / "TASKS.md")
    (here.root / "docs").symlink_to(outside)
    (here.root / "mission.json").symlink_to(outside / "TASKS.md")
    (here.root / ".syncd" / "displaced").symlink_to(outside)
    here("sync", code=None)
    here("backlog", "update", "A1", "status=done")
    ended = here("sync", code=None)
    assert ended.code != 70, ended
    said = ended.said + here("status", "--json", code=None).said + here("backlog", "list", "--json").said
    assert "secret" not in said
    assert {each.name: each.read_bytes() for each in outside.iterdir()} == before


def test_a_syncd_folder_that_is_a_link_is_refused(tmp_path: Path, postgres_dsn: str) -> None:
    """A clone whose .syncd leads elsewhere makes nothing there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "repo"
    root.mkdir()
    (root / "TASKS.md").write_text(TABLE)
    (root / ".syncd").symlink_to(outside)
    here = Desk(root, desk(tmp_path / "other", postgres_dsn).environ, postgres_dsn)
    for words in (("init", "--yes"), ("sync",), ("run", "--once")):
        ended = here(*words, code=None)
        assert ended.code not in (0, 70), (words, ended)
    assert not list(outside.iterdir())


def test_paths_out_of_the_workspace_are_wrong_settings(tmp_path: Path, postgres_dsn: str) -> None:
    """Settings that name a file outside are refused, with the line, and the file is not opened."""
    here = desk(tmp_path / "repo", postgres_dsn, TABLE)
    for line in ("tasks: ../outside.md", "tasks: /etc/passwd", "mission: ../../m.json", "tasks: ['a/../../b/*.md']"):
        (here.root / "syncd.yaml").write_text(line + "\n")
        ended = here("status", code=78)
        assert "syncd.yaml:1" in ended.stderr


def test_a_setting_cannot_make_a_secret_show(tmp_path: Path, postgres_dsn: str) -> None:
    """Settings may name the variable with the database's URL; one that holds something else is not printed."""
    here = desk(tmp_path / "repo", postgres_dsn, TABLE)
    (here.root / "syncd.yaml").write_text("mode: postgres\ndatabase_url_env: API_TOKEN\n")
    for secret in ("tok-3f9a8b7c", "tok 3f9a8b7c", "postgresql://me:tok-3f9a8b7c@nowhere.invalid/x?bad=1"):
        other = Desk(here.root, {**here.environ, "API_TOKEN": secret}, postgres_dsn)
        for words in (("status",), ("sync", "--json"), ("--debug", "sync")):
            ended = other(*words, code=None)
            assert "3f9a8b7c" not in ended.said, ended
            assert ended.code not in (0, 70) or words == ("status",), ended


IMPOSTOR = """
import os, socket, sys
path, user = sys.argv[1], int(sys.argv[2])
made = socket.socket(socket.AF_UNIX)
made.bind(path)
# Who listens is whom the kernel names to those who connect.
os.setuid(user)
made.listen(8)
print("listening", flush=True)
while True:
    peer, _ = made.accept()
    peer.sendall(sys.argv[3].encode() + b"\\n")
    told = peer.recv(65536)
    if told:
        print("told", told, flush=True)
    peer.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as somebody else")
def test_a_daemon_of_somebody_else_is_not_talked_to(tmp_path: Path, postgres_dsn: str) -> None:
    """In a folder that others can write, a socket that another account put there gets no word of a command."""
    import syncd

    here = desk(tmp_path / "repo", postgres_dsn, TABLE)
    here("sync")
    greeting = json.dumps({"syncd": 1, "version": syncd.__version__}, separators=(",", ":"))
    words = [sys.executable, "-c", IMPOSTOR, str(here.socket), str(pwd.getpwnam("nobody").pw_uid), greeting]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as impostor:
        assert impostor.stdout is not None
        try:
            assert impostor.stdout.readline() == "listening\n"
            answers: list[Ended] = [here("status"), here("backlog", "list"), here("sync")]
        finally:
            impostor.kill()
        assert impostor.stdout.read() == ""
    assert "A1" in answers[1].stdout
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as gone:
        gone.connect(str(here.socket))
