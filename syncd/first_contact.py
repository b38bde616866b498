"""``syncd init``: look at a folder, say what is there and what the first sync would do, and only then set up.

May import everything below the faces.
"""

from __future__ import annotations

import re
import shlex
import socket
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from syncd.errors import BadValue, NotFound, Refused, SchemaVersionError, StoreUnreachable, SyncdError
from syncd.files.layout import Layout
from syncd.files.registry import remember
from syncd.files.settings import get_setting, read_config
from syncd.parsers.document import Document, Problem
from syncd.parsers.render import starter
from syncd.parsers.tasks_md import parse
from syncd.schemas.config import KEYS, Config, StoreKind, TaskEntry
from syncd.stores import choose_store
from syncd.wiring import Wiring

if TYPE_CHECKING:
    from syncd.engine.report import CycleReport

USUAL_TASK_FILES: Final = ("TASKS.md", "docs/TASKS.md")


class InitFile(msgspec.Struct, frozen=True):
    """One task file as ``init`` sees it."""

    path: str
    exists: bool
    dialects: tuple[str, ...]
    cards: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


class InitPlan(msgspec.Struct, frozen=True):
    """What ``init`` would do.  Nothing was written yet.

    ``plan`` is what the first sync will do; ``None`` when ``store_note`` says why that cannot be told yet.
    ``already`` is True for a folder that is a workspace: it keeps its settings.
    """

    root: Path
    config: Mapping[str, Any]
    files: tuple[InitFile, ...]
    store_cards: int
    plan: CycleReport | None
    already: bool
    store_note: str | None
    wiring: Wiring

    def carry_out(self) -> dict[str, Any]:
        """Make ``syncd.yaml``, ``.syncd/``, a starter TASKS.md where there is no task file, and the store's schema.

        Safe to repeat.  Raises: InputOutputError, ConfigError, and the errors of the store.
        """
        _set_up(self.wiring, None if any(each.exists for each in self.files) else starter())
        remember(self.root, self.wiring.environ)
        return settings_of(self.wiring)

    def __enter__(self) -> InitPlan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give back what the look opened."""
        self.wiring.close()


def init(
    path: str | Path | None,
    *,
    project: str | None,
    tasks: Sequence[str],
    mission: str | None,
    mode: str | None,
    environ: Mapping[str, str],
) -> InitPlan:
    """Look at a folder and its store, and say what would be set up; nothing is written.

    Args:
        path: the folder, the current one by default.
        project: joins this project, even one that another path uses.
        tasks: the task files or globs; by default those with the usual names.
        mission: the mission file; by default the one with the usual name.

    Raises: Refused when the project belongs to another path and was not named, BadValue for a path outside
    the folder, and the errors of the store.
    """
    layout = Layout(Path(path or ".").resolve())
    if not layout.root.is_dir():
        raise BadValue(f"{layout.root} is no folder", hint="Make it first, or name another one with -C.")
    already = layout.is_workspace
    config = read_config(layout.config)
    if mission is not None:
        config = replace(config, mission=_inside(mission, "--mission"))
    if tasks:
        config = replace(config, tasks=tuple(TaskEntry(_inside(each, "--tasks")) for each in tasks))
    elif not layout.config.exists():
        found = [each for each in USUAL_TASK_FILES if (layout.root / each).is_file()]
        config = replace(config, tasks=tuple(TaskEntry(each) for each in found or USUAL_TASK_FILES[:1]))
    choice = choose_store(config, environ, mode)
    config = replace(config, store=choice.record)
    users = _project_users(Wiring(layout, environ=environ, mode=mode, actor=None, face="cli", config=config))
    name = _project(layout, config, users, project, already=layout.config.exists())
    wiring = Wiring(layout, environ=environ, mode=mode, actor=None, face="cli", config=replace(config, project=name))
    try:
        plan, cards, note = _first_sync(wiring)
    except SyncdError:
        wiring.close()
        raise
    return InitPlan(
        root=layout.root,
        config=settings_of(wiring),
        files=tuple(_look(wiring, path) for path in wiring.files.paths()),
        store_cards=cards,
        plan=plan,
        already=already,
        store_note=note,
        wiring=wiring,
    )


def _set_up(wiring: Wiring, starter: bytes | None) -> None:
    """Write the configuration, make ``.syncd/`` and the store's schema, and a first task file.

    Args:
        starter: the bytes of the first task file; ``None`` when there is one.

    Effects: safe to repeat; a file that appears meanwhile is left alone.
    """
    from syncd.files.workspace import create

    names = ["project", "store"]
    names += [name for name in ("tasks", "mission") if getattr(wiring.config, name) != getattr(Config(), name)]
    create(wiring.layout, {name: get_setting(wiring.config, name) for name in names})
    wiring.state()
    if starter is not None and (path := wiring.files.paths()[0]):
        staged = wiring.files.stage(path, starter)
        if not wiring.files.replace(path, staged, None).matched:
            wiring.files.discard(staged)
    wiring.make_tables()
    wiring.greet()


def settings_of(wiring: Wiring) -> dict[str, Any]:
    """Return every setting as it is in force, by its name in ``syncd.yaml``, and where the workspace is."""
    return {
        "workspace": str(wiring.layout.root),
        "config": str(wiring.layout.config),
        **{name: get_setting(wiring.config, name) for name in KEYS},
    }


_Users = Mapping[str, Set[tuple[str, str]]]
"""By project: the host and path of each working copy."""


def _project_users(wiring: Wiring) -> _Users:
    """Return who uses which project; nobody, where the store is still to be made, or is this workspace's alone."""
    if wiring.choice.kind is StoreKind.FLATFILE:
        return {}
    from syncd.store.replicas import project_users

    try:
        return project_users(wiring.dsn(may_make=False))
    except (NotFound, SchemaVersionError, StoreUnreachable):
        return {}
    finally:
        wiring.close()


