"""A mutant: the program without one of the things that keep data safe.

It is a text to be found exactly once in a file, and what stands there instead.  A catalogue that no longer
fits the code is an error, so that the list cannot rot.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Safeguard(StrEnum):
    """What a mutant takes out."""

    GUARD = "guard"
    FSYNC = "fsync"
    VERSION = "version check"
    BASE = "base rule"
    LOCK = "lock"
    JOURNAL = "journal"
    VERIFICATION = "verification"


class Stale(Exception):
    """An entry of the catalogue that does not fit the code any more."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One safeguard, and how to take it out.

    Args:
        file: where it stands, relative to the repository.
        old: its text, there exactly once.
        new: what stands there instead.
        tests: what should notice; the fast suite is asked after it.
        made_for: a test that is made for it, asked before the others.
        also: further files with the same text (a migration and the schema that it makes).
    """

    name: str
    takes_out: Safeguard
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    made_for: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def texts(self, root: Path) -> Mapping[Path, str]:
        """Return the mutated files below a root.

        Raises:
            Stale: the text is not there exactly once, or what comes out is no Python.
        """
        found: dict[Path, str] = {}
        for name in (self.file, *self.also):
            path = root / name
            text = path.read_text("utf-8") if path.exists() else ""
            if text.count(self.old) != 1:
                raise Stale(f"{self.name}: found {text.count(self.old)} times in {name}:\n{self.old}")
            found[path] = text.replace(self.old, self.new)
            if path.suffix == ".py":
                try:
                    ast.parse(found[path], name)
                except SyntaxError as error:
                    raise Stale(f"{self.name}: {name} is no Python any more: {error}") from error
        return found
