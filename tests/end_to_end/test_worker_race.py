"""Workers as processes on two simulated hosts and one Postgres, which goes away in the middle, for both or for one.

Each host has a home and a working copy of its own, and, where root can make them, a network and a name of its own:
nothing but a line to the database leads from one to the other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from syncd.store.embedded import EmbeddedServer
from tests.race.verdict import WORKED_APART, breaches
from tests.support.crew import Working, script, working
from tests.support.desk import Desk, bare_environment, desk, until
from tests.support.hosts import Host, hosts
from tests.support.switch import Switch

CARDS = 40
MANY = 100
WORKERS = 3
"""On each host."""
AT_ONCE = 2 * WORKERS
"""So many cards run on a host at a time."""

# Notes when an attempt begins and ends, in one line each, whoever else writes.
COMMAND = """
echo "begin $SYNCD_CARD_ID $SYNCD_ATTEMPT $SYNCD_OWNER" >> "$NOTES"
sleep "$NAP"
echo "end $SYNCD_CARD_ID $SYNCD_ATTEMPT $SYNCD_OWNER" >> "$NOTES"
"""


def _deep() -> str:
    """Return cards of which each depends on two before it, but for the first few."""
    return _table(
        ", ".join(f"C{each}" for each in sorted({number // 2, number // 3}) if 0 < each < number) or "—"
        for number in range(CARDS)
    )


def _wide() -> str:
    """Return cards of which each of the second half depends on one of the first."""
    half = MANY // 2
    return _table("—" if number < half else f"C{number - half}" for number in range(MANY))


def _table(needs: Iterable[str]) -> str:
    lines = [f"| C{number} | not-started | Card {number} | {each} |" for number, each in enumerate(needs)]
    return "\n".join(["| id | status | title | depends_on |", "|---|---|---|---|", *lines, ""])


def _desk(place: Path, dsn: str, host: Host, board: str, nap: str) -> Desk:
    """Make a home and a working copy on a host, which reaches the database over the host's line."""
    environ = {**bare_environment(place), "HOME": str(place / "home"), "NOTES": str(place / "notes"), "NAP": nap}
    (place / "home").mkdir(parents=True)
    made = desk(place / "shop", dsn, board, environ=environ)
    return replace(made, environ={**made.environ, "DATABASE_URL": host.dsn}, popen={"python": host.python(place)})


@dataclass(frozen=True)
class _Fleet:
    """Two hosts, a working copy on each, and their workers."""

    hosts: Sequence[Host]
    desks: Sequence[Desk]
    workers: Sequence[Working]

    def notes(self, name: str | None = None) -> list[list[str]]:
        """Return what the commands noted, on one host or on both."""
        places = [
            each.root.parent / "notes"
            for each, host in zip(self.desks, self.hosts, strict=True)
            if name in (None, host.name)
        ]
        return [line.split() for path in places if path.exists() for line in path.read_text().splitlines()]

    def done(self, name: str | None = None) -> int:
        """Return for how many cards a command has ended, on one host or on both."""
        return len({line[1] for line in self.notes(name) if line[0] == "end"})

    def wait(self) -> None:
        """Wait until all workers have found everything done, and have each working copy in sync."""
        assert [each.process.wait(200) for each in self.workers] == [0] * len(self.workers)
        for each in self.desks:
            each("sync")


@contextmanager
def _fleet(place: Path, dsn: str, board: str, nap: str = "0.05") -> Iterator[_Fleet]:
    """Run workers on two hosts that share a project."""
    with ExitStack() as life:
        machines = life.enter_context(hosts(["one", "two"], dsn))
        desks = [_desk(place / each.name, dsn, each, board, nap) for each in machines]
        for each in desks:
            each("sync")
        assert desks[0].json("status")["replica"] != desks[1].json("status")["replica"]
        # Nobody begins before all are there.
        desks[0]("backlog", "pause")
        workers: list[Working] = []
        for number in range(WORKERS):
            for each in desks:
                options = ("--concurrency", "2", "--ttl", "60", "--until-done")
                workers.append(life.enter_context(working(each, script(each, COMMAND), *options, owner=f"w{number}")))
        desks[0]("backlog", "resume")
        yield _Fleet(machines, desks, workers)


