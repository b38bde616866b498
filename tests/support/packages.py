"""What is published, installed as users do it, on each Python that can be had: ``make packages``.

For each interpreter and each of pip, pipx and uv that is there: a fresh environment, the wheel and its
dependencies, then a short day's work in a folder of its own.  Needs the package index; no part of the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DAY = (
    ("--version",),
    ("init", "--yes", "--mode", "flatfile"),
    ("sync",),
    ("edit", "P1", "status=done"),
    ("status", "--exit-code"),
    ("backlog", "list", "--status", "done", "--json"),
)
TABLE = "| id | status | title |\n|----|--------|-------|\n| P1 | not-started | Pack |\n"


def interpreters() -> dict[str, str]:
    """Return an interpreter for each version that can be had, from the path or through uv."""
    found = {}
    for version in PYTHONS:
        for path in _candidates(version):
            asked = "import sys; print('%d.%d' % sys.version_info[:2])"
            if _said([path, "-c", asked]) == version:
                found[version] = path
                break
    return found


def _candidates(version: str) -> Iterator[str]:
    yield sys.executable
    if on_path := shutil.which(f"python{version}"):
        yield on_path
    yield from sorted(str(each) for each in Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    if shutil.which("uv"):
        subprocess.run(["uv", "python", "install", "--quiet", version], capture_output=True, check=False)
        if through_uv := _said(["uv", "python", "find", version]):
            yield through_uv


def with_pip(python: str, wheel: Path, place: Path) -> Path:
    """Install into a virtual environment, and return its folder of programs."""
    _run([python, "-m", "venv", str(place)])
    _run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    return place / "bin"


def with_pipx(python: str, wheel: Path, place: Path) -> Path:
    """Install with pipx, into a home of its own."""
    environ = {"PIPX_HOME": str(place / "home"), "PIPX_BIN_DIR": str(place / "bin")}
    _run(["pipx", "install", "--quiet", "--python", python, str(wheel)], **environ)
    return place / "bin"


def with_uv(python: str, wheel: Path, place: Path) -> Path:
    """Install as a tool of uv, into folders of its own."""
    environ = {"UV_TOOL_DIR": str(place / "tools"), "UV_TOOL_BIN_DIR": str(place / "bin")}
    _run(["uv", "tool", "install", "--quiet", "--python", python, str(wheel)], **environ)
    return place / "bin"


WAYS: dict[str, Callable[[str, Path, Path], Path]] = {"pip": with_pip, "pipx": with_pipx, "uv": with_uv}


def live_a_day(programs: Path, place: Path) -> str:
    """Work with what was installed, and return what it says that it runs on."""
    work = place / "work"
    work.mkdir()
    (work / "TASKS.md").write_text(TABLE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "PYTHON"))}
    environ = {**kept, "HOME": str(place), "DATABASE_URL": ""}
    said = [
        subprocess.run(
            [str(programs / "syncd"), *words], cwd=work, env=environ, capture_output=True, text=True, check=True
        ).stdout
        for words in DAY
    ]
    assert "| P1 | done | Pack |" in (work / "TASKS.md").read_text(), "the edit is not in the file"
    assert '"id": "P1"' in said[-1], "the card is not done"
    manual = (programs / "syncd").resolve().parents[1] / "share" / "man" / "man1" / "syncd.1"
    assert manual.is_file(), f"no manual page at {manual}"
    return " · ".join(said[0].split("\n")).rstrip(" ·")


def main() -> int:
    """Try every way on every interpreter, say what ran, and what could not."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    pythons, failures = interpreters(), 0
    for version in PYTHONS:
        if version not in pythons:
            print(f"Python {version}: not to be had here")
    for name in WAYS:
        if name != "pip" and shutil.which(name) is None:
            print(f"{name}: not installed here")
    for version, python in pythons.items():
        for name, install in WAYS.items():
            if name != "pip" and shutil.which(name) is None:
                continue
            with tempfile.TemporaryDirectory(prefix="syncd-packages-") as folder:
                place = Path(folder)
                try:
                    said = live_a_day(install(python, wheel, place / name), place)
                    print(f"Python {version} with {name}: {said}", flush=True)
                except (subprocess.CalledProcessError, AssertionError, OSError) as error:
                    failures += 1
                    told = getattr(error, "stderr", "") or ""
                    print(f"Python {version} with {name}: FAILED: {error}\n{told}", flush=True)
    return 1 if failures or not pythons else 0


def _run(command: list[str], **environ: str) -> None:
    subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=True)


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
