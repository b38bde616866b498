"""Draws demo.svg: what the README shows is a real run of the demo.

Run it with ``make picture``.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
FIRST = "2. "
LAST = "5. "
"""The picture shows the steps from the first of these titles up to the last."""


def run() -> list[str]:
    """Return the lines of a run, with their colours."""
    environ = {**os.environ, "FORCE_COLOR": "1"}
    environ.pop("NO_COLOR", None)
    words = [sys.executable, str(HERE / "demo.py")]
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=True).stdout.splitlines()


def shown(lines: list[str]) -> list[Text]:
    """Return the part of a run that the picture shows."""
    texts = [Text.from_ansi(line) for line in lines]
    start = next(index for index, text in enumerate(texts) if text.plain.startswith(FIRST))
    end = next(index for index, text in enumerate(texts) if text.plain.startswith(LAST))
    return texts[start : end - 1]


def draw(texts: list[Text]) -> str:
    """Return the picture; it names no font of the network."""
    width = max(text.cell_len for text in texts) + 1
    console = Console(record=True, width=width, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for text in texts:
        console.print(text, no_wrap=True, crop=False, overflow="ignore", highlight=False)
    svg = console.export_svg(title="make demo", unique_id="demo")
    start, end = svg.index("@font-face"), svg.rindex("@font-face")
    return svg[:start] + svg[svg.index("}", end) + 1 :].lstrip()


def main() -> None:
    """Run the demo and write the picture."""
    picture = HERE / "demo.svg"
    picture.write_text(draw(shown(run())), "utf-8")
    print(f"wrote {picture.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
