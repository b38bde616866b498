"""What the code generates: REFERENCE.md, the site's reference, the man page, the JSON Schema of the settings.

``make reference`` writes it; a test holds that it says what the code says.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from syncd.cli.schemas import titles
from syncd.engine.problems import ENGINE_PROBLEM_CODES
from syncd.errors import SyncdError
from syncd.parsers.document import PROBLEM_CODES
from syncd.parsers.mission_json import MISSION_PROBLEM_CODES
from syncd.schemas.config import KEYS
from tests.support import command_pages, error_pages, python_page
from tests.support.config_schema import config_schema

ROOT = Path(__file__).resolve().parents[2]

HEAD = """\
# Reference

Tables made from the code by `make reference`; a test keeps them true. `syncd COMMAND --help` says more,
with an example for each command.
"""


@cache
def generated() -> dict[str, str]:
    """Return every generated file by its path in the repository."""
    settings = [(key.name, key.meaning) for key in KEYS.values()]
    return {
        "REFERENCE.md": reference(),
        "docs/reference/commands.md": command_pages.page(),
        "docs/reference/settings.md": _page("Settings", _settings()),
        "docs/reference/exit-codes.md": _page("Exit codes and error codes", _exit_codes()),
        "docs/reference/errors.md": error_pages.page(error_codes(), problem_codes()),
        "docs/reference/problems.md": _page("Problems", _problems()),
        "docs/reference/python.md": python_page.page(),
        "docs/reference/schemas.md": _page("JSON Schemas", _schemas()),
        "schemas/config.schema.json": config_schema(),
        "docs/reference/syncd.1": command_pages.man_page(settings, errors()),
    }


def reference() -> str:
    """Return REFERENCE.md as the code has it now."""
    parts = [
        HEAD,
        "## Commands\n",
        _table(("command", "does"), _commands()),
        "Every command takes `--json` (one JSON value on stdout), `-C DIR`, `--mode MODE`, `--log-format text|json`\n"
        "and `--debug`, before its name or after it.\n",
        "## Exit codes and error codes\n",
        *_exit_codes(),
        "## Problems\n",
        *_problems(),
        "## Keys of syncd.yaml\n",
        *_settings(),
        "## JSON Schemas\n",
        *_schemas(),
    ]
    return "\n".join(parts)


def _page(title: str, parts: Iterable[str]) -> str:
    return "\n".join([f"# {title}\n", *parts])


def _exit_codes() -> Iterator[str]:
    yield _table(("exit", "code", "means"), _errors())
    yield (
        "0 is done; 1 is a check that says no (`status --exit-code`, `parse --check`), and a merge with conflicts\n"
        "left (`git merge-driver`); `with-lock` ends with its command's code. With `--json` an error is the\n"
        'last line of stderr: `{"error": {"code": …, "message": …, "hint": …}}`.\n'
    )


def _problems() -> Iterator[str]:
    yield _table(("code", "means"), sorted(_coded(problem_codes())))
    yield (
        "A problem has a path, line, column, message and hint. It never stops the rest of the file, never deletes\n"
        "anything, is shown by `syncd status`, and ends by itself when the file is mended.\n"
    )


def _settings() -> Iterator[str]:
    yield _table(("key", "default", "holds", "meaning"), _keys())
    yield "`syncd config set KEY VALUE` changes one and keeps every other byte of the file.\n"


def _schemas() -> Iterator[str]:
    yield _table(("name", "describes"), _coded(titles()))
    yield "`syncd schema NAME` prints one, complete in itself.\n"


def problem_codes() -> dict[str, str]:
    """Return every problem code with its meaning."""
    return {**PROBLEM_CODES, **MISSION_PROBLEM_CODES, **ENGINE_PROBLEM_CODES}


def error_codes() -> dict[str, tuple[int, str]]:
    """Return every error code with its exit code and its meaning."""
    found: dict[str, tuple[int, str]] = {}
    for each in errors():
        found.setdefault(each.code, (each.exit_code, _first_sentence(inspect.getdoc(each) or "")))
    return found


def commands() -> dict[str, str]:
    """Return every command with the first sentence of its help."""
    return {each.name: each.summary for each in command_pages.entries() if not each.is_group}


def errors() -> list[type[SyncdError]]:
    """Return the error classes that can be met, by exit code."""
    found = [SyncdError]
    for each in found:
        found += each.__subclasses__()
    return sorted(
        (each for each in found if each is not SyncdError and each.__module__ == SyncdError.__module__),
        key=lambda each: (each.exit_code, found.index(each)),
    )


def _commands() -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", does) for name, does in commands().items())


def _errors() -> Iterator[tuple[str, str, str]]:
    seen = set()
    for each in errors():
        if each.code not in seen:
            seen.add(each.code)
            yield str(each.exit_code), f"`{each.code}`", _first_sentence(inspect.getdoc(each) or "")


def _coded(table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((f"`{code}`", meaning) for code, meaning in table.items())


def _keys() -> Iterator[tuple[str, str, str, str]]:
    for key in KEYS.values():
        yield f"`{key.name}`", _default(key.default), key.kind.value, key.meaning


def _default(value: Any) -> str:
    if value is None or value in ((), {}):
        return "–"
    if isinstance(value, tuple):
        value = [each.path if is_dataclass(each) and hasattr(each, "path") else each for each in value]
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_row(header), _row("---" for _ in header)]
    lines += [_row(each.replace("|", "\\|") for each in row) for row in rows]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    # The table of schemas reads their files.
    (ROOT / "schemas/config.schema.json").write_text(config_schema(), "utf-8")
    for path, text in generated().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, "utf-8")
