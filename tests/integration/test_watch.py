"""The watch: every way of saving wakes, whatever happens to the directory, however the events come."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncd.files.inotify import IN_Q_OVERFLOW, Event, Inotify
from syncd.files.watch import LOOK_S, Watch, WatchMode, network_file_system

DEADLINE_S = 30.0
SELDOM_S = 3600.0
"""So far apart that nothing but an event wakes."""


class Wakes:
    """Counts wake-ups, and waits for the next."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.count = 0

    def wake(self) -> None:
        with self._condition:
            self.count += 1
            self._condition.notify_all()

    def after(self, act: Callable[[], object], deadline_s: float = DEADLINE_S) -> bool:
        """Return whether a wake-up came after an act."""
        with self._condition:
            self.count = 0
        act()
        with self._condition:
            return self._condition.wait_for(lambda: self.count > 0, deadline_s)


def refused(code: int) -> Callable[[], Inotify]:
    """Stand for a system on which inotify cannot be had."""

    def start() -> Inotify:
        raise OSError(code, os.strerror(code))

    return start


@contextmanager
def watching(*paths: Path, start: Callable[[], Inotify] = Inotify) -> Iterator[tuple[Watch, Wakes]]:
    wakes = Wakes()
    watch = Watch(lambda: paths, wakes.wake, start=start)
    try:
        yield watch, wakes
    finally:
        watch.close()
        watch.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "docs" / "TASKS.md"
    made.parent.mkdir()
    made.write_text("one\n")
    return made


