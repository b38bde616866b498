"""Locks: one holder, named; freed when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncd.errors import Busy, InputOutputError
from syncd.files.layout import Layout
from syncd.files.lock import advisory_lock, cycle_lock, daemon_lock, holder

HOLD = """
import sys
from pathlib import Path
from syncd.files.layout import Layout
from syncd.files.lock import daemon_lock
with daemon_lock(Layout(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / ".syncd").mkdir()
    return Layout(tmp_path)


@contextmanager
def other_process(layout: Layout) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(layout.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_case_38_a_second_daemon_is_told_who_is_there(layout: Layout) -> None:
    """While one process holds the daemon's lock, another gets exit 75 and the holder's pid; a kill frees it."""
    with other_process(layout) as process:
        held = holder(layout.daemon_lock)
        assert held is not None
        assert held.pid == process.pid
        with pytest.raises(Busy, match=f"process {process.pid}") as caught:
            daemon_lock(layout).acquire()
        assert caught.value.exit_code == 75
        process.kill()
        process.wait()
        with daemon_lock(layout):
            mine = holder(layout.daemon_lock)
            assert mine is not None
            assert mine.pid == os.getpid()
    assert holder(layout.daemon_lock) is None


def test_asking_who_holds_a_lock_disturbs_nobody(layout: Layout) -> None:
    """A lock that is free stays to be had while others ask about it."""
    lock = cycle_lock(layout)
    for _ in range(20):
        assert holder(layout.cycle_lock) is None
        with lock:
            assert holder(layout.cycle_lock) is not None


def test_a_lock_is_not_taken_twice(layout: Layout) -> None:
    """Within one process, too, the second one waits and is then told."""
    with cycle_lock(layout) as lock:
        with pytest.raises(Busy):
            lock.acquire()
        with pytest.raises(Busy):
            cycle_lock(layout, deadline_s=0.02).acquire()
    lock.release()


def test_flock_of_the_shell_takes_part(layout: Layout) -> None:
    """The lock for editing task files is the one that flock(1) takes."""
    with advisory_lock(layout):
        script = f"import fcntl; fcntl.flock(open({str(layout.advisory_lock)!r}), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "BlockingIOError" in done.stderr


def test_a_lock_that_cannot_be_opened(layout: Layout) -> None:
    """Something else under the lock's name is an input/output error, not a free lock."""
    layout.cycle_lock.mkdir()
    with pytest.raises(InputOutputError):
        cycle_lock(layout).acquire()


def test_a_lock_is_not_made_in_a_folder_that_is_missing(tmp_path: Path) -> None:
    """An empty mount point is no workspace: locking it is an error, and leaves it empty."""
    with pytest.raises(InputOutputError):
        cycle_lock(Layout(tmp_path)).acquire()
    assert list(tmp_path.iterdir()) == []
