"""What every command shares: the global options, the classes that give them to each command, and the workspace.

A global option is taken before the command and after it.  ``--json`` shows in every command's help;
the others show in that of ``syncd`` itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from syncd.cli import completing

if TYPE_CHECKING:
    from syncd.api import Workspace

Function = TypeVar("Function", bound=Callable[..., Any])

MODES: Final = ("auto", "postgres", "embedded", "flatfile")
SUMMARY_MAX: Final = 200
"""Characters of a command's summary in the help of its group."""

LOG_FORMATS: Final = ("text", "json")


@dataclass(slots=True)
class Globals:
    """The global options of one command line."""

    directory: Path | None = None
    mode: str | None = None
    json: bool = False
    debug: bool = False
    log_format: str = "text"


def globals_of(context: typer.Context) -> Globals:
    """Return the global options, shared by the contexts of a command line."""
    found = context.find_object(Globals)
    if found is None:
        found = context.obj = Globals()
    return found


def _keep(name: str, convert: Callable[[Any], Any] = lambda value: value) -> Callable[..., Any]:
    """Return an option's callback that keeps a given value; one that was not given changes nothing."""

    def callback(context: typer.Context, _parameter: object, value: Any) -> Any:
        if value:
            setattr(globals_of(context), name, convert(value))
        return value

    return callback


def _choice(name: str, choices: tuple[str, ...]) -> Callable[..., Any]:
    def convert(value: str) -> str:
        if value not in choices:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(choices)}.", param_hint=name)
        return value

    return convert


def _offering(*choices: str) -> Callable[..., list[str]]:
    """Return what a shell is offered, in the form that an option takes which is made by hand."""
    offer = completing.one_of(*choices)
    return lambda _context, _words, incomplete: offer(incomplete)


def _global_options(*, are_shown: bool) -> list[TyperOption]:
    """Return the options; only ``--json`` shows in the help of a single command."""
    hidden = not are_shown
    return [
        TyperOption(
            param_decls=["json", "--json"],
            is_flag=True,
            default=False,
            expose_value=False,
            callback=_keep("json"),
            help="Print one JSON value on stdout, and nothing else.",
        ),
        TyperOption(
            param_decls=["directory", "-C"],
            metavar="DIR",
            expose_value=False,
            callback=_keep("directory", Path),
            help="The workspace. Else $SYNCD_WORKSPACE, else the nearest folder upwards that is one.",
            hidden=hidden,
        ),
        TyperOption(
            param_decls=["mode", "--mode"],
            metavar="MODE",
            expose_value=False,
            callback=_keep("mode", _choice("--mode", MODES)),
            autocompletion=_offering(*MODES),
            help="The store: auto, postgres, embedded or flatfile. Else what syncd.yaml says, else auto: "
            "$SYNCD_DATABASE_URL or $DATABASE_URL when set, else the embedded Postgres.",
            hidden=hidden,
        ),
        TyperOption(
            param_decls=["log_format", "--log-format"],
            metavar="|".join(LOG_FORMATS),
            expose_value=False,
            callback=_keep("log_format", _choice("--log-format", LOG_FORMATS)),
            autocompletion=_offering(*LOG_FORMATS),
            help="How the log is written to stderr.",
            hidden=hidden,
        ),
        TyperOption(
            param_decls=["debug", "--debug"],
            is_flag=True,
            default=False,
            expose_value=False,
            callback=_keep("debug"),
            help="Log what is done, and show the traceback of a bug.",
            hidden=hidden,
        ),
    ]


class Command(TyperCommand):
    """A command that takes the global options."""

    def get_short_help_str(self, limit: int = SUMMARY_MAX) -> str:
        """Return the summary whole: it wraps instead of being cut."""
        return super().get_short_help_str(max(limit, SUMMARY_MAX))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_global_options(are_shown=False))


class Group(TyperGroup):
    """A group of commands that takes the global options, and shows its help when it is given no word at all."""

    are_options_shown = False

    def get_short_help_str(self, limit: int = SUMMARY_MAX) -> str:
        """Return the summary whole, as for a command."""
        return super().get_short_help_str(max(limit, SUMMARY_MAX))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_global_options(are_shown=self.are_options_shown))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help on stderr and end with the exit code of wrong usage when there is nothing to parse."""
        if not args and not ctx.resilient_parsing:
            typer.echo(self.get_help(ctx), err=True)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)


class RootGroup(Group):
    """``syncd`` itself."""

    are_options_shown = True


def group(summary: str, *examples: str, cls: type[Group] = Group, has_completion: bool = False) -> typer.Typer:
    """Return an empty group of commands in plain text: the help of a tool that scripts read, too."""
    return typer.Typer(
        cls=cls,
        help=summary,
        epilog=_epilog(examples),
        add_completion=has_completion,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def command(parent: typer.Typer, name: str, *examples: str) -> Callable[[Function], Function]:
    """Return the decorator that registers a command under a name, with its examples at the end of its help."""
    return parent.command(name, cls=Command, epilog=_epilog(examples))


def _epilog(examples: Sequence[str]) -> str | None:
    """Return the end of a help text; the mark keeps its lines from being filled."""
    if not examples:
        return None
    title = "Example:" if len(examples) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  {each}" for each in examples)])


@contextmanager
def workspace(context: typer.Context, *, shows_progress: bool = True, has_to_be: bool = True) -> Iterator[Workspace]:
    """Open the command's workspace, with progress on a terminal while the command works.

    Args:
        shows_progress: False for a command that prints as it goes.
        has_to_be: False for a command that needs the store alone, before there is a workspace.

    Raises:
        NotFound: there is no workspace here.
        ConfigError: the workspace's configuration is wrong.
    """
    import logging

    from syncd import api
    from syncd.cli.output import progress
    from syncd.cli.served import lent_workspace
    from syncd.log import LOGGER, configure

    if (lent := lent_workspace()) is not None:
        yield lent
        return

    given = globals_of(context)
    configure(given.log_format)
    LOGGER.setLevel(logging.DEBUG if given.debug else logging.WARNING)
    with (
        progress(context.command_path) if shows_progress else nullcontext(),
        api.open(given.directory, mode=given.mode, environ=os.environ, face="cli", has_to_be=has_to_be) as opened,
    ):
        yield opened
