"""Which store a workspace has: Postgres, served or embedded, or a manifest in files; and that it stays the same.

May import ``syncd.store``, ``syncd.files``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from syncd.errors import ConfigError, NotFound, StoreMismatch
from syncd.schemas.config import Config, Mode, StoreKind, StoreRecord

if TYPE_CHECKING:
    from syncd.core.retry import RetryPolicy
    from syncd.ports import Contact, Pending
    from syncd.schemas.mission import Records
    from syncd.store.embedded import EmbeddedServer
    from syncd.store.flatfile.files import ManifestFiles
    from syncd.store.reach import Reach

URL_VARIABLES: Final = ("SYNCD_DATABASE_URL", "DATABASE_URL")
LISTEN_VARIABLE: Final = "SYNCD_LISTEN_URL"
"""The database past a transaction pooler, for LISTEN."""

MANIFEST: Final = ".syncd/manifest.json"
"""How a manifest's address reads, whatever folder its workspace is moved to."""

USUAL: Final = "default"
"""The recorded address of an embedded store at the place where its user has it."""


class StoreChoice(msgspec.Struct, frozen=True):
    """Which store is meant: its kind, its address without secrets, how to reach it, and what named it."""

    kind: StoreKind
    address: str
    source: str
    dsn: str | None = None
    data_dir: Path | None = None
    is_usual: bool = False
    """The embedded store where each user has it: its path is another one on another machine."""

    @property
    def record(self) -> StoreRecord:
        """What ``syncd.yaml`` keeps of it, which other machines read too."""
        return StoreRecord(self.kind, USUAL if self.is_usual else self.address)

    def is_meant_by(self, record: StoreRecord) -> bool:
        """Say whether a workspace that keeps this record was made with this store."""
        return record in (self.record, StoreRecord(self.kind, self.address))


def choose_store(config: Config, environ: Mapping[str, str], mode: str | None) -> StoreChoice:
    """Return the store that the command line, the configuration and the environment name, in this order.

    Raises: ConfigError for a mode without what it needs, StoreMismatch when the workspace was made with another
    store.
    """
    chosen = _choice(config, environ, Mode(mode) if mode else config.mode)
    recorded = config.store
    if recorded is not None and not chosen.is_meant_by(recorded):
        place = "its usual place" if recorded.address == USUAL else recorded.address
        raise StoreMismatch(
            f"this workspace belongs to the {recorded.kind} store at {place}, "
            f"but {chosen.source} names the {chosen.kind} store at {chosen.address}",
            hint=_mismatch_hint(recorded.kind, chosen),
        )
    return chosen


def manifest_files(path: Path, project: str) -> ManifestFiles:
    """Return a manifest with what its files are handled with."""
    from syncd.files.atomic import write_whole
    from syncd.files.lock import manifest_lock
    from syncd.files.watch import Watch
    from syncd.store.flatfile.files import ManifestFiles, Tools

    tools = Tools(
        lock=lambda: manifest_lock(path.with_suffix(".lock")),
        write=lambda file, data: write_whole(file, data, mode=0o600),
        watch=lambda paths, wake: Watch(lambda: paths, wake),
    )
    return ManifestFiles(path, project=project, tools=tools)


def embedded_server(choice: StoreChoice, config: Config, *, may_make: bool) -> EmbeddedServer:
    """Return the embedded server, running.

    Args:
        may_make: whether it may be created; one that exists is started in any case.

    Raises: NotFound when there is none, and what the supervisor raises.
    """
    from syncd.store.embedded import EmbeddedServer

    assert choice.data_dir is not None
    server = (
        EmbeddedServer.start(choice.data_dir, grace_s=config.embedded_grace_s)
        if may_make
        else EmbeddedServer.join(choice.data_dir)
    )
    if server is None:
        raise NotFound(f"no embedded store has been made in {choice.data_dir} yet", hint="syncd init")
    return server


class Host(Protocol):
    """The wiring of a workspace, as far as a store that can be away needs it."""

    config: Config

    @property
    def manifest(self) -> ManifestFiles:
        """The manifest's files."""

    @property
    def replica(self) -> str:
        """This working copy's id."""

    @property
    def retry(self) -> RetryPolicy:
        """When a card that failed is tried again."""

    def contact(self, may_write: bool) -> Contact:
        """Return what is remembered of the database."""

    def revive(self) -> bool:
        """Bring back a database that this machine runs itself."""

    def pending(self) -> Pending:
        """Return the batches of the journals, and what they set."""

    def missions_agreed(self) -> Records:
        """Return the mission records as files and store last agreed on them."""


def reach_of(host: Host) -> Reach:
    """Return whether a workspace's database answers, for all its stores in this process."""
    from syncd.core.plan import Policy
    from syncd.store.flatfile.standin import Standin
    from syncd.store.reach import Reach

    def epoch() -> str | None:
        absence = host.contact(False).absence()
        return absence.epoch if absence is not None else None

    return Reach(
        host.contact,
        Standin(host.manifest, epoch),
        project=host.config.project,
        replica=lambda: host.replica,
        policy=Policy(winners=host.config.policy),
        revive=host.revive,
        pending=host.pending,
        missions_agreed=host.missions_agreed,
        new_id=lambda: uuid.uuid4().hex,
        clock=lambda: datetime.now(UTC),
        retry=host.retry,
    )


def _choice(config: Config, environ: Mapping[str, str], mode: Mode) -> StoreChoice:
    if mode is Mode.FLATFILE:
        return StoreChoice(StoreKind.FLATFILE, MANIFEST, "mode flatfile")
    variables = (config.database_url_env,) if config.database_url_env else URL_VARIABLES
    variable = next((name for name in variables if environ.get(name)), None)
    if mode is Mode.POSTGRES or (mode is Mode.AUTO and variable is not None):
        from syncd.store.dsn import address

        if variable is None:
            raise ConfigError(
                f"mode postgres needs the database's URL, and {' and '.join(variables)} are not set",
                hint=f"export {variables[0]}=postgresql://user@host/database",
            )
        dsn = environ[variable]
        return StoreChoice(StoreKind.POSTGRES, address(dsn), f"${variable}", dsn=dsn)
    if mode is Mode.AUTO and _has_no_server(config):
        return StoreChoice(StoreKind.FLATFILE, MANIFEST, "the default (no database URL is set)")
    from syncd.store.embedded import DATA_VARIABLE, data_dir

    folder, is_usual = data_dir(environ), not environ.get(DATA_VARIABLE)
    source = "the default (no database URL is set)" if mode is Mode.AUTO else "mode embedded"
    source = source if is_usual else f"${DATA_VARIABLE}"
    return StoreChoice(StoreKind.EMBEDDED, str(folder), source, data_dir=folder, is_usual=is_usual)


def _has_no_server(config: Config) -> bool:
    """Return whether a workspace does without the embedded Postgres: it was made so, or there is none to be had."""
    if config.store is not None:
        return config.store.kind is StoreKind.FLATFILE
    from syncd.store.embedded import available

    return available() is not None


def _mismatch_hint(recorded: StoreKind, chosen: StoreChoice) -> str:
    if recorded is StoreKind.POSTGRES and not chosen.source.startswith(("mode", "$")):
        return f"export {URL_VARIABLES[0]}=… with the URL of the workspace's database."
    if chosen.source.startswith("$"):
        unset = f"unset {chosen.source[1:]}, or set it to the workspace's own store."
    else:
        unset = "Use the workspace's own store; `store:` in syncd.yaml names it."
    return f"{unset} To change stores: syncd db move {chosen.kind}"
