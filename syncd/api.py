"""The one typed interface of every face: a workspace, its sync, its backlog.

    import syncd

    with syncd.open(".") as workspace:
        card = workspace.backlog.claim(owner="worker-1", ttl_seconds=600)

The command line holds no rules of its own; what it can do, this module can.
May import everything below it.  Long because it is one interface, to be read in one place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from syncd.errors import BadValue, Busy, InputOutputError, NotFound, Refused, StoreUnreachable, SyncdError
from syncd.files.layout import Layout, find_root
from syncd.wiring import Wiring

if TYPE_CHECKING:
    from syncd.backlog import Backlog as Backlog
    from syncd.core.drift import DriftEntry
    from syncd.core.plan import Hold, Wait
    from syncd.database import Database as Database
    from syncd.database import StoreSchema as StoreSchema
    from syncd.database import Upgraded as Upgraded
    from syncd.doctor import Check as Check
    from syncd.engine.daemon import Closable
    from syncd.engine.decisions import Settled as Settled
    from syncd.engine.formatting import Formatted
    from syncd.engine.report import CycleReport, Look, StatusReport
    from syncd.files.git_setup import GitSetup as GitSetup
    from syncd.first_contact import InitPlan
    from syncd.missions import Missions as Missions
    from syncd.moving import Moved as Moved
    from syncd.overview import Standing as Standing
    from syncd.parsers.document import Document, ParseOptions, Problem
    from syncd.past import Past as Past
    from syncd.ports import ConflictRecord, Store
    from syncd.schemas.card import Card, Fields
    from syncd.schemas.config import Config
    from syncd.service import Service as Service
    from syncd.service import ServiceState as ServiceState
    from syncd.verification import Verification as Verification
    from syncd.workers import Killed as Killed
    from syncd.workers import Workers as Workers

Commands = Callable[["Workspace", Mapping[str, Any]], tuple[int, bytes, bytes]]
"""Runs a command line on a workspace that a daemon lends: exit code, stdout, stderr."""


_TRUSTED: Final = "events.trusted"

_PARTS: Final = {
    "Backlog": "backlog",
    "Database": "database",
    "StoreSchema": "database",
    "Missions": "missions",
    "Past": "past",
    "Killed": "workers",
    "Workers": "workers",
}
"""Where the parts of a workspace are; each is loaded when it is first asked for, so that a command pays for its own."""

Companion = Callable[["Workspace"], "Closable | None"]
"""Starts something that runs beside the daemon's sync, where the configuration asks for it."""


def __getattr__(name: str) -> object:
    """Load a part on first use."""
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return globals().setdefault(name, getattr(import_module(f"syncd.{_PARTS[name]}"), name))


def open(
    path: str | Path | None = None,
    *,
    mode: str | None = None,
    environ: Mapping[str, str] | None = None,
    actor: str | None = None,
    face: str = "api",
    has_to_be: bool = True,
) -> Workspace:
    """Open the workspace that ``path`` is, or that the current folder lies in.

    Args:
        path: the workspace's folder; ``None``: ``$SYNCD_WORKSPACE``, else the nearest one upwards.
        mode: ``auto``, ``postgres``, ``embedded``, ``flatfile``; ``None``: what the configuration says.
        environ: the environment to go by; the process's own by default.
        actor: who makes changes, for the history.
        has_to_be: ``False`` for who only wants the store that the environment names: any folder will do then.

    Raises: NotFound when there is no workspace, ConfigError when its configuration is wrong.
    Effects: none until something is asked.
    """
    environ = os.environ if environ is None else environ
    try:
        root = find_root(Path(), environ, told=None if path is None else Path(path))
    except NotFound:
        if has_to_be:
            raise
        root = Path(path or ".").resolve()
    wiring = Wiring(Layout(root), environ=environ, mode=mode, actor=actor, face=face)
    if mode is not None:
        # A daemon's answers come from its own store: another one that was named must not pass for it.
        _ = wiring.choice
    return Workspace(wiring)


