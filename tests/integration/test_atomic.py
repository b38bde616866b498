"""Task files on real file systems: stable looks, verified replacement, every way in which others interfere."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from syncd.errors import InputOutputError
from syncd.files import atomic, reading
from syncd.files.atomic import OUT, Rename, Replacement, digest
from syncd.files.layout import Layout
from syncd.files.task_files import WorkspaceFiles
from syncd.schemas.config import Config, TaskEntry
from tests.support.syncs import recorded_syncs

OLD: Final = b"| id | status |\n"
NEW: Final = b"| id | status |\n| A1 | done |\n"
EDIT: Final = b"| id | status |\n| A2 | ready |\n"
NOBODY: Final = 65534


def no_exchange(source: Path, target: Path) -> None:
    """Stand for a file system that cannot exchange names."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(source), None, str(target))


def made(root: Path, exchanging: Rename = atomic.exchange, config: Config | None = None) -> WorkspaceFiles:
    (root / ".syncd").mkdir(exist_ok=True)
    return WorkspaceFiles(Layout(root), config or Config(), exchanging=exchanging)


@pytest.fixture(params=[atomic.exchange, no_exchange], ids=["exchange", "link"])
def exchanging(request: pytest.FixtureRequest) -> Rename:
    """Each way of replacing in turn."""
    rename: Rename = request.param
    return rename


@pytest.fixture
def files(exchanging: Rename, tmp_path: Path) -> WorkspaceFiles:
    """A workspace with one task file."""
    (tmp_path / "TASKS.md").write_bytes(OLD)
    return made(tmp_path, exchanging)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def interrupted(act: Callable[[], object], calls: int = 1) -> Rename:
    """Return an exchange before whose first calls (but the probe's) somebody acts."""
    left = [calls]

    def exchanging(source: Path, target: Path) -> None:
        if not source.name.startswith(".probe.") and left[0]:
            left[0] -= 1
            act()
        atomic.exchange(source, target)

    return exchanging


def saved_by_rename(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).rename(path)


# --- reading -------------------------------------------------------------------------------------


def test_a_file_is_read_with_its_digest(files: WorkspaceFiles) -> None:
    """A look gives bytes, digest and a signature; an absent file gives none of them, and no error."""
    look = files.read("TASKS.md")
    assert (look.data, look.digest, look.error) == (OLD, digest(OLD), None)
    absent = files.read("absent/TASKS.md")
    assert (absent.data, absent.digest, absent.signature, absent.error) == (None, None, None, None)


def test_case_08_a_young_file_equals_no_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right after a write no two signatures are equal, since a second write in the same tick has the same stat."""
    monkeypatch.setattr(reading, "_RACY_NS", 60 * 10**9)
    files = made(tmp_path)
    path = tmp_path / "TASKS.md"
    path.write_bytes(b"aaaa")
    assert len({files.read("TASKS.md").signature, files.signature("TASKS.md"), files.signature("TASKS.md")}) == 3
    tomorrow = time.time_ns() + 86_400 * 10**9
    os.utime(path, ns=(tomorrow, tomorrow))
    assert files.signature("TASKS.md") == files.signature("TASKS.md")


def test_a_settled_file_keeps_its_signature(tmp_path: Path) -> None:
    """A file that nobody touched for a while has one signature, which a read gives too."""
    files = made(tmp_path)
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    mark = atomic.signature(path)
    assert mark is not None
    wait_until(lambda: files.signature("TASKS.md") == mark)
    assert files.read("TASKS.md").signature == mark


def test_case_25_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file over the limit is told with both sizes, and nothing of it is read."""
    files = made(tmp_path, config=Config(bytes_max=10))
    (tmp_path / "TASKS.md").write_bytes(b"x" * 11)
    look = files.read("TASKS.md")
    assert look.data is None
    assert look.error is not None
    assert "11 bytes; at most 10" in look.error
    (tmp_path / "TASKS.md").write_bytes(b"x" * 10)
    assert files.read("TASKS.md").data == b"x" * 10


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    """A folder or a pipe under a task file's name is an error, and nothing waits for it."""
    files = made(tmp_path)
    path = tmp_path / "TASKS.md"
    if kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    look = files.read("TASKS.md")
    assert look.data is None
    assert look.error == "TASKS.md is no regular file."


