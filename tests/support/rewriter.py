"""A program that cannot leave a file alone: whenever somebody changes a piece of text, it puts its own back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

_LOOK_S = 0.01


class Rewriter:
    """Rewrites a file, in a thread, whenever its rule gives other text, until ``close``."""

    def __init__(self, path: Path, rule: Callable[[str], str]) -> None:
        self._path = path
        self._rule = rule
        self._is_closing = threading.Event()
        self.saves = 0
        self._thread = threading.Thread(target=self._run, name="rewriter")
        self._thread.start()

    def close(self) -> None:
        """Leave the file alone from now on."""
        self._is_closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing.wait(_LOOK_S):
            text = self._path.read_text()
            if (wanted := self._rule(text)) != text:
                self._path.write_text(wanted)
                self.saves += 1
