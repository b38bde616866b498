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


def _offered(words: str, environ: dict[str, str], cwd: Path) -> list[str]:
    """Return what bash is offered for the last of the words; nothing may be said on stderr."""
    asked = {
        "_SYNCD_COMPLETE": "complete_bash",
        "COMP_WORDS": f"syncd {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
    }
    done = subprocess.run(["syncd"], cwd=cwd, env=environ | asked, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


def test_what_stands_in_the_workspace_is_offered(environ: dict[str, str], tmp_path: Path) -> None:
    """Ids of cards are offered where a card is asked for, with the store away and from elsewhere by -C, too."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "TASKS.md").write_text("| id | status | title |\n|--|--|--|\n| A1 | done | x |\n| B1 | done | y |\n")
    for words in (("init", "--yes", "--mode", "flatfile"), ("sync",)):
        subprocess.run(["syncd", *words], cwd=root, env=environ, capture_output=True, check=True)
    assert _offered("backlog show ", environ, root) == ["A1", "B1"]
    assert _offered("log B", environ, root) == ["B1"]
    assert _offered("-C shop backlog claim --id A", environ, tmp_path) == ["A1"]
    (root / "syncd.yaml").write_text("mode: [\n")
    assert _offered("backlog show ", environ, root) == []
    assert _offered("backlog show ", environ, tmp_path) == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("resolve A1 --field ti", ["title"]),
        ("resolve A1 --use ", ["local", "remote", "value:"]),
        ("config set guards.gr", ["guards.grace_s"]),
        ("schema jou", ["journal"]),
        ("--mode fl", ["flatfile"]),
    ],
)
def test_what_an_option_takes_is_offered(
    words: str, offered: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    """Fields, settings, schemas and the values of an option are offered."""
    assert _offered(words, environ, tmp_path) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_a_card_runs_nothing_in_the_shell_that_completes(shell: str, environ: dict[str, str], tmp_path: Path) -> None:
    """Ids and titles are anybody's words, and shells evaluate what they are offered: nothing of them is run."""
    titles = ["$(touch pwned)", "`touch pwned`", '\\"; touch pwned; #', "'; touch pwned; '", "))'; touch pwned; #"]
    rows = "".join(f"| A{number} | todo | {title} |\n" for number, title in enumerate(titles))
    rows += "".join(f"| A{each} | todo | x |\n" for each in ("$(touch${IFS}pwned)", '\\";touch${IFS}pwned;#', "*"))
    (tmp_path / "TASKS.md").write_text(f"| id | status | title |\n|--|--|--|\n{rows}", "utf-8")
    for words in (("init", "--yes", "--mode", "flatfile"), ("sync",)):
        subprocess.run(["syncd", *words], cwd=tmp_path, env=environ, capture_output=True, check=True)
    script = ASK[shell].format(words="backlog show A", last=3 + (shell == "zsh"))
    script = script.replace('print -r -- "$@"', 'print -r -- "$@"; eval "offered=${1#*:*:}"')
    done = subprocess.run([shell, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert set(re.findall(r"\bA[^\s\":]+", done.stdout)) == {f"A{number}" for number in range(len(titles))}, done
    assert not (tmp_path / "pwned").exists()
