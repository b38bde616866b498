"""Paths that stay inside the workspace, and globs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncd.errors import InputOutputError
from syncd.files.paths import Glob, fault, inside


@pytest.mark.parametrize("path", ["/etc/passwd", "~/x", "../x", "a/../../x", "", " ", "a\0b"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    """Absolute paths, .. and names that are none are never opened."""
    assert fault(path) is not None
    with pytest.raises(InputOutputError):
        inside(tmp_path, path)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    """A link, of the file or of a folder above it, may not leave the workspace; one inside is followed."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "out").mkdir()
    (root / "file.md").symlink_to(tmp_path / "out" / "x.md")
    (root / "folder").symlink_to(tmp_path / "out")
    (root / "fine.md").symlink_to("real.md")
    for path in ("file.md", "folder/x.md"):
        with pytest.raises(InputOutputError, match="leads out"):
            inside(root, path)
    assert inside(root, "fine.md") == root / "real.md"


def tree(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def test_globs(tmp_path: Path) -> None:
    """Wildcards match within a name, ** any folders; hidden, .git and node_modules stay out."""
    tree(
        tmp_path, "TASKS.md", "docs/TASKS.md", "docs/a/TASKS.md", "docs/a/b/TASKS.md", "docs/a/notes.md",
        ".hidden/TASKS.md", ".git/TASKS.md", "node_modules/x/TASKS.md", "docs/.TASKS.md.syncd-00000001-aaaaaa",
    )  # fmt: skip
    assert Glob(tmp_path, "docs/**/TASKS.md").files() == ("docs/TASKS.md", "docs/a/TASKS.md", "docs/a/b/TASKS.md")
    assert Glob(tmp_path, "docs/*/*.md").files() == ("docs/a/TASKS.md", "docs/a/notes.md")
    assert Glob(tmp_path, "**/TASKS.md").files() == (
        "TASKS.md", "docs/TASKS.md", "docs/a/TASKS.md", "docs/a/b/TASKS.md",
    )  # fmt: skip
    assert Glob(tmp_path, ".hidden/*.md").files() == (".hidden/TASKS.md",)
    assert Glob(tmp_path, "docs/*").files() == ("docs/TASKS.md",)
    assert Glob(tmp_path, "docs/a/**").files() == ("docs/a/TASKS.md", "docs/a/b/TASKS.md", "docs/a/notes.md")
    assert Glob(tmp_path, "absent/*.md").files() == ()


def test_a_glob_sees_what_comes_and_goes(tmp_path: Path) -> None:
    """A file or folder that appears or vanishes is seen by the next look, however young its folder is."""
    glob = Glob(tmp_path, "docs/**/TASKS.md")
    assert glob.files() == ()
    tree(tmp_path, "docs/TASKS.md")
    assert glob.files() == ("docs/TASKS.md",)
    tree(tmp_path, "docs/a/b/TASKS.md")
    assert glob.files() == ("docs/TASKS.md", "docs/a/b/TASKS.md")
    (tmp_path / "docs/TASKS.md").unlink()
    assert glob.files() == ("docs/a/b/TASKS.md",)


def test_a_glob_lists_settled_folders_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no folder changes, looking again lists none of them."""
    tree(tmp_path, "docs/a/TASKS.md")
    for folder in (tmp_path, tmp_path / "docs", tmp_path / "docs/a"):
        os.utime(folder, ns=(0, 0))
    glob = Glob(tmp_path, "docs/*/TASKS.md")
    found = glob.files()
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"listed {path}"))
    assert glob.files() is found
