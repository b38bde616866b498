"""The tree itself: who may import whom, what the pure rooms may use, and how long a file may get."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from importlinter import configuration
from importlinter.application.use_cases import lint_imports

configuration.configure()

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted({path.resolve() for folder in ("syncd", "parsers", "schemas") for path in (ROOT / folder).rglob("*.py")})
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LINES_MAX = 420
FUNCTION_LINES_MAX = 60
REASON = "Long because"
"""How a module's docstring begins the sentence that says why its file is longer than the others."""

PURE = ("syncd.core", "syncd.parsers", "syncd.schemas")
PURE_IMPORTS = {
    *("__future__", "bisect", "collections", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions"),
    *("functools", "hashlib", "heapq", "itertools", "json", "markdown_it", "math", "msgspec", "operator", "re"),
    *("ruamel", "shlex", "string", "textwrap", "types", "typing", "typing_extensions", "unicodedata"),
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
IMPURE_METHODS = {"now", "utcnow", "today", "monotonic", "perf_counter"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the last name of each call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(name) | ast.Attribute(_, name):
                    yield node.lineno, name


def test_import_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The import directions of the house, as pyproject.toml states them, hold, and they name every module."""
    monkeypatch.chdir(ROOT)
    held = lint_imports(str(ROOT / "pyproject.toml"), cache_dir=None, no_logo=True)
    said = capsys.readouterr().out
    assert held, said
    assert "the shells meet only in ports and wiring KEPT" in said


def test_pure_rooms_import_nothing_that_acts() -> None:
    """core, parsers and schemas import only what computes: a module that is not on the list is asked about here."""
    graph = grimp.build_graph("syncd", include_external_packages=True, cache_dir=None)
    used = {
        (module, imported)
        for module in graph.modules
        if module.startswith(PURE)
        for imported in graph.find_modules_directly_imported_by(module)
        if not imported.startswith("syncd")
    }
    assert used, "the graph saw nothing: are the symlinked folders still part of the package?"
    assert not {(module, imported) for module, imported in used if imported not in PURE_IMPORTS}


@pytest.mark.parametrize("folder", ["syncd/core", "parsers", "schemas"])
def test_pure_rooms_call_nothing_that_acts(folder: str) -> None:
    """core, parsers and schemas open no file, print nothing and ask no clock."""
    found = [
        f"{_name(path)}:{line}: {name}()"
        for path in (ROOT / folder).rglob("*.py")
        for line, name in _calls(_tree(path))
        if name in IMPURE_CALLS | IMPURE_METHODS
    ]
    assert not found


def test_code_is_imported_through_the_package() -> None:
    """Nothing imports a top-level ``parsers`` or ``schemas``, which a user's folder may hold too."""
    found = []
    for path in [*CODE, *EXAMPLES, *TESTS]:
        for node in ast.walk(_tree(path)):
            match node:
                case ast.Import(names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), level=0):
                    modules = [module]
                case _:
                    continue
            found += [
                f"{_name(path)}:{node.lineno}" for each in modules if each.split(".")[0] in {"parsers", "schemas"}
            ]
    assert not found


def test_links_lead_to_the_real_folders() -> None:
    """The links in ``syncd/`` to folders of the top level are relative."""
    for name in ("parsers", "schemas", "systemd"):
        link = ROOT / "syncd" / name
        assert link.is_symlink()
        assert link.readlink() == Path("..") / name
        assert (ROOT / name).is_dir()


def test_files_stay_short() -> None:
    """A file has about 400 lines at most, or says in its docstring why it is longer."""
    long = {
        _name(path): lines
        for path in [*CODE, *EXAMPLES]
        if (lines := path.read_text("utf-8").count("\n")) > LINES_MAX
        and REASON not in (ast.get_docstring(_tree(path)) or "")
    }
    assert not long


def test_functions_stay_short() -> None:
    """A function has about 60 lines at most."""
    long = {
        f"{_name(path)}:{node.lineno} {node.name}": lines
        for path in [*CODE, *EXAMPLES]
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert not long


def test_modules_say_what_they_are_for() -> None:
    """Every module of the program begins with a docstring."""
    assert not [_name(path) for path in [*CODE, *EXAMPLES] if not ast.get_docstring(_tree(path))]


def test_tests_say_what_they_hold() -> None:
    """Every test's docstring says the behaviour."""
    silent = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in TESTS
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_tests_wait_on_conditions() -> None:
    """No test sleeps: a pause stands only between two looks at a condition, in a helper that knows a deadline."""
    sleeping = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in TESTS
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if any(name == "sleep" for _, name in _calls(node))
        and (node.name.startswith("test_") or not _knows_a_deadline(node))
    ]
    assert not sleeping


def _knows_a_deadline(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Name) and "deadline" in node.id.lower() for node in ast.walk(function))


COMMAND = re.compile(r'f"[^"]*\bsyncd (?:[a-z]+ )+(?:--[a-z-]+ )?\{(?!shlex\.quote\()(?P<value>[^}!]*)')
NO_WORDS_OF_OTHERS = {"name", "words", "PROJECT", "LONG_GONE_DAYS", "chosen.kind"}
"""What is quoted where it is made, or is a word of ours."""


def test_commands_that_are_shown_quote_what_others_wrote() -> None:
    """An id may hold anything that a shell acts upon; whoever pastes a hint runs the command and nothing else."""
    verbs = re.compile(r"\bsyncd (?:to|has|knows|needs|wrote|made|would)\b|this syncd")
    found = [
        f"{_name(path)}:{number}: {{{match['value']}}}"
        for path in CODE
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in COMMAND.finditer(line)
        if match["value"] not in NO_WORDS_OF_OTHERS and not verbs.search(match[0])
    ]
    assert not found
