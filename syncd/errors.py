"""The one tree of errors: every failure a user can meet has a class here.

A face prints ``message`` and ``hint`` and exits with ``exit_code``; with ``--json`` it prints
``code``.  Nothing else decides exit codes.  May import nothing of syncd.

Source: the exit table of the command line contract (0, 1, 2, 3, 4, 5, 70, 74, 75, 78).
"""

from __future__ import annotations

from typing import ClassVar


class SyncdError(Exception):
    """Anything that syncd reports instead of doing what was asked.

    Args:
        message: one sentence, with the place where it happened; never a secret.
        hint: what to do about it, as a command where there is one.
    """

    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "bug"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Bug(SyncdError):
    """A state that the program believed impossible."""


class UsageError(SyncdError):
    """The command line does not parse."""

    exit_code = 2
    code = "usage"


class BadValue(SyncdError):
    """A value that the field or option cannot hold."""

    exit_code = 2
    code = "bad-value"


class NotFound(SyncdError):
    """No such card, conflict, hold or workspace."""

    exit_code = 3
    code = "not-found"


class Refused(SyncdError):
    """Understood, and not allowed now."""

    exit_code = 4
    code = "refused"


class Held(Refused):
    """A guard keeps this back until a person releases it."""

    code = "held"


class NotOwner(Refused):
    """The lease belongs to somebody else, or to a later attempt."""

    code = "not-owner"


class CycleRefused(Refused):
    """The dependency would close a cycle."""

    code = "cycle"


class Paused(Refused):
    """The queue hands out nothing while it is paused."""

    code = "paused"


class StaleVersion(Refused):
    """The row moved on since it was read."""

    code = "stale-version"


class AlreadyExists(Refused):
    """The id is taken."""

    code = "already-exists"


class StoreUnreachable(SyncdError):
    """The store does not answer, and the command cannot do without it."""

    exit_code = 5
    code = "store-unreachable"


class InputOutputError(SyncdError):
    """The disk is full, a permission is missing, a file cannot be read."""

    exit_code = 74
    code = "io"


class StoreDamaged(InputOutputError):
    """The manifest or its log is not as it was written."""

    code = "store-damaged"


class Busy(SyncdError):
    """Another process holds what this one needs."""

    exit_code = 75
    code = "busy"


class Stopping(Busy):
    """The daemon begins or ends just now, and has not begun what was asked: a moment later it may be asked again."""

    code = "stopping"


class ConfigError(SyncdError):
    """The configuration is wrong."""

    exit_code = 78
    code = "config"


class CredentialsError(ConfigError):
    """The server refused the user or the password."""

    code = "credentials"


class SchemaVersionError(ConfigError):
    """The store's schema is missing, older, newer, or not syncd's."""

    code = "schema-version"


class StoreMismatch(ConfigError):
    """The environment names another store than the one that the workspace was made with."""

    code = "store-mismatch"