def write_while_reading(monkeypatch: pytest.MonkeyPatch, path: Path, times: int) -> None:
    """Let somebody write over a file's first bytes, each time that it is read, so often."""
    read, left = os.read, [times]

    def read_and_write(handle: int, size: int) -> bytes:
        data = read(handle, size)
        if data and left[0]:
            left[0] -= 1
            with path.open("r+b") as file:
                file.write(b"%04d" % left[0])
        return data

    monkeypatch.setattr(os, "read", read_and_write)


def test_case_01_a_file_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that were written over while they were read are never handed on."""
    files = made(tmp_path)
    path = tmp_path / "TASKS.md"
    path.write_bytes(b"aaaa")
    write_while_reading(monkeypatch, path, times=2)
    look = files.read("TASKS.md")
    assert (look.data, look.error) == (b"0000", None)


def test_a_file_that_keeps_changing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes at every look is an error, not half a file."""
    files = made(tmp_path)
    path = tmp_path / "TASKS.md"
    path.write_bytes(b"aaaa")
    write_while_reading(monkeypatch, path, times=1000)
    look = files.read("TASKS.md")
    assert (look.data, look.error) == (None, "TASKS.md changes while it is read.")


# --- replacing -----------------------------------------------------------------------------------


def test_a_file_is_replaced_and_the_other_kept(files: WorkspaceFiles, tmp_path: Path) -> None:
    """A replacement puts the new bytes in place, keeps what came out, and leaves nothing else behind."""
    staged = files.stage("TASKS.md", NEW)
    assert files.digest_of(staged) == digest(NEW)
    outcome = files.replace("TASKS.md", staged, digest(OLD))
    assert outcome.matched
    assert outcome.digest == digest(OLD)
    assert outcome.displaced is not None
    assert Path(outcome.displaced).read_bytes() == OLD
    assert Path(outcome.displaced).parent == tmp_path / ".syncd" / "displaced" / "TASKS.md"
    assert (tmp_path / "TASKS.md").read_bytes() == NEW
    assert names(tmp_path) == {"TASKS.md", ".syncd"}
    assert [each.digest for each in files.versions("TASKS.md")] == [digest(OLD)]


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the name of each file or folder that is made durable."""
    done: list[str] = []
    fsync = os.fsync

    def fsync_and_record(handle: int) -> None:
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fsync_and_record)
    return done


def test_case_43_bytes_are_durable_before_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The staged bytes reach the disk before they change places, and the directory after it."""
    done = recorded(monkeypatch)

    def exchanging(source: Path, target: Path) -> None:
        atomic.exchange(source, target)
        done.append("exchange" if target.name == "TASKS.md" else "probe")

    (tmp_path / "TASKS.md").write_bytes(OLD)
    files = made(tmp_path, exchanging)
    staged = files.stage("TASKS.md", NEW)
    files.replace("TASKS.md", staged, digest(OLD))
    assert done == [Path(staged).name, "probe", "exchange", tmp_path.name]


