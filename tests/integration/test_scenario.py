"""A laptop is away for an hour while two others work on: afterwards all agree, and each operation has a fate.

The database is a real server that is stopped and started in between; the laptop's line to it is cut for the whole hour,
and so much time passes for its clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from syncd.core.rejoin import Fate
from syncd.ports import CardFilter, NewCard
from syncd.schemas.card import Card, Status
from tests.support.desk import until
from tests.support.laptop import laptop, let_pass
from tests.support.postgres import served_postgres
from tests.support.switch import Switch
from tests.support.workspace import Site, site

HEAD = """# Release

| id | title | status | depends_on | priority | owner |
|----|-------|--------|------------|----------|-------|
"""
ROW = "| {id} | {title} | not-started | {needs} | {priority} | |\n"
CARDS = [
    ("P1", "Parse", "—", 9),
    ("P2", "Render", "P1", 8),
    ("P3", "Merge", "—", 7),
    ("P4", "Store", "—", 6),
    ("P5", "Watch", "P4", 5),
    ("P6", "Docs", "—", 4),
    ("P7", "Logo", "—", 3),
    ("P8", "Site", "—", 2),
]
TEXT = HEAD + "".join(ROW.format(id=id, title=title, needs=needs, priority=at) for id, title, needs, at in CARDS)


@dataclass(frozen=True)
class Operation:
    """What somebody did, when, and what is to have become of it."""

    minute: int
    who: str
    what: str
    fate: Fate
    holds: Callable[[dict[str, Card]], bool]
    """Whether the cards as they are in the end show that fate."""


@dataclass
class Hosts:
    """The laptop and the two others."""

    laptop: Site
    ann: Site
    bob: Site

    @property
    def all(self) -> tuple[Site, ...]:
        return (self.laptop, self.ann, self.bob)


@pytest.fixture
def served() -> Iterator[tuple[str, Switch]]:
    """A server of this test alone, and its switch."""
    with served_postgres() as dsn:
        with psycopg.connect(dsn) as link:
            data = link.execute("show data_directory").fetchall()[0][0]
        with closing(Switch(Path(data))) as switch:
            yield dsn, switch


def test_an_hour_away(tmp_path: Path, served: tuple[str, Switch], capsys: pytest.CaptureFixture[str]) -> None:
    """All work of the hour is in the database and in every file, or its loss is told; nothing is there twice."""
    dsn, switch = served
    with ExitStack() as stack:
        mine, line = stack.enter_context(laptop(tmp_path / "laptop", dsn, TEXT))
        mine.sync()
        ann, bob = (stack.enter_context(site(tmp_path / name, dsn, TEXT)) for name in ("ann", "bob"))
        hosts = Hosts(mine, ann, bob)
        for each in hosts.all:
            each.sync()

        switch.off()
        line.is_cut = True
        done = [*everybody_without_a_server(hosts)]
        switch.on()
        until(lambda: _answers(dsn), "the server answers again")
        done += work_of_an_hour(hosts)
        assert mine.wiring.absence() is not None

        line.is_cut = False
        for each in (*hosts.all, *hosts.all, *hosts.all):
            reach = each.wiring.reach
            assert reach is not None
            reach.hurry()
            each.sync()
        agree(hosts)
        cards = {card.id: card for card in bob.wiring.store().list(CardFilter())}
        told = {each.conflict.id for each in bob.wiring.store().conflicts()}
        with capsys.disabled():
            print(f"\n{table(done)}")
        for each in done:
            assert each.holds(cards), each
        assert told == {"P3", "P5", "P6", "P7"}


def everybody_without_a_server(hosts: Hosts) -> Iterator[Operation]:
    """The server is stopped: nobody notices but by `status`."""
    for each, id in ((hosts.laptop, "P1"), (hosts.ann, "P4")):
        each.sync()
        (card,) = each.wiring.store().claim(each.root.name, 3000, id=id)
        each.wiring.store().complete(id, owner=each.root.name, attempt=card.attempts)
        yield Operation(0, each.root.name, f"claim and complete {id}", Fate.KEPT, _is_done(id))
    hosts.bob.edit("| P8 | Site |", "| P8 | Site and feed |")
    hosts.bob.sync()
    assert all(each.wiring.status().mode == "offline" for each in hosts.all)
    yield Operation(
        1, "bob", "edit the title of P8 in the file", Fate.KEPT, lambda all: all["P8"].title == "Site and feed"
    )


def work_of_an_hour(hosts: Hosts) -> list[Operation]:
    """Everybody works, two of them with the server; return what was done."""
    mine, ann, bob = (each.wiring.store() for each in hosts.all)
    done: list[Operation] = []

    def did(minute: int, who: str, what: str, fate: Fate, holds: Callable[[dict[str, Card]], bool]) -> None:
        done.append(Operation(minute, who, what, fate, holds))

    for each in (hosts.ann, hosts.bob):
        assert each.wiring.reach is not None
        each.wiring.reach.hurry()
        each.sync()
    mine.claim("laptop", 36000, id="P3")
    did(5, "laptop", "claim P3", Fate.LOST, lambda all: all["P3"].claim_owner == "ann")
    ann.claim("ann", 36000, id="P3")
    did(6, "ann", "claim P3", Fate.KEPT, lambda all: all["P3"].claim_owner == "ann")
    hosts.laptop.edit("| P2 | Render |", "| P2 | Render all |")
    hosts.laptop.sync()
    did(10, "laptop", "edit the title of P2 in the file", Fate.MERGED, lambda all: all["P2"].title == "Render all")
    bob.update("P2", {"priority": 20})
    did(11, "bob", "set the priority of P2", Fate.MERGED, lambda all: all["P2"].priority == 20)
    let_pass(hosts.laptop, 1200)
    mine.create(NewCard(id="L1", title="Benchmark", depends_on=("P2",), priority=1))
    did(20, "laptop", "create L1 after P2", Fate.KEPT, lambda all: all["L1"].unmet == 1)
    ann.create(NewCard(id="N1", title="Release notes"))
    did(21, "ann", "create N1", Fate.KEPT, lambda all: "N1" in all)
    mine.claim("laptop", 600, id="P5")
    mine.complete("P5")
    did(25, "laptop", "complete P5", Fate.MERGED, _is_done("P5"))
    bob.claim("bob", 36000, id="P5")
    did(26, "bob", "claim P5, done elsewhere by now", Fate.LOST, _is_done("P5"))
    mine.link("P8", "P7")
    did(30, "laptop", "P8 waits for P7", Fate.MERGED, lambda all: "P7" in all["P8"].depends_on)
    ann.link("P8", "P6")
    did(31, "ann", "P8 waits for P6", Fate.MERGED, lambda all: "P6" in all["P8"].depends_on)
    mine.remove("P7", force=True)
    did(35, "laptop", "remove P7", Fate.LOST, lambda all: all["P7"].title == "Logo, blue")
    bob.update("P7", {"title": "Logo, blue"})
    did(36, "bob", "edit the title of P7", Fate.KEPT, lambda all: all["P7"].title == "Logo, blue")
    mine.update("P6", {"priority": 30})
    did(40, "laptop", "set the priority of P6 to 30", Fate.LOST, lambda all: all["P6"].priority == 40)
    ann.update("P6", {"priority": 40})
    did(41, "ann", "set the priority of P6 to 40", Fate.KEPT, lambda all: all["P6"].priority == 40)
    let_pass(hosts.laptop, 1500)
    mine.claim("laptop", 300, id="P8") or mine.claim("laptop", 300, id="P2")
    did(45, "laptop", "claim P2 for five minutes", Fate.LOST, lambda all: all["P2"].status is Status.READY)
    let_pass(hosts.laptop, 900)
    hosts.laptop.edit("| P6 | Docs |", "| P6 | All docs |")
    hosts.laptop.sync()
    did(60, "laptop", "edit the title of P6 in the file", Fate.MERGED, lambda all: all["P6"].title == "All docs")
    hosts.ann.sync()
    hosts.bob.sync()
    return done


def agree(hosts: Hosts) -> None:
    """Nobody has anything left to do, and all files show the same rows."""
    for each in hosts.all:
        report = each.sync()
        assert (report.to_store, report.to_file, report.held) == ((), (), ())
    shown = [
        sorted([cell.strip() for cell in row.split("|")] for row in each.text.splitlines() if row.startswith("|"))
        for each in hosts.all
    ]
    assert shown[0] == shown[1] == shown[2]


def table(done: list[Operation]) -> str:
    """Return every operation and its fate, as a person reads them."""
    rows = [("min", "who", "operation", "fate"), *((str(e.minute), e.who, e.what, e.fate.value) for e in done)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _is_done(id: str) -> Callable[[dict[str, Card]], bool]:
    return lambda all: all[id].status is Status.DONE


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
