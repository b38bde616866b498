"""The server's half of the MCP SDK, imported without the client's half.

``import mcp`` brings the whole SDK: clients, their HTTP, a second server framework; a server on stdio uses nothing of
that.  Imported whole, with all bytecode compiled, the first answer came after 0.84 s, and without that half after
0.73 s (medians of ten starts by turns, November 2026, two cores); bare Python took 0.01 s.  Packages run their
``__init__`` when they are first imported, so here those of the SDK are entered as they stand on disk, without running
it, and the modules below them are imported as ever.  Where a version of the SDK does not take that, it is imported
whole.

Imports nothing of syncd.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Final

_PACKAGES: Final = ("mcp", "mcp.server", "mcp.server.lowlevel")
_MODULES: Final = (
    "mcp.server.lowlevel.server",
    "mcp.server.session",
    "mcp.server.stdio",
    "mcp.server.subscriptions",
    "mcp.shared.exceptions",
)


def import_server_half() -> bool:
    """Import what a server on stdio needs of the SDK; return whether it could be had without the rest.

    Raises: ImportError without the SDK.
    Effects: none where the SDK is imported already.
    """
    if "mcp" in sys.modules:
        return False
    try:
        for name in _PACKAGES:
            spec = find_spec(name)
            if spec is None:
                raise ImportError(f"No module named {name!r}", name=name)
            sys.modules[name] = module_from_spec(spec)
        for name in _MODULES:
            import_module(name)
    except (ImportError, AttributeError):
        for name in [each for each in sys.modules if each.partition(".")[0] == "mcp"]:
            del sys.modules[name]
        import_module("mcp.server")
        return False
    return True
