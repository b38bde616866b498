"""What a failure of psycopg means: the error of syncd's own tree that a user can act on.

No exception of psycopg leaves the package, and no message repeats a password.  May import
``syncd.errors`` and ``silence``.
"""

from __future__ import annotations

import re
from typing import Final

from psycopg import Error, errors

from syncd.errors import (
    BadValue,
    Bug,
    Busy,
    ConfigError,
    CredentialsError,
    InputOutputError,
    Refused,
    SchemaVersionError,
    StoreUnreachable,
    SyncdError,
)
from syncd.store.silence import ServerHangs

_NO_SCHEMA: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.InvalidSchemaName,
)
_BUSY: Final = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.SerializationFailure,
    errors.DeadlockDetected,
)

RETRIED: Final = (errors.SerializationFailure, errors.DeadlockDetected)
"""Failures of a transaction that may well succeed when it runs again."""

UNSTORABLE: Final = (errors.DataError, errors.IntegrityError, errors.RaiseException, errors.ProgramLimitExceeded)
"""What the database says to a value that it cannot or may not hold."""

_SECRET: Final = re.compile(r"(password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|\S+)|(://[^:/@\s]*:)[^@\s]*(?=@)", re.IGNORECASE)

# A server that refuses a connection says why in words only: libpq hands no SQLSTATE on.
_CREDENTIALS: Final = re.compile(
    r"password authentication failed|no password supplied|authentication failed|pg_hba\.conf"
    r"|role \".*\" (does not exist|is not permitted to log in)|certificate",
    re.IGNORECASE,
)
_NO_DATABASE: Final = re.compile(r"database \".*\" does not exist|permission denied for database", re.IGNORECASE)
_BAD_OPTION: Final = re.compile(r"invalid (connection option|sslmode|port number|integer value)", re.IGNORECASE)


def said(error: Error) -> str:
    """Return the first line of what the server or libpq said, without secrets."""
    text = (error.diag.message_primary or str(error)).strip() or type(error).__name__
    return _SECRET.sub(lambda found: f"{found[1] or found[2]}…", text.splitlines()[0])


def connect_failure(error: Error, address: str) -> SyncdError:
    """Return the error for a connection that could not be made."""
    text = str(error)
    message = f"{address}: {said(error)}"
    if _CREDENTIALS.search(text):
        return CredentialsError(message, hint="Check the user and the password in the database URL, or ~/.pgpass.")
    if _NO_DATABASE.search(text):
        return ConfigError(message, hint="Check the database's name in the URL, or create it with createdb.")
    if _BAD_OPTION.search(text):
        return ConfigError(message, hint="Check the options in the database URL.")
    return StoreUnreachable(message, hint="Is the server running, and is this its host and port?")


def query_failure(error: Error, address: str) -> SyncdError:
    """Return the error for a query that failed on a connection."""
    message = f"{address}: {said(error)}"
    match error:
        case ServerHangs():
            return StoreUnreachable(message, hint="Is its machine asleep, or its disk stuck?")
        case _ if isinstance(error, _NO_SCHEMA):
            return SchemaVersionError(message, hint="syncd db migrate")
        case errors.InsufficientPrivilege():
            return ConfigError(message, hint="Give this user the rights, or use another one in the database URL.")
        case errors.InvalidAuthorizationSpecification():
            return CredentialsError(message, hint="Check the user and the password in the database URL.")
        case errors.ReadOnlySqlTransaction():
            return StoreUnreachable(f"{message} (a standby?)", hint="Point the database URL at the primary server.")
        case _ if isinstance(error, _BUSY):
            return Busy(message, hint="Another session holds these rows; try again.")
        case errors.DiskFull() | errors.InsufficientResources() if not isinstance(error, errors.TooManyConnections):
            return InputOutputError(message, hint="Free space or memory on the database server.")
        case errors.DataError() | errors.IntegrityError() | errors.ProgramLimitExceeded():
            return BadValue(message)
        case errors.RaiseException():
            return Refused(message, hint="A trigger or rule of the database says no.")
        case errors.OperationalError() | errors.InterfaceError():
            return StoreUnreachable(message, hint="Is the server running?")
        case _:
            return Bug(f"{message} ({type(error).__name__} {error.sqlstate or ''})".replace(" )", ")"))
