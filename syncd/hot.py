"""The short way of a command: its words to the workspace's daemon, what it prints back to the caller.

Nothing is imported here that a bare interpreter has not loaded, but for two C modules: the whole of the
command line would cost several times the round trip.  The daemon runs the very command that typer would
run here; whatever is not plainly one of these commands, and whatever goes wrong before the daemon has
it, takes the long way.  What needs the caller's own process, folder, environment or streams is none of them.
May import ``syncd``, where a daemon begins or ends ``time``, and where it fails ``syncd.errors``.
"""

from __future__ import annotations

import os
import sys

HOT = frozenset({"conflicts", "diff", "held", "log", "status", "sync", "verify", "workers"})
HOT_BACKLOG = frozenset(
    {"block", "claim", "complete", "create", "events", "fail", "graph", "link", "list", "pause", "reclaim", "release"}
    | {"remove", "renew", "resume", "retry", "show", "stats", "unblock", "unlink", "update", "why"}
)
HOT_MISSION = frozenset({"list", "next", "status"})
HOT_GROUPS = {"backlog": HOT_BACKLOG, "mission": HOT_MISSION, "db": frozenset({"status"})}
LONG_WAY = frozenset({"--help", "-h", "--wait", "--follow", "-f", "--stdin", "--watch", "--all", "--debug", "--mode"})
"""Options that need the caller's own process, time, streams or store."""

TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR")
TIMEOUT_S = 30.0
PROGRESS_AFTER_S = 1.0
AGAIN_S = 0.05
PATIENCE_S = 5.0
"""How long a daemon that begins or ends is asked again, as in ``engine.asker``."""

AGAIN = -1
"""No exit code: the daemon is to be asked again in a moment."""

STOPPING = b'{"error":{"code":"stopping"'
"""How the answer of such a daemon begins: it has done nothing of what was asked."""


def through_daemon(words: list[str]) -> int | None:
    """Have the daemon run a hot command and print what it printed; return its exit code.

    Returns:
        ``None`` when the command is to be run here: it is no hot one, or no daemon of this version answers.

    Raises: StoreUnreachable when the daemon went away with the command in its hands.
    """
    directory = _hot_directory(words)
    if directory is None:
        return None
    root = _root(directory)
    if root is None:
        return None
    tries = 0
    while (code := _asked(root, words)) == AGAIN:
        import time

        tries += 1
        if tries * AGAIN_S > PATIENCE_S:
            return None
        time.sleep(AGAIN_S)
    return code


def _asked(root: str, words: list[str]) -> int | None:
    """Ask once; return the exit code, ``None`` for the long way, or ``AGAIN``."""
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(os.path.join(root, ".syncd", "sock"))  # noqa: PTH118 - pathlib costs 4 ms
            if not _is_trusted(connection):
                return None
            received = _line_from(connection, b"")
        except OSError:
            return None
        if received[0] != _greeting():
            return None
        try:
            connection.sendall(_request(words))
            head, rest = _awaited(connection, received[1])
            if head.startswith(STOPPING):
                return AGAIN
            if not head.startswith(b'{"ok":['):
                return None
            code, out, err = (int(number) for number in head[7:-2].split(b","))
            rest = _rest(connection, rest, out + err)
        except OSError as error:
            from syncd.errors import StoreUnreachable

            what = "did not answer" if isinstance(error, TimeoutError) else "went away"
            raise StoreUnreachable(
                f"the daemon {what} while it ran the command, which may be done or not", hint="syncd status"
            ) from error
    finally:
        connection.close()
    return _print(code, rest[:out], rest[out:])


def _is_trusted(connection: object) -> bool:
    """Say whether this user or root listens at the other end, by the rule of ``engine.asker``."""
    import _socket

    credentials: bytes = connection.getsockopt(  # type: ignore[attr-defined]  # _socket has no types
        _socket.SOL_SOCKET, _socket.SO_PEERCRED, 12
    )
    return int.from_bytes(credentials[4:8], sys.byteorder) in (os.getuid(), 0)


