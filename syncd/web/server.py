"""The life of ``syncd ui``: a socket on loopback, a token, and a server until SIGINT or SIGTERM.

May import ``syncd.api``, ``starlette``, ``uvicorn``.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

from syncd.api import Workspace
from syncd.errors import Busy, InputOutputError


def serve(workspace: Workspace, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the dashboard until it is told to stop.

    Args:
        port: 0 for any that is free.
        announce: is given the address with the token, once the server can be asked.

    Raises: Busy when the port is taken, InputOutputError for a host that is none of this machine.
    """
    import uvicorn

    from syncd.web.app import make_app
    from syncd.web.security import hosts_of

    token = secrets.token_urlsafe(24)
    listening = _listen(host, port)
    with listening:
        bound = listening.getsockname()[1]
        app = make_app(workspace, token=token, hosts=hosts_of(host, bound))
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=2,
                                server_header=False, h11_max_incomplete_event_size=64 * 1024)  # fmt: skip
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{bound}/?token={token}")
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(64)
    except OSError as error:
        listening.close()
        if port and error.errno in (98, 48):
            raise Busy(f"port {port} is taken", hint="syncd ui --port 0 takes one that is free.") from error
        raise InputOutputError(f"cannot listen on {host}:{port}: {error.strerror}.") from error
    return listening
