"""What git passes over: the files that stand beside a task file for the moment of a write."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from syncd.files.git_exclude import STAGED
from syncd.files.layout import Layout
from syncd.files.workspace import make_dot

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="this machine has no git")

PASSING = (".TASKS.md.syncd-00000001-9a9390", ".TASKS.md.syncd-kept-00000001-9a9390-0f", ".probe.syncd-00aa")


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, with no settings but its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ = {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    person = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", *person, *words], cwd=folder, env=environ, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a task file."""
    made = tmp_path / "shop"
    (made / "docs").mkdir(parents=True)
    (made / "TASKS.md").write_text("# Tasks\n")
    git(made, "init", "--quiet")
    return made


def test_a_staged_file_is_not_added(root: Path) -> None:
    """Whatever stands beside a task file for a moment, git adds the author's files only."""
    make_dot(Layout(root))
    for name in PASSING:
        (root / name).touch()
        (root / "docs" / name).touch()
    git(root, "add", "--all")
    assert git(root, "ls-files").split() == ["TASKS.md"]
    assert git(root, "status", "--porcelain") == "A  TASKS.md\n"


def test_it_is_said_once_and_after_what_stands_there(root: Path) -> None:
    """What the user wrote into the file stays; a second time nothing is added."""
    exclude = root / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_bytes(b"*.swp")
    for _ in range(2):
        make_dot(Layout(root))
    lines = exclude.read_text().splitlines()
    assert (lines[0], lines.count(STAGED)) == ("*.swp", 1)


def test_a_worktree_says_it_where_git_looks(root: Path, tmp_path: Path) -> None:
    """All worktrees of a repository share the file."""
    git(root, "commit", "--quiet", "--allow-empty", "--message", "start")
    git(root, "worktree", "add", "--quiet", str(tmp_path / "second"))
    make_dot(Layout(tmp_path / "second"))
    (tmp_path / "second" / PASSING[0]).touch()
    assert git(tmp_path / "second", "status", "--porcelain") == ""


def test_a_link_out_of_the_repository_is_not_followed(root: Path, tmp_path: Path) -> None:
    """Whoever made this folder may have laid a link to a file that is none of git's: that is not written."""
    other = tmp_path / "profile"
    other.write_text("export A=1\n")
    exclude = root / ".git" / "info" / "exclude"
    exclude.unlink(missing_ok=True)
    exclude.parent.mkdir(exist_ok=True)
    exclude.symlink_to(other)
    make_dot(Layout(root))
    assert other.read_text() == "export A=1\n"
    assert exclude.is_symlink()


@pytest.mark.parametrize("way", ["file", "link", "folder", "worktree"])
def test_another_repository_is_not_written(root: Path, tmp_path: Path, way: str) -> None:
    """A ``.git`` that leads to a repository which knows nothing of this folder is a stranger's."""
    guest = tmp_path / "guest"
    guest.mkdir()
    match way:
        case "file":
            (guest / ".git").write_text(f"gitdir: {root / '.git'}\n")
        case "link":
            (guest / ".git").symlink_to(root / ".git")
        case "folder":
            (guest / ".git").mkdir()
            (guest / ".git" / "commondir").write_text(f"{root / '.git'}\n")
        case "worktree":
            (guest / "git").mkdir()
            (guest / ".git").write_text("gitdir: git\n")
            (guest / "git" / "gitdir").write_text("../.git\n")
            (guest / "git" / "commondir").write_text(f"{root / '.git'}\n")
    exclude = root / ".git" / "info" / "exclude"
    before = exclude.read_bytes() if exclude.exists() else None
    make_dot(Layout(guest))
    assert (exclude.read_bytes() if exclude.exists() else None) == before


def test_without_a_repository_nothing_is_made(tmp_path: Path) -> None:
    """A workspace outside of git has what it had."""
    make_dot(Layout(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == [".syncd"]
