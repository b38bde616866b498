"""A working copy whose database can be taken away: by a switch in front of it, which costs no server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncd.errors import StoreUnreachable
from syncd.files.layout import Layout
from syncd.wiring import Wiring
from tests.support.doom import Killed
from tests.support.workspace import Site, site


class Line:
    """The line from a working copy to its database; a cut makes every call on it fail as psycopg's do.

    It is cut by hand, after so many calls, or at a call of a name (``cut_at``); with ``cuts_after`` that call still
    reaches the database, and its answer nobody.  With ``kills`` it is the process that ends at that call.
    """

    def __init__(self) -> None:
        self.is_cut = False
        self.calls_left: int | None = None
        self.cuts_after = False
        self.kills = False
        self.cut_at: str | None = None

    def __call__(self, work: Any, name: str = "") -> Any:
        if self.is_cut:
            raise StoreUnreachable("the database does not answer")
        if name == self.cut_at:
            self.calls_left, self.cut_at = 0, None
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                self.is_cut, self.calls_left = not self.kills, None
                if self.cuts_after:
                    work()
                if self.kills:
                    self.kills = False
                    raise Killed
                raise StoreUnreachable("the connection was cut")
        return work()


class OnLine:
    """A store at the end of a line."""

    def __init__(self, store: Any, line: Line, prefix: str = "") -> None:
        self._store = store
        self._line = line
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in ("missions", "registry"):
            return OnLine(found, self._line, f"{name}.")
        if not callable(found) or name in ("close", "act_as"):
            return found
        return lambda *args, **kwargs: self._line(lambda: found(*args, **kwargs), f"{self._prefix}{name}")


@contextmanager
def laptop(root: Path, dsn: str, text: str | None, **settings: Any) -> Iterator[tuple[Site, Line]]:
    """Make a working copy against a database, and the line between them."""
    line = Line()
    with site(root, dsn, text, **settings) as made:
        put_on(made, line)
        yield made, line


def put_on(made: Site, line: Line) -> None:
    """Have what a working copy asks of its database go over a line, and its process begin anew."""
    wiring: Wiring = made.wiring
    database = wiring.database
    wiring.database = lambda: OnLine(database(), line)  # type: ignore[method-assign,assignment,return-value]
    wiring._store = None
    made.cycle = wiring.cycle()


def another(made: Site, line: Line) -> Wiring:
    """Return a second process of the same working copy, on the same line; whoever asked closes it."""
    wiring = Wiring(Layout(made.root), environ=made.wiring.environ, mode=None, actor=None, face="test")
    database = wiring.database
    wiring.database = lambda: OnLine(database(), line)  # type: ignore[method-assign,assignment,return-value]
    return wiring


def let_pass(site: Site, seconds: float) -> None:
    """Let time pass for this working copy alone: its clock is ahead of the database's from then on."""
    reach = site.wiring.reach
    assert reach is not None
    clock, keeper = reach._clock, site.wiring.manifest
    now = keeper.now
    reach._clock = lambda: clock() + timedelta(seconds=seconds)
    keeper.now = lambda: now() + timedelta(seconds=seconds)


def back(here: tuple[Site, Line]) -> None:
    """Mend the line, and sync until both sides agree."""
    made, line = here
    line.is_cut = False
    assert made.wiring.reach is not None
    made.wiring.reach.hurry()
    made.sync()
    assert made.wiring.absence() is None
    assert not (made.root / ".syncd" / "manifest.json").exists()
