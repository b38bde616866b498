"""The daemon as its user meets it: ``python -m syncd run`` in processes of its own, on real files and servers."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import termios
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from syncd.engine.asker import ask
from syncd.files.layout import Layout
from syncd.files.lock import holder
from tests.support.desk import DEADLINE_S, TABLE, Desk, Running, desk, quiet_for, until
from tests.support.hosts import hosts

AT_ONCE_S = 10.0
"""Long for what should take a moment, and shorter than what it must not wait for."""

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "core.autocrlf=false")


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A working copy on the embedded server."""
    return desk(tmp_path / "shop", postgres_dsn)


def git(root: Path, *words: str) -> str:
    """Run git in a folder, with no settings but its own."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run([*GIT, *words], cwd=root, env=environ, capture_output=True, text=True, check=True).stdout


def test_an_edit_and_an_update_arrive(tmp_path: Path, served_dsn: str) -> None:
    """On a served Postgres an edited cell becomes the row's value, and a row that SQL updated one changed line."""
    here = desk(tmp_path / "shop", served_dsn)
    git(here.root, "init", "-q")
    git(here.root, "add", "TASKS.md")
    git(here.root, "commit", "-qm", "before")
    with here.daemon():
        here.sql("update backlog set status = 'blocked' where id = 'A3'")
        until(lambda: "| A3 | blocked |" in here.text, "the update is in the file")
        assert git(here.root, "diff", "--numstat", "TASKS.md") == "1\t1\tTASKS.md\n"
        here.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: here.cell("status", "A1") == "done", "the edit is in the table")
        assert git(here.root, "diff", "--numstat", "TASKS.md") == "2\t2\tTASKS.md\n"


def test_status_and_sync_go_through_the_daemon(shop: Desk) -> None:
    """Beside a daemon, status and sync are its answers, over a socket that only its user can reach; it is live."""
    with shop.daemon() as daemon:
        assert stat.S_IMODE(shop.socket.stat().st_mode) == 0o600
        until(lambda: shop.ask("status")["mode"] == "live", "the heartbeat has come back")
        status = shop.json("status")
        assert (status["daemon"]["pid"], status["mode"], status["inSync"]) == (daemon.pid, "live", True)
        shop.edit("| A1 | not-started |", "| A1 | done |")
        shop.json("sync")
        assert shop.cell("status", "A1") == "done"


@pytest.mark.parametrize(("decision", "left"), [("accept", 0), ("reject", 3)])
def test_a_decision_beside_a_daemon_is_carried_out_at_once(shop: Desk, decision: str, left: int) -> None:
    """Nothing moved since the daemon held the rows back: what was decided is done when the command returns."""
    with shop.daemon():
        shop.file.write_text(TABLE.split("\n| A1")[0] + "\n")
        until(lambda: shop.json("held"), "the emptied file is held")
        shop(decision)
        assert len(shop.sql("select id from backlog where deleted_at is null and archived_at is null")) == left
        assert shop.text.count("\n| A") == left
        assert shop.json("held") == []


def test_a_second_daemon_is_refused(shop: Desk) -> None:
    """A second daemon ends at once with 75, names the first one's process, and leaves its socket alone."""
    with shop.daemon() as first:
        ended = shop("run", "--json", code=75)
        error = json.loads(ended.stderr.splitlines()[-1])["error"]
        assert error["code"] == "busy"
        assert f"process {first.pid}" in error["message"]
        assert shop.ask("status")["daemon"]["pid"] == first.pid


def test_sigterm_in_the_middle_of_a_cycle(tmp_path: Path, postgres_dsn: str) -> None:
    """SIGTERM while a cycle runs ends the daemon with 0 at once, and the next run goes on from there."""
    rows = "".join(f"| B{number} | not-started | Card {number} | — | 0 | |\n" for number in range(3000))
    here = desk(tmp_path / "shop", postgres_dsn, TABLE.replace("\nWords", f"{rows}\nWords"))
    daemon = here.launch()
    until(lambda: holder(Layout(here.root).cycle_lock), "a cycle runs")
    begun = time.monotonic()
    assert daemon.ended(signal.SIGTERM) == 0, daemon.text
    assert time.monotonic() - begun < AT_ONCE_S
    here("run", "--once")
    assert here.sql("select count(*) from backlog") == [(3003,)]