def _hot_directory(words: list[str]) -> str | None:
    """Return the folder that a hot command names (``-C``, else the environment's), "" for none; ``None`` for others."""
    directory = os.environ.get("SYNCD_WORKSPACE", "")
    names: list[str] = []
    rest = iter(words)
    for word in rest:
        option = word.partition("=")[0]
        if option in LONG_WAY or option == "--log-format":
            return None
        if word == "-C":
            directory = next(rest, "") or directory
        elif word.startswith("-C"):
            return None
        elif not word.startswith("-") and len(names) < 2:
            names.append(word)
    is_hot = names[:1] and (names[0] in HOT or names[-1] in HOT_GROUPS.get(names[0], ()))
    return directory if is_hot else None


def _root(directory: str) -> str | None:
    """Return the workspace: the folder that is named, or the nearest upwards, by the rule of ``files.layout``."""
    here = os.path.realpath(directory or os.curdir)
    while True:
        if any(os.path.lexists(f"{here}/{name}") for name in (".syncd", "syncd.yaml")):
            return here
        if directory:
            return None
        above = os.path.dirname(here)  # noqa: PTH120 - pathlib would have to be loaded
        if above == here:
            return None
        here = above


def _greeting() -> bytes:
    from syncd import __version__

    return f'{{"syncd":1,"version":"{__version__}"}}'.encode()


def _request(words: list[str]) -> bytes:
    arguments = ",".join(map(_quoted, words))
    actor = os.environ.get("SYNCD_ACTOR")
    said = f',"actor":{_quoted(actor)}' if actor else ""
    is_terminal = os.isatty(1)
    terminal = f'"is_terminal":{"true" if is_terminal else "false"}'
    if is_terminal:
        columns = os.get_terminal_size(1).columns
        kept = ",".join(f"{_quoted(name)}:{_quoted(os.environ[name])}" for name in TERMINAL if name in os.environ)
        terminal += f',"columns":{columns},"environ":{{{kept}}}'
    return f'{{"op":"command","arguments":[{arguments}],"terminal":{{{terminal}}}{said}}}\n'.encode()


def _quoted(text: str) -> str:
    """Return a JSON string; the C encoder costs nothing, the json package 3 ms."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json import dumps

        return dumps(text)
    return str(encode_basestring_ascii(text))


def _line_from(connection: object, received: bytes) -> tuple[bytes, bytes]:
    """Return the next line without its end, and what was received behind it."""
    while b"\n" not in received:
        received += _more(connection)
    line, _, rest = received.partition(b"\n")
    return line, rest


def _rest(connection: object, received: bytes, size: int) -> bytes:
    """Return so many bytes, of which some have come already."""
    pieces = [received]
    left = size - len(received)
    while left > 0:
        pieces.append(_more(connection))
        left -= len(pieces[-1])
    return b"".join(pieces)


def _awaited(connection: object, received: bytes) -> tuple[bytes, bytes]:
    """Return the line of the answer and what came behind it; on a terminal, say after a second that it is awaited."""
    if not os.isatty(2):
        return _line_from(connection, received)
    connection.settimeout(PROGRESS_AFTER_S)  # type: ignore[attr-defined]  # _socket has no types
    try:
        return _line_from(connection, received)
    except TimeoutError:
        pass
    finally:
        connection.settimeout(TIMEOUT_S)  # type: ignore[attr-defined]
    os.write(2, "syncd …".encode())
    try:
        return _line_from(connection, b"")
    finally:
        os.write(2, b"\r       \r")


def _more(connection: object) -> bytes:
    data: bytes = connection.recv(1 << 16)  # type: ignore[attr-defined]  # _socket has no types
    if not data:
        raise ConnectionResetError("the daemon closed the connection")
    return data


def _print(code: int, out: bytes, err: bytes) -> int:
    """Write what the command printed; a reader that went away ends it quietly, as in the long way."""
    try:
        sys.stdout.buffer.write(out)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    sys.stderr.buffer.write(err)
    sys.stderr.buffer.flush()
    return code
