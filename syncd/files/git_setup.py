"""syncd's merge driver in a git repository: its entry in the repository's config, its lines in ``.gitattributes``.

Git itself reads and writes its config; the driver's entry lies in the config that all worktrees share.
May import ``syncd.errors``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from syncd.errors import InputOutputError, NotFound
from syncd.files.atomic import failure, write_whole
from syncd.files.paths import is_glob

DRIVER: Final = "syncd"
ATTRIBUTES_NAME: Final = ".gitattributes"

_NAME_KEY: Final = f"merge.{DRIVER}.name"
_DRIVER_KEY: Final = f"merge.{DRIVER}.driver"
_TITLE: Final = "syncd: task files, card by card and field by field"
_ATTRIBUTE: Final = f"merge={DRIVER}"


class GitSetup(msgspec.Struct, frozen=True):
    """How the merge driver stands in a repository after a command.

    ``driver`` is what git runs, ``None`` when nothing; ``lines`` are those of syncd in ``attributes``;
    ``changed`` tells whether the command changed anything.
    """

    attributes: str
    driver: str | None
    lines: tuple[str, ...]
    changed: bool


class GitRepository:
    """The repository around a workspace.

    Args:
        root: the workspace; its ``.gitattributes`` gets the lines.
        environ: the environment of git.

    Raises: NotFound when there is no repository, or no git.
    """

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._environ = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
        self._attributes = root / ATTRIBUTES_NAME
        if self._git("rev-parse", "--is-inside-work-tree") != "true":
            raise NotFound(f"{root} is in no git working copy", hint="git init")

    def install(self, command: str, paths: Sequence[str]) -> GitSetup:
        """Let git merge these task files with syncd.  What is so already is left alone.

        Args:
            command: what git runs, with git's placeholders.
            paths: task files and globs, relative to the workspace.
        """
        has_entry = self._setting(_DRIVER_KEY) == command and self._setting(_NAME_KEY) == _TITLE
        if not has_entry:
            self._git("config", "--local", _NAME_KEY, _TITLE)
            self._git("config", "--local", _DRIVER_KEY, command)
        text = self._text()
        present = {line.strip() for line in text.splitlines()}
        lines = tuple(f"{_pattern(path)} {_ATTRIBUTE}" for path in paths)
        added = [line for line in lines if line not in present]
        if added:
            gap = "" if not text or text.endswith("\n") else "\n"
            self._write(text + gap + "".join(f"{line}\n" for line in added))
        return GitSetup(str(self._attributes), command, lines, bool(added) or not has_entry)

    def state(self) -> GitSetup:
        """Return how the driver stands; changes nothing."""
        lines = tuple(line.strip() for line in self._text().splitlines() if _is_ours(line))
        return GitSetup(str(self._attributes), self._setting(_DRIVER_KEY), lines, changed=False)

    def uninstall(self) -> GitSetup:
        """Take out the driver's entry and lines, and nothing else; not installed is fine."""
        had_entry = self._setting(_DRIVER_KEY) is not None or self._setting(_NAME_KEY) is not None
        if had_entry:
            self._git("config", "--local", "--remove-section", f"merge.{DRIVER}")
        text = self._text()
        kept = "".join(line for line in text.splitlines(keepends=True) if not _is_ours(line))
        if kept != text:
            if kept:
                self._write(kept)
            else:
                self._attributes.unlink()
        return GitSetup(str(self._attributes), None, (), had_entry or kept != text)

    def _setting(self, key: str) -> str | None:
        return self._git("config", "--local", "--get", key, absent=1)

    def _text(self) -> str:
        try:
            return self._attributes.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise failure(error, f"Cannot read {self._attributes}") from error

    def _write(self, text: str) -> None:
        write_whole(self._attributes, text.encode("utf-8", "surrogateescape"))

    def _git(self, *words: str, absent: int | None = None) -> str | None:
        """Run git in the workspace and return what it says; ``None`` when it ends with the code ``absent``."""
        try:
            ended = subprocess.run(
                ["git", *words], cwd=self._root, env=self._environ, capture_output=True, check=False, text=True
            )
        except FileNotFoundError:
            raise NotFound("git is not on the PATH", hint="Install git.") from None
        if ended.returncode == absent:
            return None
        said = ended.stderr.strip().splitlines()
        if ended.returncode == 128 and words[0] == "rev-parse":
            raise NotFound(f"{self._root} is in no git working copy{_reason(said)}", hint="git init")
        if ended.returncode:
            raise InputOutputError(f"git {words[0]} failed{_reason(said)}")
        return ended.stdout.strip()


def _reason(said: Sequence[str]) -> str:
    return f": {said[-1].removeprefix('fatal: ')}" if said else ""


def _pattern(path: str) -> str:
    """Return the pattern of ``.gitattributes`` that means a path of the workspace, or a glob."""
    pattern = "/" + (path if is_glob(path) else path.replace("\\", "\\\\"))
    if not re.search(r"[\s\"]", pattern):
        return pattern
    # Git reads a pattern with white space as a C string.
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n") + '"'


def _is_ours(line: str) -> bool:
    """Return whether a line gives a file to syncd's driver and says nothing else."""
    pattern, _, attribute = line.strip().rpartition(" ")
    return attribute == _ATTRIBUTE and bool(pattern) and not pattern.startswith("#")
