"""SQL takes values as parameters only: no statement is put together from text at run time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted((ROOT / "syncd").rglob("*.py"))
STATEMENTS = frozenset({"execute", "executemany", "executescript", "copy", "stream"})
NAMED = frozenset({"query", "sql_file"})
"""Functions that return SQL out of the package's files."""

FILES_OF_SQL = frozenset({"migration.sql", "sql or migration.sql"})
PIECES_OF_CONSTANTS = frozenset({"statement", "table"})
"""A part of ``_SCHEMA`` in ``files/database.py``; the name of one of the state's tables in ``files/state.py``."""


def _is_fixed(node: ast.expr) -> bool:
    """Tell whether an expression is text that stands in the program or in its files."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name) if name.lstrip("_").isupper():
            return True
        case ast.IfExp(body=first, orelse=second):
            return _is_fixed(first) and _is_fixed(second)
        case ast.JoinedStr(values=values):
            return all(_is_fixed(each.value if isinstance(each, ast.FormattedValue) else each) for each in values)
        case ast.Call(func=ast.Name(id=name)):
            return name in NAMED
        case ast.Call(func=ast.Attribute(attr="format", value=ast.Call(func=made))):
            return ast.unparse(made) == "sql.SQL"
        case ast.Call(func=made):
            return ast.unparse(made) == "sql.SQL"
        case _:
            return ast.unparse(node) in FILES_OF_SQL | PIECES_OF_CONSTANTS


def _offences(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in STATEMENTS:
            arguments = [*node.args, *(each.value for each in node.keywords if each.arg in ("query", "sql"))]
            if arguments and not _is_fixed(arguments[0]):
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_no_statement_is_put_together_from_values() -> None:
    """Whatever is executed is a constant, a file of the package, or psycopg's own composition of identifiers."""
    found = {str(path.relative_to(ROOT)): [*_offences(path.read_text("utf-8"))] for path in CODE}
    assert not {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    "code",
    [
        "link.execute(f'delete from backlog where id = {id}')",
        "link.execute('delete from backlog where id = ' + id)",
        "link.execute('delete from backlog where id = %s' % id)",
        "link.execute('delete from {}'.format(table))",
        "link.execute(text)",
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    """A statement with a value in its text is found, in each way to write one."""
    assert [*_offences(code)]


def test_functions_of_the_database_build_no_sql() -> None:
    """What functions of the database execute is one constant with its values after ``using``, or has quoted names."""
    for path in (ROOT / "schemas" / "sql").rglob("*.sql"):
        code = re.sub(r"--[^\n]*", "", path.read_text("utf-8")).lower()
        for statement in re.findall(r"\bexecute\s+(?!function|procedure|on\b)([^;]+);", code):
            constant = re.fullmatch(r"'[^']*'(\s+using [\w., ]+)?", statement)
            quoted = statement.startswith("format('") and not re.search(r"%(?![il])|\|\|", statement)
            assert constant or quoted, (path.name, statement)
