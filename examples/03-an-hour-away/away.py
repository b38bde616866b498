"""A laptop is away while two hosts work on: afterwards all agree, and every operation has a fate.

Run it with ``make away``.  It makes three working copies of one project in a temporary folder, on a Postgres of its
own, or in a database of its own on the one that ``--database-url`` names.  Everything that the laptop says to it goes
over a line that is cut for the hour.  A lease of one second stands for one of half an hour.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
from line import Line
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import syncd
from syncd.api import Workspace
from syncd.files.layout import Layout
from syncd.files.workspace import create
from syncd.ports import CardFilter, NewCard
from syncd.schemas.card import Card, Status
from syncd.store.embedded import EmbeddedServer
from syncd.store.embedded import status as server_status
from syncd.store.migrate import migrate

NAMES = ("laptop", "ann", "bob")
DATABASE = "syncd_an_hour_away"
DEADLINE_S = 60.0
HEAD = """# Release

| id | title | status | depends_on | priority | owner |
|----|-------|--------|------------|----------|-------|
"""
CARDS = (
    ("P1", "Parse", "—", 9),
    ("P2", "Render", "P1", 8),
    ("P3", "Merge", "—", 7),
    ("P4", "Store", "—", 6),
    ("P5", "Watch", "P4", 5),
    ("P6", "Docs", "—", 4),
    ("P7", "Logo", "—", 3),
    ("P8", "Site", "—", 2),
)

Cards = Mapping[str, Card]


class Failed(Exception):
    """Something did not hold."""


@dataclass(frozen=True)
class Operation:
    """What somebody did, when, what became of it, and how the cards show that."""

    minute: int
    who: str
    what: str
    fate: str
    holds: Callable[[Cards], bool]


def main() -> int:
    """Run the story; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database-url", help="a Postgres where databases may be made; by default one of its own")
    given = parser.parse_args()
    try:
        with ExitStack() as life:
            _play(life, given.database_url)
    except Failed as failed:
        print(f"\nThis did not hold: {failed}", file=sys.stderr)
        return 1
    print("\nAll of it held.")
    return 0


def _play(life: ExitStack, url: str | None) -> None:
    folder = Path(tempfile.mkdtemp(prefix="syncd-away-"))
    life.callback(shutil.rmtree, folder)
    dsn = _database(life, folder, url)
    line = life.enter_context(closing(Line(lambda: _connected(dsn))))
    far = make_conninfo(dsn, host="127.0.0.1", hostaddr="", port=line.port)
    hosts = {name: _host(life, folder / name, far if name == "laptop" else dsn) for name in NAMES}
    _together(hosts)
    print("Three working copies of one project are in sync. The laptop's line is cut.")
    line.cut()
    done = list(_work_of_an_hour(hosts))
    if hosts["laptop"].status().mode != "offline":
        raise Failed("the laptop noticed that it is away")
    print("The line is mended; the laptop comes home.\n")
    line.mend()
    _until(lambda: _is_home(hosts["laptop"]), "the laptop is home")
    _together(hosts)
    _check(hosts, done)


# --- the stage -----------------------------------------------------------------------------------


def _database(life: ExitStack, folder: Path, url: str | None) -> str:
    """Return how to reach a database of this run alone, with its tables made."""
    if url is None:
        server = EmbeddedServer.start(folder / "postgres", grace_s=0)
        life.callback(_until, lambda: _has_stopped(folder / "postgres"), "the private Postgres stops")
        life.callback(server.close)
        migrate(server.dsn)
        return server.dsn
    name = sql.Identifier(DATABASE)
    drop = sql.SQL("drop database if exists {} with (force)").format(name)
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(drop)
        link.execute(sql.SQL("create database {}").format(name))

    def dropped() -> None:
        with psycopg.connect(url, autocommit=True) as link:
            link.execute(drop)

    life.callback(dropped)
    dsn = make_conninfo(url, dbname=DATABASE)
    migrate(dsn)
    return dsn


def _has_stopped(data: Path) -> bool:
    return not server_status(data).running and not (data / "data" / "postmaster.pid").exists()


def _connected(dsn: str) -> socket.socket:
    """Return a connection to the server, over TCP or its socket."""
    known = conninfo_to_dict(dsn)
    host, port = str(known.get("host") or "127.0.0.1"), int(known.get("port") or 5432)
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    door = socket.socket(socket.AF_UNIX)
    door.connect(f"{host}/.s.PGSQL.{port}")
    return door


def _host(life: ExitStack, root: Path, dsn: str) -> Workspace:
    root.mkdir()
    rows = (f"| {id} | {title} | not-started | {needs} | {at} | |\n" for id, title, needs, at in CARDS)
    (root / "TASKS.md").write_text(HEAD + "".join(rows), "utf-8")
    create(Layout(root), {})
    environ = {"PATH": os.environ.get("PATH", ""), "USER": root.name, "DATABASE_URL": dsn}
    return life.enter_context(syncd.open(root, environ=environ, actor=root.name))


def _together(hosts: Mapping[str, Workspace]) -> None:
    """Have everybody sync until nobody has anything left to do."""
    for _ in range(2):
        for each in hosts.values():
            each.sync()


def _is_home(laptop: Workspace) -> bool:
    laptop.sync()
    return laptop.status().mode != "offline"


