"""The service file, as systemd reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from syncd.errors import ConfigError, NotFound, UsageError

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "syncd@.service"


def _environ(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}


def _verify(home: Path, unit: Path) -> str:
    """Return what systemd has to say against a unit of a user."""
    words = ["systemd-analyze", "verify", "--user", "--man=no", str(unit)]
    done = subprocess.run(words, env=_environ(home), capture_output=True, text=True, timeout=30, check=False)
    return done.stderr if done.returncode == 0 else f"{done.returncode}: {done.stderr}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    """The unit of a workspace with a space in its path is valid to the last key."""
    program = tmp_path / ".local" / "bin" / "syncd"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    shutil.copy(UNIT, tmp_path)
    assert _verify(tmp_path, tmp_path / r"syncd@home-me-my\x20project.service") == ""


def test_what_waits_for_a_person_is_not_started_again() -> None:
    """Wrong usage, a missing workspace and a wrong configuration end the service; everything else is tried again."""
    lines = UNIT.read_text("utf-8").splitlines()
    assert "Restart=on-failure" in lines
    assert "RestartPreventExitStatus=2 3 78" in lines
    assert {each.exit_code for each in (UsageError, NotFound, ConfigError)} == {2, 3, 78}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_the_sandbox_is_as_tight_as_it_was() -> None:
    """systemd's own measure of what the service may do stays below 2 (of 10)."""
    words = ["systemd-analyze", "security", "--user", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)]
    done = subprocess.run(words, env=_environ(UNIT.parent), capture_output=True, text=True, timeout=30, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot measure a unit that is not loaded")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
