"""Everything that is written to stdout, and progress on stderr: one JSON value, or a screen."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, Final, NoReturn

import typer

from syncd.cli.options import globals_of
from syncd.cli.screen import UNSAFE, Screen, plain
from syncd.errors import InputOutputError

EXIT_PIPE: Final = 141
"""What a shell reports of a program whose reader went away."""

PROGRESS_AFTER_S: Final = 1.0

WATCH_S: Final = 1.0
"""How often a watched screen is drawn."""


def emit(context: typer.Context, value: Any, screen: Callable[[], Screen]) -> None:
    """Print a command's result: the JSON value with ``--json``, else the screen."""
    if globals_of(context).json:
        write_bytes(json_line(value))
    else:
        show(screen())


def follow(context: typer.Context, look: Callable[[], Any], draw: Callable[[Any], Screen]) -> NoReturn:
    """Look again and again, and show what there is, until Ctrl-C; JSON only when it has changed.

    Args:
        look: returns what is to be shown, as JSON.
        draw: makes a screen of it; drawn anew each time, as ages grow.
    """
    import time

    if globals_of(context).json or not sys.stdout.isatty():
        before = None
        while True:
            found = look()
            if (steady := _without_times(found)) != before:
                before = steady
                emit(context, found, lambda: draw(found))  # noqa: B023 - called at once
            time.sleep(WATCH_S)
    from syncd.cli import terminal

    with terminal.live(sys.stdout) as redraw:
        while True:
            redraw(draw(look()))
            time.sleep(WATCH_S)


def _without_times(found: Any) -> Any:
    """Return a report without what moves by itself: when the last cycle was, and what it took."""
    match found:
        case list():
            return [_without_times(each) for each in found]
        case {"daemon": dict() as daemon}:
            steady = {name: each for name, each in daemon.items() if not name.startswith("lastCycle")}
            return {**found, "daemon": steady}
        case _:
            return found


def json_line(value: Any, *, indent: int | None = None) -> bytes:
    """Return a JSON value in UTF-8, on one line unless indented, in which nothing acts on a terminal."""
    import msgspec

    try:
        data = msgspec.json.format(msgspec.json.encode(value), indent=indent or 0)
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=False, indent=indent)
    else:
        if data.isascii() and b"\x7f" not in data:
            return data + b"\n"
        text = data.decode()
    lines = (UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], each) for each in text.split("\n"))
    return ("\n".join(lines) + "\n").encode()


def show(screen: Screen) -> None:
    """Print a screen, in colour on a terminal."""
    if not sys.stdout.isatty():
        text = plain(screen)
        write_bytes(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        return
    from syncd.cli import terminal

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with _unless_closed():
        terminal.show(screen, sys.stdout)
        sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Write to stdout at once; a reader that went away ends the command quietly."""
    with _unless_closed():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@contextmanager
def _unless_closed() -> Iterator[None]:
    """Turn a broken pipe into a quiet exit; a full disk stays the error that it is.

    Effects: stdout then leads nowhere, so that the interpreter's last flush does not fail a second time.
    """
    try:
        yield
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(EXIT_PIPE) from None
        raise InputOutputError(f"the output cannot be written: {error.strerror}") from error


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on a terminal's stderr that a command still works, once it takes longer than a second."""
    if not sys.stderr.isatty():
        yield
        return
    from threading import Timer

    shown: list[Any] = []

    def begin() -> None:
        from rich.console import Console

        status = Console(stderr=True).status(f"{what} …")
        shown.append(status)
        status.start()

    timer = Timer(PROGRESS_AFTER_S, begin)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        for status in shown:
            status.stop()


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal's stderr a bar of how much of a counted work is done; gives what to call with each step."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda step: bar.advance(task, step)
