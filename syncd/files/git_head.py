"""What git's HEAD points at, read from the files: a checkout moves it, an edit does not.

Imports nothing of syncd.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def head_of(folder: Path) -> str | None:
    """Return where HEAD stands in the repository around a folder, for ``has_checked_out``; ``None`` outside of one.

    It is the commit that HEAD names, and how long its reflog is: a checkout may lead back to the same commit.
    A worktree's ``.git`` file and packed refs are followed; a repository that cannot be read is none.
    """
    git = git_of(folder)
    commit = None if git is None else _commit_of(git)
    return None if git is None or commit is None else f"{commit}@{_size_of(git / 'logs' / 'HEAD')}"


def has_checked_out(folder: Path, since: str) -> bool:
    """Return whether HEAD has moved since it stood there by more than commits of what stood in the folder.

    The reflog tells a commit from a checkout, reset, merge or rebase; without one every move counts.
    """
    git, now = git_of(folder), head_of(folder)
    if git is None or now is None or now == since:
        return False
    commit, _, size = since.partition("@")
    try:
        with (git / "logs" / "HEAD").open("rb") as log:
            log.seek(int(size or 0))
            moves = [line.partition(b"\t")[2] for line in log]
    except (OSError, ValueError):
        moves = []
    # One that was shortened, or is not kept, tells nothing.
    is_told = moves and int(now.partition("@")[2]) > int(size or 0)
    return any(not move.startswith(b"commit") for move in moves) if is_told else now.partition("@")[0] != commit


def lock_of(folder: Path) -> int | None:
    """Return what tells one lock of git's on the index from another; ``None`` without one.

    git holds it while it writes files, and moves HEAD right after it has let it go.
    """
    git = git_of(folder)
    with suppress(OSError):
        return None if git is None else (git / "index.lock").stat().st_ctime_ns
    return None


def entry_of(folder: Path) -> Path | None:
    """Return the entry that makes a folder, or one above it, a repository or a worktree: its ``.git``."""
    return next((each / ".git" for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def git_of(folder: Path) -> Path | None:
    """Return the git folder of the repository, or of the worktree, around a folder."""
    git = entry_of(folder)
    if git is None or git.is_dir():
        return git
    try:
        return (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    except (OSError, UnicodeDecodeError):
        return None


def common_of(git: Path) -> Path:
    """Return the git folder that all worktrees of a repository share; a repository's own where it has no others."""
    with suppress(OSError, UnicodeDecodeError):
        return (git / (git / "commondir").read_text().strip()).resolve()
    return git


def _commit_of(git: Path) -> str | None:
    """Return the commit that HEAD names."""
    with suppress(OSError, UnicodeDecodeError):
        head = (git / "HEAD").read_text().strip()
        return _resolved(git, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
    return None


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _resolved(git: Path, ref: str) -> str | None:
    """Return the commit of a branch; the shared folder of worktrees holds what their own does not."""
    common = common_of(git)
    for folder in (git, common):
        with suppress(OSError):
            return (folder / ref).read_text().strip()
    with suppress(OSError):
        for line in (common / "packed-refs").read_text().splitlines():
            commit, _, name = line.partition(" ")
            if name == ref:
                return commit
    return None