def test_case_43_whole_files_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole file is written beside, made durable, put in place, and its directory made durable."""
    path = tmp_path / "manifest.json"
    path.write_bytes(b"{}")
    path.chmod(0o640)
    done = recorded(monkeypatch)
    atomic.write_whole(path, b"[]")
    assert path.read_bytes() == b"[]"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [name.partition(".syncd-")[0] for name in done] == [".manifest.json", tmp_path.name]
    assert names(tmp_path) == {"manifest.json"}


def test_how_a_directory_is_replaced_is_probed_once(files: WorkspaceFiles, tmp_path: Path) -> None:
    """The way of replacing shows per directory, and the probe leaves nothing behind."""
    assert files.replacements == {}
    found = files.replacement("TASKS.md")
    assert files.replacements == {tmp_path: found}
    assert names(tmp_path) == {"TASKS.md", ".syncd"}


def test_case_04_a_save_before_the_last_look(files: WorkspaceFiles, tmp_path: Path) -> None:
    """An edit that landed before the replacement is left alone, and its digest told."""
    staged = files.stage("TASKS.md", NEW)
    (tmp_path / "TASKS.md").write_bytes(EDIT)
    outcome = files.replace("TASKS.md", staged, digest(OLD))
    assert (outcome.displaced, outcome.digest, outcome.matched) == (None, digest(EDIT), False)
    assert (tmp_path / "TASKS.md").read_bytes() == EDIT
    files.discard(staged)
    files.discard(staged)
    assert names(tmp_path) == {"TASKS.md", ".syncd"}


@pytest.mark.parametrize("save", [saved_by_rename, Path.write_bytes], ids=["rename", "in place"])
def test_case_05_a_save_between_the_last_look_and_the_exchange(
    tmp_path: Path, save: Callable[[Path, bytes], object]
) -> None:
    """An edit that lands at the very last moment comes out, is told by its digest, and can be swapped back."""
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    files = made(tmp_path, interrupted(lambda: save(path, EDIT)))
    outcome = files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    assert not outcome.matched
    assert outcome.digest == digest(EDIT)
    assert outcome.displaced is not None
    assert files.bytes_of(outcome.displaced) == EDIT
    assert path.read_bytes() == NEW
    assert files.swap_back("TASKS.md", outcome.displaced, digest(NEW))
    assert path.read_bytes() == EDIT
    assert [each.digest for each in files.versions("TASKS.md")] == [digest(NEW)]


def test_a_swap_back_that_meets_another_save(tmp_path: Path) -> None:
    """A save at the last moment of a swap back stays the file, and the displaced bytes stay kept."""
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    later = b"later\n"
    saves = iter([EDIT, later])
    files = made(tmp_path, interrupted(lambda: saved_by_rename(path, next(saves)), calls=2))
    outcome = files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    assert outcome.displaced is not None
    assert not files.swap_back("TASKS.md", outcome.displaced, digest(NEW))
    assert path.read_bytes() == later
    assert files.bytes_of(outcome.displaced) == EDIT
    assert not files.swap_back("TASKS.md", outcome.displaced, digest(NEW))


def test_a_file_is_removed_while_it_is_what_it_was(
    files: WorkspaceFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with the expected content goes, durably and with nothing left beside it; another stays as it is."""
    path = tmp_path / "TASKS.md"
    with monkeypatch.context() as patch:
        # Not even for a moment.
        patch.delattr(Path, "rename")
        assert not files.remove("TASKS.md", digest(EDIT))
    assert path.read_bytes() == OLD
    done = recorded_syncs(monkeypatch)
    assert files.remove("TASKS.md", digest(OLD))
    assert done == [tmp_path.name]
    assert names(tmp_path) <= {".syncd"}
    assert not files.remove("TASKS.md", digest(OLD))


@pytest.mark.parametrize("again", [None, b"a third\n"], ids=["one", "two"])
def test_a_save_at_the_last_moment_of_a_removal_is_kept(
    files: WorkspaceFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bytes | None
) -> None:
    """What was saved before the removal is the file again; with another file there already it is a late write."""
    path = tmp_path / "TASKS.md"
    rename = Path.rename

    def rename_among_saves(source: Path, target: Path) -> Path:
        if source != path:
            return rename(source, target)
        path.write_bytes(EDIT)
        moved = rename(source, target)
        if again is not None:
            path.write_bytes(again)
        return moved

    monkeypatch.setattr(Path, "rename", rename_among_saves)
    assert not files.remove("TASKS.md", digest(OLD))
    assert path.read_bytes() == (again or EDIT)
    # Under the digest that was expected it is found to differ at the next looks.
    kept = [(each.digest, each.path.read_bytes()) for each in files.versions("TASKS.md")]
    assert kept == ([] if again is None else [(digest(OLD), EDIT)])


def test_a_swap_back_leaves_an_edited_file_alone(tmp_path: Path) -> None:
    """A task file that was saved since is not swapped for a moment, not even to be swapped again."""
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    swaps: list[Path] = []

    def exchanging(source: Path, target: Path) -> None:
        swaps.append(target)
        atomic.exchange(source, target)

    files = made(tmp_path, exchanging)
    outcome = files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    assert outcome.displaced is not None
    saved_by_rename(path, EDIT)
    before = len(swaps)
    assert not files.swap_back("TASKS.md", outcome.displaced, digest(NEW))
    assert (len(swaps), path.read_bytes()) == (before, EDIT)


def test_case_33_a_file_that_vanishes_at_the_last_moment(tmp_path: Path) -> None:
    """A task file removed before the exchange stays removed, and the staged file is still there."""
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    files = made(tmp_path, interrupted(path.unlink))
    staged = files.stage("TASKS.md", NEW)
    outcome = files.replace("TASKS.md", staged, digest(OLD))
    assert (outcome.displaced, outcome.digest, outcome.matched) == (None, None, False)
    assert not path.exists()
    assert files.digest_of(staged) == digest(NEW)


