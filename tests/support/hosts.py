"""Hosts that share nothing but a database server, and whose network a test may cut.

Where this user may make network namespaces, each host has a network and a name of its own, and one cable, which leads
to the place where the server is; nothing of the machine's own network changes.  Elsewhere it is the machine itself.  In
both cases a host reaches the server through a relay of its own.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg.conninfo import make_conninfo

from tests.support.ports import free_port

_APART = ("unshare", "--net", "--uts")
_ROOT = Path(__file__).resolve().parents[2]
_LOOPBACK = "127.0.0.1"
_PORT = 5432


@dataclass
class Host:
    """A host with a line to the server.

    Args:
        dsn: the server's address as it is reached from here.
        enter: the words before a command that make it run here; none where it is the machine itself.
        namespace: the process whose network this is; ``None`` where it is the machine's.
    """

    name: str
    dsn: str
    enter: Sequence[str]
    namespace: int | None
    _relay: _Relay
    _wire: Sequence[str] = ()
    """The words before ``up`` and ``down`` that move the far end of the cable."""

    @property
    def network(self) -> Path | None:
        """The network to enter; ``None`` where it is the machine's."""
        return None if self.namespace is None else Path(f"/proc/{self.namespace}/ns/net")

    def cut(self, *, is_silent: bool) -> None:
        """Cut the line: the server is refused from now on, or (``is_silent``) nothing that is sent arrives.

        Without a network of its own it is always a refusal: a relay that is stopped would still have its kernel confirm
        what it gets, as a network that is gone does not.
        """
        if is_silent and self._wire:
            subprocess.run([*self._wire, "down"], check=True)
        else:
            self._relay.end()

    def freeze(self) -> None:
        """Have the server take what is sent and never answer, as a machine that hangs, or a proxy before it."""
        self._relay.send(signal.SIGSTOP)

    def mend(self) -> None:
        """Bring the line back, however it was cut."""
        self._relay.send(signal.SIGCONT)
        if self._wire:
            subprocess.run([*self._wire, "up"], check=True)
        self._relay.start()

    def python(self, folder: Path) -> str:
        """Make a program in a folder that is this machine's Python, run on this host."""
        if not self.enter:
            return sys.executable
        program = folder / "python"
        program.write_text(f'#!/bin/sh\nexec {" ".join(self.enter)} "{sys.executable}" "$@"\n')
        program.chmod(0o755)
        return str(program)


@contextmanager
def hosts(names: Sequence[str], dsn: str) -> Iterator[list[Host]]:
    """Give hosts of these names, each with its line to the server of a dsn."""
    with ExitStack() as life:
        hub = life.enter_context(_namespace("hub")) if may_be_apart() else None
        yield [life.enter_context(_host(name, number, hub, dsn)) for number, name in enumerate(names)]


@cache
def may_be_apart() -> bool:
    """Return whether this user may make networks and join them by cables."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    wired = [*_APART, "ip", "link", "add", "name", "one", "type", "veth", "peer", "name", "two"]
    return subprocess.run(wired, capture_output=True, check=False).returncode == 0


@contextmanager
def _host(name: str, number: int, hub: int | None, dsn: str) -> Iterator[Host]:
    if hub is None:
        with _running(_Relay((), _LOOPBACK, free_port(), dsn)) as relay:
            yield Host(name, relay.dsn, (), None, relay)
        return
    # Addresses of the block for tests of networks (RFC 2544): nobody's, wherever this runs.
    near, far, wire = f"198.18.{number}.2", f"198.18.{number}.1", f"wire{number}"
    with _namespace(name) as machine:
        here, there = _entering(machine), _entering(hub)
        for words in (
            [*there, "ip", "link", "add", "name", wire, "type", "veth", "peer", "name", "eth0", "netns", str(machine)],
            [*there, "ip", "address", "add", f"{far}/30", "dev", wire],
            [*there, "ip", "link", "set", wire, "up"],
            [*here, "ip", "address", "add", f"{near}/30", "dev", "eth0"],
            [*here, "ip", "link", "set", "eth0", "up"],
            [*here, "ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(words, check=True)
        with _running(_Relay(there, far, _PORT, dsn)) as relay:
            moved = [*there, "ip", "link", "set", wire]
            yield Host(name, relay.dsn, here, machine, relay, moved)


@contextmanager
def _namespace(name: str) -> Iterator[int]:
    """Keep a network without interfaces and a host's name alive; give the process that has them."""
    live = f"hostname {name} && echo up && exec sleep infinity"
    with subprocess.Popen([*_APART, "sh", "-c", live], stdout=subprocess.PIPE, text=True) as machine:
        try:
            assert machine.stdout is not None
            assert machine.stdout.readline() == "up\n"
            yield machine.pid
        finally:
            machine.kill()


def _entering(pid: int) -> list[str]:
    return ["nsenter", f"--target={pid}", "--net", "--uts", "--"]


class _Relay:
    """The process of ``tests.support.relay``, which may be ended and started again at the same port."""

    def __init__(self, enter: Sequence[str], address: str, port: int, upstream: str) -> None:
        self._enter = enter
        self._address = address
        self._port = port
        self._upstream = upstream
        self._process: subprocess.Popen[str] | None = None

    @property
    def dsn(self) -> str:
        """The server's address through this relay."""
        return make_conninfo(self._upstream, host=self._address, port=self._port)

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None:
            return
        words = [sys.executable, "-m", "tests.support.relay", self._address, str(self._port), self._upstream]
        self._process = subprocess.Popen([*self._enter, *words], cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert int(self._process.stdout.readline()) == self._port

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def end(self) -> None:
        """End it with all its connections."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def _running(relay: _Relay) -> Iterator[_Relay]:
    relay.start()
    try:
        yield relay
    finally:
        relay.end()
