"""What ends a worker's processes when the worker itself was killed, and gives its cards back.

A worker starts one, in a session of its own, and holds the other end of its standard input.  A word on it
means that the worker ended in order; the end of the file without one means that it is gone, whatever
killed it.  The lease alone would not do: until it expires the card is nobody else's, but the orphaned
command would work on for ever.  May import ``syncd.api``, ``syncd.errors`` and ``syncd.work``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

from syncd.work.processes import find, signal_all

GOODBYE: Final = b"."
_LOOK_S: Final = 0.05
_STORE_WAIT_S: Final = 60.0


def start(root: str, owner: str, kill_after_s: float) -> subprocess.Popen[bytes]:
    """Start a watchdog over the processes of this worker."""
    words = [sys.executable, "-P", "-m", "syncd.work.watchdog", root, owner, str(kill_after_s)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def say_goodbye(watchdog: subprocess.Popen[bytes]) -> None:
    """End a watchdog: the worker has nothing left to watch over."""
    with suppress(BrokenPipeError):
        watchdog.communicate(GOODBYE)


def main(root: str, owner: str, kill_after_s: float) -> int:
    """Wait for the worker's end; if it was not in order, end what it ran and give its cards back."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    if sys.stdin.buffer.read():
        return 0
    end_all(owner, kill_after_s)
    return _bury(root, owner)


def end_all(owner: str, kill_after_s: float) -> None:
    """End every process of a worker: asked first, then killed."""
    began, number = time.monotonic(), signal.SIGTERM
    asked: set[int] = set()
    while left := find(lambda mark: mark.startswith(f"{owner}~")):
        if time.monotonic() - began >= kill_after_s:
            number, asked = signal.SIGKILL, set()
        signal_all(left - asked, number)
        asked |= left
        time.sleep(_LOOK_S)


def _bury(root: str, owner: str) -> int:
    """Give the worker's cards back; without a store their leases expire by themselves."""
    from syncd import api
    from syncd.errors import StoreUnreachable, SyncdError

    deadline = time.monotonic() + _STORE_WAIT_S
    while True:
        try:
            with api.open(root, actor=f"{owner}'s watchdog", environ=os.environ, face="work") as workspace:
                workspace.workers.bury(owner)
        except StoreUnreachable:
            if time.monotonic() >= deadline:
                return StoreUnreachable.exit_code
            time.sleep(1.0)
        except SyncdError as error:
            return error.exit_code
        else:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
