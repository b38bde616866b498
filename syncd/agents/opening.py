"""A workspace that is opened when it is first needed.

An agent's client waits for the server's first answer, which needs nothing of a workspace; what reading and syncing one
takes is imported after it.  Imports nothing of syncd when it is imported itself.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncd.api import Workspace


class Opening:
    """Opens a workspace once, whoever asks first.

    Args:
        open: gives the workspace; raises the errors of the api.
    """

    def __init__(self, open: Callable[[], Workspace]) -> None:
        self._open = open
        self._lock = Lock()
        self._opened: Workspace | None = None

    def __call__(self) -> Workspace:
        """Return the workspace.  Raises what opening it raises, each time anew until it can be opened."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def close(self) -> None:
        """Close the workspace, if it was opened."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
