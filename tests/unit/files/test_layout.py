"""Which folder is the workspace, and where its parts lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.errors import NotFound
from syncd.files.layout import SOCKET_BYTES_MAX, Layout, find_root, private_folder


def test_the_nearest_folder_upwards(tmp_path: Path) -> None:
    """The workspace is the nearest folder upwards that has a syncd.yaml or a .syncd."""
    (tmp_path / "syncd.yaml").touch()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_root(inner, {}) == tmp_path
    (tmp_path / "a" / ".syncd").mkdir()
    assert find_root(inner, {}) == tmp_path / "a"


def test_a_named_folder_goes_before(tmp_path: Path) -> None:
    """-C goes before $SYNCD_WORKSPACE, and that before the folders upwards."""
    for name in ("here", "variable", "told"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "syncd.yaml").touch()
    here, environ = tmp_path / "here", {"SYNCD_WORKSPACE": str(tmp_path / "variable")}
    assert find_root(here, {}) == here
    assert find_root(here, environ) == tmp_path / "variable"
    assert find_root(here, environ, told=Path("../told")) == tmp_path / "told"


@pytest.mark.parametrize("told", [None, Path(), Path("absent")])
def test_no_workspace(tmp_path: Path, told: Path | None) -> None:
    """A folder without one, named or not, is not found: exit code 3."""
    with pytest.raises(NotFound) as caught:
        find_root(tmp_path, {}, told=told)
    assert caught.value.exit_code == 3


def test_the_socket_lies_in_the_workspace(tmp_path: Path) -> None:
    """A short path has its socket in .syncd."""
    root = Path("/w/shop")
    assert Layout(root).socket({}) == root / ".syncd" / "sock"


def test_a_long_socket_path_moves(tmp_path: Path) -> None:
    """A socket path that the kernel cannot hold moves to the user's runtime folder, each workspace's its own."""
    deep = Path("/", *["long-folder-name"] * 8)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    first, second = Layout(deep / "a").socket(environ), Layout(deep / "b").socket(environ)
    assert first != second
    assert {first.parent, second.parent} == {tmp_path / "syncd"}
    assert len(bytes(first)) <= SOCKET_BYTES_MAX or len(bytes(tmp_path)) > 60


def test_a_private_folder_is_private(tmp_path: Path) -> None:
    """A private folder is made with mode 0700; a link in its place is refused."""
    folder = private_folder(tmp_path / "a" / "b")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder(folder) == folder
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(PermissionError):
        private_folder(tmp_path / "link")
