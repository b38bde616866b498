"""All mutants, read from the lists beside this file: what keeps data safe, one entry each.

A list reads like a diff.  ``tests:`` says what is asked about the entries below it; an entry begins with its
name, what it takes out and where, then come a test that is asked before the others (if there is one that is
made for it), the text that is taken out, and the text that is left instead:

    guard-markers [guard] syncd/core/trips.py
    ?tests/unit/core/test_guard_content.py::test_merge_markers_hold_the_file
    -    markers,
    -    emptied,
    +    emptied,
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.mutants.mutant import Mutant, Safeguard

LISTS: Final = ("core", "engine", "files", "flatfile", "missions", "store", "work")

_HEAD: Final = re.compile(r"([\w-]+) \[([\w ]+)\] (\S+)(?: and (\S+))?")


def read(text: str) -> Iterator[Mutant]:
    """Yield the mutants of a list.

    Raises:
        ValueError: a line is neither a comment nor part of an entry.
    """
    tests: tuple[str, ...] = ()
    for block in re.split(r"\n\n+", text.strip("\n")):
        lines = [line for line in block.split("\n") if not line.startswith("#")]
        while lines and lines[0].startswith("tests: "):
            tests = tuple(lines.pop(0).removeprefix("tests: ").split())
        if lines:
            yield _entry(lines, tests)


def _entry(lines: list[str], tests: tuple[str, ...]) -> Mutant:
    head = _HEAD.fullmatch(lines[0])
    made_for = tuple(line[1:] for line in lines[1:] if line.startswith("?"))
    out = [line[1:] for line in lines[1:] if line.startswith("-")]
    left = [line[1:] for line in lines[1:] if line.startswith("+")]
    if head is None or not out or len(made_for) + len(out) + len(left) != len(lines) - 1:
        raise ValueError(f"this is no entry:\n{chr(10).join(lines)}")
    name, takes_out, file, other = head.groups()
    also = () if other is None else (other,)
    return Mutant(name, Safeguard(takes_out), file, "\n".join(out), "\n".join(left), tests, made_for, also)


def _all() -> Iterator[Mutant]:
    for name in LISTS:
        yield from read(Path(__file__).with_name(f"{name}.txt").read_text("utf-8"))


MUTANTS: Final[tuple[Mutant, ...]] = tuple(_all())
