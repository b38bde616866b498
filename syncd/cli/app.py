"""The command line: ``syncd``, where each command comes from, and one run of it.

Making a command of a function costs a millisecond, and there are a hundred: a run makes those of the module alone that
its words name, all of them where they name none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from syncd.cli.options import RootGroup, group
from syncd.cli.output import emit
from syncd.errors import UsageError

_ROOT: Final[Mapping[str, Sequence[str]]] = {
    "workspace": ("init", "run", "sync", "status", "diff"),
    "decisions": ("conflicts", "resolve", "held", "accept", "reject"),
    "history": ("log", "restore", "undo"),
    "editing": ("edit", "fmt", "with-lock"),
    "reading": ("parse", "schema"),
    "workers": ("work", "workers", "drain", "kill"),
    "health": ("doctor", "verify", "metrics"),
    "agents": ("mcp", "trust"),
    "ui": ("ui",),
}
"""Which module has which command of ``syncd`` itself."""

_CARDS: Final[Mapping[str, Sequence[str]]] = {
    "backlog": ("create", "list", "show", "update", "remove", "link", "unlink", "stats"),
    "leases": ("claim", "renew", "release", "complete", "fail", "retry", "block", "unblock", "reclaim"),
    "queue": ("pause", "resume", "why", "graph", "events"),
}
"""Which module has which command of ``syncd backlog``."""

_GROUPS: Final = ("db", "git", "mission", "config", "service")
"""Groups that are a module each."""

_VALUED: Final = frozenset({"-C", "--mode", "--log-format"})
"""Global options with a value, which is no command's name."""

_COMPLETION: Final = "_SYNCD_COMPLETE"
"""Set by a shell that asks what may follow."""


@cache
def app(modules: frozenset[str] | None = None) -> typer.Typer:
    """Return ``syncd`` with the commands of these modules, by default of all."""
    made = group(
        "Two-way sync between the task files that agents edit and the backlog that orchestrators read.",
        "syncd init",
        "syncd status",
        "syncd backlog claim --owner worker-1 --json",
        cls=RootGroup,
        has_completion=True,
    )
    made.callback(invoke_without_command=True)(syncd)
    cards = group(
        "The store's cards: create, list, claim, complete, …",
        "syncd backlog list --ready-only",
    )
    for name in _chosen(_ROOT, modules):
        made.add_typer(_commands_of(name))
    for name in _chosen(_CARDS, modules):
        cards.add_typer(_commands_of(name))
    if modules is None or modules.intersection(_CARDS):
        made.add_typer(cards, name="backlog")
    for name in _chosen(_GROUPS, modules):
        made.add_typer(_commands_of(name), name=name)
    return made


def _chosen(names: Sequence[str] | Mapping[str, object], modules: frozenset[str] | None) -> Sequence[str]:
    return [name for name in names if modules is None or name in modules]


def _commands_of(module: str) -> typer.Typer:
    found: typer.Typer = import_module(f"syncd.cli.{module}").commands
    return found


def syncd(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version, and what it runs on.")] = False,
) -> None:
    """Answer ``--version``; anything else needs a command."""
    if version:
        from syncd.cli.versions import screen, versions

        found = versions()
        emit(context, found, lambda: screen(found))
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise UsageError("no command given", hint="syncd --help")


def modules_of(arguments: Sequence[str]) -> frozenset[str] | None:
    """Return the modules that a command line needs; ``None`` for all: it asks for help, or names no command."""
    names: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in _VALUED:
            next(words, None)
        elif not word.startswith("-"):
            names.append(word)
    if _COMPLETION in os.environ:
        return None
    match names:
        case []:
            return frozenset() if "--version" in arguments else None
        case ["backlog", *rest]:
            found = [module for module, commands in _CARDS.items() if rest and rest[0] in commands]
            return frozenset(found or _CARDS)
        case [name, *_] if name in _GROUPS:
            return frozenset({name})
        case [name, *_]:
            return next((frozenset({module}) for module, commands in _ROOT.items() if name in commands), None)
    raise AssertionError("unreachable")


@cache
def _command(modules: frozenset[str] | None) -> Any:
    """Return what typer makes of the app; a daemon runs many command lines with it."""
    return typer.main.get_command(app(modules))


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Returns:
        The exit code: 0, or what the command ended with.

    Raises:
        Exception: whatever the command raises; ``failures.report`` says it.
    """
    command = _command(modules_of(arguments))
    code = command.main(list(arguments), prog_name="syncd", standalone_mode=False)
    return code if isinstance(code, int) and not isinstance(code, bool) else 0
