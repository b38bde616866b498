"""Workers as their users run them: commands for cards, and the power to drain and kill."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from tests.support.crew import is_alive, pid_in, script, working
from tests.support.desk import Desk, bare_environment, desk, until

ONE = "| id | status | title |\n|---|---|---|\n| A1 | not-started | One |\n"
CHAIN = """\
| id | status | title | depends_on | timeout |
|----|--------|-------|------------|---------|
| A1 | not-started | One | — | |
| A2 | not-started | Two | A1 | |
| A3 | not-started | Three | A1 | |
| A4 | not-started | Four | A2, A3 | |
"""

# Writes its own process id, starts a child that leaves its session, and waits.
STUBBORN = """
trap '' TERM
setsid sh -c 'trap "" TERM; echo $$ > ../child; while :; do sleep 1; done' &
echo $$ > ../leader
while :; do sleep 1; done
"""


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A synced working copy with a chain of four cards."""
    made = desk(tmp_path / "shop", postgres_dsn, CHAIN)
    made("sync")
    return made


@pytest.fixture
def lone(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A synced working copy with one card."""
    made = desk(tmp_path / "lone", postgres_dsn, ONE)
    made("sync")
    return made


def status_of(shop: Desk, id: str) -> str:
    return str(shop.cell("status", id))


def test_a_worker_does_the_cards_in_the_order_of_their_dependencies(shop: Desk) -> None:
    """Each card gets its command once, with the card on stdin, after those that it depends on; the file follows."""
    command = script(shop, 'cat > "../$SYNCD_CARD_ID.json"; echo "$SYNCD_CARD_ID $SYNCD_ATTEMPT" >> ../done')
    with working(shop, command, "--until-done") as worker:
        assert worker.ended() == 0
    done = [each.split() for each in (shop.root.parent / "done").read_text().splitlines()]
    assert (done[0], sorted(done[1:3]), done[3]) == (["A1", "1"], [["A2", "1"], ["A3", "1"]], ["A4", "1"])
    card = json.loads((shop.root.parent / "A4.json").read_text())
    assert (card["id"], card["dependsOn"], card["status"]) == ("A4", ["A2", "A3"], "claimed")
    assert card["claimOwner"].startswith("w.")
    shop("sync")
    assert shop.text.count("done") == 4
    assert shop.json("workers") == []


def test_a_failure_is_told_with_the_last_lines_of_stderr(lone: Desk) -> None:
    """A command that fails fails its card; a retry may do it, and the output of each attempt is kept."""
    command = script(lone, 'echo out; echo "no luck" >&2; [ "$SYNCD_ATTEMPT" = 2 ]')
    with working(lone, command, "--until-done") as worker:
        until(lambda: lone.cell("last_error", "A1") == "exit 1: no luck", "the error is told")
        assert worker.ended() == 0
    assert status_of(lone, "A1") == "done"
    for attempt in ("1", "2"):
        kept = (lone.root / ".syncd" / "attempts" / f"A1.{attempt}.log").read_text()
        # Two streams, read as they come: which of them is first is nobody's promise.
        assert sorted(kept.splitlines()) == ["no luck", "out"]


def test_a_card_over_its_time_limit_is_ended_and_failed(lone: Desk) -> None:
    """The limit of the worker holds, and what cannot be done in it is blocked when its retries are spent."""
    lone("backlog", "update", "A1", "extra.timeout=0.2")
    lone.sql("update backlog set max_retries = 0")
    with working(lone, script(lone, "sleep 100"), "--until-done", "--timeout", "90") as worker:
        assert worker.ended() == 1
    assert status_of(lone, "A1") == "blocked"
    assert str(lone.cell("last_error", "A1")).startswith("ended after its time limit of 0.2 s")
    assert worker.events("worker.left_over")[0]["blocked"] == 1


def test_killing_a_card_ends_all_its_processes_and_blocks_it(lone: Desk) -> None:
    """Nothing survives: neither what ignores SIGTERM nor what left the session; the worker goes on."""
    with working(lone, script(lone, STUBBORN)) as worker:
        leader, child = pid_in(lone.root.parent / "leader"), pid_in(lone.root.parent / "child")
        until(lambda: lone.json("workers")[0]["cards"], "the card is told")
        killed = lone.json("kill", "A1")
        Draft202012Validator(bundle("killed")).validate(killed)
        (one,) = killed["killed"]
        assert (one["name"], one["cards"], one["pid"], one["ended"]) == ("w", ["A1"], leader, True)
        assert not is_alive(leader)
        assert not is_alive(child)
        assert status_of(lone, "A1") == "blocked"
        assert str(lone.cell("last_error", "A1")).startswith("killed by ")
        assert worker.process.poll() is None
        assert lone.json("kill", "A1") == {"killed": []}
        lone("backlog", "retry", "--id", "A1")
        until(lambda: len(worker.events("work.started")) == 2, "the card is done again")


def test_killing_a_worker_releases_its_cards_and_ends_it(lone: Desk) -> None:
    """A worker that is killed by name ends what it runs, gives the card back without a failure, and is gone."""
    with working(lone, script(lone, "sleep 100")) as worker:
        until(lambda: worker.events("work.started"), "the card runs")
        (killed,) = lone.json("kill", "--owner", "w")["killed"]
        assert killed["ended"]
        assert worker.ended() == 0
    assert (status_of(lone, "A1"), lone.cell("failures", "A1")) == ("ready", "0")
    assert lone("kill", "--owner", "w", code=3).said
    assert lone.json("kill", "--all") == {"killed": []}


def test_a_drain_lets_running_cards_finish(shop: Desk) -> None:
    """A drained worker claims nothing more, finishes what it runs, and ends with 0."""
    gate = shop.root.parent / "gate"
    command = script(shop, "while ! [ -e ../gate ]; do sleep 0.05; done")
    with working(shop, command) as worker:
        until(lambda: worker.events("work.started"), "the first card runs")
        told = shop.json("drain", "--owner", "w")
        Draft202012Validator(bundle("drained")).validate(told)
        until(lambda: worker.events("worker.draining"), "it drains")
        (seen,) = shop.json("workers")
        Draft202012Validator(bundle("worker")).validate(seen)
        assert seen["state"] == "draining"
        gate.touch()
        assert worker.ended() == 0
    assert [status_of(shop, each) for each in ("A1", "A2", "A3", "A4")] == ["done", "ready", "ready", "ready"]
    assert shop.json("drain") == {"drained": []}


def test_sigterm_gives_running_cards_their_grace_and_releases_them_then(lone: Desk) -> None:
    """After the grace what still runs is ended, and its card is ready again without a failure."""
    with working(lone, script(lone, "echo $$ > ../leader; sleep 100"), "--grace", "0.3") as worker:
        leader = pid_in(lone.root.parent / "leader")
        assert worker.ended(signal.SIGTERM) == 0
        assert not is_alive(leader)
    assert (status_of(lone, "A1"), lone.cell("failures", "A1"), lone.cell("attempts", "A1")) == ("ready", "0", "1")


def test_a_killed_worker_leaves_nothing_behind(lone: Desk) -> None:
    """After kill -9 of the worker its processes are ended and its card comes back, long before the lease ends."""
    with working(lone, script(lone, STUBBORN)) as worker:
        leader, child = pid_in(lone.root.parent / "leader"), pid_in(lone.root.parent / "child")
        worker.ended(signal.SIGKILL)
        until(lambda: status_of(lone, "A1") == "ready", "the card is back")
        assert not is_alive(leader)
        assert not is_alive(child)
        until(lambda: lone.json("workers") == [], "the worker is taken out")
    assert lone.cell("claim_ttl_seconds", "A1") is None


def test_a_lost_lease_ends_the_command_and_reports_nothing(lone: Desk) -> None:
    """When the card is given to somebody else, the command is ended, and its result counts for nothing."""
    with working(lone, script(lone, "echo $$ > ../leader; sleep 100")) as worker:
        leader = pid_in(lone.root.parent / "leader")
        lone.sql("update backlog set claim_owner = 'other', attempts = attempts + 1 where id = 'A1'")
        until(lambda: worker.events("work.lost"), "the loss is noticed")
        assert not is_alive(leader)
    assert (lone.cell("claim_owner", "A1"), lone.cell("failures", "A1")) == ("other", "0")


def test_a_lease_is_renewed_as_long_as_its_command_runs(lone: Desk) -> None:
    """A command may take longer than the lease's time to live."""
    with working(lone, script(lone, "sleep 3"), "--ttl", "1", "--until-done") as worker:
        assert worker.ended() == 0
    assert (status_of(lone, "A1"), lone.cell("attempts", "A1")) == ("done", "1")


def test_what_is_claimed_in_its_name_is_run(lone: Desk) -> None:
    """A worker that takes assigned cards only runs what others claim for it, and nothing else."""
    with working(lone, script(lone, "true"), "--assigned") as worker:
        (seen,) = until(lambda: lone.json("workers"), "it is there")
        assert seen["assignedOnly"]
        assert status_of(lone, "A1") == "ready"
        lone("backlog", "claim", "--owner", seen["owner"], "--id", "A1")
        until(lambda: status_of(lone, "A1") == "done", "the card is done")
        assert len(worker.events("work.started")) == 1


def test_an_attempt_in_a_worktree_of_its_own(lone: Desk) -> None:
    """What an attempt commits is on a branch of its own; the workspace's own tree stays as it is."""
    git = ["git", "-C", str(lone.root), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git[:3], "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "start"], check=True)
    command = script(
        lone,
        'echo x > made; git add made; git -c user.name=a -c user.email=a@b commit --quiet -m "$SYNCD_CARD_ID"',
    )
    with working(lone, command, "--worktree", "--until-done") as worker:
        assert worker.ended() == 0, worker.log.read_text()
    log = subprocess.run([*git, "log", "--format=%s", "syncd/A1-1"], check=True, capture_output=True, text=True)
    assert log.stdout.split() == ["A1", "start"]
    assert not (lone.root / "made").exists()
    assert list((lone.root / ".syncd" / "worktrees").iterdir()) == []


def test_without_a_database_it_works_as_well(tmp_path: Path) -> None:
    """In flatfile mode a worker does its cards, is seen, and is killed by name."""
    root = tmp_path / "flat"
    root.mkdir()
    (root / "TASKS.md").write_text(ONE + "| A2 | not-started | Two |\n")
    flat = Desk(root, bare_environment(tmp_path))
    flat("--mode", "flatfile", "init", "--yes")
    flat("config", "set", "mode", "flatfile")
    flat("sync")
    command = script(flat, '[ "$SYNCD_CARD_ID" = A1 ] || sleep 100')
    with working(flat, command) as worker:
        until(lambda: flat.json("backlog", "show", "A1")["status"] == "done", "the first card is done")
        until(lambda: flat.json("workers")[0]["cards"], "the second runs")
        (killed,) = flat.json("kill", "--owner", "w")["killed"]
        assert (killed["cards"], killed["ended"]) == (["A2"], True)
        assert worker.ended() == 0
    assert flat.json("backlog", "show", "A2")["status"] == "ready"
    assert flat.json("workers") == []


WRONG = (
    (["work", "--owner", "w", "--", "no-such-command"], 2, "no command no-such-command"),
    (["work", "--owner", "w", "--worktree", "--", "true"], 2, "no git repository"),
    (["work", "--owner", "w w", "--", "true"], 2, "w w"),
    (["work", "--owner", "w", "--env", "X", "--", "true"], 2, "NAME=VALUE"),
    (["work", "--owner", "w", "--cwd", "nowhere", "--", "true"], 3, "is no folder"),
    (["kill"], 2, "a card, --owner or --all"),
    (["kill", "A1", "--all"], 2, "a card, --owner or --all"),
    (["kill", "ZZ"], 3, "no card ZZ"),
    (["drain", "--owner", "nobody"], 3, "nobody works as nobody"),
)


def test_wrong_words_are_refused(lone: Desk) -> None:
    """What cannot be done is said before anything is claimed."""
    for words, code, says in WRONG:
        assert says in lone(*words, code=code).stderr, words
    assert status_of(lone, "A1") == "ready"
