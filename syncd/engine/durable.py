"""What the files say, made durable before the base takes it over, or before it is displaced.

Else a power cut that takes back a save would look like an edit against what was agreed, or like a late
write.
May import ``syncd.ports``.
"""

from __future__ import annotations

from syncd.engine.observe import LocalView
from syncd.ports import TaskFiles


class Durable:
    """Remembers which content of each file is known to survive a power cut."""

    def __init__(self, files: TaskFiles) -> None:
        self._files = files
        self._digests: dict[str, str | None] = {}

    def secure(self, view: LocalView) -> None:
        """Make what the view shows durable.  Effects: one fsync for each content of a file."""
        for path, read in view.reads.items():
            if path not in view.frozen and self._digests.get(path, "") != read.digest:
                self._files.make_durable(path)
                self._digests[path] = read.digest

    def wrote(self, path: str, digest: str) -> None:
        """Note a content that syncd put there, durably."""
        self._digests[path] = digest
