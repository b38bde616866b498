"""The server's Unix socket: where clients find it, and what it answers.

The socket lies in the data folder itself, which is 0700 and the server's own; there is no TCP.  A client's
path to it must fit the 107 bytes that a socket address holds.  Where it does not, a short private folder
holds a link to the data folder: the kernel follows it, however long the rest is.

``probe`` speaks just enough of the protocol to learn whether the server takes queries, because importing
psycopg for that costs 130 ms.

May import ``syncd.errors`` and the standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from syncd.errors import InputOutputError

PORT: Final = 5432
"""A part of the socket's name, nothing more."""

SOCKET: Final = f".s.PGSQL.{PORT}"
DATABASE: Final = "syncd"
USER: Final = "syncd"

_PATH_BYTES_MAX: Final = 107
_PROTOCOL_3: Final = 196608
_CANNOT_CONNECT_NOW: Final = "57P03"
_TOO_MANY_CONNECTIONS: Final = "53300"


class Answer(StrEnum):
    """What the socket says."""

    SILENT = "silent"
    """Nobody listens."""
    STARTING = "starting"
    """Somebody listens and takes no queries yet, or no longer."""
    MUTE = "mute"
    """Somebody listens and says nothing."""
    READY = "ready"
    """Queries are taken."""
    STRANGER = "stranger"
    """A server that does not know syncd's user or database."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of one look at the socket."""

    answer: Answer
    server_version: str = ""
    detail: str = ""


def dsn(cluster: Path) -> str:
    """Return the connection string of syncd's database, for any process of this user.

    Effects: may make the short private folder and the link in it.

    Raises:
        InputOutputError: the private folder belongs to somebody else or cannot be made.
    """
    folder = socket_folder(cluster)
    if folder != cluster:
        _link(folder, cluster)
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return f"host='{quoted}' port={PORT} dbname={DATABASE} user={USER}"


def socket_folder(cluster: Path) -> Path:
    """Return the folder by which clients reach the socket: the data folder, or a short link to it.

    A comma separates hosts in a connection string and cannot be quoted, so it asks for the link as well.
    """
    if _fits(cluster):
        return cluster
    name = hashlib.sha256(os.fsencode(cluster.resolve())).hexdigest()[:16]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
    short = runtime / "syncd" / name
    if runtime.is_absolute() and runtime.is_dir() and _fits(short):
        return short
    return Path("/tmp") / f"syncd-{os.geteuid()}" / name


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET)) <= _PATH_BYTES_MAX and b"," not in os.fsencode(folder)


def _link(link: Path, cluster: Path) -> None:
    """Make a link to the data folder in a folder that nobody else can write."""
    private = link.parent
    try:
        private.mkdir(mode=0o700, exist_ok=True)
        found = private.lstat()
        if found.st_uid != os.geteuid() or private.is_symlink() or found.st_mode & 0o077:
            raise InputOutputError(
                f"{private} must be a folder of this user with mode 0700: the server's socket is found there",
                hint=f"remove {private}, or set XDG_RUNTIME_DIR",
            )
        if link.is_symlink() and link.readlink() == cluster:
            return
        fresh = link.with_name(f"{link.name}.{secrets.token_hex(4)}")
        fresh.symlink_to(cluster)
        fresh.replace(link)
    except OSError as failure:
        raise InputOutputError(
            f"cannot make {link} for the server's socket: {failure.strerror}",
            hint="set SYNCD_DATA_DIR to a shorter path",
        ) from failure


def probe(cluster: Path, *, timeout_s: float = 1.0) -> Probe:
    """Ask the server in this data folder for a session, and hang up.

    Effects: none on disk, so that a status can use it.

    Units: seconds.

    Raises:
        InputOutputError: the socket belongs to another user.
    """
    try:
        with _connected(cluster, timeout_s) as connection:
            return _greeted(connection)
    except (FileNotFoundError, NotADirectoryError, ConnectionError):
        return Probe(Answer.SILENT)
    except TimeoutError:
        return Probe(Answer.MUTE, detail="it takes what it is sent, and does not answer")
    except (BlockingIOError, EOFError) as failure:
        return Probe(Answer.STARTING, detail=str(failure))
    except PermissionError as failure:
        raise InputOutputError(
            f"the embedded server's folder {cluster} belongs to another user",
            hint="run syncd as that user, or set SYNCD_DATA_DIR to a folder of your own",
        ) from failure


@contextlib.contextmanager
def _connected(cluster: Path, timeout_s: float) -> Iterator[socket.socket]:
    """Connect by the folder's descriptor, whose path is short however long the folder's is."""
    folder = os.open(cluster, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            yield connection
    finally:
        os.close(folder)


def _greeted(connection: socket.socket) -> Probe:
    wish = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
    connection.sendall(struct.pack("!ii", len(wish) + 8, _PROTOCOL_3) + wish)
    version = ""
    with connection.makefile("rb") as stream:
        while True:
            head = stream.read(5)
            if len(head) < 5:
                raise EOFError("the server hung up")
            kind, size = head[:1], struct.unpack("!i", head[1:])[0]
            body = stream.read(size - 4)
            if kind == b"S" and body.startswith(b"server_version\0"):
                version = body.split(b"\0")[1].decode()
            elif kind == b"R" and body[:4] != b"\0\0\0\0":
                return Probe(Answer.STRANGER, detail="it asks for a password")
            elif kind == b"E":
                return _refused(body)
            elif kind == b"Z":
                connection.sendall(b"X\0\0\0\4")
                return Probe(Answer.READY, server_version=version)


def _refused(body: bytes) -> Probe:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    said = fields.get(b"M", "")
    match fields.get(b"C"):
        case code if code == _CANNOT_CONNECT_NOW:
            return Probe(Answer.STARTING, detail=said)
        case code if code == _TOO_MANY_CONNECTIONS:
            return Probe(Answer.READY, detail=said)
        case _:
            return Probe(Answer.STRANGER, detail=said)
