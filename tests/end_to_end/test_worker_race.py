"""Workers as processes on two simulated hosts and one Postgres, which may go away in the middle, twice.

Each host has a home and a working copy of its own, and, where root can make them, a network and a name of its own:
nothing but the database's socket leads from one to the other.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from syncd.store.embedded import EmbeddedServer
from tests.support.crew import Working, script, working
from tests.support.desk import Desk, bare_environment, desk, until
from tests.support.switch import Switch

CARDS = 40
WORKERS = 3
"""On each host."""

# Notes when an attempt begins and ends, in one line each, whoever else writes.
COMMAND = """
echo "begin $SYNCD_CARD_ID $SYNCD_ATTEMPT $SYNCD_OWNER" >> "$NOTES"
sleep 0.05
echo "end $SYNCD_CARD_ID $SYNCD_ATTEMPT $SYNCD_OWNER" >> "$NOTES"
"""


def _board() -> str:
    """Return cards of which each depends on two before it, but for the first few."""
    lines = ["| id | status | title | depends_on |", "|---|---|---|---|"]
    for number in range(CARDS):
        needs = ", ".join(f"C{each}" for each in sorted({number // 2, number // 3}) if 0 < each < number)
        lines.append(f"| C{number} | not-started | Card {number} | {needs or '—'} |")
    return "\n".join([*lines, ""])


@contextmanager
def _machine(place: Path) -> Iterator[str]:
    """Give a Python that runs in a network without interfaces and under a host's name of its own.

    Where this user may not make namespaces, the usual one.
    """
    apart = ("unshare", "--net", "--uts")
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        yield sys.executable
        return
    live = f"hostname {place.name} && echo up && exec sleep infinity"
    with subprocess.Popen([*apart, "sh", "-c", live], stdout=subprocess.PIPE, text=True) as machine:
        try:
            assert machine.stdout is not None
            assert machine.stdout.readline() == "up\n"
            program = place / "python"
            enter = f"nsenter --target={machine.pid} --net --uts --"
            program.write_text(f'#!/bin/sh\nexec {enter} "{sys.executable}" "$@"\n')
            program.chmod(0o755)
            yield str(program)
        finally:
            machine.kill()


def _host(place: Path, dsn: str, notes: Path, python: str) -> Desk:
    """Make a host: a home and a working copy of its own."""
    environ = {**bare_environment(place), "HOME": str(place / "home"), "NOTES": str(notes)}
    (place / "home").mkdir()
    return replace(desk(place / "shop", dsn, _board(), environ=environ), popen={"python": python})


@contextmanager
def _fleet(place: Path, dsn: str, notes: Path) -> Iterator[tuple[list[Desk], list[Working]]]:
    """Run workers on two hosts that share a project."""
    with ExitStack() as life:
        hosts = []
        for name in ("one", "two"):
            (place / name).mkdir()
            python = life.enter_context(_machine(place / name))
            hosts.append(_host(place / name, dsn, notes.with_name(name + ".notes"), python))
        for host in hosts:
            host("sync")
        assert hosts[0].json("status")["replica"] != hosts[1].json("status")["replica"]
        # Nobody begins before all are there.
        hosts[0]("backlog", "pause")
        workers: list[Working] = []
        for number in range(WORKERS):
            for host in hosts:
                command = script(host, COMMAND)
                options = ("--concurrency", "2", "--ttl", "60", "--until-done")
                workers.append(life.enter_context(working(host, command, *options, owner=f"w{number}")))
        hosts[0]("backlog", "resume")
        yield hosts, workers


@pytest.mark.timeout(300)
def test_workers_on_two_hosts_do_each_card_once(tmp_path: Path, postgres_dsn: str) -> None:
    """However they race: each card is done once, by one at a time."""
    notes = tmp_path / "notes"
    with _fleet(tmp_path, postgres_dsn, notes) as (hosts, workers):
        assert [each.process.wait(200) for each in workers] == [0] * len(workers)
        _require_all_done(hosts[0])
    lines = [line for name in ("one", "two") for line in _lines(tmp_path / f"{name}.notes")]
    assert Counter(line[1] for line in lines if line[0] == "begin") == dict.fromkeys(_ids(), 1)
    assert {line[3].partition(".")[0] for line in lines} == {f"w{number}" for number in range(WORKERS)}


@pytest.mark.timeout(400)
def test_workers_on_two_hosts_go_on_while_the_database_is_away(tmp_path: Path) -> None:
    """Each host works on alone; when the database is back, every card is done, with one completion each."""
    notes = tmp_path / "notes"
    data = tmp_path / "postgres"
    with (
        EmbeddedServer.start(data, grace_s=0.1) as server,
        closing(Switch(data / "data")) as switch,
        _fleet(tmp_path, server.dsn, notes) as (hosts, workers),
    ):
        for share in (4, 2):
            until(lambda share=share: _done(tmp_path) >= CARDS // share, "a part is done", deadline_s=120)
            switch.off()
            before = _done(tmp_path)
            until(lambda before=before: _done(tmp_path) > before, "they go on", deadline_s=120)
            switch.on()
        assert [each.process.wait(200) for each in workers] == [0] * len(workers)
        for host in hosts:
            host("sync")
        _require_all_done(hosts[0])


def _ids() -> list[str]:
    return [f"C{number}" for number in range(CARDS)]


def _lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _done(place: Path) -> int:
    """Return how many cards' commands have ended."""
    return len({line[1] for name in ("one", "two") for line in _lines(place / f"{name}.notes") if line[0] == "end"})


def _require_all_done(host: Desk) -> None:
    """Every card is done, and the trail has one completion of each."""
    events = [json.loads(each) for each in host("backlog", "events", "--json").stdout.splitlines()]
    completed = Counter(each["id"] for each in events if each["type"] == "task.completed")
    assert host.sql("select distinct status::text from backlog") == [("done",)]
    assert completed == dict.fromkeys(_ids(), 1)
