"""The commands of the README, run as a reader would paste them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.store.embedded import EmbeddedServer
from tests.support.doc_session import DEADLINE_S

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(heading: str) -> list[str]:
    """Return the shell blocks of one section of the README."""
    section = (ROOT / "README.md").read_text("utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return BLOCK.findall(section)


@pytest.mark.timeout(DEADLINE_S + 20)
def test_five_minutes_hold(tmp_path: Path) -> None:
    """The section “Five minutes” runs from its first line to its last in an empty folder, and does what it says."""
    programs = tmp_path / "bin"
    programs.mkdir()
    shim = programs / "syncd"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m syncd "$@"\n')
    shim.chmod(0o755)
    data = tmp_path / "postgres"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "PG"))}
    environ.pop("DATABASE_URL", None)
    environ |= {
        "PATH": f"{programs}:{environ['PATH']}",
        "HOME": str(tmp_path),
        "SYNCD_DATA_DIR": str(data),
        "PYTHONPATH": str(ROOT),
    }
    script = "\n".join(_blocks("Five minutes"))
    with EmbeddedServer.start(data, grace_s=0.1):
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    tasks = (tmp_path / "my-project" / "TASKS.md").read_text("utf-8")
    assert "| A1 | done | Write the parser   | —          |" in tasks
    assert "| A2 | in-progress | Write the renderer | A1         |" in tasks
