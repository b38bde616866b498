"""Side by side with what a user would pick instead: ``make compare``.

Installs the tools into a temporary folder (npm, pip and apt with their own settings), gives each a project of so many
tasks, and measures whole commands: listing all, and creating one.  syncd runs with its daemon on an embedded Postgres.
What cannot be installed or does not run here is said and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.latency import RESULTS, board, database
from tests.bench.standing import synced
from tests.support.desk import desk

TIMEOUT_S: Final = 120.0


@dataclass(frozen=True)
class Tool:
    """A tool as it is measured: its commands in a folder that holds so many tasks."""

    name: str
    folder: Path
    environ: Mapping[str, str]
    list: Sequence[str]
    create: Sequence[str]


def quiet(words: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
    """Run a command that has to succeed."""
    subprocess.run(
        words, cwd=folder, env=environ, check=True, capture_output=True, timeout=600, stdin=subprocess.DEVNULL
    )


def took_ms(words: Sequence[str], tool: Tool, tries: int) -> float:
    """Return the median of whole commands; ``{n}`` in a word is the number of the try."""
    took = []
    for number in range(tries):
        command = [word.replace("{n}", str(number)) for word in words]
        started = time.perf_counter()
        subprocess.run(
            command,
            cwd=tool.folder,
            env=dict(tool.environ),
            check=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


def _cards(folder: Path, count: int) -> None:
    tasks = folder / "backlog" / "tasks"
    tasks.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        text = f"---\nid: TASK-{number}\ntitle: Card {number}\nstatus: To Do\nassignee: []\ndependencies: []\n---\n"
        (tasks / f"task-{number} - Card-{number}.md").write_text(text)


def backlog_md(home: Path, count: int) -> Tool:
    """Backlog.md, from npm."""
    if not (home / "node_modules").exists():
        quiet(["npm", "install", "--silent", "--prefix", str(home), "backlog.md"], home)
    folder = home / f"backlog-{count}"
    folder.mkdir()
    quiet(["git", "init", "--quiet"], folder)
    command = str(home / "node_modules" / ".bin" / "backlog")
    environ = {**os.environ, "HOME": str(home), "NO_COLOR": "1"}
    quiet([command, "init", "demo", "--defaults"], folder, environ)
    _cards(folder, count)
    return Tool("Backlog.md", folder, environ, [command, "task", "list", "--plain"], [command, "task", "create", "One"])


def backlog_py(home: Path, count: int) -> Tool:
    """backlog-md-py, from PyPI."""
    venv = home / "venv"
    if not venv.exists():
        quiet([sys.executable, "-m", "venv", str(venv)], home)
        quiet([str(venv / "bin" / "pip"), "install", "--quiet", "backlog-md-py"], home)
    folder = home / f"backlog-py-{count}"
    folder.mkdir()
    command = str(venv / "bin" / "backlog-py")
    environ = {**os.environ, "HOME": str(home), "NO_COLOR": "1"}
    quiet([command, "init", "demo", "--defaults", "--no-git"], folder, environ)
    _cards(folder, count)
    return Tool(
        "backlog-md-py", folder, environ, [command, "task", "list", "--plain"], [command, "task", "create", "One"]
    )


def taskwarrior(home: Path, count: int) -> Tool:
    """Taskwarrior, from Debian."""
    command = shutil.which("task")
    if command is None:
        quiet(["apt-get", "download", "taskwarrior"], home)
        (package,) = home.glob("taskwarrior_*.deb")
        quiet(["dpkg", "-x", str(package), str(home / "taskwarrior")], home)
        command = str(home / "taskwarrior" / "usr" / "bin" / "task")
    folder = home / f"task-{count}"
    folder.mkdir()
    (folder / "taskrc").write_text(f"data.location={folder}/data\nconfirmation=no\nverbose=nothing\n")
    environ = {**os.environ, "TASKRC": str(folder / "taskrc")}
    tasks = [{"description": f"Card {number}", "status": "pending"} for number in range(count)]
    (folder / "tasks.json").write_text(json.dumps(tasks))
    quiet([command, "import", "tasks.json"], folder, environ)
    return Tool("Taskwarrior", folder, environ, [command, "list"], [command, "add", "One"])


def task_master(home: Path, count: int) -> Tool:
    """task-master-ai, from npm; creating a task there asks a language model, so that only the list counts."""
    place = home / "task-master"
    if not place.exists():
        place.mkdir()
        quiet(["npm", "install", "--silent", "--prefix", str(place), "task-master-ai"], place)
    folder = home / f"task-master-{count}"
    (folder / ".taskmaster" / "tasks").mkdir(parents=True)
    plain = {"description": "d", "details": "", "testStrategy": "", "priority": "medium"}
    tasks = [
        {"id": n, "title": f"Card {n}", **plain, "status": "pending", "dependencies": [], "subtasks": []}
        for n in range(1, count + 1)
    ]
    (folder / ".taskmaster" / "tasks" / "tasks.json").write_text(json.dumps({"master": {"tasks": tasks}}))
    command = str(place / "node_modules" / ".bin" / "task-master")
    return Tool("task-master-ai", folder, {**os.environ, "HOME": str(home)}, [command, "list"], [])


TOOLS: Final[tuple[Callable[[Path, int], Tool], ...]] = (backlog_md, backlog_py, taskwarrior, task_master)


def others(home: Path, sizes: Sequence[int], tries: int) -> Iterator[tuple[str, int, float | None, float | None]]:
    """Measure the other tools; what fails is said."""
    for make in TOOLS:
        for count in sizes:
            try:
                tool = make(home, count)
                listed = took_ms(tool.list, tool, tries)
                created = took_ms(tool.create, tool, tries) if tool.create else None
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                print(f"{make.__name__} at {count}: left out ({type(error).__name__}: {error})", file=sys.stderr)
                break
            yield tool.name, count, listed, created


def own(home: Path, sizes: Sequence[int], tries: int) -> Iterator[tuple[str, int, float | None, float | None]]:
    """Measure syncd with its daemon on an embedded Postgres."""
    for count in sizes:
        place = home / f"syncd-{count}"
        place.mkdir()
        with database(os.environ.get("DATABASE_URL"), place) as dsn:
            here = synced(desk(place / "board", dsn, board(count)))
            with here.daemon():
                syncd = [sys.executable, "-P", "-m", "syncd", "backlog"]
                create = [*syncd, "create", "--id", "NEW-{n}", "--title", "One"]
                tool = Tool("syncd", here.root, here.environ, [*syncd, "list"], create)
                yield tool.name, count, took_ms(tool.list, tool, tries), took_ms(tool.create, tool, tries)


def main() -> int:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description="Whole commands of task tools, side by side, in one run.")
    options.add_argument("--tasks", type=int, nargs="+", default=[100, 1000], help="tasks in the project (100 1000)")
    options.add_argument("--tries", type=int, default=5, help="commands of each kind (5)")
    given = options.parse_args()
    lines = ["| tool | tasks | list, ms | create, ms |", "|---|--:|--:|--:|"]
    with tempfile.TemporaryDirectory(prefix="syncd-compare-") as name:
        home = Path(name)
        for measured in (*own(home, given.tasks, given.tries), *others(home, given.tasks, given.tries)):
            tool, count, *times = measured
            lines.append(
                f"| {tool} | {count} | " + " | ".join("–" if ms is None else f"{ms:.0f}" for ms in times) + " |"
            )
    table = "\n".join(lines) + "\n"
    print(table, end="")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "compare.md").write_text(table, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