@pytest.mark.timeout(300)
def test_workers_on_two_hosts_do_each_card_once(tmp_path: Path, postgres_dsn: str) -> None:
    """However they race: each card is done once, by one at a time."""
    with _fleet(tmp_path, postgres_dsn, _deep()) as fleet:
        fleet.wait()
        _require_all_done(fleet.desks[0])
        begun = Counter(line[1] for line in fleet.notes() if line[0] == "begin")
        owners = {line[3].partition(".")[0] for line in fleet.notes()}
    assert begun == dict.fromkeys(_ids(), 1)
    assert owners == {f"w{number}" for number in range(WORKERS)}


@pytest.mark.timeout(400)
def test_workers_on_two_hosts_go_on_while_the_database_is_away(tmp_path: Path) -> None:
    """Each host works on alone; when the database is back, every card is done, with one completion each."""
    data = tmp_path / "postgres"
    with (
        EmbeddedServer.start(data, grace_s=0.1) as server,
        closing(Switch(data / "data")) as switch,
        _fleet(tmp_path, server.dsn, _deep()) as fleet,
    ):
        for share in (4, 2):
            until(lambda share=share: fleet.done() >= CARDS // share, "a part is done", deadline_s=120)
            switch.off()
            before = fleet.done()
            until(lambda before=before: fleet.done() > before, "they go on", deadline_s=120)
            switch.on()
        fleet.wait()
        _require_all_done(fleet.desks[0])


@pytest.mark.timeout(400)
def test_a_host_that_is_cut_off_works_on_and_its_work_counts(tmp_path: Path, postgres_dsn: str) -> None:
    """Its line falls silent, and later is refused, while workers run cards on both hosts.

    It goes on with the cards that it knows, some of which the other one does too.  In the store no lease is given twice
    and no card is completed twice; nobody else runs what it had claimed before; no host runs a card a second time.
    """
    with _fleet(tmp_path, postgres_dsn, _wide(), nap="0.6") as fleet:
        lonely = fleet.hosts[0]
        held: set[str] = set()
        for share, is_silent in ((6, True), (2, False)):
            until(lambda share=share: fleet.done() >= MANY // share, "a part is done", deadline_s=120)
            held = held or {line[1] for line in fleet.notes(lonely.name)}
            lonely.cut(is_silent=is_silent)
            before = fleet.done(lonely.name)
            until(lambda before=before: fleet.done(lonely.name) > before + AT_ONCE, "it goes on alone", deadline_s=120)
            lonely.mend()
        fleet.wait()
        _require_all_done(fleet.desks[0], MANY)
        with psycopg.connect(postgres_dsn, autocommit=True) as link:
            assert list(breaches(link, WORKED_APART)) == []
        begun = {
            each.name: Counter(line[1] for line in fleet.notes(each.name) if line[0] == "begin") for each in fleet.hosts
        }
    assert {times for each in begun.values() for times in each.values()} == {1}
    assert not held & begun[fleet.hosts[1].name].keys()


def _ids(cards: int = CARDS) -> list[str]:
    return [f"C{number}" for number in range(cards)]


def _require_all_done(host: Desk, cards: int = CARDS) -> None:
    """Every card is done, and the trail has one completion of each."""
    events = [json.loads(each) for each in host("backlog", "events", "--json").stdout.splitlines()]
    completed = Counter(each["id"] for each in events if each["type"] == "task.completed")
    assert host.sql("select distinct status::text from backlog") == [("done",)]
    assert completed == dict.fromkeys(_ids(cards), 1)
