"""The documentation, run as a reader would paste it: every block of shell and Python, page by page."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.store.embedded import EmbeddedServer
from tests.support.doc_session import DEADLINE_S, report, run, steps
from tests.support.pages import blocks

ROOT = Path(__file__).resolve().parents[2]
RUN = ("sh", "console", "python")


def _has_steps(path: Path) -> bool:
    return any(each.info.split(" ")[0] in RUN for each in blocks(path.read_text("utf-8")))


PAGES = sorted(
    str(each.relative_to(ROOT))
    for each in (ROOT / "docs").rglob("*.md")
    if "reference" not in each.parts and _has_steps(each)
)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A reader's environment: syncd on the path, and an embedded server that serves all pages."""
    home = tmp_path_factory.mktemp("reader")
    programs = home / "bin"
    programs.mkdir()
    for name, words in (("syncd", "-P -m syncd"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    data = home / "postgres"
    found = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "PG", "GIT_"))}
    found.pop("DATABASE_URL", None)
    found |= {
        "PATH": f"{programs}:{found['PATH']}",
        "HOME": str(home),
        "SYNCD_DATA_DIR": str(data),
        "PYTHONPATH": str(ROOT),
        "GIT_AUTHOR_NAME": "Reader",
        "GIT_AUTHOR_EMAIL": "reader@example.org",
        "GIT_COMMITTER_NAME": "Reader",
        "GIT_COMMITTER_EMAIL": "reader@example.org",
        "GIT_CONFIG_NOSYSTEM": "1",
        "COLUMNS": "100",
    }
    with EmbeddedServer.start(data, grace_s=0.1):
        yield found


@pytest.mark.timeout(DEADLINE_S + 20)
@pytest.mark.parametrize("page", PAGES)
def test_page_holds(page: str, environ: dict[str, str], tmp_path: Path) -> None:
    """The page's commands run from its first line to its last in an empty folder, and print what it says."""
    told = run(list(steps(blocks((ROOT / page).read_text("utf-8")))), tmp_path, environ)
    assert not (fault := report(page, told)), fault
