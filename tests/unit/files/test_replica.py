"""Places: a folder that was moved is the same working copy, one that was copied is another."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from syncd.files.replica import Place


def test_a_folder_is_where_it_was(tmp_path: Path) -> None:
    """The same folder, looked at twice, is one place; through a link too."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert Place.of(tmp_path).is_of(Place.of(tmp_path / "link"))


def test_a_folder_that_was_moved_is_the_same(tmp_path: Path) -> None:
    """A folder with the same inode under another path, with nothing left at the old one, was moved."""
    before = tmp_path / "before"
    before.mkdir()
    was = Place.of(before)
    assert was.is_of(Place.of(before.rename(tmp_path / "after")))


def test_a_folder_beside_the_old_one_is_a_copy(tmp_path: Path) -> None:
    """An inode's number is no proof while the old path is still there: copies on other devices may have it too."""
    was = Place.of(tmp_path)
    assert not was.is_of(replace(was, path=str(tmp_path / "copy")))


def test_a_folder_on_another_host_is_a_copy(tmp_path: Path) -> None:
    """The same path and inode on another machine is another working copy."""
    was = Place.of(tmp_path)
    assert not was.is_of(replace(was, host="another"))
