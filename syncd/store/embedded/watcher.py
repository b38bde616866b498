"""The process that starts the embedded server, and stops it when the last client has gone.

It is run by its file, as ``python -I -S watcher.py ORDER``, with the standard library alone: it
imports nothing of syncd, needs no ``site``, and starts in about 15 ms.  It leaves its starter's session, so
neither Ctrl-C in a terminal nor the end of the command that started it reaches the server.

The server is its child.  So the only process it ever signals is one whose number the kernel keeps for it:
no number read from a file can name an innocent process.  When the watcher itself is killed, the kernel tells
the server (``PR_SET_PDEATHSIG``), which shuts down in order: no server outlives its watcher, to be stopped by
nobody.

Clients hold a shared lock on one file; the watcher tries now and then for the exclusive one.  It keeps that
while it stops the server: a client that arrives then waits, and starts a new one.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

STOP_S = 30.0
"""How long an orderly stop may take before an immediate one, and that before SIGKILL."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Leave the starter's session, start the server, and watch it to its end.

    The order, JSON in the first argument: ``command``, ``folder``, ``environment``, ``clients`` (the path of
    the clients' lock), ``grace_s``, ``server_fd`` (locked; goes on to the server, whose processes
    hold it until the last of them ends), ``uid`` and ``gid`` (or null).  Further descriptors that the starter
    passed stay open to the end: the watcher's own lock, and a pipe that tells the starter when it ends.
    Standard output and error are the server's log.
    """
    order = json.loads(sys.argv[1])
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    for name in (signal.SIGHUP, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    clients = os.open(order["clients"], os.O_RDWR | os.O_CLOEXEC)
    server = _started(order)
    os.close(order["server_fd"])
    _watch(server, clients, order["grace_s"])


def _started(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    watcher = os.getpid()
    library = ctypes.CDLL(None)

    def prepare() -> None:
        for name in (signal.SIGHUP, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        library.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != watcher:
            os._exit(1)

    return subprocess.Popen(
        order["command"],
        cwd=order["folder"],
        env=order["environment"],
        pass_fds=(order["server_fd"],),
        user=order["uid"],
        group=order["gid"],
        extra_groups=None if order["uid"] is None else [],
        preexec_fn=prepare,
    )


def _watch(server: subprocess.Popen[bytes], clients: int, grace_s: float) -> None:
    """Return when the server has ended: by itself, for want of clients, or because we are told to go."""
    step_s = min(1.0, max(0.02, grace_s / 10))
    busy_at = time.monotonic()
    seen_ns = 0
    while server.poll() is None:
        told = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, step_s)
        if told is not None and told.si_signo == signal.SIGTERM:
            _stop(server)
            return
        touched_ns = os.fstat(clients).st_mtime_ns
        alone = _is_alone(clients)
        if not alone or touched_ns != seen_ns:
            busy_at, seen_ns = time.monotonic(), touched_ns
        elif time.monotonic() - busy_at >= grace_s:
            _stop(server)
            return
        if alone:
            fcntl.flock(clients, fcntl.LOCK_UN)


def _is_alone(clients: int) -> bool:
    """Take the clients' lock for ourselves, if no client holds it."""
    try:
        fcntl.flock(clients, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server in order; a server that hangs is stopped harder, and recovers when it starts again."""
    for name in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(name)
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    main()
