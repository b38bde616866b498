"""Running a command in this process's place: it gets the signals, and its end is this process's end.

May import ``syncd.errors``.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from syncd.errors import InputOutputError, UsageError

_SIGNALED: Final = 128
"""What a shell adds to the number of the signal that ended a command."""

_FORWARDED: Final = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
)
_BY_TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGQUIT})


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    pass_fds: Sequence[int] = (),
    begun: Callable[[], None] = lambda: None,
) -> int:
    """Run a command and return its exit code, as a shell tells it; signals sent to this process go on to it.

    Args:
        pass_fds: what of this process stays open in the command.
        begun: called when it runs.

    Raises: UsageError when there is no such command, InputOutputError when it cannot be run.
    """
    try:
        with _forwarding() as send_to:
            process = subprocess.Popen(command, env=dict(environ), pass_fds=pass_fds)
            send_to(process)
            begun()
            code = process.wait()
    except FileNotFoundError:
        raise UsageError(f"no such command: {command[0]}") from None
    except OSError as error:
        raise InputOutputError(f"{command[0]} cannot be run: {error.strerror}") from error
    return code if code >= 0 else _SIGNALED - code


class _Receiver:
    """Sends on the signals that this process gets, once there is somebody to send them to."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __call__(self, process: subprocess.Popen[bytes]) -> None:
        """Name the process; it gets what came before."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Send a signal on, unless the terminal has sent it to the command as well."""
        if number in _BY_TERMINAL and _is_foreground():
            return
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


@contextmanager
def _forwarding() -> Iterator[_Receiver]:
    """Send the signals that this process gets on to a command, once it is named."""
    receiver = _Receiver()
    before = {each: signal.signal(each, receiver.take) for each in _FORWARDED}
    try:
        yield receiver
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _is_foreground() -> bool:
    """Return whether this process is in the foreground of a terminal, whose keys reach the command by themselves."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