def _until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not look():
        if time.monotonic() > deadline:
            raise Failed(f"waited {DEADLINE_S:.0f} s in vain until {what}")
        time.sleep(0.05)


# --- the story -----------------------------------------------------------------------------------


def _work_of_an_hour(hosts: Mapping[str, Workspace]) -> Iterator[Operation]:
    """Have everybody work, two of them with the database; yield what was done."""
    mine, ann, bob = (hosts[name].backlog for name in NAMES)
    mine.claim("laptop", id="P1")
    mine.complete("P1", owner="laptop")
    yield Operation(1, "laptop", "claim and complete P1", "kept", _is_done("P1"))
    mine.claim("laptop", id="P3")
    yield Operation(5, "laptop", "claim P3", "lost", lambda all: all["P3"].claim_owner == "ann")
    ann.claim("ann", id="P3")
    yield Operation(6, "ann", "claim P3", "kept", lambda all: all["P3"].claim_owner == "ann")
    _edit(hosts["laptop"], "| P2 | Render |", "| P2 | Render all |")
    yield Operation(10, "laptop", "edit the title of P2 in the file", "merged", _says("P2", "Render all"))
    bob.update("P2", {"priority": 20})
    yield Operation(11, "bob", "set the priority of P2", "merged", lambda all: all["P2"].priority == 20)
    mine.create(NewCard(id="L1", title="Benchmark", depends_on=("P2",)))
    yield Operation(20, "laptop", "create L1 after P2", "kept", lambda all: all["L1"].unmet == 1)
    ann.create(NewCard(id="N1", title="Release notes"))
    yield Operation(21, "ann", "create N1", "kept", lambda all: "N1" in all)
    mine.complete("P5")
    yield Operation(25, "laptop", "complete P5", "merged", _is_done("P5"))
    bob.complete("P4")
    yield Operation(26, "bob", "complete P4", "kept", _is_done("P4"))
    bob.claim("bob", id="P5")
    yield Operation(27, "bob", "claim P5, done elsewhere by now", "lost", _is_done("P5"))
    mine.link("P8", "P7")
    yield Operation(30, "laptop", "P8 waits for P7", "merged", lambda all: "P7" in all["P8"].depends_on)
    ann.link("P8", "P6")
    yield Operation(31, "ann", "P8 waits for P6", "merged", lambda all: "P6" in all["P8"].depends_on)
    mine.remove("P7", force=True)
    yield Operation(35, "laptop", "remove P7", "lost", lambda all: "P7" in all)
    _edit(hosts["bob"], "| P7 | Logo |", "| P7 | Logo, blue |")
    yield Operation(36, "bob", "edit the title of P7 in the file", "kept", _says("P7", "Logo, blue"))
    mine.update("P6", {"priority": 30})
    yield Operation(40, "laptop", "set the priority of P6 to 30", "lost", lambda all: all["P6"].priority == 40)
    ann.update("P6", {"priority": 40})
    yield Operation(41, "ann", "set the priority of P6 to 40", "kept", lambda all: all["P6"].priority == 40)
    mine.claim("laptop", 1, id="P2")
    _until(lambda: bool(mine.reclaim()), "the lease of P2 has run out")
    yield Operation(45, "laptop", "claim P2, and let the lease run out", "over", _is_ready("P2"))


def _edit(host: Workspace, before: str, after: str) -> None:
    """Edit a task file as an editor does, and sync."""
    file = host.root / "TASKS.md"
    text = file.read_text("utf-8")
    if text.count(before) != 1:
        raise Failed(f"{before!r} stands in {file}")
    file.write_text(text.replace(before, after), "utf-8")
    host.sync()


def _check(hosts: Mapping[str, Workspace], done: list[Operation]) -> None:
    """See that everybody agrees and that each operation had its fate; tell it."""
    cards = {card.id: card for card in hosts["bob"].backlog.list(CardFilter())}
    told = {each.conflict.id for each in hosts["ann"].conflicts()}
    rows = [("min", "who", "operation", "fate"), *((str(e.minute), e.who, e.what, e.fate) for e in done)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\nConflicts tell of {', '.join(sorted(told))}: syncd conflicts shows both values, syncd resolve settles.")
    for each in done:
        if not each.holds(cards):
            raise Failed(f"minute {each.minute}: {each.who}: {each.what}: {each.fate}")
    if told != {"P3", "P5", "P6", "P7"}:
        raise Failed(f"whoever lost something is told, and nobody else: {sorted(told)}")
    if not all(each.status().in_sync for each in hosts.values()):
        raise Failed("all three are in sync")
    shown = [sorted(_rows(each)) for each in hosts.values()]
    if not shown[0] == shown[1] == shown[2]:
        raise Failed("all three files say the same")


def _rows(host: Workspace) -> list[list[str]]:
    lines = (host.root / "TASKS.md").read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("|")]


def _is_done(id: str) -> Callable[[Cards], bool]:
    return lambda all: all[id].status is Status.DONE


def _is_ready(id: str) -> Callable[[Cards], bool]:
    return lambda all: all[id].status is Status.READY


def _says(id: str, title: str) -> Callable[[Cards], bool]:
    return lambda all: all[id].title == title


if __name__ == "__main__":
    sys.exit(main())
