"""What lies in the workspace: settings, task files, the state, locks, leftovers of a crash, git's merge driver.

May import ``syncd.doctor.check``, ``syncd.files``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from syncd.doctor.check import Check, error, note, ok, warning
from syncd.errors import NotFound, SyncdError
from syncd.files.atomic import Replacement, digest, probe
from syncd.files.git_setup import GitRepository
from syncd.files.layout import Layout
from syncd.files.lock import holder
from syncd.files.paths import inside
from syncd.files.settings import read_config
from syncd.files.state import StateFile
from syncd.files.task_files import WorkspaceFiles
from syncd.schemas.config import Config

_PRIVATE: Final = stat.S_IRWXG | stat.S_IRWXO


def settings(layout: Layout) -> tuple[Check, Config | None]:
    """Read the settings; without them the rest is looked at with the defaults."""
    try:
        config = read_config(layout.config)
    except SyncdError as failed:
        return error("settings", failed.message, failed.hint or f"mend {layout.config}"), None
    where = layout.config.name if layout.config.exists() else "the defaults; there is no syncd.yaml"
    return ok("settings", f"project {config.project}, from {where}"), config


def task_files(files: WorkspaceFiles, layout: Layout) -> Iterator[Check]:
    """Look whether each task file can be read and replaced."""
    paths = files.paths()
    if not paths:
        yield warning("task files", "the settings name none that is there", "syncd config get tasks")
    for path in paths:
        try:
            place = inside(layout.root, path)
            exchanges = probe(place.parent) if place.parent.is_dir() else None
        except SyncdError as failed:
            yield error("task files", f"{path}: {failed.message}", failed.hint)
            continue
        except OSError as failed:
            yield error("task files", f"{path} cannot be replaced: {failed.strerror}", f"ls -ld {place.parent}")
            continue
        if not place.exists():
            yield note("task files", f"{path} is not there yet")
        elif not os.access(place, os.R_OK):
            yield error("task files", f"{path} cannot be read", f"ls -l {shlex.quote(path)}")
        elif exchanges is Replacement.LINK:
            told = f"{path}: names cannot be exchanged on this file system; a write has a window of microseconds"
            yield note("task files", told)
        else:
            yield ok("task files", f"{path} can be read, and replaced in one step")


def state(layout: Layout, project: str) -> Check:
    """Look at what syncd remembers of the last sync, and who can read it."""
    if not layout.dot.is_dir():
        return note("state", "there is none yet", "syncd sync")
    mode = stat.S_IMODE(layout.dot.stat().st_mode)
    if mode & _PRIVATE:
        return warning(
            "state", f"others may look into {layout.dot}", f"chmod 700 {layout.dot}", lambda: _private(layout)
        )
    try:
        remembered = StateFile(layout, project=project, is_read_only=True)
    except SyncdError as failed:
        return error("state", failed.message, failed.hint or "syncd sync begins a new one; nothing is deleted")
    try:
        agreed = len(remembered.base())
        cards = "1 card" if agreed == 1 else f"{agreed} cards"
        return ok("state", f"{cards} agreed, working copy {remembered.replica}")
    except SyncdError as failed:
        return error("state", failed.message, failed.hint)
    finally:
        remembered.close()


def _private(layout: Layout) -> str:
    layout.dot.chmod(0o700)
    return f"{layout.dot} is yours alone now"


def locks(layout: Layout) -> Iterator[Check]:
    """Say who holds the locks."""
    passing = False
    who = {
        "the daemon's place": layout.daemon_lock,
        "the cycle": layout.cycle_lock,
        "the lock for editing task files": layout.advisory_lock,
    }
    held = []
    for what, path in who.items():
        try:
            found = holder(path)
        except SyncdError as failed:
            yield error("locks", failed.message, f"ls -l {path}")
            continue
        if found is not None:
            held.append(f"{what}: {found}")
            passing |= path != layout.daemon_lock
    told = "; ".join(held) or "nobody holds one"
    yield note("locks", told) if passing else ok("locks", told)


def leftovers(files: WorkspaceFiles, layout: Layout, project: str) -> Check:
    """Look for staged files that a crash left; those whose bytes are kept elsewhere can go."""
    try:
        remembered = StateFile(layout, project=project, is_read_only=True)
    except SyncdError:
        return note("leftovers", "not looked at: the state cannot be read")
    try:
        journal = remembered.journal()
        spare = [each.staged for each in journal.staged] if journal else []
        found = files.leftovers(spare)
        known = {digest(version) for path in files.paths() for version in remembered.versions(path)}
    finally:
        remembered.close()
    if not found:
        return ok("leftovers", "none")
    names = ", ".join(str(each.relative_to(layout.root)) for each in found[:3])
    safe = [each for each in found if files.digest_of(str(each)) in known]
    told = f"{len(found)} left by a crash: {names}" + (" …" if len(found) > 3 else "")
    if len(safe) < len(found):
        return warning("leftovers", f"{told}; what they hold is known nowhere else", "look at them, and delete them")

    def remove() -> str:
        for each in safe:
            files.discard(str(each))
        return f"removed {len(safe)}; what they held is in the task files' history"

    return warning("leftovers", told, "syncd doctor --fix", remove)


def git_driver(root: Path, environ: Mapping[str, str]) -> Check:
    """Look whether git merges task files with syncd."""
    try:
        setup = GitRepository(root, environ).state()
    except NotFound:
        return ok("git", "no repository here")
    except SyncdError as failed:
        return warning("git", failed.message, failed.hint)
    if setup.driver is None and not setup.lines:
        return note("git", "merges task files line by line", "syncd git install")
    if setup.driver is None or not setup.lines:
        lacks = "the merge driver of this clone" if setup.driver is None else "its lines in .gitattributes"
        return warning("git", f"half installed: it lacks {lacks}", "syncd git install")
    program = shlex.split(setup.driver)[0]
    if not os.access(program, os.X_OK):
        return error("git", f"the merge driver runs {program}, which is not there", "syncd git install")
    return ok("git", "merges task files with syncd")
