"""The store as a thing to look after, as every face sees it: its schema, its size, and where it is.

May import everything below the faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from syncd.errors import Refused
from syncd.schemas.config import StoreKind

if TYPE_CHECKING:
    from syncd.moving import Moved
    from syncd.ports import Adoption, Backup, Pruned, Replica, Restored
    from syncd.store.embedded.upgrade import Upgraded as Upgraded
    from syncd.store.session import Session
    from syncd.wiring import Wiring


class StoreSchema(msgspec.Struct, frozen=True):
    """A store and its schema; ``schema_version`` is ``None`` where there is none of syncd's yet."""

    kind: str
    address: str
    reachable: bool
    server_version: str
    schema_version: int | None
    schema_known: int
    pending: tuple[str, ...]


class Database:
    """The store of a workspace; what holds cards is ``Backlog``.

    Args:
        nudge: brings files and store together as far as the store can be reached.
    """

    def __init__(self, wiring: Wiring, *, nudge: Callable[[], None]) -> None:
        self._wiring = wiring
        self._nudge = nudge

    def status(self) -> StoreSchema:
        """Return what schema the store has and which migrations would run; reads only.

        Raises: StoreUnreachable, SchemaVersionError; NotFound while there is no embedded store.
        """
        choice = self._wiring.choice
        if choice.kind is StoreKind.FLATFILE:
            info = self._wiring.store(may_make=False).info()
            version = info.schema_version
            return StoreSchema(choice.kind.value, choice.address, True, info.server_version, version, version, ())
        from syncd.store.migrate import status

        found = status(self._wiring.dsn(may_make=False))
        return StoreSchema(
            kind=choice.kind.value,
            address=choice.address,
            reachable=True,
            server_version=found.server_version,
            schema_version=found.version,
            schema_known=found.known,
            pending=found.pending,
        )

    def migrate(self) -> StoreSchema:
        """Bring the store's schema up to date, and make a dump that was loaded from another server at home.

        Raises: SchemaVersionError for a table that is not syncd's.
        """
        self._wiring.migrate()
        if self._wiring.choice.kind is not StoreKind.FLATFILE:
            from syncd.store.migrate import arrive

            arrive(self._wiring.dsn(may_make=False))
        return self.status()

    def upgrade(self, programs: str | Path | None = None) -> Upgraded:
        """Bring the data of the embedded server to the installed PostgreSQL: dumped, loaded, and swapped in.

        Args:
            programs: the folder with ``postgres`` of the version that made the data.

        Raises: Refused for a store that is not embedded, and as ``embedded.upgrade.upgrade``.
        """
        from syncd.files.atomic import exchange
        from syncd.store.embedded.upgrade import upgrade
        from syncd.store.migrate import arrive, migrate

        choice = self._wiring.choice
        if choice.data_dir is None:
            raise Refused(f"the {choice.kind} store is not syncd's own server", hint="Upgrade it where it is run.")

        def loaded(dsn: str) -> None:
            migrate(dsn)
            arrive(dsn)

        told = None if programs is None else Path(programs)
        return upgrade(choice.data_dir, programs=told, exchange=exchange, loaded=loaded)

    def adopt(self, *, dry_run: bool = False) -> Adoption:
        """Take over a backlog table that a Mosaic service made, in place; with ``dry_run`` say what that does.

        Raises: Refused for a project that its cards would not belong to, and as ``store.adopt.adopt``.
        """
        dsn = self._wiring.dsn(may_make=False)
        from syncd.store.adopt import PROJECT, adopt

        if (project := self._wiring.config.project) != PROJECT:
            raise Refused(
                f"the cards of an adopted table belong to the project {PROJECT}, this workspace's to {project}",
                hint=f"syncd config set project {PROJECT}",
            )
        return adopt(dsn, dry_run=dry_run)

    def move(self, to: str, *, project: str | None = None, dry_run: bool = False) -> Moved:
        """Copy the cards to another store, and have that be the workspace's.  Raises: as ``moving.move``."""
        from syncd.moving import move

        return move(self._wiring, to, project=project, dry_run=dry_run)

    def prune(self, older_than_s: float, *, dry_run: bool = False) -> Pruned:
        """Forget what is older and nobody needs: history, commit ids, working copies not seen since.

        Args:
            dry_run: only count it.

        Effects: this working copy, which is here now, is noted anew.
        """
        pruned = self._wiring.store().prune(older_than_s, dry_run=dry_run)
        if not dry_run:
            self._wiring.greet()
        return pruned

    def replicas(self) -> Sequence[Replica]:
        """Return the working copies of the project, on any host, the one heard of last first.

        Raises: StoreUnreachable, also while the database is away: what stands in for it knows of no others.
        """
        return self._wiring.store(may_make=False).replicas()

    def backup(self, path: str | Path | None = None) -> Backup:
        """Write the project to a file: its cards, audit trail, conflicts and missions as they are at one moment.

        Args:
            path: by default ``PROJECT-DATE.jsonl.gz`` in the workspace; ``.gz`` compresses it.

        Raises: InputOutputError.
        """
        from syncd.store.backup import backup

        project = self._wiring.config.project
        name = f"{project.replace('/', '-')}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl.gz"
        with self._session() as session:
            return backup(session, self._wiring.layout.root / name if path is None else Path(path))

    def restore(self, path: str | Path, *, replace: bool = False, dry_run: bool = False) -> Restored:
        """Make the project what a backup says, and the task files with it; with ``dry_run`` only say what changes.

        Args:
            replace: overwrite the cards that the project has, and remove those that are not in the backup.

        Raises: Refused without ``replace`` where cards stand, NotFound, BadValue and InputOutputError for the file.
        """
        from syncd.store.backup import restore

        with self._session() as session:
            restored = restore(session, Path(path), replace=replace, dry_run=dry_run)
        if restored.done:
            self._nudge()
        return restored

    @contextmanager
    def _session(self) -> Iterator[Session]:
        from syncd.store.session import Session

        wiring = self._wiring
        session = Session(
            wiring.dsn(may_make=False),
            project=wiring.config.project,
            actor=wiring.actor,
            face=wiring.face,
            pooled=wiring.config.pooled,
        )
        try:
            yield session
        finally:
            session.close()
