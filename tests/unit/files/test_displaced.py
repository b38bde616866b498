"""Displaced files: the schedule of looks, late writers, the versions that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.files.atomic import OUT, digest
from syncd.files.displaced import LOOKS_S, TELL_AGAIN_S, VERSIONS_MAX, DisplacedFolder, DisplacedWatch, is_staged_name


@pytest.fixture
def folder(tmp_path: Path) -> DisplacedFolder:
    return DisplacedFolder(tmp_path, tmp_path / ".syncd" / "displaced")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "docs" / "TASKS.md"
    path.parent.mkdir()
    return path


def displace(folder: DisplacedFolder, target: Path, data: bytes) -> Path:
    staged = folder.staged_name(target)
    staged.write_bytes(data)
    return folder.keep(staged, digest(data))


def test_looks_are_taken_in_time(folder: DisplacedFolder, target: Path) -> None:
    """A displaced file is looked at after 50 ms, 0.5 s, 5 s and 60 s, and then no more."""
    watch = DisplacedWatch(folder)
    assert watch.next_at() is None
    watch.add("docs/TASKS.md", target, displace(folder, target, b"a"), digest(b"a"), 100.0)
    for look_s in LOOKS_S:
        assert watch.next_at() == 100.0 + look_s
        assert watch.look(100.0 + look_s - 0.001) == ()
        assert watch.look(100.0 + look_s) == ()
    assert watch.next_at() is None


def test_a_late_write_that_cannot_be_taken_in_is_told_now_and_then(folder: DisplacedFolder, target: Path) -> None:
    """Where its file is held it waits, and wakes nobody more than once a second."""
    watch = DisplacedWatch(folder)
    kept = displace(folder, target, b"a")
    watch.add("docs/TASKS.md", target, kept, digest(b"a"), 0.0)
    kept.write_bytes(b"ab")
    watch.look(0.05)
    assert watch.look(10.0) != ()
    assert watch.next_at() == 10.0 + TELL_AGAIN_S
    assert watch.look(10.2) != ()


def test_what_stood_there_for_a_moment_is_no_version(folder: DisplacedFolder, target: Path) -> None:
    """It comes behind every version, and goes when nobody can write into it any more."""
    watch = DisplacedWatch(folder)
    version = displace(folder, target, b"a")
    passing = folder.passing_name(target)
    passing.write_bytes(b"")
    kept = folder.keep(passing, digest(b""))
    watch.add("docs/TASKS.md", target, kept, digest(b""), 0.0)
    assert [each.path for each in folder.versions(target)] == [version, kept]
    for look_s in LOOKS_S:
        assert kept.exists()
        watch.look(look_s)
    assert [each.path for each in folder.versions(target)] == [version]


def test_a_late_write_is_reported_once(folder: DisplacedFolder, target: Path) -> None:
    """Bytes written into a displaced file are reported when they have stood for 300 ms, until they are taken in."""
    watch = DisplacedWatch(folder)
    kept = displace(folder, target, b"a")
    watch.add("docs/TASKS.md", target, kept, digest(b"a"), 0.0)
    with kept.open("ab") as held:
        held.write(b"b")
    assert watch.look(0.05) == ()
    assert watch.next_at() == 0.05 + LOOKS_S[0]
    assert watch.look(0.1) == ()
    (late,) = watch.look(0.55)
    assert watch.look(0.55) == (late,)
    assert (late.path, late.absolute, late.before, late.digest) == (
        "docs/TASKS.md",
        str(kept),
        digest(b"a"),
        digest(b"ab"),
    )
    watch.taken_in(late)
    assert watch.look(1000.0) == ()


def test_a_writer_in_mid_write_is_waited_for(folder: DisplacedFolder, target: Path) -> None:
    """Bytes that differ from look to look are reported only when they stand."""
    watch = DisplacedWatch(folder)
    kept = displace(folder, target, b"a")
    watch.add("docs/TASKS.md", target, kept, digest(b"a"), 0.0)
    now = 0.0
    for data in (b"ab", b"abc", b"abcd"):
        kept.write_bytes(data)
        now += LOOKS_S[0]
        assert watch.look(now) == ()
    assert watch.look(now + LOOKS_S[0]) == ()
    (late,) = watch.look(now + LOOKS_S[1])
    assert late.digest == digest(b"abcd")


def test_a_later_process_notices_too(folder: DisplacedFolder, target: Path) -> None:
    """A late write between two processes is reported by the second, unless the first took it in."""
    kept = displace(folder, target, b"a")
    kept.write_bytes(b"late")
    for is_known in (False, True):
        watch = DisplacedWatch(folder)
        watch.adopt("docs/TASKS.md", target, 0.0)
        found = [*watch.look(0.05), *watch.look(0.55)]
        assert [late.digest for late in found] == ([] if is_known else [digest(b"late")])
        for late in found:
            watch.taken_in(late)


def test_a_displaced_file_that_is_gone_is_forgotten(folder: DisplacedFolder, target: Path) -> None:
    """A displaced file that somebody removed is watched no longer."""
    watch = DisplacedWatch(folder)
    kept = displace(folder, target, b"a")
    watch.add("docs/TASKS.md", target, kept, digest(b"a"), 0.0)
    kept.unlink()
    assert watch.look(0.05) == ()
    assert watch.next_at() is None


def test_the_last_versions_are_kept(folder: DisplacedFolder, target: Path) -> None:
    """When nobody can write into them any more, the last twenty displaced files stay, the newest first."""
    watch = DisplacedWatch(folder)
    for number in range(VERSIONS_MAX + 5):
        data = b"%d" % number
        watch.add("docs/TASKS.md", target, displace(folder, target, data), digest(data), 0.0)
    assert len(folder.versions(target)) == VERSIONS_MAX + 5
    watch.look(60.0)
    kept = folder.versions(target)
    assert [each.path.read_bytes() for each in kept] == [b"%d" % n for n in range(VERSIONS_MAX + 4, 4, -1)]


def test_what_a_staged_file_became_is_found(folder: DisplacedFolder, target: Path) -> None:
    """A staged name leads to its bytes wherever a crash left them: staged, aside, kept, or nowhere."""
    staged = folder.staged_name(target)
    assert is_staged_name(staged)
    assert folder.find(staged) is None
    staged.write_bytes(b"a")
    assert folder.find(staged) == staged
    aside = staged.rename(str(staged) + OUT)
    assert folder.find(staged) == aside
    aside.rename(staged)
    kept = folder.keep(staged, digest(b"a"))
    assert folder.find(staged) == kept


def test_leftovers_are_told_apart(folder: DisplacedFolder, target: Path) -> None:
    """Staged files of this task file are left over unless a journal names them; other files never are."""
    staged = folder.staged_name(target)
    spared = folder.staged_name(target)
    for path in (staged, spared, target, target.with_name("notes.md"), target.with_name(".TASKS.md.swp")):
        path.write_bytes(b"x")
    assert folder.leftovers(target, spare=[str(spared)]) == (staged,)


def test_only_what_is_still_in_place_is_discarded_with_a_staged_file(folder: DisplacedFolder, target: Path) -> None:
    """A link to the file in place, which a cut exchange left, goes; bytes that came out of the place stay."""
    target.write_bytes(b"in place")
    staged = folder.staged_name(target)
    aside = Path(str(staged) + OUT)
    aside.hardlink_to(target)
    folder.discard(staged)
    assert not aside.exists()
    aside.write_bytes(b"came out")
    folder.discard(staged)
    assert aside.read_bytes() == b"came out"
