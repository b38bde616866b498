"""What git's HEAD points at, read from the files: a checkout moves it, an edit does not.

Imports nothing of syncd.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def head_of(folder: Path) -> str | None:
    """Return the commit that HEAD names in the repository around a folder; ``None`` outside of one.

    A worktree's ``.git`` file and packed refs are followed; a repository that cannot be read is none.
    """
    git = _git_of(folder)
    if git is None:
        return None
    with suppress(OSError, UnicodeDecodeError):
        head = (git / "HEAD").read_text().strip()
        return _resolved(git, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
    return None


def has_checked_out(folder: Path, since: str) -> bool:
    """Return whether HEAD has moved since a commit by more than commits of what stood in the folder.

    The reflog tells a commit from a checkout, reset, merge or rebase; without one every move counts.
    """
    git = _git_of(folder)
    if git is None or head_of(folder) == since:
        return False
    try:
        entries = [line.partition("\t") for line in (git / "logs" / "HEAD").read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return True
    moves = [(fields.split()[1], message) for fields, _, message in entries if len(fields.split()) > 1]
    last_seen = max((at for at, (commit, _) in enumerate(moves) if commit == since), default=-1)
    return any(not message.startswith("commit") for _, message in moves[last_seen + 1 :])


def _git_of(folder: Path) -> Path | None:
    """Return the git folder of the repository, or of the worktree, around a folder."""
    git = next((each / ".git" for each in (folder, *folder.parents) if (each / ".git").exists()), None)
    if git is None or git.is_dir():
        return git
    try:
        return (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    except (OSError, UnicodeDecodeError):
        return None


def _resolved(git: Path, ref: str) -> str | None:
    """Return the commit of a branch; the shared folder of worktrees holds what their own does not."""
    common = git
    with suppress(OSError):
        common = (git / (git / "commondir").read_text().strip()).resolve()
    for folder in (git, common):
        with suppress(OSError):
            return (folder / ref).read_text().strip()
    with suppress(OSError):
        for line in (common / "packed-refs").read_text().splitlines():
            commit, _, name = line.partition(" ")
            if name == ref:
                return commit
    return None
