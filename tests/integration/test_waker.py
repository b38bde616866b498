"""The flag that wakes the daemon: raised by threads and by signals, and never lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from syncd.engine.waker import Waker

LONG_S = 20.0


@pytest.fixture
def waker() -> Iterator[Waker]:
    made = Waker()
    yield made
    made.close()


def test_a_flag_raised_before_the_wait_is_seen_once(waker: Waker) -> None:
    """Raised any number of times while nobody waits, the flag ends the next wait, and not the one after it."""
    for _ in range(100_000):
        waker.wake()
    assert waker.wait(LONG_S)
    assert not waker.wait(0.0)


def test_another_thread_ends_a_wait(waker: Waker) -> None:
    """A wait ends as soon as another thread raises the flag."""
    begun = time.monotonic()
    thread = threading.Timer(0.02, waker.wake)
    thread.start()
    assert waker.wait(LONG_S)
    assert time.monotonic() - begun < LONG_S
    thread.join()


def test_a_signal_before_the_wait_ends_it(waker: Waker) -> None:
    """A signal that comes when a wait is about to begin ends it, whether its handler has had its turn or not."""
    handler = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    wakeup_fd = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    try:
        signal.raise_signal(signal.SIGUSR1)
        assert waker.wait(LONG_S)
    finally:
        signal.set_wakeup_fd(wakeup_fd)
        signal.signal(signal.SIGUSR1, handler)


def test_a_closed_flag_may_be_raised(waker: Waker) -> None:
    """Whoever still raises the flag after its end does no harm."""
    waker.close()
    waker.wake()
