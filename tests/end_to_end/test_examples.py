"""The examples, run as a newcomer runs them."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.embedded import ordinary_user, wait_until

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "01-first-sync" / "demo.py"
FLEET = ROOT / "examples" / "02-fleet" / "fleet.py"
AWAY = ROOT / "examples" / "03-an-hour-away" / "away.py"
DEADLINE_S = 360.0

pytestmark = pytest.mark.timeout(DEADLINE_S + 40)


@contextlib.contextmanager
def _scratch(owner: int | None = None) -> Iterator[Path]:
    """Give a folder with a space in its name, where the demo's own folder goes; it has to be empty again."""
    folder = Path(tempfile.mkdtemp(prefix="syncd test "))
    try:
        if owner is not None:
            os.chown(folder, owner, -1)
        yield folder
        assert [each.name for each in folder.iterdir()] == []
    finally:
        shutil.rmtree(folder)


def _demo(scratch: Path, **account: Any) -> subprocess.Popen[str]:
    python = account.pop("python", sys.executable)
    environ = account.pop("env", None) or dict(os.environ)
    # What the caller's own environment says of a store has to leave the demo cold.
    environ |= {"TMPDIR": str(scratch), "HOME": str(scratch), "DATABASE_URL": "postgresql://nowhere.invalid/x"}
    return subprocess.Popen(
        [python, str(DEMO)],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **account,
    )


def _told(demo: subprocess.Popen[str]) -> str:
    out, err = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 0, out + err
    assert err == ""
    assert "\x1b" not in out
    return out


def test_the_first_sync_holds_as_it_is_told() -> None:
    """The demo's every sentence is true for an ordinary user, and it leaves nothing behind."""
    is_root = os.geteuid() == 0
    owner = pwd.getpwnam("nobody").pw_uid if is_root else None
    with _scratch(owner) as scratch, _demo(scratch, **(ordinary_user() if is_root else {})) as demo:
        told = _told(demo)
    assert told.count("✓") >= 10
    assert "All of it held" in told


def test_an_interrupt_leaves_nothing_behind() -> None:
    """Ctrl-C in the middle of the demo ends its daemon and its server and takes its folder away."""
    with _scratch() as scratch, _demo(scratch, start_new_session=True) as demo:
        assert demo.stdout is not None
        wait_for = "syncd run &"
        assert any(wait_for in line for line in demo.stdout), f"the demo never came to {wait_for!r}"
        os.killpg(demo.pid, signal.SIGINT)
        demo.communicate(timeout=DEADLINE_S)
        assert demo.returncode == 130
    wait_until(lambda: not _is_at_work(scratch), "no process of the demo is left")


def test_a_fleet_builds_a_program_though_some_of_it_fails() -> None:
    """Ten workers, one agent that crashes, one that hangs, one worker that is killed: every card is done once."""
    with _scratch() as scratch:
        environ = {**os.environ, "TMPDIR": str(scratch), "DATABASE_URL": "postgresql://nowhere.invalid/x"}
        done = subprocess.run(
            [sys.executable, str(FLEET)],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 10
    assert "All of it held" in done.stdout


def _hour_away(*words: str, **variables: str) -> str:
    """Run the example and return what it tells; it has to leave nothing behind."""
    with _scratch() as scratch:
        done = subprocess.run(
            [sys.executable, str(AWAY), *words],
            env={**os.environ, "TMPDIR": str(scratch), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "All of it held" in done.stdout
    return done.stdout


def test_an_hour_away_ends_as_its_table_says() -> None:
    """Three working copies, one of them cut off: every operation has the fate that is told, and nothing is left."""
    told = _hour_away(DATABASE_URL="postgresql://nowhere.invalid/x")
    page = (ROOT / "examples" / "03-an-hour-away" / "README.md").read_text("utf-8")
    table = told[told.index("min ") : told.index("Conflicts tell")].strip()
    assert table in page, "the page shows the table of a run"


def test_an_hour_away_on_a_server_of_ones_own(served_server_dsn: str) -> None:
    """With ``--database-url`` the same story is told on that server, and its database is dropped in the end."""
    _hour_away("--database-url", served_server_dsn)
    with psycopg.connect(served_server_dsn) as link:
        assert link.execute("select datname from pg_database where datname like 'syncd_an_hour%'").fetchall() == []


def _is_at_work(scratch: Path) -> bool:
    """Say whether a process works with this folder."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if str(scratch).encode() in (process / "cmdline").read_bytes():
                    return True
    return False


def test_the_picture_is_a_film_that_stands_alone() -> None:
    """The README's picture plays without scripts or anything from elsewhere, is small, and ends on a whole moment."""
    picture = (ROOT / "docs" / "pictures" / "demo.svg").read_text("utf-8")
    assert len(picture) < 150_000
    assert "<script" not in picture
    assert re.findall(r"https?://[^\"' )]+", picture) == ["http://www.w3.org/2000/svg"]
    names = set(re.findall(r"@keyframes (\w+)", picture))
    assert names == set(re.findall(r"animation:(\w+) ", picture))
    still = re.sub(r"<text[^>]*class=\"hidden\".*?</text>", "", picture)
    assert "In sync" in still
    assert "prefers-reduced-motion" in picture