@pytest.fixture
def look_seldom(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and from the next look on only events wake."""
    return lambda: monkeypatch.setattr("syncd.files.watch.LOOK_S", SELDOM_S)


def renamed_over(path: Path) -> None:
    beside = path.with_name("4913~")
    beside.write_text(f"{time.monotonic_ns()}\n")
    beside.rename(path)


def truncated(path: Path) -> None:
    path.write_text("")
    path.write_text(f"{time.monotonic_ns()}\n")


def appended(path: Path) -> None:
    with path.open("a") as file:
        file.write("more\n")


def linked(path: Path) -> None:
    beside = path.with_name("beside.md")
    beside.write_text("x\n")
    path.unlink()
    os.link(beside, path)


@pytest.mark.parametrize("save", [renamed_over, truncated, appended, linked, Path.unlink])
def test_case_03_every_way_of_saving_wakes_at_once(
    path: Path, save: Callable[[Path], None], look_seldom: Callable[[], None]
) -> None:
    """A save by rename, in place or by link, and a removal, wake by an event, again and again."""
    look_seldom()
    with watching(path) as (watch, wakes):
        assert (watch.mode, watch.reason) == (WatchMode.INOTIFY, None)
        for _ in range(1 if save is Path.unlink else 3):
            assert wakes.after(lambda: save(path))


def test_other_files_do_not_wake(path: Path) -> None:
    """Files that are not watched wake nobody, in the same directory either."""
    with watching(path) as (_, wakes):
        for number in range(20):
            path.with_name(f"notes-{number}.md").write_text("x")
        assert not wakes.after(lambda: None, deadline_s=2.2 * LOOK_S)


def test_a_replaced_directory_is_watched_again(path: Path, look_seldom: Callable[[], None]) -> None:
    """After its directory was moved away and another put there, saves wake at once as before."""
    with watching(path) as (watch, wakes):
        path.parent.rename(path.parent.with_name("away"))
        path.parent.mkdir()
        assert wakes.after(lambda: path.write_text("two\n"))
        look_seldom()
        settled(wakes)
        assert wakes.after(lambda: renamed_over(path))
        assert watch.mode is WatchMode.INOTIFY


def test_a_removed_directory_is_watched_when_it_returns(path: Path, look_seldom: Callable[[], None]) -> None:
    """A directory that is deleted, and one day made again, is watched again."""
    with watching(path) as (_, wakes):
        path.unlink()
        path.parent.rmdir()
        settled(wakes)
        path.parent.mkdir()
        assert wakes.after(lambda: path.write_text("two\n"))
        look_seldom()
        settled(wakes)
        assert wakes.after(lambda: appended(path))


def test_the_target_of_a_link_is_watched(path: Path, tmp_path: Path, look_seldom: Callable[[], None]) -> None:
    """A save of the file that a symlinked task file leads to wakes at once."""
    link = tmp_path / "TASKS.md"
    link.symlink_to("docs/TASKS.md")
    look_seldom()
    with watching(link) as (_, wakes):
        assert wakes.after(lambda: renamed_over(path))


def test_a_file_that_stays_open_is_noticed(path: Path) -> None:
    """A program that writes and does not close its file is noticed within a look or two."""
    with path.open("a") as held, watching(path) as (_, wakes):

        def write() -> None:
            held.write("more\n")
            held.flush()

        assert wakes.after(write)


def test_paths_may_change(path: Path, look_seldom: Callable[[], None]) -> None:
    """Files that come to be watched later wake when they come, and at once afterwards."""
    paths = [path]
    wakes = Wakes()
    watch = Watch(lambda: tuple(paths), wakes.wake)
    try:
        other = path.parent.parent / "TASKS.md"
        other.write_text("x")
        assert wakes.after(lambda: paths.append(other))
        look_seldom()
        settled(wakes)
        assert wakes.after(lambda: appended(other))
    finally:
        watch.close()


def test_case_31_lost_events_wake(path: Path, look_seldom: Callable[[], None]) -> None:
    """When the kernel says that it dropped events, everything is looked at."""

    class Overflowing(Inotify):
        has_overflown = False

        def read(self) -> list[Event]:
            events = super().read()
            self.has_overflown = bool(events)
            return [Event(-1, IN_Q_OVERFLOW, "")] if events else []

    look_seldom()
    with watching(path, start=Overflowing) as (_, wakes):
        assert wakes.after(lambda: path.with_name("other.md").write_text("x"))


def test_case_32_a_watch_that_is_refused_means_polling(path: Path) -> None:
    """Over the limit of watches the files are polled, and it says so; when there is room again, no more."""
    is_full = [True]

    class Limited(Inotify):
        def add(self, directory: Path) -> int:
            if is_full[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().add(directory)

    with watching(path, start=Limited) as (watch, wakes):
        assert watch.mode is WatchMode.POLL
        assert watch.reason is not None
        assert "max_user_watches" in watch.reason
        assert wakes.after(lambda: appended(path))
        is_full[0] = False
        assert wakes.after(lambda: None)
        assert (watch.mode, watch.reason) == (WatchMode.INOTIFY, None)


def test_without_an_instance_it_polls(path: Path) -> None:
    """Where no inotify instance is to be had, saves are noticed by looking, and the reason is told."""
    with watching(path, start=refused(errno.EMFILE)) as (watch, wakes):
        assert watch.mode is WatchMode.POLL
        assert watch.reason is not None
        assert "Too many open files" in watch.reason
        assert wakes.after(lambda: renamed_over(path))


def test_without_inotify_watchfiles_watches(path: Path) -> None:
    """On a system without inotify watchfiles wakes, also after the directory was replaced."""
    with watching(path, start=refused(errno.ENOSYS)) as (watch, wakes):
        assert watch.mode is WatchMode.WATCHFILES
        assert wakes.after(lambda: renamed_over(path))
        path.parent.rename(path.parent.with_name("away"))
        path.parent.mkdir()
        assert wakes.after(lambda: path.write_text("two\n"))
        settled(wakes)
        assert wakes.after(lambda: appended(path))


def test_no_save_is_missed(path: Path) -> None:
    """Of many saves in quick order, a wake-up always follows the last."""
    seen = [""]
    is_last = threading.Event()

    def wake() -> None:
        seen[0] = path.read_text() if path.exists() else ""
        if seen[0].startswith("last"):
            is_last.set()

    watch = Watch(lambda: (path,), wake)
    try:
        for number in range(300):
            (renamed_over if number % 2 else appended)(path)
        path.write_text("last\n")
        assert is_last.wait(DEADLINE_S)
    finally:
        watch.close()


def test_no_wake_up_comes_after_close(path: Path) -> None:
    """When close has returned, nothing wakes any more."""
    with watching(path) as (_, wakes):
        pass
    assert not wakes.after(lambda: appended(path), deadline_s=0.1)


def test_a_local_file_system_is_no_network(tmp_path: Path) -> None:
    """The file system of the temporary folder is not taken for one of the network."""
    assert network_file_system(tmp_path.stat().st_dev) is None


def settled(wakes: Wakes) -> None:
    """Wait until no wake-up came for a while."""
    while wakes.after(lambda: None, deadline_s=1.3 * LOOK_S):
        pass
