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
    git = next((each / ".git" for each in (folder, *folder.parents) if (each / ".git").exists()), None)
    if git is None:
        return None
    with suppress(OSError, UnicodeDecodeError):
        if git.is_file():
            git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        return _resolved(git, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
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