def test_sigterm_while_somebody_holds_a_row(shop: Desk) -> None:
    """SIGTERM while another's transaction holds the row ends the daemon in about a second, and loses nothing."""
    with shop.daemon() as daemon, psycopg.connect(shop.dsn) as other:
        other.execute("update backlog set priority = 8 where id = 'A1'")
        shop.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: waiting_for_a_lock(shop) == 1, "the daemon waits for the row")
        begun = time.monotonic()
        assert daemon.ended(signal.SIGTERM) == 0, daemon.text
        assert time.monotonic() - begun < AT_ONCE_S
        other.commit()
    shop("run", "--once")
    assert (shop.cell("status", "A1"), shop.cell("priority", "A1")) == ("done", "8")
    assert "| A1 | done | Draw the schema | — | 8 |" in shop.text
    assert shop.json("conflicts") == []


def _waits(shop: Desk) -> bool:
    """Return whether a daemon has no time to say how it is."""
    try:
        ask(shop.socket, {"op": "status"}, timeout_s=1)
    except TimeoutError:
        return True
    return False


def test_sigterm_waits_for_no_server_that_hangs(tmp_path: Path, postgres_dsn: str) -> None:
    """A server that takes what is sent and never answers holds no daemon's end up, and nothing is lost."""
    with hosts(["laptop"], postgres_dsn) as (laptop,):
        shop = desk(tmp_path / "shop", postgres_dsn)
        shop = replace(
            shop, environ={**shop.environ, "DATABASE_URL": laptop.dsn}, popen={"python": laptop.python(tmp_path)}
        )
        with shop.daemon() as daemon:
            laptop.freeze()
            shop.edit("Write the parser", "Write a parser")
            until(lambda: _waits(shop), "the daemon waits for the server")
            began = time.monotonic()
            assert daemon.ended(signal.SIGTERM) == 0
            assert time.monotonic() - began < 2 * AT_ONCE_S
        laptop.mend()
        shop("sync")
        assert shop.cell("title", "A2") == "Write a parser"


def test_sigterm_while_a_command_waits_for_a_row(shop: Desk) -> None:
    """A command that the daemon runs, and that waits for another's transaction, does not keep it from ending."""
    with shop.daemon() as daemon, psycopg.connect(shop.dsn) as other:
        other.execute("update backlog set priority = 8 where id = 'A1'")
        command = shop.start("backlog", "update", "A1", "title=Better", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: waiting_for_a_lock(shop) == 1, "the command waits for the row")
        begun = time.monotonic()
        assert daemon.ended(signal.SIGTERM) == 0, daemon.text
        assert time.monotonic() - begun < AT_ONCE_S
        other.commit()
        command.communicate(timeout=DEADLINE_S)
    assert shop.cell("priority", "A1") == "8"


def waiting_for_a_lock(shop: Desk) -> int:
    """Return how many connections to the project's database wait for a lock."""
    return int(shop.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")[0][0])


def test_sighup_takes_the_changed_configuration(shop: Desk) -> None:
    """SIGHUP makes the daemon take a task file that syncd.yaml names since, in the same process."""
    (shop.root / "more.md").write_text("| id | status | title |\n|---|---|---|\n| M1 | done | More |\n")
    with shop.daemon() as daemon:
        shop("config", "set", "tasks", "[TASKS.md, more.md]")
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: shop.cell("status", "M1") == "done", "the new file's card is in the table")
        until(lambda: shop.is_up(daemon), "the daemon answers again")
        shop.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: shop.cell("status", "A1") == "done", "the edit is in the table")
        assert daemon.ended(signal.SIGTERM) == 0


def test_signals_before_the_daemon_runs(shop: Desk) -> None:
    """While it still starts, SIGHUP is nothing to die of, and SIGTERM ends it with 0."""
    daemon = shop.launch()
    until(lambda: holder(Layout(shop.root).daemon_lock), "the workspace is locked")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.ended(signal.SIGTERM) == 0, daemon.text


def test_sighup_with_a_broken_configuration_keeps_the_one_in_force(shop: Desk) -> None:
    """A syncd.yaml that does not parse at SIGHUP is told with its place, and the daemon goes on as it was."""
    with shop.daemon() as daemon:
        (shop.root / "syncd.yaml").write_text("guards:\n  grace: soon\n")
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: daemon.events("config.refused"), "the refusal is logged")
        assert "syncd.yaml:2" in daemon.events("config.refused")[0]["message"]
        shop.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: shop.cell("status", "A1") == "done", "the edit is in the table")


def test_settings_that_are_edited_count_at_once(shop: Desk) -> None:
    """An edit of syncd.yaml beside a running daemon needs no word to it: what was a problem is read."""
    with shop.daemon() as daemon:
        shop.edit("| A1 | not-started |", "| A1 | shipped off |")
        until(lambda: shop.ask("status")["problems"], "the word is a problem")
        with (shop.root / "syncd.yaml").open("a") as settings:
            settings.write("statuses: {shipped off: done}\n")
        until(lambda: shop.cell("status", "A1") == "done", "the word has a state")
        assert daemon.process.poll() is None