def test_case_34_an_absent_file_is_created_only_while_absent(files: WorkspaceFiles, tmp_path: Path) -> None:
    """A file that appears between the look and the write is left alone; else the new one is put there."""
    path = tmp_path / "docs" / "TASKS.md"
    staged = files.stage("docs/TASKS.md", NEW)
    path.write_bytes(EDIT)
    outcome = files.replace("docs/TASKS.md", staged, None)
    assert (outcome.displaced, outcome.digest, outcome.matched) == (None, digest(EDIT), False)
    assert path.read_bytes() == EDIT
    path.unlink()
    assert files.replace("docs/TASKS.md", staged, None).matched
    assert path.read_bytes() == NEW
    assert names(path.parent) == {"TASKS.md"}


def test_where_no_new_name_can_be_refused_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without RENAME_NOREPLACE, too, a new file never covers one that is there."""
    monkeypatch.setattr(atomic, "_renameat2", None)
    files = made(tmp_path)
    staged = files.stage("TASKS.md", NEW)
    (tmp_path / "TASKS.md").write_bytes(EDIT)
    assert not files.replace("TASKS.md", staged, None).matched
    (tmp_path / "TASKS.md").unlink()
    assert files.replace("TASKS.md", staged, None).matched
    assert files.replacement("TASKS.md") is Replacement.LINK
    assert names(tmp_path) == {"TASKS.md", ".syncd"}


def test_case_06_a_writer_that_still_holds_the_old_file(exchanging: Rename, tmp_path: Path) -> None:
    """What is written in place into a displaced file is reported, with what it was and what it is."""
    now = [0.0]
    (tmp_path / ".syncd").mkdir()
    (tmp_path / "TASKS.md").write_bytes(OLD)
    files = WorkspaceFiles(Layout(tmp_path), Config(), clock=lambda: now[0], exchanging=exchanging)
    with (tmp_path / "TASKS.md").open("ab") as held:
        outcome = files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
        assert outcome.displaced is not None
        assert files.next_look_s() == 0.05
        held.write(b"| A9 | done |\n")
    now[0] = 0.05
    assert files.late_writes() == ()
    now[0] = 0.55
    (late,) = files.late_writes()
    assert (late.path, late.before) == ("TASKS.md", digest(OLD))
    assert files.bytes_of(late.absolute) == OLD + b"| A9 | done |\n"
    files.taken_in(late)
    now[0] = 200.0
    assert files.late_writes() == ()
    assert files.next_look_s() is None


@pytest.mark.parametrize("before", [digest(OLD), ""])
def test_what_cannot_be_put_back_is_reported_late(tmp_path: Path, before: str) -> None:
    """A displaced edit that could not be put back is reported as a late write, by a later process too."""
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    files = made(tmp_path, interrupted(lambda: saved_by_rename(path, EDIT)))
    outcome = files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    assert outcome.displaced is not None
    files.report_late("TASKS.md", outcome.displaced, before)
    for is_taken_in in (False, True):
        now = [0.0]
        later = WorkspaceFiles(Layout(tmp_path), Config(), clock=partial(now.__getitem__, 0))
        assert later.late_writes() == ()
        now[0] = 0.05
        assert later.late_writes() == ()
        now[0] = 0.55
        (late,) = later.late_writes()
        assert later.bytes_of(late.absolute) == EDIT
        if is_taken_in:
            later.taken_in(late)
    assert [each.digest for each in files.versions("TASKS.md")] == [digest(EDIT)]


# --- what a crash leaves ---------------------------------------------------------------------------


def test_a_crash_after_the_exchange_is_finished_later(files: WorkspaceFiles, tmp_path: Path) -> None:
    """The staged name leads to the bytes that came out, before they are kept and after."""
    staged = files.stage("TASKS.md", NEW)
    if files.replacement("TASKS.md") is Replacement.EXCHANGE:
        atomic.exchange(Path(staged), tmp_path / "TASKS.md")
    else:
        (tmp_path / "TASKS.md").rename(staged + OUT)
        Path(staged).rename(tmp_path / "TASKS.md")
    assert files.digest_of(staged) == digest(OLD)
    kept = files.set_aside("TASKS.md", staged)
    assert files.digest_of(kept) == digest(OLD)
    assert files.digest_of(staged) == digest(OLD)
    assert files.set_aside("TASKS.md", staged) == kept
    assert names(tmp_path) == {"TASKS.md", ".syncd"}


def test_a_crash_within_an_emulated_exchange(tmp_path: Path) -> None:
    """Cut off after its link, an emulated exchange has done nothing, and is cleared away whole."""
    files = made(tmp_path, no_exchange)
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    staged = files.stage("TASKS.md", NEW)
    os.link(path, staged + OUT)
    assert files.digest_of(staged) == digest(NEW)
    files.discard(staged)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == {"TASKS.md", ".syncd"}


def test_an_emulated_exchange_that_meets_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names are not exchanged, a save between link and rename is noticed, and left alone."""
    files = made(tmp_path, no_exchange)
    path = tmp_path / "TASKS.md"
    path.write_bytes(OLD)
    link = os.link

    def link_and_save(source: Path, target: Path) -> None:
        link(source, target)
        saved_by_rename(path, EDIT)

    monkeypatch.setattr(os, "link", link_and_save)
    staged = files.stage("TASKS.md", NEW)
    outcome = files.replace("TASKS.md", staged, digest(OLD))
    assert (outcome.displaced, outcome.digest, outcome.matched) == (None, digest(EDIT), False)
    assert path.read_bytes() == EDIT
    files.discard(staged)
    assert names(tmp_path) == {"TASKS.md", ".syncd"}


