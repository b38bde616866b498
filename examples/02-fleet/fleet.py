"""Ten workers build a program together; one agent crashes, one hangs, and one worker is killed.

Run it with ``make fleet``.  It makes a scratch repository in a temporary folder, with a Postgres of its own, hands the
cards of TASKS.md to ten ``syncd work`` processes, and ends with the program built, every card done once, and the
audit trail telling how.  ``--picture PATH`` draws the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from picture import Bar, draw

import syncd
from syncd.api import Workspace
from syncd.core.events import Event, EventType
from syncd.store.embedded import status as server_status

AGENT = Path(__file__).resolve().parent / "agent.sh"
LETTERS = "abcdefghijkl"
MOODS = {"w8": "crash", "w9": "hang", "w10": "slow"}
KILLED = "w10"
WORKERS = tuple(f"w{number}" for number in range(1, 11))
DEADLINE_S = 240.0
LIMIT_S = 60.0
"""A card's time limit: far more than an agent that is well needs."""
HUNG_LIMIT_S = 8.0
"""The limit of the worker whose agent hangs: what hangs is ended by it."""

Seen = TypeVar("Seen")


class Failed(Exception):
    """Something did not hold."""


def main() -> int:
    """Run the story; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--picture", type=Path, help="draw the run into this SVG file")
    given = parser.parse_args()
    try:
        with ExitStack() as life:
            _play(life, given.picture)
    except Failed as failed:
        print(f"\nThis did not hold: {failed}", file=sys.stderr)
        return 1
    return 0


def _play(life: ExitStack, picture: Path | None) -> None:
    folder = Path(tempfile.mkdtemp(prefix="syncd-fleet-"))
    life.callback(shutil.rmtree, folder)
    root, environ = _scratch(folder)
    life.callback(_until, lambda: _has_stopped(folder / "postgres"), "the private Postgres stops")
    cards = 2 * len(LETTERS) + 3
    print(f"A repository with {cards} cards: a base, {len(LETTERS)} parts, a test for each, a build, a release.")
    with syncd.open(root, environ=environ, actor="conductor") as workspace:
        workspace.sync()
        fleet: dict[str, subprocess.Popen[bytes]] = {}
        life.callback(_end, fleet)
        # Those with bad luck come first, so that each of them has a part to do.
        for name in MOODS:
            fleet[name] = _worker(root, folder, environ, name)
        _until(lambda: len(list((folder / "moods").glob("*.mood"))) == len(MOODS), "each of them has a part")
        fleet[KILLED].kill()
        print("The agent of w8 crashes, that of w9 hangs, and w10 is killed with kill -9 in the middle of its card.")
        # The others begin together.
        workspace.backlog.pause()
        for name in WORKERS:
            if name not in MOODS:
                fleet[name] = _worker(root, folder, environ, name)
        _until(lambda: len(workspace.workers.all()) == len(fleet) - 1, "nine workers are there")
        print("Seven more workers are there; the queue goes on.")
        workspace.backlog.resume()
        codes = {name: each.wait(DEADLINE_S) for name, each in fleet.items()}
        _until(lambda: not workspace.workers.all(), "the watchdog has taken the killed worker out")
        workspace.sync()
        _check(workspace, root, folder, codes)
        if picture is not None:
            picture.write_text(draw(_bars(list(workspace.backlog.events())), WORKERS), "utf-8")
            print(f"wrote {picture}")
    print("\nAll of it held.")


# --- the stage -----------------------------------------------------------------------------------


def _scratch(folder: Path) -> tuple[Path, dict[str, str]]:
    """Make the repository and the workspace; return its folder, and the environment of everything that runs there."""
    root = folder / "letters"
    root.mkdir()
    (folder / "moods").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "GIT_", "PG"))}
    kept.pop("DATABASE_URL", None)
    person = {f"GIT_{role}_{what}": "fleet" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {
        **kept,
        **person,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "SYNCD_DATA_DIR": str(folder / "postgres"),
        "FLEET_MOODS": str(folder / "moods"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    (root / "TASKS.md").write_text(_board(), "utf-8")
    (root / ".gitignore").write_text("TASKS.md\nsyncd.yaml\n", "utf-8")
    _run(root, environ, "git", "init", "--quiet", "--initial-branch=main")
    _run(root, environ, "git", "add", ".gitignore")
    _run(root, environ, "git", "commit", "--quiet", "--message", "start")
    _run(root, environ, sys.executable, "-P", "-m", "syncd", "init", "--yes")
    _run(root, environ, sys.executable, "-P", "-m", "syncd", "config", "set", "embedded_grace_s", "0")
    return root, environ


def _board() -> str:
    """Return the task file."""
    rows = [("BASE", "Make the package", "—")]
    rows += [(f"PART-{each}", f"Write the part {each}", "BASE") for each in LETTERS]
    rows += [(f"TEST-{each}", f"Test the part {each}", f"PART-{each}") for each in LETTERS]
    rows += [("BUILD", "Build the program", ", ".join(f"TEST-{each}" for each in LETTERS))]
    rows += [("SHIP", "Run it, and keep what it says", "BUILD")]
    lines = ["# Letters", "", "| id | status | title | depends_on |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {id} | not-started | {title} | {needs} |" for id, title, needs in rows), ""])


def _worker(root: Path, folder: Path, environ: dict[str, str], name: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-P", "-m", "syncd", "work", "--owner", name, "--concurrency", "1", "--until-done"]
    limit_s = HUNG_LIMIT_S if MOODS.get(name) == "hang" else LIMIT_S
    words += ["--timeout", str(limit_s), "--kill-after", "1", "--worktree"]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [*words, "--", "sh", str(AGENT), MOODS.get(name, "well")],
            cwd=root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _end(fleet: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for each in fleet.values():
        if each.poll() is None:
            each.send_signal(signal.SIGTERM)
    for each in fleet.values():
        each.wait(DEADLINE_S)


def _has_stopped(data: Path) -> bool:
    return not server_status(data).running and not (data / "data" / "postmaster.pid").exists()


def _run(root: Path, environ: dict[str, str], *words: str) -> str:
    done = subprocess.run(words, cwd=root, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _until(look: Callable[[], Seen], what: str) -> Seen:
    deadline = time.monotonic() + DEADLINE_S
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise Failed(f"waited in vain until {what}")
        time.sleep(0.02)
    return seen


# --- what has to hold ----------------------------------------------------------------------------


def _check(workspace: Workspace, root: Path, folder: Path, codes: dict[str, int]) -> None:
    events = list(workspace.backlog.events())
    stats = workspace.backlog.stats()
    cards = 2 * len(LETTERS) + 3
    _require(stats.counts["done"] == cards, f"all {cards} cards are done")
    completed = Counter(each.id for each in events if each.type is EventType.COMPLETED)
    _require(set(completed.values()) == {1}, "each card was completed exactly once")
    retries = [str(each.data.get("lastError")) for each in events if each.type is EventType.RETRY]
    _require(any("SIGSEGV" in each and "on fire" in each for each in retries), "the log tells of the crash, and why")
    _require(any(f"{HUNG_LIMIT_S:g} s" in each for each in retries), "the log tells of the agent that hung")
    released = [each for each in events if each.type is EventType.RELEASED]
    _require(
        any(each.actor.startswith(f"{KILLED}.") and "watchdog" in each.actor for each in released),
        "the killed worker's card came back by itself",
    )
    _require(codes.pop(KILLED) == -signal.SIGKILL and set(codes.values()) == {0}, "the other nine ended well")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    merged = Counter(_run(root, environ, "git", "log", "--no-merges", "--format=%s").split())
    _require(len(merged) == cards + 1 and set(merged.values()) == {1}, "each card's work is in the repository once")
    _require((root / "SAYS").read_text() == f"{LETTERS}\n", f"the program that they built says {LETTERS}")
    tasks = (root / "TASKS.md").read_text()
    _require(tasks.count("| done |") == cards, "TASKS.md says done, row by row")
    _require(not _survivors(folder), "no process is left")


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise Failed(what)
    print(f"  ✓ {what}")


def _survivors(folder: Path) -> list[str]:
    """Return the processes that an attempt in this folder left."""
    mark = f"FLEET_MOODS={folder / 'moods'}".encode()
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found.append(command)
        except OSError:
            continue
    return [each for each in found if "postgres" not in each and "syncd.store" not in each]


def _bars(events: Sequence[Event]) -> list[Bar]:
    """Return every attempt of the run: who, which card, from when to when, and how it ended."""
    endings = {
        EventType.COMPLETED: "done",
        EventType.RETRY: "failed",
        EventType.FAILED: "failed",
        EventType.RELEASED: "killed",
        EventType.RECLAIMED: "killed",
    }
    begun: dict[str, Event] = {}
    bars = []
    for each in events:
        if each.type is EventType.PROCESSING:
            begun[each.id] = each
        elif each.type in endings and each.id in begun:
            start = begun.pop(each.id)
            how = endings[each.type]
            if how == "failed" and "time limit" in str(each.data.get("lastError")):
                how = "hung"
            worker = str(start.data["claimOwner"]).partition(".")[0]
            bars.append(Bar(worker, each.id, start.at.timestamp(), each.at.timestamp(), how))
    return bars


if __name__ == "__main__":
    sys.exit(main())
