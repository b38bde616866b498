"""Connection strings: what may be shown of them, and what they get so that a dead server is noticed fast.

May import ``syncd.errors``.
"""

from __future__ import annotations

from typing import Any, Final

from syncd.errors import ConfigError

KEEPALIVES: Final = {
    "connect_timeout": "2",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "3000",
}
"""A vanished server is noticed in about 3 s, whether a query runs or only LISTEN waits."""

_SHOWN: Final = ("user", "host", "hostaddr", "port", "dbname")


def parse(dsn: str) -> dict[str, Any]:
    """Return a connection string's parts, from its URL form or its keyword form.

    Raises: ConfigError when it is neither; the message never repeats any of it, as it may hold a password.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return dict(conninfo_to_dict(dsn))
    except (ProgrammingError, UnicodeError):
        raise ConfigError(
            "the database URL cannot be read", hint="It looks like postgresql://user:password@host:5432/database"
        ) from None


def address(dsn: str) -> str:
    """Return where a connection string leads, in URL form and without its secrets."""
    parts = parse(dsn)
    shown = {name: str(parts[name]) for name in _SHOWN if parts.get(name)}
    host = shown.get("host") or shown.get("hostaddr") or "localhost"
    user = f"{shown['user']}@" if "user" in shown else ""
    if host.startswith(("/", "@")):
        return f"postgresql://{user}/{shown.get('dbname', '')}?host={host}"
    port = f":{shown['port']}" if "port" in shown else ""
    return f"postgresql://{user}{host}{port}/{shown.get('dbname', '')}"


def with_keepalives(dsn: str) -> str:
    """Return the connection string with the timeouts that it does not set itself."""
    from psycopg.conninfo import make_conninfo

    parts = parse(dsn)
    return make_conninfo("", **{**KEEPALIVES, **parts})
