"""The table of nasty cases: every number has its tests, and the tests are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CASES = 62
ROW = re.compile(r"^\| (\d+) \| .+? \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
NUMBER = re.compile(r"test_case_(\d\d)_")


def rows() -> list[tuple[int, str]]:
    """The numbers of the table, and what stands beside them."""
    return [(int(number), cell) for number, cell in ROW.findall((TESTS / "CASES.md").read_text("utf-8"))]


def names_in(path: Path) -> set[str]:
    """The names of a file's tests."""
    tree = ast.parse(path.read_text("utf-8"), str(path))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_case_is_in_the_table_once() -> None:
    """The table has the numbers 1 to 62, in their order."""
    assert [number for number, _ in rows()] == list(range(1, CASES + 1))


def test_every_case_has_a_test_of_its_number_or_a_reason() -> None:
    """A case is held by a test that bears its number, or a sentence says why there is none."""
    bare = [
        number
        for number, cell in rows()
        if not any(NUMBER.match(name) and int(name[10:12]) == number for _, name in NAMED.findall(cell))
        and not NAMED.sub("", cell).strip(" <br>")
    ]
    assert not bare


def test_every_named_test_is_there() -> None:
    """A test that was renamed or removed is renamed or removed in the table too."""
    named = {pair for _, cell in rows() for pair in NAMED.findall(cell)}
    known = {path: names_in(TESTS / path) for path, _ in named if (TESTS / path).exists()}
    assert not [f"{path}::{name}" for path, name in sorted(named) if name not in known.get(path, set())]


def test_every_numbered_test_is_in_its_row() -> None:
    """A test that bears a number stands in the row of that number."""
    cells = dict(rows())
    found = {
        (path.relative_to(TESTS).as_posix(), name)
        for path in TESTS.rglob("test_*.py")
        for name in names_in(path)
        if NUMBER.match(name)
    }
    assert found
    assert not [f"{path}::{name}" for path, name in sorted(found) if f"`{path}::{name}`" not in cells[int(name[10:12])]]
