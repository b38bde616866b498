"""Draws docs/pictures/demo.svg: what the README shows is a real run, filmed.

Every line in it was in the file, or was printed by the command above it.  Run it with ``make picture``.
"""

from __future__ import annotations

import subprocess
import tempfile
import textwrap
from pathlib import Path

from film import Film, Text
from stage import COMMAND, Stage, until

HERE = Path(__file__).resolve().parent
COLUMNS = (50, 59)
ROWS = 17
TASKS = """\
# Garden

| id | status      | title             | after  |
|----|-------------|-------------------|--------|
| G1 | not-started | Dig the beds      | —      |
| G2 | not-started | Sow the radishes  | G1     |
| G3 | not-started | Build the fence   | —      |
| G4 | not-started | Invite the rabbit | G2, G3 |

Agents edit this file; it stays theirs.
"""
TOLD = (
    "An agent's edit of one cell in TASKS.md arrives in Postgres, claims of two workers arrive in TASKS.md as one "
    "changed line each, and when the file is emptied syncd holds that back and brings it back"
)


class Director:
    """Plays the story on the stage, and films it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.film = Film(("TASKS.md", "syncd run   ·   a terminal beside it"), COLUMNS, ROWS)
        self.terminal: list[Text] = []
        self.before = stage.text()

    def wait(self, seconds: float) -> None:
        """Film what stands there now; lines that changed since the last beat are marked."""
        known = self.before.splitlines()
        file = [
            Text(((line, "changed" if line not in known else ""),)) for line in self.stage.text().splitlines() or [""]
        ]
        self.film.show(file, self.terminal, seconds)

    def settle(self) -> None:
        """From now on what stands in the file is nothing new."""
        self.before = self.stage.text()

    def type(self, words: str, prompt: str = "$ ") -> None:
        """Film a command being typed."""
        self.terminal.append(Text(()))
        for end in range(0, len(words) + 1, 4):
            self.terminal[-1] = Text(((prompt, "prompt"), (words[:end], "typed")))
            self.wait(0.09)
        self.terminal[-1] = Text(((prompt, "prompt"), (words, "typed")))
        self.wait(0.35)

    def say(self, output: str, style: str = "") -> None:
        """Film what a command printed, its first line in a style, wrapped as a terminal of this width would."""
        for number, line in enumerate(output.rstrip().splitlines()):
            for part in textwrap.wrap(line, COLUMNS[1], subsequent_indent="  ", drop_whitespace=False) or [""]:
                self.terminal.append(Text(((part, style if number == 0 else ""),)))

    def run(self, words: str, *, seconds: float, style: str = "") -> None:
        """Type a command, run it, and film what it printed."""
        self.type(f"syncd {words}")
        done = subprocess.run(
            [*COMMAND, *words.split()],
            cwd=self.stage.root,
            env=self.stage.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        self.say(done.stdout, style)
        self.wait(seconds)

    def clear(self) -> None:
        """Begin the terminal anew."""
        self.terminal = []


def film(stage: Stage) -> Film:
    """Play the whole story."""
    stage.syncd("init", "--yes")
    stage.start_daemon()
    until(lambda: stage.sql("select 1 from backlog having count(*) = 4"), "the cards arrive")
    scene = Director(stage)
    scene.wait(1.2)

    scene.say("# an agent finishes G1 and saves the file", "note")
    scene.wait(1.6)
    stage.edit("| G1 | not-started |", "| G1 | done        |")
    rows = until(lambda: stage.sql("select status from backlog where id = 'G1' and status = 'done'"), "G1 is done")
    scene.wait(1.0)
    scene.type("select status from backlog where id = 'G1';", "sql> ")
    scene.say(rows[0][0])
    scene.wait(2.2)
    scene.settle()

    for owner, id in (("ann", "G2"), ("ben", "G3")):
        scene.terminal.append(Text(()))
        scene.run(f"backlog claim --owner {owner}", seconds=0.1)
        until(lambda id=id: "in-progress" in stage.line(f"| {id} "), "the claim is in the file")
        scene.wait(1.7)
    scene.settle()
    scene.terminal.append(Text(()))
    scene.run("backlog why G4", seconds=2.6)

    scene.clear()
    scene.say("# somebody empties the file by accident", "note")
    scene.wait(1.4)
    whole = stage.text()
    stage.tasks.write_text("# Garden\n")
    scene.settle()
    until(lambda: stage.sql("select 1") and "held" in stage.syncd("status").splitlines()[0], "the deletion is held")
    scene.wait(0.8)
    scene.run("status", seconds=3.2, style="warn")
    scene.terminal.append(Text(()))
    scene.run("reject TASKS.md", seconds=0.1)
    until(lambda: stage.text() == whole, "the file is back")
    scene.wait(2.4)
    scene.settle()
    scene.terminal.append(Text(()))
    until(lambda: stage.syncd("status").startswith("In sync"), "both sides agree")
    scene.run("status", seconds=4.0)
    return scene.film


def main() -> None:
    """Play the story and write the picture."""
    picture = HERE.parents[1] / "docs" / "pictures" / "demo.svg"
    with tempfile.TemporaryDirectory(prefix="syncd-picture-") as folder:
        garden = Path(folder) / "garden"
        garden.mkdir()
        (garden / "TASKS.md").write_text(TASKS, "utf-8")
        with Stage(source=garden) as stage:
            picture.write_text(film(stage).svg(TOLD), "utf-8")
    print(f"wrote {picture.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
