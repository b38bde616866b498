"""The service file, as systemd reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "syncd@.service"


def _verify(home: Path, unit: Path) -> str:
    """Return what systemd has to say against a unit of a user."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    words = ["systemd-analyze", "verify", "--user", "--man=no", str(unit)]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=30, check=False)
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


def test_unit_leaves_the_shared_server_alone() -> None:
    """Stopping one workspace's service does not kill the Postgres that others use, nor restart in vain."""
    lines = UNIT.read_text("utf-8").splitlines()
    assert "KillMode=process" in lines
    assert "Restart=on-failure" in lines
    assert "RestartPreventExitStatus=2 3 78" in lines
