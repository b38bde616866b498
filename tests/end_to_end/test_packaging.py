"""What is published: the wheel and the sdist, built, looked into, installed and run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import syncd

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("parsers", "schemas", "systemd")
LINKED = tuple(f"syncd/{folder}/" for folder in FOLDERS)
BUILT_FROM = ("tree", "sdist")
NO_SOURCES = (".git", ".venv", "dist", "build", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")
VERSION = syncd.__version__

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("build", "hatchling")),
    reason="the build tools of the dev group are not installed",
)


@dataclass(frozen=True)
class Published:
    """One sdist, and the wheels built from the tree and from the sdist."""

    tree: Path
    sdist: Path
    wheels: dict[str, Path]


def run(*command: object, cwd: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def run_installed(*command: object, cwd: Path) -> str:
    """Run a command of the fresh environment without any import path of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return run(*command, cwd=cwd, environment=clean)


def build(kind: str, tree: Path, target: Path) -> Path:
    run(sys.executable, "-P", "-m", "build", f"--{kind}", "--no-isolation", "--outdir", target, tree, cwd=tree.parent)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Build everything from a copy of the tree, in which Python has left its traces."""
    place = tmp_path_factory.mktemp("packaging")
    tree = place / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*NO_SOURCES))
    for folder in ("parsers", "schemas", "syncd"):
        (tree / folder / "__pycache__").mkdir()
        (tree / folder / "__pycache__" / "left.cpython-311.pyc").write_bytes(b"")
    sdist = build("sdist", tree, place / "sdist")
    unpacked = place / "unpacked"
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(unpacked)
    (source,) = unpacked.iterdir()
    wheels = {
        "tree": build("wheel", tree, place / "from tree"),
        "sdist": build("wheel", source, place / "from sdist"),
    }
    return Published(tree, sdist, wheels)


@pytest.fixture(scope="module", params=BUILT_FROM)
def python(request: pytest.FixtureRequest, published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds the wheel, and borrows its dependencies from ours."""
    folder = tmp_path_factory.mktemp("installed") / "environment"
    has_pip = importlib.util.find_spec("pip") is not None
    venv.create(folder, with_pip=not has_pip, symlinks=True)
    fresh = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", fresh) if has_pip else (fresh, "-m", "pip")
    wheel = published.wheels[request.param]
    run(*pip, "--isolated", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    own = Path(run_installed(fresh, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (own / "borrowed.pth").write_text("\n".join(borrowed))
    return fresh


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A user's folder that has packages ``parsers`` and ``schemas`` of its own, which must not be imported."""
    for name in ("parsers", "schemas"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise AssertionError('a package of the workspace is imported')")
    return tmp_path


def contents(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist() if not entry.filename.endswith("/RECORD")}


def sources(tree: Path, folder: str) -> set[str]:
    """Return the files below a folder, without what Python leaves behind."""
    return {
        str(path.relative_to(tree))
        for path in (tree / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("built_from", BUILT_FROM)
def test_wheel_holds_the_package_and_nothing_else(published: Published, built_from: str) -> None:
    """The wheel holds every file of the three folders, below the one package ``syncd``, and the man page."""
    tree = published.tree
    own = {name for name in sources(tree, "syncd") if not name.startswith(LINKED)}
    expected = own | {f"syncd/{name}" for folder in FOLDERS for name in sources(tree, folder)}
    expected.add(f"syncd-{VERSION}.data/data/share/man/man1/syncd.1")
    found = {name for name in contents(published.wheels[built_from]) if ".dist-info/" not in name}
    assert found == expected
    assert any(name.endswith(".sql") for name in found)
    assert any(name.endswith(".schema.json") for name in found)
    assert "syncd/py.typed" in found


def test_wheels_from_tree_and_sdist_are_the_same(published: Published) -> None:
    """The sdist builds the same wheel as the tree, byte by byte."""
    assert contents(published.wheels["sdist"]) == contents(published.wheels["tree"])


def test_sdist_holds_sources_and_tests_once(published: Published) -> None:
    """The sdist holds the folders themselves, with the tests, and neither links to them nor traces of Python."""
    with tarfile.open(published.sdist) as archive:
        members = archive.getmembers()
    names = {name.partition("/")[2] for name in (member.name for member in members)}
    assert not [member.name for member in members if member.issym()]
    assert not [name for name in names if "__pycache__" in name or name.startswith(LINKED)]
    assert {"pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", "docs/index.md"} <= names


def test_command_runs_beside_a_foreign_parsers_package(python: Path, workspace: Path) -> None:
    """The console script answers in a folder with ``parsers`` and ``schemas`` packages of its own."""
    assert VERSION in run_installed(python.with_name("syncd"), "--version", cwd=workspace)


def test_module_runs_beside_a_foreign_parsers_package(python: Path, workspace: Path) -> None:
    """``python -P -m syncd`` answers there as well, as the service calls it."""
    assert VERSION in run_installed(python, "-P", "-m", "syncd", "--version", cwd=workspace)


def test_installed_modules_are_the_wheel_s(python: Path, workspace: Path) -> None:
    """The installed modules come from the environment, also with the workspace first on the path."""
    program = "import syncd.parsers.document, syncd.schemas.card; print(syncd.parsers.document.__file__)"
    place = run_installed(python, "-c", program, cwd=workspace)
    assert Path(place.strip()).is_relative_to(python.parents[1])


def test_nothing_is_installed_at_the_top_level(python: Path, tmp_path: Path) -> None:
    """Installing syncd gives nobody a top-level package ``parsers`` or ``schemas``."""
    program = "import importlib.util as u; print([u.find_spec(name) for name in ('parsers', 'schemas')])"
    assert run_installed(python, "-c", program, cwd=tmp_path).strip() == "[None, None]"


def test_data_files_are_found_after_installation(python: Path, tmp_path: Path) -> None:
    """The migrations, the JSON Schemas and the unit file are found through the installed package."""
    program = (
        "from importlib.resources import files; root = files('syncd.schemas');"
        "print(root.joinpath('card.schema.json').is_file(), any(root.joinpath('sql', 'migrations').iterdir()),"
        "files('syncd').joinpath('systemd', 'syncd@.service').is_file())"
    )
    assert run_installed(python, "-c", program, cwd=tmp_path).split() == ["True", "True", "True"]
