"""Which working copies use which project of a database.

May import the store's own modules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set

from syncd.store.session import Session


def project_users(dsn: str) -> Mapping[str, Set[tuple[str, str]]]:
    """Return by project the host and path of each working copy that ever used it; reads only.

    Raises: StoreUnreachable, CredentialsError, SchemaVersionError where there is no schema yet.
    """
    session = Session(dsn, project="", actor="", face="")
    try:
        users: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for project, host, path in session.fetch("project_users"):
            users[project].add((host, path))
        return dict(users)
    finally:
        session.close()
