"""``syncd doctor``: looks at everything that a workspace stands on, and says how to mend what is wrong.

Each check stands alone: a broken configuration or a database that is away takes out what depends on it, and nothing
else.  Looks only, unless told to mend; then it does what cannot lose anything.
May import everything below the faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from syncd.doctor import machine, running, store, workspace
from syncd.doctor.check import Check as Check
from syncd.doctor.check import Health as Health
from syncd.files.layout import Layout
from syncd.files.task_files import WorkspaceFiles
from syncd.schemas.config import Config
from syncd.wiring import Wiring


def examine(root: Path, environ: Mapping[str, str], *, mode: str | None, fix: bool = False) -> Iterator[Check]:
    """Yield what each check says, as it is known.

    Args:
        fix: do at once what is safe to do.

    Effects: none without ``fix``, but for an embedded server that rests, which is started.
    Units: at most about ten seconds, whatever is away.
    """
    for check in _checks(Layout(root), environ, mode):
        yield check.mended() if fix else check


def _checks(layout: Layout, environ: Mapping[str, str], mode: str | None) -> Iterator[Check]:
    check, config = workspace.settings(layout)
    yield check
    known = config or Config()
    files = WorkspaceFiles(layout, known)
    yield from workspace.task_files(files, layout)
    yield workspace.state(layout, known.project)
    yield from workspace.locks(layout)
    yield workspace.leftovers(files, layout, known.project)
    yield workspace.git_driver(layout.root, environ)
    yield running.daemon(layout, environ)
    yield running.service(layout.root, environ)
    yield machine.disk("disk", layout.root)
    yield machine.file_system(layout.root)
    yield machine.watches(folder for folder in sorted({(layout.root / path).parent for path in files.paths()}))
    yield machine.open_files()
    if config is not None:
        wiring = Wiring(layout, environ=environ, mode=mode, actor=None, face="cli", config=config)
        try:
            yield from store.checks(wiring)
        finally:
            wiring.close()