def test_staged_files_of_a_crash_are_found(files: WorkspaceFiles) -> None:
    """Staged files that no journal names are left over; the journal's own are not."""
    first, second = files.stage("TASKS.md", NEW), files.stage("TASKS.md", EDIT)
    assert files.leftovers([first]) == (Path(second),)


# --- links, modes, file systems --------------------------------------------------------------------


def test_case_28_a_symlink_stays_a_symlink(files: WorkspaceFiles, tmp_path: Path) -> None:
    """A symlinked task file keeps its link; the target is replaced, staged beside itself."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "TASKS.md").rename(tmp_path / "docs" / "real.md")
    (tmp_path / "TASKS.md").symlink_to("docs/real.md")
    assert files.read("TASKS.md").data == OLD
    staged = files.stage("TASKS.md", NEW)
    assert Path(staged).parent == tmp_path / "docs"
    assert files.replace("TASKS.md", staged, digest(OLD)).matched
    assert (tmp_path / "TASKS.md").is_symlink()
    assert (tmp_path / "docs" / "real.md").read_bytes() == NEW
    assert names(tmp_path / "docs") == {"real.md"}


def test_case_28_a_symlink_that_leads_out_is_refused(tmp_path: Path) -> None:
    """A link out of the workspace is neither read nor written: read tells why, stage raises."""
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside.md"
    outside.write_bytes(OLD)
    (root / "TASKS.md").symlink_to(outside)
    files = made(root)
    look = files.read("TASKS.md")
    assert look.data is None
    assert look.error is not None
    assert "leads out of the workspace" in look.error
    with pytest.raises(InputOutputError):
        files.stage("TASKS.md", NEW)
    assert outside.read_bytes() == OLD
    assert names(tmp_path) == {"root", "outside.md"}


def test_case_29_mode_owner_and_attributes_stay(files: WorkspaceFiles, tmp_path: Path) -> None:
    """The new file has the mode, the owner where that is allowed, and the attributes of the one before."""
    path = tmp_path / "TASKS.md"
    path.chmod(0o640)
    has_attributes = True
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        has_attributes = False
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    before = path.stat()
    files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    if has_attributes:
        assert os.getxattr(path, "user.note") == b"mine"


def test_case_29_hard_links_are_counted(files: WorkspaceFiles, tmp_path: Path) -> None:
    """A task file with two names says so; a replacement parts it from the other."""
    os.link(tmp_path / "TASKS.md", tmp_path / "other.md")
    assert files.read("TASKS.md").links == 2
    files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    assert (tmp_path / "other.md").read_bytes() == OLD
    assert files.read("TASKS.md").links == 1


def test_one_file_under_two_names_is_one_task_file(tmp_path: Path) -> None:
    """A file that a glob and a link both reach is listed once, under the first entry."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "TASKS.md").write_bytes(OLD)
    (tmp_path / "TASKS.md").symlink_to("docs/TASKS.md")
    config = Config(tasks=(TaskEntry("TASKS.md", "main"), TaskEntry("docs/*.md", "docs"), TaskEntry("later.md")))
    files = made(tmp_path, config=config)
    assert files.paths() == ("TASKS.md", "later.md")
    assert files.parse_options("TASKS.md").namespace == "main"


