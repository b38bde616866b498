"""A relay in front of a Postgres server: a program that passes on every connection to it, byte for byte.

``python -m tests.support.relay ADDRESS PORT UPSTREAM`` prints the port that it listens on and runs until it is ended.
Ended, it takes its connections along, and further ones are refused.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

from psycopg.conninfo import conninfo_to_dict

_CHUNK = 1 << 16


async def relay(address: str, port: int, upstream: str) -> None:
    """Pass connections on until cancelled."""
    parts = conninfo_to_dict(upstream)
    host, number = str(parts.get("host") or "localhost"), int(parts.get("port") or 5432)

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A server that is away closes the connection: to its client it is the same.
        with suppress(OSError):
            if host.startswith("/"):
                there, back = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{number}")
            else:
                there, back = await asyncio.open_connection(host, number)
            await asyncio.gather(_pumped(reader, back), _pumped(there, writer))
        writer.close()

    server = await asyncio.start_server(joined, address, port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


async def _pumped(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends; then the other does."""
    try:
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


def main(words: Sequence[str]) -> None:
    """Run until ended."""
    address, port, upstream = words
    asyncio.run(relay(address, int(port), upstream))


if __name__ == "__main__":
    main(sys.argv[1:])
