"""A fresh git worktree for each attempt, on a branch of its own.

What the attempt committed stays on the branch; what it left uncommitted stays in the folder.  Only a
worktree with nothing in it goes, and only a branch without commits.  May import ``syncd.errors``,
``syncd.log``.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from syncd.errors import InputOutputError, UsageError
from syncd.log import event

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Worktree(msgspec.Struct, frozen=True):
    """A working copy for one attempt; ``start`` is the commit from which its branch goes out."""

    repository: Path
    folder: Path
    branch: str
    start: str

    def put_away(self) -> None:
        """Remove the folder when nothing uncommitted is in it, and the branch when it has no commit."""
        if _git(self.folder, "status", "--porcelain"):
            event("worktree.kept", path=str(self.folder), branch=self.branch)
            return
        head = _git(self.folder, "rev-parse", "HEAD")
        _git(self.repository, "worktree", "remove", str(self.folder))
        if head == self.start:
            _git(self.repository, "branch", "--delete", "--force", self.branch)


def repository_of(folder: Path) -> Path:
    """Return the top of the git repository around a folder.  Raises UsageError without one that has a commit."""
    try:
        top = _git(folder, "rev-parse", "--show-toplevel")
        _git(folder, "rev-parse", "--verify", "HEAD")
    except (InputOutputError, FileNotFoundError) as error:
        raise UsageError(f"{folder} is in no git repository with a commit", hint="git init, and commit") from error
    return Path(top)


def make(repository: Path, folder: Path, id: str, attempt: int) -> Worktree:
    """Make a worktree of the current commit for an attempt.  Raises InputOutputError."""
    name = f"{_UNFIT.sub('-', id).strip('-') or 'card'}-{attempt}"
    place, number = folder / name, 1
    branch = f"syncd/{name}"
    while place.exists() or _has_branch(repository, branch):
        number += 1
        place, branch = folder / f"{name}-{number}", f"syncd/{name}-{number}"
    start = _git(repository, "rev-parse", "HEAD")
    _git(repository, "worktree", "add", "--quiet", "-b", branch, str(place), start)
    return Worktree(repository, place, branch, start)


def _has_branch(repository: Path, branch: str) -> bool:
    words = ["git", "-C", str(repository), "show-ref", "--verify", "--quiet", f"refs/heads/{branch}"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputOutputError(f"git {words[0]} failed in {folder}: {reason}")
    return done.stdout.strip()