@pytest.fixture
def other_file_system() -> Iterator[Path]:
    """A folder on a file system of its own, in memory."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm to write to")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_in_memory_names_are_exchanged(other_file_system: Path) -> None:
    """On tmpfs a replacement is an exchange as well."""
    files = made(other_file_system)
    (other_file_system / "TASKS.md").write_bytes(OLD)
    assert files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD)).matched
    assert files.replacement("TASKS.md") is Replacement.EXCHANGE


def test_displaced_files_stay_beside_on_another_file_system(tmp_path: Path, other_file_system: Path) -> None:
    """With .syncd elsewhere, what came out stays in its directory, until it is certain and becomes a version."""
    if tmp_path.stat().st_dev == other_file_system.stat().st_dev:
        pytest.skip("the temporary folder lies on the same file system")
    now = [0.0]
    (tmp_path / ".syncd").symlink_to(other_file_system)
    files = WorkspaceFiles(Layout(tmp_path), Config(), clock=lambda: now[0])
    (tmp_path / "TASKS.md").write_bytes(OLD)
    outcome = files.replace("TASKS.md", files.stage("TASKS.md", NEW), digest(OLD))
    assert outcome.displaced is not None
    assert Path(outcome.displaced).parent == tmp_path
    now[0] = 100.0
    assert files.late_writes() == ()
    assert names(tmp_path) == {"TASKS.md", ".syncd"}
    assert [each.path.read_bytes() for each in files.versions("TASKS.md")] == [OLD]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_case_26_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """ENOSPC while staging, or writing whole, is an input/output error: no byte changed, nothing left behind."""
    script = f"""
import ctypes, os, sys
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x00020000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
root = Path({str(tmp_path)!r})
if libc.mount(b"tmpfs", os.fsencode(root), b"tmpfs", 0, b"size=64k"):
    sys.exit(77)
from syncd.errors import InputOutputError
from syncd.files.atomic import digest, write_whole
from syncd.files.layout import Layout
from syncd.files.task_files import WorkspaceFiles
from syncd.schemas.config import Config
(root / ".syncd").mkdir()
(root / "TASKS.md").write_bytes(b"old")
files = WorkspaceFiles(Layout(root), Config())
for act in (lambda: files.stage("TASKS.md", b"x" * 200_000), lambda: write_whole(root / "TASKS.md", b"x" * 200_000)):
    try:
        act()
    except InputOutputError as error:
        assert "No space left" in error.message and "disk is full" in error.hint, error.message
    else:
        sys.exit("no error")
    assert sorted(os.listdir(root)) == [".syncd", "TASKS.md"], os.listdir(root)
    assert (root / "TASKS.md").read_bytes() == b"old"
assert files.replace("TASKS.md", files.stage("TASKS.md", b"new"), digest(b"old")).matched
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no mount namespace to be had")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "root"


def test_case_27_a_folder_that_may_not_be_written(open_folder: Path) -> None:
    """In a read-only folder the file is read, staging is an input/output error, an unreadable file is told."""
    root = open_folder
    (root / ".syncd").mkdir(parents=True)
    (root / "TASKS.md").write_bytes(OLD)
    (root / "secret.md").write_bytes(OLD)
    (root / "secret.md").chmod(0)
    root.chmod(0o555)
    script = f"""
import os
from pathlib import Path
from syncd.errors import InputOutputError
from syncd.files.layout import Layout
from syncd.files.task_files import WorkspaceFiles
from syncd.schemas.config import Config
files = WorkspaceFiles(Layout(Path({str(root)!r})), Config())
if os.getuid() == 0:
    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
assert files.read("TASKS.md").data is not None
secret = files.read("secret.md")
assert secret.data is None and "Permission denied" in secret.error, secret
assert secret.signature is not None
try:
    files.stage("TASKS.md", b"new")
except InputOutputError as error:
    assert "Permission denied" in error.message, error.message
else:
    raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    root.chmod(0o755)
    assert done.returncode == 0, done.stderr


def wait_until(is_so: Callable[[], bool], deadline_s: float = 60.0) -> None:
    """Wait for a condition, at most so long."""
    end = time.monotonic() + deadline_s
    while not is_so():
        assert time.monotonic() < end


def test_who_lacks_a_permission_is_shown_where_to_look() -> None:
    """The command that shows the owners and modes stands beside the error, fit to be pasted."""
    told = atomic.failure(
        PermissionError(errno.EACCES, "Permission denied", "/my shop/.syncd/state.db"), "Cannot open it"
    )
    assert told.message == "Cannot open it: Permission denied."
    assert told.hint == "ls -ld '/my shop/.syncd' '/my shop/.syncd/state.db'"
