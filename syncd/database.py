"""The store as a thing to look after, as every face sees it: its schema, its size, and where it is.

May import everything below the faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.errors import Refused
from syncd.schemas.config import StoreKind

if TYPE_CHECKING:
    from syncd.moving import Moved
    from syncd.ports import Adoption, Pruned
    from syncd.wiring import Wiring


@dataclass(frozen=True, slots=True)
class StoreSchema:
    """A store and its schema; ``schema_version`` is ``None`` where there is none of syncd's yet."""

    kind: str
    address: str
    reachable: bool
    server_version: str
    schema_version: int | None
    schema_known: int
    pending: tuple[str, ...]


class Database:
    """The store of a workspace; what holds cards is ``Backlog``."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

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
        """Bring the store's schema up to date.  Raises SchemaVersionError for a table that is not syncd's."""
        self._wiring.migrate()
        return self.status()

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
        """
        return self._wiring.store().prune(older_than_s, dry_run=dry_run)
