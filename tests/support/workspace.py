"""A workspace on disk with a real store behind it, for tests of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from syncd.engine.cycle import Cycle
from syncd.engine.patience import settled
from syncd.engine.report import CycleReport
from syncd.files.layout import Layout
from syncd.files.workspace import create
from syncd.schemas.card import Card
from syncd.store.migrate import migrate
from syncd.wiring import Wiring

TABLE = """# Shop

Some words before the table.

| id | title | status | depends_on | priority | owner |
|----|:------|--------|------------|----------|-------|
| A1 | Draw the schema | done | — | 3 | |
| A2 | Write the parser | not-started | A1 | 2 | |
| A3 | Write the docs   | not-started | A1, A2 | 0 | |

Some words after it.
"""


@dataclass
class Site:
    """One working copy of a project.

    ``cycle`` is made anew by ``restart``, as a process that starts again would have it.
    """

    root: Path
    dsn: str
    wiring: Wiring
    cycle: Cycle = field(init=False)

    def __post_init__(self) -> None:
        self.cycle = self.wiring.cycle()

    @property
    def file(self) -> Path:
        return self.root / "TASKS.md"

    @property
    def text(self) -> str:
        return self.file.read_bytes().decode()

    def write(self, text: str) -> None:
        """Save the file as an editor does that truncates and writes."""
        self.file.write_bytes(text.encode())

    def edit(self, old: str, new: str) -> None:
        """Replace one place of the file."""
        text = self.text
        assert text.count(old) == 1, (old, text)
        self.write(text.replace(old, new))

    def sync(self) -> CycleReport:
        """Run cycles until nothing waits any more."""
        return settled(self.cycle.run)

    def card(self, id: str) -> Card:
        return self.wiring.store().get(id)

    def sql(self, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        """Run a statement as a foreign client would."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def column(self, name: str, id: str) -> Any:
        """Return one column of one row, as a foreign client sees it."""
        return self.sql(f"select {name} from backlog where id = %s", id)[0][0]

    def restart(self, wrap: Callable[[Wiring], Cycle] | None = None) -> None:
        """Forget everything that lives in memory, as after a kill."""
        self.wiring.close()
        self.wiring = _wiring(self.root, self.dsn)
        self.cycle = wrap(self.wiring) if wrap else self.wiring.cycle()


@contextmanager
def site(root: Path, dsn: str, text: str | None = TABLE, **settings: Any) -> Iterator[Site]:
    """Make a working copy in a folder, against a database that is migrated when it is not yet.

    Args:
        text: what the task file holds; ``None`` for no file.
        settings: keys of ``syncd.yaml``, ``__`` for a dot.
    """
    root.mkdir(parents=True, exist_ok=True)
    if text is not None:
        (root / "TASKS.md").write_bytes(text.encode())
    create(Layout(root), {name.replace("__", "."): value for name, value in settings.items()})
    migrate(dsn)
    made = Site(root, dsn, _wiring(root, dsn))
    try:
        yield made
    finally:
        made.wiring.close()


def _wiring(root: Path, dsn: str) -> Wiring:
    environ = {"PATH": os.environ.get("PATH", ""), "DATABASE_URL": dsn, "USER": "tester"}
    return Wiring(Layout(root), environ=environ, mode=None, actor=None, face="test")
