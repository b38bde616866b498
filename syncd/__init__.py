"""syncd: two-way sync between the task files that agents edit and the backlog that orchestrators read.

``syncd.open(".")`` gives a :class:`~syncd.api.Workspace`, ``syncd.aopen(".")`` its async twin.
Importing this package costs nothing: what it exports is loaded when it is first asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""As ``typing`` has it, for type checkers; importing that package would cost every command 4 ms."""

if TYPE_CHECKING:
    from syncd.aio import aopen
    from syncd.api import open

__version__ = "0.1.0"

__all__ = ["__version__", "aopen", "open"]


def __getattr__(name: str) -> object:
    """Load an export on first use."""
    if name == "open":
        from syncd import api

        return globals().setdefault(name, api.open)
    if name == "aopen":
        from syncd import aio

        return globals().setdefault(name, aio.aopen)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the exports that are not loaded yet, too."""
    return sorted({*globals(), *__all__})
