"""Completion and the manual page, in the shells themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = {
    "bash": """
        eval "$(syncd --show-completion)"
        COMP_WORDS=(syncd {words}); COMP_CWORD={last}
        _syncd_completion syncd; printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        syncd --show-completion > $HOME/_syncd
        compdef() {{ : }}
        _arguments() {{ print -r -- "$@" }}
        CURRENT={last}; words=(syncd {words})
        source $HOME/_syncd
        _syncd_completion
    """,
    "fish": """
        syncd --show-completion | source
        complete -C 'syncd {words}'
    """,
}
SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ASK
]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A shell's environment, with syncd on the path."""
    program = tmp_path / "bin" / "syncd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m syncd "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "TERM": "dumb", "LANG": "C.UTF-8"}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "offered"),
    [("backlog cl", {"claim"}), ("conf", {"config", "conflicts"}), ("status --ex", {"--exit-code"})],
)
def test_a_shell_completes(shell: str, words: str, offered: set[str], environ: dict[str, str], tmp_path: Path) -> None:
    """Commands, their groups and their options are offered by what was typed of them."""
    script = ASK[shell].format(words=words, last=len(words.split()) + (shell == "zsh"))
    done = subprocess.run([shell, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert offered <= set(re.findall(r"[\w-]+", done.stdout)), done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_the_manual_page_reads(environ: dict[str, str]) -> None:
    """`man` formats the page without a complaint, with every part that a reader looks for."""
    page = ROOT / "docs" / "reference" / "syncd.1"
    done = subprocess.run(
        ["man", "--warnings", "-l", str(page)],
        env=environ | {"MANWIDTH": "80", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for part in ("NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "syncd backlog claim"):
        assert part in done.stdout
