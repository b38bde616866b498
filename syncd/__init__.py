"""syncd: two-way sync between the task files that agents edit and the backlog that orchestrators read.

``syncd.open(".")`` gives a :class:`~syncd.api.Workspace`.  Importing this package costs nothing: what
it exports is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncd.api import open

    __version__: str

__all__ = ["__version__", "open"]


def __getattr__(name: str) -> Any:
    """Load an export on first use."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("syncd")
        except PackageNotFoundError:
            found = "0+source"
        return globals().setdefault(name, found)
    if name == "open":
        from syncd import api

        return globals().setdefault(name, api.open)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the exports that are not loaded yet, too."""
    return sorted({*globals(), *__all__})
