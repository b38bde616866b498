"""What a check of the doctor says.  Imports nothing of syncd."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec
from msgspec.structs import replace


class Health(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong; worth knowing."""
    WARNING = "warning"
    """It works, and will not for long, or not as well as it could."""
    ERROR = "error"
    """Something does not work."""


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Args:
        name: what it is about, one or two words.
        message: what was found, one sentence.
        remedy: what to do, as a command where there is one.
        mend: does it, where that is safe; ``fixed`` tells that it did.
    """

    name: str
    health: Health
    message: str
    remedy: str | None = None
    mend: Callable[[], str] | None = None
    fixed: bool = False

    def mended(self) -> Check:
        """Do what is safe to do about it, and return how it is then."""
        if self.mend is None:
            return self
        return replace(self, health=Health.OK, message=self.mend(), remedy=None, mend=None, fixed=True)


def ok(name: str, message: str) -> Check:
    """Return a check that found nothing."""
    return Check(name, Health.OK, message)


def note(name: str, message: str, remedy: str | None = None) -> Check:
    """Return something worth knowing."""
    return Check(name, Health.NOTE, message, remedy)


def warning(name: str, message: str, remedy: str | None = None, mend: Callable[[], str] | None = None) -> Check:
    """Return something that will go wrong, or that goes worse than it could."""
    return Check(name, Health.WARNING, message, remedy, mend)


def error(name: str, message: str, remedy: str | None = None, mend: Callable[[], str] | None = None) -> Check:
    """Return something that does not work."""
    return Check(name, Health.ERROR, message, remedy, mend)
