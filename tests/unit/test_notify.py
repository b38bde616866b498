"""What the daemon tells a service manager, as the manager's socket hears it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.notify import ServiceManager

PID = 4711


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        yield made


def _manager(heard: socket.socket, **more: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": heard.getsockname(), **more}, PID)


def test_the_life_of_a_daemon_is_told(heard: socket.socket) -> None:
    """Ready, reloading with the monotonic clock, stopping: each is one datagram."""
    manager = _manager(heard)
    manager.ready()
    assert heard.recv(100) == b"READY=1"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.reloading()
    first, second = heard.recv(100).decode().splitlines()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) < before + 5_000_000
    manager.stopping()
    assert heard.recv(100) == b"STOPPING=1"


def test_a_status_is_one_line_and_sent_once(heard: socket.socket) -> None:
    """A status with line ends cannot smuggle in another assignment, and the same one twice is sent once."""
    manager = _manager(heard)
    manager.status("away\nMAINPID=1")
    manager.status("away\nMAINPID=1")
    manager.stopping()
    assert heard.recv(100) == b"STATUS=away MAINPID=1"
    assert heard.recv(100) == b"STOPPING=1"


def test_the_watchdog_is_fed_three_times_as_often_as_it_asks(heard: socket.socket) -> None:
    """A sign of life comes where the manager asked this process for one."""
    manager = _manager(heard, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(PID))
    assert manager.alive_every_s == 10.0
    manager.alive()
    assert heard.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
def test_no_watchdog_no_sign_of_life(heard: socket.socket, environ: dict[str, str]) -> None:
    """Without a watchdog, or with another process's, nothing is sent."""
    manager = _manager(heard, **environ)
    assert manager.alive_every_s == 0.0
    manager.alive()
    manager.stopping()
    assert heard.recv(100) == b"STOPPING=1"


def test_a_name_in_no_file_system_is_reached() -> None:
    """An abstract address, which begins with @, is one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        name = f"syncd-test-{os.getpid()}"
        made.bind(b"\0" + name.encode())
        made.settimeout(5)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}, PID).ready()
        assert made.recv(100) == b"READY=1"


@pytest.mark.parametrize("named", [None, "", "nowhere", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(named: str | None) -> None:
    """No socket, a strange one, or one that is gone is no reason to stop."""
    ServiceManager({} if named is None else {"NOTIFY_SOCKET": named}, PID).ready()
