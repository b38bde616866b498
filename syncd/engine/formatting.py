"""Padding the tables of task files by a command: as an author edits the file, and never over another's save.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``, ``syncd.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from syncd.engine.task_edit import ATTEMPTS_MAX, replaced
from syncd.errors import Busy, InputOutputError
from syncd.parsers.document import ParseOptions
from syncd.parsers.padding import repadded
from syncd.parsers.tasks_md import parse
from syncd.ports import TaskFiles


class Formatted(msgspec.Struct, frozen=True):
    """A task file, and whether padding its tables changes it."""

    path: str
    is_changed: bool


def format_files(
    files: TaskFiles,
    options: Callable[[str], ParseOptions],
    digest: Callable[[bytes], str],
    paths: Iterable[str],
    *,
    is_check: bool,
) -> list[Formatted]:
    """Pad the tables of these files; with ``is_check`` only tell which would change.

    Raises: InputOutputError when a file cannot be read, Busy when one is saved by others all the time.
    Effects: replaces the files that change, one after another.
    Holds: I2, I7; the cards stay the same.
    """
    return [_formatted(files, options, digest, path, is_check=is_check) for path in paths]


def _formatted(
    files: TaskFiles,
    options: Callable[[str], ParseOptions],
    digest: Callable[[bytes], str],
    path: str,
    *,
    is_check: bool,
) -> Formatted:
    for _ in range(ATTEMPTS_MAX):
        read = files.read(path)
        if read.data is None:
            raise InputOutputError(read.error or f"{path} is not there")
        data = repadded(parse(read.data, path=path, options=options(path)))
        is_changed = data != read.data
        if is_check or not is_changed or replaced(files, read, data, digest(data)):
            return Formatted(path, is_changed)
    raise Busy("the task file is saved by somebody else all the time", hint="syncd with-lock -- syncd fmt")
