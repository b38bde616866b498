"""The commands, as the site's page and as a man page: read off the command line itself.

A command's words stand once, in its function; here they are only set in two other forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer.main

import syncd
from syncd.cli.app import app
from syncd.errors import SyncdError

EXAMPLE = re.compile(r"^Examples?:$", re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """An option or an argument, with what it takes and what it means."""

    names: tuple[str, ...]
    takes: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """A command, or a group of commands."""

    path: tuple[str, ...]
    is_group: bool
    summary: str
    details: tuple[str, ...]
    options: tuple[Option, ...]
    examples: tuple[str, ...]

    @property
    def name(self) -> str:
        """The words that call it."""
        return " ".join(self.path)

    @property
    def usage(self) -> str:
        """The line that shows how it is called; what may be left out stands in brackets."""
        if self.is_group:
            return f"{self.name} COMMAND …"
        arguments = [each.names[0] for each in self.options if not each.names[0].startswith("-")]
        has_options = len(arguments) < len(self.options)
        return " ".join((self.name, *(["[OPTIONS]"] if has_options else []), *arguments))


def entries() -> Iterator[Entry]:
    """Yield ``syncd`` itself, then every group and command in the order of the help."""
    return _walk(typer.main.get_command(app()), ("syncd",))


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[Entry]:
    children = getattr(command, "commands", {})
    summary, *details = _paragraphs(command.help or "")
    yield Entry(
        path,
        bool(children),
        summary,
        tuple(details),
        tuple(_option(each) for each in command.params if not getattr(each, "hidden", False)),
        tuple(_examples(command.epilog or "")),
    )
    for name, child in children.items():
        yield from _walk(child, (*path, name))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(each.split()) for each in text.split("\n\n") if each.strip()]


def _examples(epilog: str) -> Iterator[str]:
    found = EXAMPLE.search(epilog)
    if found:
        yield from (line.strip() for line in epilog[found.end() :].splitlines() if line.strip())


def _option(parameter: Any) -> Option:
    if parameter.param_type_name == "argument":
        return Option((parameter.make_metavar(_NOWHERE),), "", parameter.help or "")
    choices = "|".join(map(str, getattr(parameter.type, "choices", ())))
    takes = "" if parameter.is_flag else parameter.metavar or choices or parameter.type.name.upper()
    meaning = parameter.help or ""
    if parameter.default not in (None, False, "", ()) and not callable(parameter.default):
        meaning += f" Default: {parameter.default}."
    return Option((*parameter.opts, *parameter.secondary_opts), takes, meaning.strip())


_NOWHERE: Any = typer.Context(typer.main.get_command(app()))


# --- The page ------------------------------------------------------------------------------------

PAGE_HEAD = """\
# Commands