def init(
    path: str | Path | None = None,
    *,
    project: str | None = None,
    tasks: Sequence[str] = (),
    mission: str | None = None,
    mode: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> InitPlan:
    """Look at a folder and say what a workspace there would be; ``carry_out`` of the answer makes it.

    Raises: as ``first_contact.init``.  Effects: none before ``carry_out``.
    """
    from syncd import first_contact

    return first_contact.init(
        path,
        project=project,
        tasks=tasks,
        mission=mission,
        mode=mode,
        environ=os.environ if environ is None else environ,
    )


def run(
    path: str | Path | None = None,
    *,
    mode: str | None = None,
    environ: Mapping[str, str] | None = None,
    once: bool = False,
    log_format: str = "text",
    commands: Commands | None = None,
    companions: Sequence[Companion] = (),
) -> int:
    """Sync a workspace until SIGTERM; return the exit code.

    Args:
        commands: runs a command line inside the daemon, for callers that ask for it.
        companions: start what else runs as long as the daemon, each with a workspace of its own.

    Raises: as ``foreground.run``.
    """
    from syncd import foreground

    return foreground.run(
        path,
        mode=mode,
        environ=os.environ if environ is None else environ,
        once=once,
        log_format=log_format,
        commands=commands and (lambda wiring, request: commands(Workspace(wiring), request)),
        companions=[partial(_accompanied, each) for each in companions],
    )


def service(path: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Service:
    """Return a workspace's daemon as a service of its user; works with settings that cannot be read, too.

    Raises: NotFound when there is no workspace.
    """
    from syncd.service import Service

    environ = os.environ if environ is None else environ
    return Service(find_root(Path(), environ, told=None if path is None else Path(path)), environ)


def doctor(
    path: str | Path | None = None,
    *,
    mode: str | None = None,
    environ: Mapping[str, str] | None = None,
    fix: bool = False,
) -> Iterator[Check]:
    """Look at everything that a workspace stands on; yield each check as it is known.

    Args:
        fix: do at once what is safe to do.

    Raises: NotFound when there is no workspace; whatever else is wrong is a check.
    """
    from syncd.doctor import examine

    environ = os.environ if environ is None else environ
    root = find_root(Path(), environ, told=None if path is None else Path(path))
    return examine(root, environ, mode=mode, fix=fix)


def _accompanied(companion: Companion, wiring: Wiring) -> Closable | None:
    return companion(Workspace(wiring))


def overview(*, environ: Mapping[str, str] | None = None) -> tuple[Standing, ...]:
    """Return how each of the user's workspaces on this machine stands; reads only."""
    from syncd.overview import overview

    return overview(os.environ if environ is None else environ)


def known_cards(path: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return the titles of the cards as files and store last agreed on them, by id; asks no store and no daemon.

    Raises: NotFound when there is no workspace, ConfigError, InputOutputError.
    """
    with open(path, environ=environ) as workspace:
        return workspace.known_cards()


def parse_file(path: Path, *, options: ParseOptions | None = None) -> Document:
    """Return what syncd reads in a file, inside a workspace or not.

    Raises: NotFound when it is absent, InputOutputError when it cannot be read.
    """
    from syncd.parsers.document import ParseOptions
    from syncd.parsers.tasks_md import parse

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist") from None
    except OSError as error:
        raise InputOutputError(f"{path} cannot be read: {error.strerror}") from error
    return parse(data, path=str(path), options=options or ParseOptions())


def merge_driver(base: Path, local: Path, remote: Path, path: str, *, marker_size: int = 7) -> int:
    """Merge three versions of a task file into ``local`` as git's merge driver; return how many places clash.

    Raises: InputOutputError.
    """
    from syncd import git_merge

    return git_merge.merge(base, local, remote, path, marker_size=marker_size)


class Workspace:
    """One workspace; a context manager that gives connections back."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._looked: Look | None = None
        self.root: Final = wiring.layout.root
        self.config_path: Final = wiring.layout.config

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what was opened."""
        self._wiring.close()

    @property
    def project(self) -> str:
        """Whose cards these are in the store."""
        return self._wiring.config.project

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._wiring.config

    @property
    def replica(self) -> str:
        """This working copy's id."""
        return self._wiring.replica

    def act_as(self, actor: str) -> None:
        """Have what follows recorded as this actor's doing."""
        self._wiring.act_as(actor)

    @property
    def is_away(self) -> bool:
        """Whether the database did not answer when it was last asked, so that work goes on here."""
        return self._wiring.absence() is not None

    @property
    def away_since(self) -> datetime | None:
        """Since when the database is away; ``None`` while it is not."""
        absence = self._wiring.absence()
        return None if absence is None else absence.since

    @property
    def backlog(self) -> Backlog:
        """The queue of cards."""
        from syncd.backlog import Backlog

        return Backlog(self._wiring)

    @property
    def workers(self) -> Workers:
        """Who works on the cards, on any host."""
        from syncd.workers import Workers

        return Workers(self._wiring)

    @property
    def database(self) -> Database:
        """The store as a thing to look after: its schema, its size, and where it is."""
        from syncd.database import Database

        return Database(self._wiring, nudge=self._nudge)

    @property
    def past(self) -> Past:
        """The audit trail, and the ways back."""
        from syncd.past import Past

        return Past(self._wiring, sync=self.sync, nudge=self._nudge)

    @property
    def missions(self) -> Missions:
        """The missions."""
        from syncd.missions import Missions

        return Missions(self._wiring, sync=self.sync, nudge=self._nudge)

    # --- sync -------------------------------------------------------------------------------------

    def sync(self, *, dry_run: bool = False, on_wait: Callable[[Wait], None] = lambda wait: None) -> CycleReport:
        """Bring files and store together now; beside a daemon, ask it to.

        Args:
            dry_run: plan only, write nothing.
            on_wait: told of each file that is waited for.

        Raises: StoreUnreachable, Busy, ConfigError.
        """
        if dry_run:
            return self._wiring.looking()().preview.report
        self._wiring.hurry()
        if (answer := self._wiring.ask({"op": "sync"})) is not None:
            from syncd.engine.report import CycleReport

            return CycleReport.from_wire(answer)
        from syncd.engine.patience import settled

        report = settled(self._wiring.cycle().run, on_wait=on_wait)
        self._wiring.greet()
        return report

    def status(self) -> StatusReport:
        """Return the drift report; reads only, and never waits long for a store that is away."""
        from syncd.engine.report import StatusReport

        if (answer := self._wiring.ask({"op": "status"})) is not None:
            return StatusReport.from_wire(answer)
        return self._wiring.status()

    def diff(self, id: str | None = None) -> tuple[DriftEntry, ...]:
        """Return what differs between file and store, of one card or of all.

        Raises: NotFound when ``id`` is in neither.
        """
        look = self._look()
        if id is None:
            return look.preview.drift
        if not look.knows(id):
            raise NotFound(f"no card {id} in project {self.project}", hint="syncd backlog list")
        return tuple(entry for entry in look.preview.drift if entry.id == id)

    def verify(self) -> Verification:
        """Compare files, base and store anew, row by row, and explain each difference; reads only."""
        from syncd.verification import verify

        return verify(self._wiring)

    def metrics(self) -> dict[str, Any]:
        """Return what can be measured: the status, and what a running daemon has counted; reads only."""
        if (answer := self._wiring.ask({"op": "metrics"})) is not None:
            return dict(answer)
        return {"status": self.status().to_json(), "daemon": None}

    def metrics_text(self) -> str:
        """Return the metrics as Prometheus reads them.  Raises Refused without the extra ``metrics``."""
        from syncd.metrics import text

        return text(self.metrics())

    def write_metrics(self, path: Path) -> None:
        """Write the metrics into a file, all at once.  Raises: as ``metrics_text``, InputOutputError."""
        from syncd.files.atomic import write_whole

        write_whole(path, self.metrics_text().encode())

    def known_cards(self) -> Mapping[str, str]:
        """Return the titles of the cards as files and store last agreed on them, by id; asks no store."""
        base = self._wiring.state(may_write=False).base()
        return {id: str(card.fields.get("title") or "") for id, card in base.items()}

    def unread(self) -> tuple[Problem, ...]:
        """Return why task files could not be read when ``diff`` looked: nothing is known of their cards."""
        return (self._looked or self._look()).unread

    # --- what needs a person ----------------------------------------------------------------------

    def conflicts(self, *, settled: bool = False) -> tuple[ConflictRecord, ...]:
        """Return the project's conflicts, oldest first; with ``settled`` those too."""
        return tuple(self._store(may_make=False).conflicts(settled=settled))

    def resolve(self, id: str, field: str | None, use: str) -> Card:
        """Settle a conflict: ``use`` is ``local``, ``remote`` or ``value:TEXT``.

        Args:
            field: ``None`` for the only field of the card that clashed.

        Raises: NotFound without such a conflict, BadValue for another ``use`` or a field that is to be named,
            Refused when the field was changed after the clash and the choice would replace that.
        Effects: the chosen value goes to the store, and from there into the file with the next cycle.
        """
        from syncd.engine.decisions import resolve

        card = resolve(self._store(), self._wiring.state(), id, field, use)
        self._nudge()
        return card

    def resolve_all(self, use: str) -> Settled:
        """Settle every open conflict with the files' (``local``) or the store's values.

        Raises: BadValue for another ``use``; Refused, once the others are settled, where one cannot be settled so.
        """
        from syncd.engine.decisions import Settled, resolve
        from syncd.schemas.mission import RecordKey

        if use not in ("local", "remote"):
            raise BadValue(f"all conflicts cannot be settled with {use}", hint="Say local or remote.")
        cards: dict[str, Card] = {}
        records: dict[str, None] = {}
        left: list[SyncdError] = []
        for id, field in dict.fromkeys((each.conflict.id, each.conflict.field) for each in self.conflicts()):
            try:
                if RecordKey.parse(id) is None:
                    cards[id] = resolve(self._store(), self._wiring.state(), id, field, use)
                else:
                    self.missions.settle(id, field, use)
                    records[id] = None
            except (BadValue, NotFound, Refused) as error:
                left.append(error)
        if cards or records:
            self._nudge()
        if left:
            raise Refused(f"{len(left)} conflict(s) stay open: {left[0].message}", hint=left[0].hint)
        return Settled(tuple(cards.values()), tuple(records))

    def held(self) -> tuple[Hold, ...]:
        """Return what the guards keep back; what just went from a file is waited for, for some seconds at most."""
        from syncd.engine.patience import holds_now

        look = self._wiring.looking()
        return holds_now(lambda: look().preview.report)

    def accept(self, ids: Sequence[str] = ()) -> tuple[Hold, ...]:
        """Let holds through: those of these cards or files, or all.  Raises NotFound when an id is not held."""
        return self._decide(ids, "accept")

    def reject(self, ids: Sequence[str] = ()) -> tuple[Hold, ...]:
        """Undo what is held: the file goes back to what the store says; what is undone becomes a conflict."""
        return self._decide(ids, "reject")

    # --- the task file ----------------------------------------------------------------------------

    def edit(self, id: str, fields: Fields) -> Card:
        """Set fields of a card in its task file, as an author would, and sync that as soon as may be.

        Raises: NotFound when no file shows the card, Refused when its place cannot show a value, BadValue, Busy.
        """
        from syncd.backlog import require_priority

        require_priority(self._wiring.config, fields.get("priority"))
        self._wiring.ask({"op": "edit", "id": id, "fields": list(fields)})
        row = self._wiring.edit_row(id, fields)
        if not (self._wiring.is_lock_held and self._wiring.socket.exists()):
            self._nudge()
        try:
            return self.backlog.show(id)
        except (StoreUnreachable, NotFound):
            return row.as_card(self.project)

    def format(self, paths: Sequence[str] = (), *, is_check: bool = False) -> list[Formatted]:
        """Pad the tables of these task files, else of all; with ``is_check`` only tell which would change.

        Raises: NotFound for a path that is no task file of the workspace, InputOutputError, Busy.
        """
        known = self._wiring.files.paths()
        if strangers := [path for path in paths if path not in known]:
            raise NotFound(
                f"{strangers[0]} is no task file of this workspace", hint="syncd config set tasks '[PATH, …]'"
            )
        formatted = self._wiring.format_files(paths or known, is_check=is_check)
        if not is_check and any(each.is_changed for each in formatted) and not self._wiring.is_lock_held:
            self._nudge()
        return formatted

    def run_locked(self, command: Sequence[str], *, wait_s: float | None = None) -> int:
        """Run a command that edits task files while nobody else does; return its exit code.

        Raises: Busy when the lock is not to be had in time, UsageError without such a command.
        """
        from syncd.files.locked_command import run_locked

        return run_locked(self._wiring.layout, command, self._wiring.environ, wait_s=wait_s)

    def git_install(self) -> GitSetup:
        """Let git merge the task files with syncd.  Raises NotFound without a repository."""
        from syncd import git_merge

        return git_merge.install(self.root, self._wiring.config, self._wiring.environ)

    def git_uninstall(self) -> GitSetup:
        """Take the merge driver out again.  Raises NotFound without a repository."""
        from syncd import git_merge

        return git_merge.uninstall(self.root, self._wiring.environ)

    def task_files(self) -> tuple[str, ...]:
        """Return the task files, existing or not, relative to the workspace."""
        return self._wiring.files.paths()

    def mission_files(self) -> tuple[str, ...]:
        """Return the mission files that exist, relative to the workspace."""
        files = self._wiring.mission_files
        return tuple(path for path in files.paths() if files.signature(path) is not None)

    def read_file(self, path: str) -> bytes | None:
        """Return what a task file or a mission file says now; ``None`` when it is absent or cannot be read."""
        return self._wiring.files.read(path).data

    def file_signature(self, path: str) -> tuple[int, ...] | None:
        """Return what changes whenever such a file does, at the price of a stat; ``None`` when it is absent."""
        return self._wiring.files.signature(path)

    # --- trust ------------------------------------------------------------------------------------

    @property
    def is_trusted(self) -> bool:
        """Whether a person said that events may go where the settings send them, exactly as these are now."""
        return not self.config.events or self.recall(_TRUSTED) == self._trust_mark()

    def trust(self, *, is_trusted: bool = True) -> None:
        """Let events go where the settings send them, until these say otherwise; or no more.

        Settings come with a repository, and may name programs and addresses: they count only once the one
        who runs syncd has seen them.
        """
        self.remember(_TRUSTED, self._trust_mark() if is_trusted else None)

    def _trust_mark(self) -> str:
        """Return what stands for these settings in this working copy; a copied folder is another one."""
        from hashlib import sha256

        return f"{self.replica} {sha256(repr(self.config.events).encode()).hexdigest()}"

    # --- small facts that outlive the process ------------------------------------------------------

    def recall(self, key: str) -> str | None:
        """Return what was remembered under this key beside the files."""
        return self._wiring.state().meta(key)

    def remember(self, key: str, value: str | None) -> None:
        """Remember a small fact beside the files, durably; ``None`` forgets it."""
        self._wiring.state().set_meta(key, value)

    # --- the service ------------------------------------------------------------------------------

    def service_install(self, *, may_start: bool = True) -> ServiceState:
        """Make the daemon a service and start it, with what it needs of this environment.  Raises: as ``Service``."""
        from syncd.service import Service, daemon_variables

        needed = daemon_variables(self._wiring.choice, self._wiring.environ)
        return Service(self.root, self._wiring.environ).install(needed, may_start=may_start)

    # --- settings ----------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """Return what ``init`` prints: where the workspace is and what it is set to."""
        from syncd.first_contact import settings_of

        return settings_of(self._wiring)

    def config_get(self, key: str) -> Any:
        """Return one setting as plain data.  Raises BadValue for an unknown key."""
        from syncd.files.settings import get_setting

        return get_setting(self._wiring.config, key)

    def config_set(self, key: str, value: str) -> None:
        """Change one setting in ``syncd.yaml``, every other byte kept; ``value`` is YAML.

        Raises: BadValue for an unknown key and for what it cannot hold.
        """
        from syncd.files.settings import parse_value
        from syncd.files.settings_edit import edit_config

        edit_config(self.config_path, key, parse_value(value))

    def _look(self) -> Look:
        self._looked = self._wiring.looking()()
        return self._looked

    def _store(self, *, may_make: bool = True) -> Store:
        return self._wiring.store(may_make=may_make)

    def _decide(self, ids: Sequence[str], decision: str) -> tuple[Hold, ...]:
        from syncd.engine.decisions import decide
        from syncd.engine.patience import settled_holds

        look = self._wiring.looking()
        chosen = decide(settled_holds(lambda: look().preview.report), self._wiring.state(), ids, decision)
        if chosen:
            self.sync()
        return chosen

    def _nudge(self) -> None:
        """Carry a change on to the file at once; a store that is away does it when it is back."""
        try:
            self.sync()
        except SyncdError as error:
            if error.exit_code not in (StoreUnreachable.exit_code, Busy.exit_code):
                raise
