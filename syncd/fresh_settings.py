"""Settings that were edited while a daemon runs: it takes them up by itself, or says what is wrong with them.

May import everything below the faces.
"""

from __future__ import annotations

import logging

from syncd.errors import SyncdError
from syncd.files import atomic
from syncd.files.settings import read_config
from syncd.log import event
from syncd.parsers.document import Problem
from syncd.schemas.config import Config
from syncd.stores import choose_store
from syncd.wiring import Wiring


class FreshSettings:
    """The settings of a daemon's workspace, looked at again whenever their file has changed.

    Shape: a look costs one ``stat`` while the file stays as it is.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._seen: atomic.Signature | None = None
        self.problem: Problem | None = None
        """What is wrong with the file as it is now; the settings in force stay those read before."""

    def have_come(self) -> bool:
        """Return whether there are other settings now than those in force, and they can be used."""
        now = atomic.signature(self._wiring.layout.config)
        if now == self._seen:
            return False
        self._seen = now
        is_other = self.read() != self._wiring.config
        if self.problem is not None:
            said = f"{self.problem.path}:{self.problem.line}: {self.problem.message}"
            event("config.refused", level=logging.ERROR, message=said)
        return is_other

    def read(self) -> Config:
        """Return the settings as they are now, or those in force where these cannot be used."""
        path = self._wiring.layout.config
        try:
            config = read_config(path)
            choose_store(config, self._wiring.environ, self._wiring.mode)
        except SyncdError as error:
            self.problem = _problem(path.name, error.message.removeprefix(f"{path}:"))
            return self._wiring.config
        self.problem = None
        return config


def _problem(name: str, message: str) -> Problem:
    """Return the problem; a message about the file's text begins with the line."""
    line, _, reason = message.partition(": ")
    number, said = (int(line), reason) if line.isdigit() else (1, message)
    hint = "The daemon goes on with the settings that it read before, and takes these when they are mended."
    return Problem(name, number, 1, "bad-settings", said.strip(), hint)
