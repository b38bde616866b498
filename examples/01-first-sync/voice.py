"""How the demo talks: steps, commands and their output, in colour on a terminal only."""

from __future__ import annotations

import io
import os
import sys
import textwrap

WIDTH = 96


def suit_terminal() -> None:
    """Print a question mark for what the terminal's encoding lacks, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _is_colourful() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))


def paint(text: str, *codes: int) -> str:
    """Return the text in colours, where colours are wanted."""
    return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[0m" if codes and _is_colourful() else text


def title(text: str) -> None:
    """Begin a part of the story."""
    print(f"\n{paint(text, 1, 36)}", flush=True)


def say(text: str) -> None:
    """Tell what happens, wrapped."""
    for line in textwrap.wrap(text, WIDTH):
        print(line)
    sys.stdout.flush()


def command(words: str, prompt: str = "$") -> None:
    """Show what a user would type."""
    print(f"  {paint(prompt, 2)} {paint(words, 1)}", flush=True)


def output(text: str) -> None:
    """Show what a command printed."""
    for line in text.rstrip().splitlines():
        print(f"    {line}")
    sys.stdout.flush()


def diff(text: str) -> None:
    """Show the lines that a diff takes out and puts in, without its head."""
    for line in text.splitlines():
        if line.startswith("-") and not line.startswith("---"):
            print(f"    {paint(line, 31)}")
        elif line.startswith("+") and not line.startswith("+++"):
            print(f"    {paint(line, 32)}")
    sys.stdout.flush()


def good(text: str) -> None:
    """Say that something held, as checked."""
    print(f"  {paint('✓', 1, 32)} {text}", flush=True)


def bad(text: str) -> None:
    """Say what did not hold, on stderr."""
    print(f"\n{paint('✗', 1, 31)} {text}", file=sys.stderr, flush=True)
