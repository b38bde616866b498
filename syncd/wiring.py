"""The only place that joins real adapters: configuration, files, state and a store, into a cycle or a daemon.

Everything is made when first asked for, so that a command pays for what it uses.
May import everything below the faces.  Long because there is one such place.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec.structs import replace

from syncd import mission_wiring
from syncd.errors import StoreUnreachable, SyncdError
from syncd.files.layout import Layout
from syncd.files.settings import read_config
from syncd.schemas.config import Config, StoreKind
from syncd.stores import LISTEN_VARIABLE, StoreChoice, choose_store, embedded_server, reach_of

if TYPE_CHECKING:
    from syncd.core.retry import RetryPolicy
    from syncd.engine.cycle import Cycle, CycleSettings
    from syncd.engine.formatting import Formatted
    from syncd.engine.report import DaemonStatus, Look, StatusReport
    from syncd.engine.task_edit import EditedRow
    from syncd.files.state import StateFile
    from syncd.files.task_files import WorkspaceFiles
    from syncd.parsers.document import Document
    from syncd.ports import Absence, Contact, Pending, Store, SyncStore, WorkerRegistry
    from syncd.schemas.card import Fields
    from syncd.schemas.mission import Records
    from syncd.store.embedded import EmbeddedServer
    from syncd.store.flatfile.files import ManifestFiles
    from syncd.store.postgres import PostgresStore
    from syncd.store.reach import Reach
    from syncd.store.silence import Vigil

DAEMON_TIMEOUT_S: Final = 30.0
PROBE_S: Final = 0.7
"""How long a server may be silent when it is asked something that needs nothing, before it counts as one that hangs."""
PROBE_MAX_S: Final = 1.0
"""How long that may take where it is far away."""

ACTOR_VARIABLE: Final = "SYNCD_ACTOR"
UNMADE: Final = "store.unmade"
"""What the state says of a database that was away when its tables were to be made."""


class Wiring:
    """One workspace, joined on demand.

    Args:
        environ: the environment; nothing else here reads it.
        mode: ``--mode``, over everything.
        actor: who makes changes, for the history.
        face: through which face.
        config: settings that are not written yet, instead of those in ``syncd.yaml``.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        environ: Mapping[str, str],
        mode: str | None,
        actor: str | None,
        face: str,
        config: Config | None = None,
    ) -> None:
        self.layout = layout
        self.environ = environ
        self.mode = mode
        self.actor = actor or environ.get(ACTOR_VARIABLE) or f"{_user(environ)}@{socket.gethostname()}"
        self.face = face
        self.config: Config = read_config(layout.config) if config is None else config
        self._open = ExitStack()
        self._server: EmbeddedServer | None = None
        self._store: Store | None = None
        self._state: StateFile | None = None
        self._may_write = False
        self._makes = False
        """Whether this process may make what is not there, and write."""
        self._making = threading.RLock()
        self._opening = threading.Lock()

    def act_as(self, actor: str) -> None:
        """Have what follows recorded as this actor's doing."""
        from syncd.ports import Actable

        self.actor = actor
        if self._store is not None:
            cast(Actable, self._store).act_as(actor, self.face)

    def reread(self) -> None:
        """Take up the configuration as it is written now."""
        self.config = read_config(self.layout.config)
        for name in ("files", "mission_files"):
            self.__dict__.pop(name, None)

    def close(self) -> None:
        """Give back connections, locks and files, in the reverse order."""
        self._store = self._state = None
        self._open.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    # --- files and state --------------------------------------------------------------------------

    @cached_property
    def files(self) -> WorkspaceFiles:
        """The task files."""
        from syncd.files.task_files import WorkspaceFiles

        return WorkspaceFiles(self.layout, self.config)

    @cached_property
    def mission_files(self) -> WorkspaceFiles:
        """The mission files."""
        return mission_wiring.mission_files(self.layout, self.config)

    def known_document(self, path: str) -> Document | None:
        """Return a task file as this process has read it before, perhaps not as it is now; ``None`` for never."""
        return None

    def watched_paths(self) -> list[Path]:
        """Return the files whose changes wake a daemon, existing or not."""
        return [self.layout.root / path for path in (*self.files.paths(), *self.mission_files.paths())]

    @property
    def socket(self) -> Path:
        """Where the daemon listens."""
        return self.layout.socket(self.environ)

    @property
    def replica(self) -> str:
        """This working copy's id; ``local`` before the first write."""
        return (self._state or self.state(may_write=False)).replica

    def state(self, *, may_write: bool = True) -> StateFile:
        """Return the state beside the files, for reading only unless a caller says that it writes."""
        with self._opening:
            if self._state is None or (may_write and not self._may_write):
                from syncd.files.state import StateFile

                self._state = StateFile(self.layout, project=self.config.project, is_read_only=not may_write)
                self._may_write = may_write
                self._open.callback(self._state.close)
            return self._state

    # --- store ------------------------------------------------------------------------------------

    @cached_property
    def choice(self) -> StoreChoice:
        """The store that is meant.  Raises ConfigError, StoreMismatch."""
        return choose_store(self.config, self.environ, self.mode)

    def dsn(self, *, may_make: bool) -> str:
        """Return how to connect, starting the embedded server when that is the store.

        Args:
            may_make: whether an embedded server may be created; one that exists is started in any case.

        Raises: StoreUnreachable where the store is a manifest, NotFound when there is no embedded one yet, and
        what the supervisor raises.
        """
        if self.choice.kind is StoreKind.FLATFILE:
            raise StoreUnreachable("this workspace's cards are in files: there is no database")
        if self.choice.dsn is not None:
            return self.choice.dsn
        if self._server is None:
            self._server = embedded_server(self.choice, self.config, may_make=may_make)
        return self._server.dsn

    def store(self, *, may_make: bool = True) -> Store:
        """Return the store; ``may_make`` as for ``dsn``, and then an embedded one is migrated when it is first used.

        Raises: ConfigError and its kin.
        """
        self._makes |= may_make
        with self._making:
            if self._store is None:
                self._store = self.another_store()
                self._open.callback(self._store.close)
            return self._store

    def registry(self, *, may_make: bool = True) -> WorkerRegistry:
        """Return the registry of workers: the database's, or one beside the files without it, and while it is away.

        Args:
            may_make: as for ``store``.

        Raises: as ``store``.
        """
        from syncd.ports import KeepsWorkers
        from syncd.store.flatfile.workers import FileRegistry

        store = self.store(may_make=may_make)
        return store.registry if isinstance(store, KeepsWorkers) else FileRegistry(self.layout.workers, store)

    @property
    def retry(self) -> RetryPolicy:
        """When a card that failed is tried again, in whatever store it fails."""
        from syncd.core.retry import RetryPolicy

        chosen = self.config.retry
        return RetryPolicy(chosen.max_retries, chosen.base_s, chosen.max_s)

    def another_store(self) -> Store:
        """Return another store on the same cards, for whoever asks beside the cycle; nothing is connected yet."""
        if self.reach is None:
            from syncd.store.flatfile.rules import ManifestStore

            acting = {"actor": self.actor, "face": self.face, "replica": self.replica}
            return ManifestStore(self.manifest, project=self.config.project, retry=self.retry, **acting)
        from syncd.store.failover import FailoverStore

        return FailoverStore(self.reach, self.database, self.reach.store(self.actor, self.face), self.layout.workers)

    @cached_property
    def manifest(self) -> ManifestFiles:
        """The manifest's files, shared by all who use them in this process."""
        from syncd.stores import manifest_files

        return manifest_files(self.layout.manifest, self.config.project)

    @cached_property
    def reach(self) -> Reach | None:
        """Whether the database answers; ``None`` where the cards are in files anyhow."""
        return None if self.choice.kind is StoreKind.FLATFILE else reach_of(self)

    def absence(self) -> Absence | None:
        """Return since when the database is away; ``None`` while it is not, or there is none."""
        return self.reach.absence() if self.reach is not None else None

    def hurry(self) -> None:
        """Have a database that is away tried with the next call."""
        if self.reach is not None:
            self.reach.hurry()

    def hangs(self, *, silent_s: float = PROBE_S) -> bool:
        """Return whether the database takes what it is sent and says nothing to anybody for so long."""
        if self.choice.kind is StoreKind.FLATFILE:
            return False
        from syncd.store.probe import hangs

        try:
            return hangs(self.dsn(may_make=False), silent_s=silent_s, within_s=PROBE_MAX_S)
        except SyncdError:
            return False

    def give_up(self, reason: str) -> None:
        """Look at what was last known instead of the database from now on; only for who looks, and writes nothing."""
        assert not self._makes
        if self.reach is not None and self.absence() is None:
            self.reach.step_aside(StoreUnreachable(reason))

    def contact(self, may_write: bool) -> Contact:
        """Return what is remembered of the database, to be written only in a process that may."""
        return self.state(may_write=may_write and self._makes).contact

    def pending(self) -> Pending:
        """Return the batches that the journals have under way, and what they set."""
        state = self._state or self.state(may_write=False)
        journal, missions = state.journal(), mission_wiring.pending(state)
        if journal is None:
            return missions
        return replace(missions, commit_id=journal.commit_id, sent=journal.sent)

    def missions_agreed(self) -> Records:
        """Return the mission records as files and store last agreed on them."""
        return mission_wiring.agreed(self._state or self.state(may_write=False))

    @cached_property
    def vigil(self) -> Vigil:
        """What the connections of this process know of a database that says nothing."""
        from syncd.store.silence import Vigil

        return Vigil()

    def database(self) -> PostgresStore:
        """Return a store on the database itself, which an embedded one is started and migrated for."""
        from syncd.store.postgres import PostgresStore

        with self._making:
            is_unmade = self._makes and self.state(may_write=False).meta(UNMADE) is not None
            if is_unmade or (self._makes and self.choice.data_dir is not None):
                self.migrate()
                self.state().set_meta(UNMADE, None)
            dsn = self.dsn(may_make=self._makes)
        is_served = self.choice.kind is StoreKind.POSTGRES
        return PostgresStore(
            dsn,
            project=self.config.project,
            actor=self.actor,
            face=self.face,
            replica=self.replica,
            kind=self.choice.kind.value,
            pooled=is_served and self.config.pooled,
            listen_dsn=(self.environ.get(LISTEN_VARIABLE) or None) if is_served else None,
            retry=self.retry,
            vigil=self.vigil,
        )

    def followed(self) -> Store:
        """Return the store whose audit trail is followed: the database itself, which is waited for when it goes away.

        What stands in for it counts its entries anew: a reader that remembers a place would be lost there.  Only
        where the database is away from the beginning, what stands in is followed.
        """
        store = self.store(may_make=False)
        store.info()
        if self.reach is None or self.absence() is not None:
            return store
        database = self.database()
        self._open.callback(database.close)
        return database

    def make_tables(self) -> None:
        """Make the store's schema; that of a database that does not answer now, when it does."""
        try:
            self.migrate()
        except StoreUnreachable:
            self.state().set_meta(UNMADE, "yes")

    def migrate(self) -> None:
        """Bring the store's schema up to date; with nothing to do nothing is written.  A manifest has none."""
        if self.choice.kind is StoreKind.FLATFILE:
            return
        from syncd.store.migrate import migrate

        migrate(self.dsn(may_make=True))

    def greet(self) -> None:
        """Tell the store that this working copy is here."""
        self.store().touch_replica(self.replica, socket.gethostname(), str(self.layout.root))

    def revive(self) -> bool:
        """Start the embedded server again when it died; one that hangs, and a served one, are left alone."""
        if self.choice.data_dir is None or (self._server is not None and self.hangs()):
            return False
        with self._making:
            dead, self._server = self._server, embedded_server(self.choice, self.config, may_make=True)
        if dead is not None:
            dead.close()
        return True

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Return the daemon's answer; ``None`` when none of this version runs.  Raises RemoteError, TimeoutError."""
        from syncd.engine.asker import ask

        return ask(self.socket, request, timeout_s=DAEMON_TIMEOUT_S)

    # --- engine -----------------------------------------------------------------------------------

    def cycle(
        self,
        *,
        is_paced: bool = False,
        may_make: bool = True,
        store: SyncStore | None = None,
        awaits_writers: bool = True,
    ) -> Cycle:
        """Return a cycle over this workspace.

        Args:
            is_paced: for a daemon, which writes files politely.
            may_make: False for a look: nothing is made, started anew, or written.
            store: another store than the workspace's own.
            awaits_writers: False for a look that takes each file as it stands, as if nobody were writing it.
        """
        from syncd.engine.cycle import Cycle
        from syncd.engine.naming import short_name
        from syncd.engine.pace import Pace
        from syncd.files.atomic import digest
        from syncd.files.lock import AdvisoryLock, cycle_lock

        state = self.state(may_write=may_make)
        store = store or self.store(may_make=may_make)
        settings = self._cycle_settings(awaits_writers=awaits_writers)
        return Cycle(
            self.files,
            store,
            state,
            settings,
            lock=lambda: cycle_lock(self.layout),
            monotonic=time.monotonic,
            new_commit_id=self.new_commit_id,
            digest=digest,
            pace=Pace(self.config.file_write_interval_ms, time.monotonic) if is_paced else None,
            edit_lock=AdvisoryLock(self.layout, self.environ),
            own_name=lambda: short_name(self.replica) if self.absence() is not None else "",
            companion=mission_wiring.mission_sync(self, store, state, settings.thresholds, is_paced=is_paced),
        )

    def looking(self) -> Callable[[], Look]:
        """Return what looks at both sides and plans, again and again, and writes nothing."""
        return self.cycle(may_make=False).look

    def new_commit_id(self) -> str:
        """Return a fresh id for a store transaction."""
        return uuid.uuid4().hex

    @property
    def is_lock_held(self) -> bool:
        """Whether this process runs under ``syncd with-lock`` of this workspace."""
        from syncd.files.lock import is_held_above

        return is_held_above(self.layout, self.environ)

    def edit_row(self, id: str, fields: Fields) -> EditedRow:
        """Set fields of a card in its task file, under the lock for editing.  Raises: as ``task_edit.edit_row``."""
        from syncd.engine.task_edit import edit_row
        from syncd.files.atomic import digest
        from syncd.files.lock import advisory_lock

        self.state()
        with nullcontext() if self.is_lock_held else advisory_lock(self.layout):
            return edit_row(self.files, self.files.parse_options, digest, id, fields)

    def format_files(self, paths: Sequence[str], *, is_check: bool) -> list[Formatted]:
        """Pad the tables of task files, under the lock for editing.  Raises: as ``formatting.format_files``."""
        from syncd.engine.formatting import format_files
        from syncd.files.atomic import digest
        from syncd.files.lock import advisory_lock

        self.state()
        with nullcontext() if is_check or self.is_lock_held else advisory_lock(self.layout):
            return format_files(self.files, self.files.parse_options, digest, paths, is_check=is_check)

    def status(
        self, cycle: Cycle | None = None, *, daemon: DaemonStatus | None = None, mode: str = "poll"
    ) -> StatusReport:
        """Return the drift report.

        Args:
            cycle: a daemon's; by default one that only looks.
            daemon: how the daemon is; by default there is none.
            mode: how the daemon hears of the store's changes.
        """
        from syncd.engine.awaiting import UNANSWERED
        from syncd.engine.report import DaemonStatus
        from syncd.engine.status import AwayStore, Identity, describe

        store: SyncStore
        known = None
        try:
            known = self.absence()
            if cycle is None and known is None and self.hangs():
                self.give_up(UNANSWERED)
            store = self.store(may_make=cycle is not None)
        except SyncdError as error:
            store = AwayStore(error)
        return describe(
            Identity(str(self.layout.root), self.config.project, self.replica),
            cycle or self.cycle(may_make=False, store=store),
            store,
            kind=self.choice.kind.value,
            daemon=daemon or DaemonStatus(running=False),
            mode="flatfile" if self.choice.kind is StoreKind.FLATFILE else mode,
            absence=self.absence,
            known=known,
            missions=mission_wiring.read_missions(self.mission_files, self.config),
        )

    def _cycle_settings(self, *, awaits_writers: bool) -> CycleSettings:
        from syncd.core.plan import Policy
        from syncd.core.sight import Thresholds
        from syncd.engine.cycle import CycleSettings
        from syncd.parsers.words import fold
        from syncd.schemas.card import Status

        config, guards = self.config, self.config.guards
        return CycleSettings(
            policy=Policy(winners=config.policy, on_removed=config.on_removed, replica=self.replica),
            thresholds=Thresholds(
                deletions_max=guards.deletions_max,
                deletions_share=guards.deletions_share,
                grace_s=guards.grace_s,
                settle_ms=guards.settle_ms if awaits_writers else 0,
                settle_deletions_ms=guards.settle_deletions_ms if awaits_writers else 0,
                changed_share=guards.changed_share,
                changed_min=guards.changed_min,
            ),
            options=self.files.parse_options,
            statuses={fold(word): Status(state) for word, state in config.statuses.items()},
            prefix=config.prefix,
            priority_range=config.priority_range,
        )


def _user(environ: Mapping[str, str]) -> str:
    return environ.get("USER") or environ.get("LOGNAME") or str(os.getuid())
