"""Ports of this machine for servers that a test starts, and perhaps stops and starts again."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from pathlib import Path

_LOWEST = 20_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens.

    It lies below those that the kernel gives to connections: one of these could take it while its server is away, even
    the connection of a client that asks for that very server.
    """
    above = int(_RANGE.read_text().split()[0])
    while True:
        port = _LOWEST + secrets.randbelow(above - _LOWEST) if above > _LOWEST else 0
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as tried:
            return int(tried.getsockname()[1])
