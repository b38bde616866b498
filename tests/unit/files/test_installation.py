"""Noticing that another version was installed over the running one."""

from __future__ import annotations

from pathlib import Path

from syncd.files.installation import IDLE_S, SETTLED_S, Installation


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def on(self, seconds: float) -> None:
        self.now += seconds


def _installed(path: Path, version: str) -> Path:
    file = path / "__init__.py"
    file.write_text(f'"""syncd."""\n\n__version__ = "{version}"\n')
    return file


def test_another_version_takes_over_when_it_has_settled(tmp_path: Path) -> None:
    """A new version is waited for until its installer has had time for the other files."""
    clock = Clock()
    looked = Installation(clock, _installed(tmp_path, "1.0"), "1.0")
    clock.on(60)
    assert looked.replaced_in_s() == IDLE_S
    _installed(tmp_path, "1.0.1")
    clock.on(60)
    assert looked.replaced_in_s() == SETTLED_S
    clock.on(SETTLED_S)
    assert looked.replaced_in_s() == 0.0


def test_the_same_version_again_is_none(tmp_path: Path) -> None:
    """A file that was written again with the same version, or that is missing for a moment, changes nothing."""
    clock = Clock()
    file = _installed(tmp_path, "1.0")
    looked = Installation(clock, file, "1.0")
    for change in (lambda: file.unlink(), lambda: _installed(tmp_path, "1.0"), lambda: file.write_text("# half")):
        change()
        clock.on(60)
        assert looked.replaced_in_s() == SETTLED_S
        clock.on(SETTLED_S)
        assert looked.replaced_in_s() == IDLE_S
        clock.on(60)
        assert looked.replaced_in_s() == IDLE_S


def test_other_files_of_the_same_version_take_over(tmp_path: Path) -> None:
    """Installed again from a clone that went on, the version is the same and the list of hashes is another."""
    clock = Clock()
    package = tmp_path / "syncd"
    package.mkdir()
    record = tmp_path / "syncd-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("syncd/api.py,sha256=one,1\n")
    looked = Installation(clock, _installed(package, "1.0"), "1.0")
    _installed(package, "1.0")
    clock.on(60)
    assert looked.replaced_in_s() == SETTLED_S
    clock.on(SETTLED_S)
    assert looked.replaced_in_s() == IDLE_S
    _installed(package, "1.0")
    clock.on(60)
    assert looked.replaced_in_s() == SETTLED_S
    record.write_text("syncd/api.py,sha256=two,1\n")
    clock.on(SETTLED_S)
    assert looked.replaced_in_s() == 0.0
