"""A page of the documentation, run as a reader would paste it: one shell from its first block to its last.

======== ==================================================================================
info     what happens
======== ==================================================================================
sh       the block runs; each of its commands has to end with 0
console  each line after ``$ `` runs; what stands below has to be what it prints
python   the block runs as a program in the shell's folder, and has to end with 0
bash     shown, not run: what a test cannot have (root, another host); it has to parse
run      a comment ``<!-- run: … -->``: what the text asks a reader to do by hand
until    a comment ``<!-- until: … -->``: the shell goes on when this command succeeds
======== ==================================================================================

In expected output ``…`` stands for anything within a line, and a line of ``…`` alone for any lines.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.pages import Block

MARK = "\x1e"
PROMPT = "$ "
DEADLINE_S = 300.0
"""For a page; a calm machine needs a few seconds."""

UNTIL = "for _ in $(seq 600); do {0} >/dev/null 2>&1 && break; sleep 0.05; done; {0} >/dev/null 2>&1"
"""Waits for a condition, with a deadline."""


@dataclass
class Step:
    """One command of a page, with what it has to print (``None``: whatever, but it has to end with 0)."""

    line: int
    script: str
    expected: list[str] | None = None


@dataclass
class Told:
    """What the shell said of one step."""

    step: Step
    output: str = ""
    code: int | None = field(default=None)

    def fault(self) -> str | None:
        """Return what is wrong with it, if anything is."""
        if self.code is None:
            return "was never reached"
        if self.step.expected is None:
            return None if self.code == 0 else f"ends with {self.code}"
        wanted = "\n".join(self.step.expected).strip()
        return None if _matches(wanted, self.output.strip()) else f"prints something else than\n{wanted}"


def steps(blocks: list[Block]) -> Iterator[Step]:
    """Yield what is to be run of a page."""
    for block in blocks:
        match block.info.split(" ")[0]:
            case "sh":
                yield Step(block.line, f"set -e\n{block.text}set +e")
            case "python":
                yield Step(block.line, f"python -P - <<'{MARK}'\n{block.text}{MARK}")
            case "console":
                yield from _typed(block)
            case "run":
                yield Step(block.line, block.text)
            case "until":
                yield Step(block.line, UNTIL.format(block.text))


def run(page: list[Step], folder: Path, environ: Mapping[str, str]) -> list[Told]:
    """Run the steps in one shell and return what it said of each."""
    script = ["exec 2>&1"]
    for number, step in enumerate(page):
        script.append(f"printf '{MARK}%s\\n' {number}\n{step.script}\nprintf '{MARK}= %s\\n' $?")
    script.append("kill $(jobs -p) 2>/dev/null; wait")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    told = [Told(step) for step in page]
    current = 0
    for part in done.stdout.split(MARK)[1:]:
        head, _, output = part.partition("\n")
        if head.startswith("="):
            told[current].code = int(head[2:])
        else:
            current = int(head)
            told[current].output = output
    return told


def report(name: str, told: list[Told]) -> str:
    """Return what went wrong on a page, with what the shell printed; empty when nothing did."""
    faults = [(each, fault) for each in told if (fault := each.fault()) is not None]
    return "\n\n".join(
        f"{name}:{each.step.line}: {shlex.quote(each.step.script.strip())} {fault}\n--- it printed\n{each.output}"
        for each, fault in faults[:3]
    )


def _typed(block: Block) -> Iterator[Step]:
    """Yield the commands of a console block; a line that ends with a backslash goes on in the next."""
    step: Step | None = None
    is_going_on = False
    for offset, line in enumerate(block.text.splitlines(), start=1):
        if is_going_on and step is not None:
            step.script += f"\n{line.removeprefix('> ')}"
        elif line.startswith(PROMPT):
            if step is not None:
                yield step
            step = Step(block.line + offset, line.removeprefix(PROMPT), [])
        elif step is not None and step.expected is not None:
            step.expected.append(line)
        is_going_on = step is not None and line.endswith("\\")
    if step is not None:
        yield step


def _matches(wanted: str, output: str) -> bool:
    """Compare line by line without trailing spaces; ``…`` stands for anything."""
    pattern = []
    for line in wanted.splitlines():
        if line.strip() == "…":
            pattern.append(r"(?:.*\n)*?")
        else:
            pattern.append(".*".join(re.escape(each) for each in line.rstrip().split("…")) + r"[ ]*\n")
    return re.fullmatch("".join(pattern), output + "\n" if output else "") is not None
