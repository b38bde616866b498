"""`syncd fmt` as a user calls it, and `repad: true`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from syncd.__main__ import main
from syncd.cli.schemas import bundle

UNEVEN = "# Board\n\n|id|status|title|\n|---|---|---|\n|A1|not-started|Write|\n|A10|done|Read|\n\ntext  \n"
EVEN = (
    "# Board\n\n| id  | status      | title |\n| --- | ----------- | ----- |\n"
    "| A1  | not-started | Write |\n| A10 | done        | Read  |\n\ntext  \n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose store is out of reach, which nothing here needs."""
    (tmp_path / "syncd.yaml").write_text("tasks: [TASKS.md, docs/TASKS.md]\n")
    (tmp_path / ".syncd").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "TASKS.md").write_text(UNEVEN)
    (tmp_path / "docs" / "TASKS.md").write_text(EVEN.replace("A1", "B1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    return tmp_path


def run(*words: str) -> int:
    """Run a command in this process, and return its exit code."""
    return main(list(words))


def test_check_then_pad_then_nothing(root: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """--check tells and writes nothing, fmt pads the one file that needs it, and a second time nothing is left."""
    assert run("fmt", "--check", "--json") == 1
    told = json.loads(capsysbinary.readouterr().out)
    Draft202012Validator(bundle("formatted")).validate(told)
    assert told == [{"path": "TASKS.md", "changed": True}, {"path": "docs/TASKS.md", "changed": False}]
    assert (root / "TASKS.md").read_text() == UNEVEN
    assert run("fmt") == 0
    assert b"Padded TASKS.md" in capsysbinary.readouterr().out
    assert (root / "TASKS.md").read_text() == EVEN
    before = (root / "TASKS.md").stat()
    assert run("fmt", "--check") == 0
    assert run("fmt", "TASKS.md") == 0
    assert (root / "TASKS.md").stat().st_ino == before.st_ino


def test_a_strange_file_is_refused(root: Path) -> None:
    """A file that is no task file of the workspace is not touched."""
    (root / "README.md").write_text(UNEVEN)
    assert run("fmt", "README.md") == 3
    assert (root / "README.md").read_text() == UNEVEN


def test_repad_pads_what_an_edit_writes(root: Path) -> None:
    """With `repad: true` an edit pads the table that it is in; without, it changes its own line alone."""
    run("edit", "A10", "status=blocked")
    assert (root / "TASKS.md").read_text() == UNEVEN.replace("|A10|done|", "|A10|blocked|")
    (root / "syncd.yaml").write_text("tasks: [TASKS.md, docs/TASKS.md]\nrepad: true\n")
    run("edit", "A10", "status=done")
    assert (root / "TASKS.md").read_text() == EVEN
