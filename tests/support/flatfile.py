"""A manifest on disk, joined as the program joins it, for tests of the store without a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from syncd.store.flatfile.rules import ManifestStore
from syncd.stores import manifest_files


def flatfile(
    folder: Path,
    *,
    project: str = "default",
    replica: str = "r1",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ManifestStore:
    """Return the store that a process of its own would have on the manifest in a folder."""
    files = manifest_files(folder / "manifest.json", project)
    files.now = clock
    return ManifestStore(files, project=project, actor="tester", face="test", replica=replica)


def delete_outright(store: ManifestStore, id: str) -> None:
    """Delete a card as a foreign client of a database does: no tombstone is left, the feed and the trail tell of it."""
    with store._keeper.writing() as manifest:
        store._keep(manifest, store._keeper.now(), gone=(id,))