def test_settings_that_are_wrong_are_a_problem(shop: Desk) -> None:
    """A mistake in syncd.yaml beside a running daemon is shown with its line, and ends nothing."""
    with shop.daemon():
        good = (shop.root / "syncd.yaml").read_text()
        (shop.root / "syncd.yaml").write_text(good + "statusses: {x: done}\n")
        (told,) = until(lambda: shop.ask("status")["problems"], "it is a problem")
        assert (told["path"], told["line"], told["code"]) == ("syncd.yaml", good.count("\n") + 1, "bad-settings")
        assert "`statuses`?" in told["message"]
        shop.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: shop.cell("status", "A1") == "done", "the edit is in the table")
        (shop.root / "syncd.yaml").write_text(good)
        until(lambda: not shop.ask("status")["problems"], "the problem ends by itself")


def test_sighup_of_a_terminal_that_was_closed(shop: Desk) -> None:
    """When the terminal is closed in which it was started, the daemon ends as by SIGTERM and reads nothing again."""
    terminal, end = os.openpty()
    log = shop.root.parent / "terminal.log"
    with log.open("w") as said:
        process = shop.start(
            "--log-format", "json", "run", stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(end, termios.TIOCSCTTY, 0),
        )  # fmt: skip
    os.close(end)
    daemon = Running(process, log)
    until(lambda: shop.is_up(daemon), "the daemon is up")
    os.close(terminal)
    assert daemon.ended() == 0, daemon.text
    assert [each["then"] for each in daemon.events("daemon.stopped")] == ["stop"]
    assert not shop.socket.exists()


def test_a_writer_that_still_holds_the_old_file_is_heard(shop: Desk) -> None:
    """What is written into a file after syncd replaced it arrives, though no name in the folder changes."""
    with shop.daemon(), shop.file.open("r+") as held:
        read = held.read()
        shop.sql("update backlog set status = 'blocked' where id = 'A3'")
        until(lambda: "| A3 | blocked |" in shop.text, "the update is in the file")
        held.seek(0)
        held.write(read.replace("| A1 | not-started |", "| A1 | done |"))
        held.truncate()
        held.flush()
        until(lambda: shop.cell("status", "A1") == "done", "the late write is in the table")
        # A write in the very moment of the replacement brings the old file back first.
        until(lambda: "| A1 | done |" in shop.text and "| A3 | blocked |" in shop.text, "the file has both")
        assert shop.ask("status")["conflicts"] == []


def test_git_clean_under_a_running_daemon(shop: Desk) -> None:
    """When everything under .syncd goes, the daemon begins anew at the next change: nothing is deleted or reverted."""
    with shop.daemon() as daemon:
        git(shop.root, "init", "-q")
        git(shop.root, "add", "TASKS.md", "syncd.yaml")
        git(shop.root, "clean", "-fdxq")
        assert not shop.socket.exists()
        shop.edit("| A1 | not-started |", "| A1 | done |")
        shop.sql("update backlog set priority = 8 where id = 'A3'")
        until(lambda: "| A1, A2 | 8 |" in shop.text and shop.is_up(daemon), "the daemon began anew")
        until(lambda: shop.cell("status", "A1") == "done", "the edit is in the table")
        assert shop.sql("select count(*) from backlog where deleted_at is null") == [(3,)]
        shop.edit("Draw the schema", "Draw a schema")
        until(lambda: shop.cell("title", "A1") == "Draw a schema", "edits arrive again")
        assert shop("run", code=75).code == 75


def test_a_state_that_is_damaged_under_a_running_daemon(shop: Desk) -> None:
    """When the disk destroys what syncd remembers, the daemon puts it aside and begins anew; both sides stay whole."""
    with shop.daemon() as daemon:
        for path in Layout(shop.root).dot.glob("state.db*"):
            with path.open("r+b") as disk:
                disk.write(b"\x55" * path.stat().st_size)
        shop.edit("Draw the schema", "Draw a schema")
        until(lambda: shop.cell("title", "A1") == "Draw a schema", "the edit is in the table")
        until(lambda: shop.is_up(daemon), "the daemon is up")
        assert (Layout(shop.root).dot / "state.db.broken-1").exists()
        assert shop.sql("select count(*) from backlog where deleted_at is null") == [(3,)]