Made from the command line itself by `make reference`: what stands here is what `syncd COMMAND --help` says.
What may be left out stands in brackets. `--json` prints one JSON value on stdout and nothing else
([JSON Schemas](schemas.md)); how a command ends is in [exit codes](exit-codes.md).
"""


def page() -> str:
    """Return the page of all commands; a group is a section, and the commands of no group are the first one."""
    root, *rest = entries()
    parts = [PAGE_HEAD, "## Options of every command\n", _table(root.options)]
    parts.append("They are taken before the command's name and after it.\n")
    parts.append("## Workspace\n")
    for entry in rest:
        if entry.is_group:
            parts.append(f"## {entry.name}\n\n{entry.summary}\n")
        else:
            parts.append(_section(entry))
    return "\n".join(parts)


def _section(entry: Entry) -> str:
    parts = [f"### {entry.name}\n", f"{entry.summary}\n", *(f"{each}\n" for each in entry.details)]
    parts.append(f"```text\n{entry.usage}\n```\n")
    own = tuple(each for each in entry.options if each.names != ("--json",))
    if own:
        parts.append(_table(own))
    if entry.examples:
        parts.append("```console\n" + "".join(f"$ {each}\n" for each in entry.examples) + "```\n")
    return "\n".join(parts)


def _table(options: tuple[Option, ...]) -> str:
    lines = ["| option | means |", "| --- | --- |"]
    for each in options:
        name = ", ".join(each.names) + (f" {each.takes}" if each.takes else "")
        lines.append(f"| `{_cell(name)}` | {_cell(each.meaning)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- The man page --------------------------------------------------------------------------------


def man_page(settings: list[tuple[str, str]], errors: list[type[SyncdError]]) -> str:
    """Return ``syncd.1`` for man(1).

    Args:
        settings: keys of ``syncd.yaml``, each with its meaning.
        errors: the errors that can be met, by exit code.
    """
    root, *rest = entries()
    version = syncd.__version__
    lines = [
        f'.TH SYNCD 1 "" "syncd {version}" "syncd"',
        ".SH NAME",
        _roff("syncd - two-way sync between task files and a Postgres backlog"),
        ".SH SYNOPSIS",
        r".B syncd",
        r"[\-C DIR] COMMAND [OPTIONS]",
        ".SH DESCRIPTION",
        _roff(root.summary),
        ".PP",
        _roff(
            "Agents and people edit TASKS.md; orchestrators and services use the table backlog. syncd keeps the two "
            "the same, both ways, live, and touches no byte of the file that a change does not name."
        ),
        ".SH OPTIONS",
        *_man_options(root.options),
        ".SH COMMANDS",
    ]
    for entry in rest:
        lines += _man_entry(entry)
    lines.append(".SH EXIT STATUS")
    lines += [".TP", ".B 0", "Done."]
    lines += [".TP", ".B 1", _roff("A check says no (status --exit-code, parse --check), or a merge left conflicts.")]
    for code in sorted({each.exit_code for each in errors}):
        names = dict.fromkeys(each.code for each in errors if each.exit_code == code)
        lines += [".TP", f".B {code}", _roff(", ".join(names) + ".")]
    lines.append(".SH ENVIRONMENT")
    for name, meaning in ENVIRONMENT.items():
        lines += [".TP", f".B {_roff(name)}", _roff(meaning)]
    lines += [".SH FILES", ".TP", ".B syncd.yaml", "The settings of a workspace:"]
    lines += [".RS"]
    for key, meaning in settings:
        lines += [".TP", f".B {_roff(key)}", _roff(meaning.replace("`", ""))]
    lines += [".RE"]
    lines += [".TP", ".B .syncd/", _roff("What syncd keeps beside the files; git ignores it.")]
    return "\n".join(lines) + "\n"


ENVIRONMENT = {
    "SYNCD_WORKSPACE": "The workspace, where -C does not name one.",
    "SYNCD_DATABASE_URL": "The Postgres to use; wins over DATABASE_URL.",
    "DATABASE_URL": "The Postgres to use.",
    "SYNCD_LISTEN_URL": "A way past a transaction pooler, for notifications.",
    "SYNCD_DATA_DIR": "Where the embedded Postgres keeps its data; else $XDG_DATA_HOME/syncd/postgres.",
    "NO_COLOR": "No colours on a terminal.",
}
"""The variables that a user sets, with what they do."""


def _man_entry(entry: Entry) -> list[str]:
    lines = [f".SS {_roff(entry.usage)}", _roff(entry.summary)]
    for each in entry.details:
        lines += [".PP", _roff(each)]
    lines += _man_options(tuple(each for each in entry.options if each.names != ("--json",)))
    if entry.examples:
        lines += [".PP", ".nf", ".RS", *(_roff(each) for each in entry.examples), ".RE", ".fi"]
    return lines


def _man_options(options: tuple[Option, ...]) -> list[str]:
    lines = []
    for each in options:
        names = ", ".join(rf"\fB{_roff(name)}\fR" for name in each.names)
        lines += [".TP", names + (rf" \fI{_roff(each.takes)}\fR" if each.takes else ""), _roff(each.meaning)]
    return lines


def _roff(text: str) -> str:
    """Return text in which roff sees no request and no special character."""
    # Not every terminal has an ellipsis, and roff warns of one that it cannot show.
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...")
    return rf"\&{text}" if text.startswith((".", "'")) else text
