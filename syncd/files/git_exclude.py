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
from syncd.files.git_head import common_of, git_of

STAGED: Final = ".*.syncd-*"
"""The pattern of every name that syncd gives beside a file."""

_LINES: Final = f"# syncd: for the moment of a write\n{STAGED}\n"


def hide_staged(folder: Path) -> None:
    """Have git pass over staged files in the repository around a folder; done already, or no repository, is fine.

    A repository that its user cannot write, or whose file is a link that leads elsewhere, is left as it is: there git
    sees a staged file as it sees those of editors.
    """
    git = git_of(folder)
    if git is None:
        return
    exclude = common_of(git) / "info" / "exclude"
    if not (exclude.parent.parent / "objects").is_dir() or exclude.is_symlink() or exclude.parent.is_symlink():
        return
    with suppress(OSError, InputOutputError):
        text = exclude.read_bytes() if exclude.exists() else b""
        if STAGED.encode() not in text.split(b"\n"):
            exclude.parent.mkdir(exist_ok=True)
            gap = b"" if not text or text.endswith(b"\n") else b"\n"
            write_whole(exclude, text + gap + _LINES.encode())
