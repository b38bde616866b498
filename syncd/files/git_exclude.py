"""What git is not to see: the files that stand beside a task file for the moment of a write.

``git add --all`` in that moment would take such a file along, or fail because it is gone again.  Which names git passes
over is said in ``info/exclude``: that file is this clone's own, and no commit has it.  May import
``syncd.files.atomic``, ``syncd.files.git_head``, ``syncd.errors``.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from syncd.errors import InputOutputError
from syncd.files.atomic import write_whole
from syncd.files.git_head import common_of, entry_of, git_of

STAGED: Final = ".*.syncd-*"
"""The pattern of every name that syncd gives beside a file."""

_LINES: Final = f"# syncd: for the moment of a write\n{STAGED}\n"


def hide_staged(folder: Path) -> None:
    """Have git pass over staged files in the repository around a folder; done already, or no repository, is fine.

    A repository that its user cannot write is left as it is: there git sees a staged file as it sees those of editors.
    """
    exclude = _exclude_of(folder)
    if exclude is None:
        return
    with suppress(OSError, InputOutputError):
        text = exclude.read_bytes() if exclude.exists() else b""
        if STAGED.encode() not in text.split(b"\n"):
            exclude.parent.mkdir(exist_ok=True)
            gap = b"" if not text or text.endswith(b"\n") else b"\n"
            write_whole(exclude, text + gap + _LINES.encode())


def _exclude_of(folder: Path) -> Path | None:
    """Return where it is said; ``None`` without a repository, and where anything on the way there leads elsewhere.

    A stranger may have made this folder, and nothing of theirs decides which other file is written.
    """
    entry, git = entry_of(folder), git_of(folder)
    if entry is None or git is None or entry.is_symlink():
        return None
    repository = git if entry.is_dir() else _repository_of(git, entry)
    if repository is None or not (repository / "objects").is_dir():
        return None
    exclude = repository / "info" / "exclude"
    return None if exclude.is_symlink() or exclude.parent.is_symlink() else exclude


def _repository_of(git: Path, entry: Path) -> Path | None:
    """Return the repository of a worktree; ``None`` when it does not say by itself that the worktree is its own."""
    repository = common_of(git)
    try:
        is_known = (git / (git / "gitdir").read_text().strip()).resolve() == entry.resolve()
    except (OSError, UnicodeDecodeError):
        return None
    return repository if is_known and git.parent == repository / "worktrees" else None
