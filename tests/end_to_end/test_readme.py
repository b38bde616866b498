"""The commands and programs of the README, run as a reader would paste them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from syncd.store.embedded import EmbeddedServer
from tests.support.doc_session import DEADLINE_S, report, run, steps
from tests.support.pages import Block, blocks

ROOT = Path(__file__).resolve().parents[2]
NO_SOURCES = (".git", ".venv", "dist", "build", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")


def _blocks(heading: str) -> list[Block]:
    """Return the blocks of one section of the README."""
    return [each for each in blocks((ROOT / "README.md").read_text("utf-8")) if each.heading == heading]


def _reader(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a reader whose home is a folder, and who has no store."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "PG", "PIP_", "XDG_"))}
    kept.pop("DATABASE_URL", None)
    return {**kept, "HOME": str(home), **more}


def _program(folder: Path, name: str, words: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
    (folder / name).chmod(0o755)


def _holds(heading: str, place: Path, environ: Mapping[str, str], infos: tuple[str, ...]) -> None:
    """Run the blocks of a section one after the other in one shell."""
    chosen = [each for each in _blocks(heading) if each.info in infos]
    assert chosen
    assert not (fault := report("README.md", run(list(steps(chosen)), place, environ))), fault


@pytest.mark.timeout(DEADLINE_S + 20)
def test_five_minutes_hold(tmp_path: Path) -> None:
    """The section “Five minutes”, its Python too, runs from its first line to its last and does what it says."""
    programs = tmp_path / "bin"
    _program(programs, "syncd", "-P -m syncd")
    _program(programs, "python", "")
    data = tmp_path / "postgres"
    path = f"{programs}:{os.environ['PATH']}"
    environ = _reader(tmp_path, PATH=path, SYNCD_DATA_DIR=str(data), PYTHONPATH=str(ROOT))
    with EmbeddedServer.start(data, grace_s=0.1):
        _holds("Five minutes", tmp_path, environ, ("sh", "python"))
    tasks = (tmp_path / "my-project" / "TASKS.md").read_text("utf-8")
    assert "| A1 | done | Write the parser   | —          |" in tasks
    assert "| A2 | in-progress | Write the renderer | A1         |" in tasks


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="the build tools are not installed")
@pytest.mark.timeout(DEADLINE_S + 20)
def test_it_installs_into_an_environment_of_its_own(tmp_path: Path) -> None:
    """The lines that need nothing but Python give a program on the path; twice is fine.

    What pip would fetch is there already: the tests need no network.  pipx and uv are tried by ``make packages``.
    """
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, symlinks=True, ignore=shutil.ignore_patterns(*NO_SOURCES))
    programs = tmp_path / "bin"
    _program(programs, "python3", "")
    there = os.pathsep.join(each for each in sys.path if each.endswith(("site-packages", "dist-packages")))
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": there}
    environ = _reader(tmp_path, PATH=f"{programs}:{os.environ['PATH']}", **offline)
    fresh = [each for each in _blocks("Install") if "-m venv" in each.text]
    assert not (fault := report("README.md", run([*steps(fresh), *steps(fresh)], clone, environ))), fault
    program = tmp_path / ".local" / "bin" / "syncd"
    said = subprocess.run([program, "--version"], env=environ, capture_output=True, text=True, check=True).stdout
    assert said.startswith("syncd ")
    assert program.resolve().is_relative_to(tmp_path / ".local" / "share" / "syncd-venv")
