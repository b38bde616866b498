"""The screens of the documentation as pictures, each from a real run on a real terminal: ``make screens``.

A shop with a bit of everything that may need a hand; its commands print to a pseudo-terminal, what came out is drawn by
rich as a terminal shows it, and resvg makes a PNG of that.  Needs the group ``pictures``; no part of the tests.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import resvg_py
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI, TerminalTheme
from rich.text import Text

from syncd.store.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
ROWS = 50
BOARD = """\
# Bookings

| id    | status      | title                 | depends_on   | owner |
|-------|-------------|-----------------------|--------------|-------|
| HB-01 | done        | Draw the schema       | —            |       |
| HB-02 | done        | Read the calendar     | HB-01        |       |
| HB-03 | in-progress | Book a room           | HB-01        | ann   |
| HB-04 | not-started | Send the confirmation | HB-03        |       |
| HB-05 | not-started | Cancel a booking      | HB-03        |       |
| HB-06 | blocked     | Take the payment      | HB-04        |       |
"""


@dataclass(frozen=True)
class Shop:
    """A workspace, and the environment of its user."""

    root: Path
    environ: Mapping[str, str]

    @property
    def file(self) -> Path:
        """The task file."""
        return self.root / "TASKS.md"

    def edit(self, old: str, new: str) -> None:
        """Replace one place of the task file."""
        text = self.file.read_text("utf-8")
        assert text.count(old) == 1, old
        self.file.write_text(text.replace(old, new), "utf-8")

    def __call__(self, line: str) -> None:
        """Run a command that is in no picture."""
        words = [sys.executable, "-P", "-m", "syncd", *shlex.split(line)]
        subprocess.run(words, cwd=self.root, env=dict(self.environ), check=True, capture_output=True)

    def shown(self, line: str, columns: int) -> str:
        """Return what a command prints on a terminal of this width."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        words = [sys.executable, "-P", "-m", "syncd", *shlex.split(line)]
        environ = {**self.environ, "TERM": "xterm-256color"}
        # What shows progress meanwhile, on the other stream, is gone when the command has ended.
        quiet = subprocess.DEVNULL
        with subprocess.Popen(words, cwd=self.root, env=environ, stdin=quiet, stdout=theirs, stderr=quiet):
            os.close(theirs)
            said = b""
            # A terminal whose last program has ended answers with an error instead of an end.
            with suppress(OSError):
                while part := os.read(ours, 65536):
                    said += part
        os.close(ours)
        return said.decode("utf-8").replace("\r\n", "\n")


@contextmanager
def shop() -> Iterator[Shop]:
    """Make the shop, with both sides in sync."""
    with tempfile.TemporaryDirectory(prefix="syncd-screens-") as name:
        home, data = Path(name), Path(name) / "postgres"
        root = home / "bookings"
        root.mkdir()
        kept = {each: value for each, value in os.environ.items() if not each.startswith(("SYNCD_", "PG", "NO_COLOR"))}
        kept.pop("DATABASE_URL", None)
        made = Shop(root, {**kept, "HOME": name, "SYNCD_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)})
        made.file.write_text(BOARD, "utf-8")
        with EmbeddedServer.start(data, grace_s=0.1):
            made("init --yes")
            made("sync")
            yield made


def draw(name: str, line: str, said: str, columns: int, theme: TerminalTheme) -> None:
    """Draw what a command printed, under the command itself."""
    console = Console(record=True, width=columns, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), f"syncd {line}"))
    console.print(Text.from_ansi(said.rstrip("\n")))
    svg = console.export_svg(title="bookings", theme=theme)
    fonts = {"monospace_family": "DejaVu Sans Mono", "serif_family": "DejaVu Sans"}
    picture = resvg_py.svg_to_bytes(svg_string=svg, zoom=1.25, font_family="monospace", **fonts)
    (PICTURES / f"{name}.png").write_bytes(picture)
    print(f"docs/pictures/{name}.png")


def main() -> None:
    """Play the story, and take the pictures."""
    with shop() as here:

        def take(name: str, line: str, columns: int = 88, theme: TerminalTheme = MONOKAI) -> None:
            draw(name, line, here.shown(line, columns), columns, theme)

        here.edit("Cancel a booking     ", "Cancel a booking, free")
        here("backlog update HB-05 'title=Cancel within a day'")
        here("sync")
        here.edit("| HB-04 | not-started |", "| HB-04 | done        |")
        here.edit("| HB-06 | blocked     |", "| HB-06 | frobnicated |")
        take("status", "status")
        take("status-narrow-light", "status", 44, DEFAULT_TERMINAL_THEME)
        take("conflicts", "conflicts")
        here.file.write_text("# Bookings\n", "utf-8")
        here("sync")
        take("held", "held")


if __name__ == "__main__":
    main()