def _project(layout: Layout, config: Config, users: _Users, wanted: str | None, *, already: bool) -> str:
    """Return the project: the one named, the one set, or one that nobody else uses."""
    if wanted is not None:
        return wanted
    if already:
        return config.project
    here = {(socket.gethostname(), str(layout.root))}
    if config.store is not None and config.store.kind is StoreKind.EMBEDDED:
        name = folder = re.sub(r"[^A-Za-z0-9._-]+", "-", layout.root.name).strip("-") or "workspace"
        number = 2
        while users.get(name, here) != here:
            name, number = f"{folder}-{number}", number + 1
        return name
    if others := users.get(config.project, set()) - here:
        host, path = min(others)
        raise Refused(
            f"project {config.project} is used by {path} on {host} already",
            hint=f"syncd init --project {shlex.quote(config.project)} joins it; --project NAME makes one of its own.",
        )
    return config.project


def _first_sync(wiring: Wiring) -> tuple[CycleReport | None, int, str | None]:
    """Return what the first sync would do, and how many cards the store has, as far as that can be told."""
    try:
        cycle = wiring.cycle(may_make=False, awaits_writers=False)
        report = cycle.preview().report
        if wiring.absence() is not None:
            return None, 0, "The database does not answer now: work begins without it, and is merged when it does."
        return report, len(cycle.live_ids()), None
    except SchemaVersionError as error:
        if error.hint and "migrate" in error.hint:
            return None, 0, "The store is new; its tables are made now."
        raise
    except NotFound:
        return None, 0, "The embedded Postgres is made now."


def _look(wiring: Wiring, path: str) -> InitFile:
    read = wiring.files.read(path)
    if read.error is not None:
        problem = Problem(path, 1, 1, "unreadable", read.error, "Make the file readable.")
        return InitFile(path, True, (), 0, (problem,), ())
    if read.data is None:
        return InitFile(path, False, (), 0, (), ("It is made, with an empty table.",))
    document = parse(read.data, path=path, options=wiring.files.parse_options(path))
    dialects = Counter(card.dialect for card in document.cards)
    notes = []
    if nameless := sum(card.id is None for card in document.cards):
        notes.append(f"{nameless} without an id; each gets one.")
    if not document.cards:
        notes.append(f"{why_empty(document)}; it is left as it is.")
    return InitFile(
        path,
        True,
        tuple(dialect for dialect, _ in dialects.most_common()),
        len(document.cards),
        document.problems,
        tuple(notes),
    )


def why_empty(document: Document) -> str:
    """Return in one line why no card was read in a document."""
    reasons = list(dict.fromkeys(each.reason for each in document.blocks if not each.cards and each.kind != "heading"))
    if not reasons:
        return "nothing in it looks like a task"
    rest = f" (and {len(reasons) - 1} more: syncd parse --explain)" if len(reasons) > 1 else ""
    return f"no cards: {reasons[0]}{rest}"


def _inside(path: str, option: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise BadValue(f"{option} {path} leaves the workspace", hint="Give a path below the workspace's folder.")
    return Path(path).as_posix()