def test_killed_and_started_again(shop: Desk) -> None:
    """After kill -9 the stale socket is in nobody's way, and edits of both sides made meanwhile are all taken."""
    with shop.daemon() as daemon:
        daemon.ended(signal.SIGKILL)
    assert shop.socket.exists()
    assert not shop.json("status")["daemon"]["running"]
    shop.edit("| A1 | not-started |", "| A1 | done |")
    shop.sql("update backlog set priority = 8 where id = 'A3'")
    with shop.daemon():
        until(lambda: shop.cell("status", "A1") == "done", "the edit is in the table")
        until(lambda: "| A1, A2 | 8 |" in shop.text, "the update is in the file")
        assert stat.S_IMODE(shop.socket.stat().st_mode) == 0o600
        assert shop.ask("status")["conflicts"] == []
    assert not shop.socket.exists()


def test_an_expired_lease_shows_in_the_file(shop: Desk) -> None:
    """A lease that runs out puts the card back to ready, in the table and in the file, with nobody asking."""
    with shop.daemon():
        claim = "update backlog set status = 'claimed', claim_owner = 'w1', claimed_at = now(), claim_ttl_seconds = 1"
        shop.sql(f"{claim} where id = 'A1'")
        until(lambda: "| A1 | in-progress | Draw the schema | — | 3 | w1 |" in shop.text, "the claim is in the file")
        until(lambda: "| A1 | not-started | Draw the schema | — | 3 |" in shop.text, "its end is in the file")
        assert shop.cell("status", "A1") == "ready"
        assert shop.cell("claim_owner", "A1") is None


def test_an_idle_daemon_is_quiet(shop: Desk) -> None:
    """With nothing to do for ten seconds nothing is written on either side, and the daemon hardly runs.

    Its server then has two connections of it, after commands too: one for the cycle, one to listen.
    """
    count = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    with shop.daemon() as daemon:
        shop("backlog", "claim", "--owner", "w", "--id", "A3")
        assert shop.sql(count)[0][0] <= 3
        shop.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: shop.cell("status", "A1") == "done", "the edit is in the table")
        until(lambda: shop.ask("status")["inSync"], "the daemon has come to rest")
        ticks, switches = cpu_ticks(daemon.pid), wakeups(daemon.pid)
        quiet_for(10.0, shop.stillness)
        spent_s = (cpu_ticks(daemon.pid) - ticks) / os.sysconf("SC_CLK_TCK")
        assert spent_s <= 0.03
        assert wakeups(daemon.pid) - switches <= 60
        until(lambda: shop.sql(count)[0][0] == 2, "the commands' connection is given back")


def test_two_working_copies_of_a_project(tmp_path: Path, postgres_dsn: str) -> None:
    """Two daemons on two copies of a project follow each other's edits, and then both are quiet."""
    here, there = desk(tmp_path / "here", postgres_dsn), desk(tmp_path / "there", postgres_dsn)
    with here.daemon(), there.daemon():
        here.edit("| A1 | not-started |", "| A1 | done |")
        there.edit("Write the docs", "Write good docs")
        there.edit("\nWords", "|  | not-started | Ship it | A3 | 1 | |\n\nWords")
        until(lambda: here.unpadded == there.unpadded and "| A4 |" in here.text, "the copies agree")
        assert "| A1 | done |" in there.text
        assert "Write good docs" in here.text
        assert here.cell("title", "A3") == "Write good docs"
        quiet_for(1.0, lambda: (here.footprint(), there.footprint()))
        assert here.ask("status")["conflicts"] == []


def test_a_folder_with_an_odd_name_and_a_parsers_package(tmp_path: Path, postgres_dsn: str) -> None:
    """A workspace whose name has spaces, quotes and letters of many scripts, with packages named as ours, works."""
    here = desk(tmp_path / 'Müller\'s "große" 店 %f' / "a b", postgres_dsn)
    for name in ("parsers", "schemas", "syncd"):
        (here.root / name).mkdir()
        (here.root / name / "__init__.py").write_text("raise AssertionError('a package of the workspace is imported')")
    with here.daemon():
        here.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: here.cell("status", "A1") == "done", "the edit is in the table")
        assert here.json("status")["daemon"]["running"]
    elsewhere = Desk(tmp_path, here.environ, here.dsn)
    assert elsewhere.json("-C", str(here.root), "status")["inSync"]


def cpu_ticks(pid: int) -> int:
    """Return the processor time that a process has used, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wakeups(pid: int) -> int:
    """Return how often the threads of a process went to sleep, and so were woken."""
    told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for text in told)
