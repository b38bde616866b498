"""The command line as a user calls it: real processes, real files, a real Postgres."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.__main__ import main
from syncd.cli.schemas import bundle
from tests.support.desk import DEADLINE_S, until

TASKS = """\
# Shop

| id | status | title | depends_on | priority |
|----|--------|-------|------------|----------|
| A1 | not-started | Schema | — | 5 |
| A2 | not-started | Parser | A1 | 3 |
| A3 | done | Plan | — | 0 |
"""


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    stdout: str
    stderr: str


def memory() -> io.TextIOWrapper:
    """Return a stream in memory that is like a process's own."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8")


def written(stream: io.TextIOWrapper) -> str:
    """Return what was written to a stream."""
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


class Shop:
    """A workspace and the commands that a user types in it."""

    def __init__(self, root: Path, environ: dict[str, str]) -> None:
        self.root = root
        self.environ = environ
        self.tasks = root / "TASKS.md"

    def __call__(self, *words: str, code: int = 0, **environ: str) -> Ended:
        """Run a command through the console script's function, in this process, and assert its exit code."""
        with memory() as stdin, memory() as stdout, memory() as stderr, pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.root)
            for name in os.environ.keys() - self.environ.keys():
                patch.delenv(name)
            for name, value in (self.environ | environ).items():
                patch.setenv(name, value)
            for name, stream in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
                patch.setattr(sys, name, stream)
            ended = Ended(main(list(words)), written(stdout), written(stderr))
        assert ended.code == code, (words, ended)
        return ended

    def process(self, *words: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "syncd", *words],
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *words: str, code: int = 0, schema: str | None = None) -> Any:
        """Run a command with --json: exactly one value on stdout; assert that it is what its schema says."""
        ended = self(*words, "--json", code=code)
        value = json.loads(ended.stdout)
        assert ended.stdout.count("\n") == 1
        if schema is not None:
            validator = Draft202012Validator(bundle(schema))
            for each in value if isinstance(value, list) else [value]:
                validator.validate(each)
        return value

    def error(self, *words: str, code: int) -> dict[str, Any]:
        """Run a command with --json that fails: nothing on stdout, one JSON line last on stderr."""
        ended = self(*words, "--json", code=code)
        assert ended.stdout == ""
        value = json.loads(ended.stderr.splitlines()[-1])
        Draft202012Validator(bundle("error")).validate(value)
        found: dict[str, Any] = value["error"]
        return found

    def edit(self, was: str, becomes: str) -> None:
        """Edit the task file as a person does."""
        text = self.tasks.read_text()
        assert was in text
        self.tasks.write_text(text.replace(was, becomes))

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[str]]:
        """Run the daemon, from when it has answered a status until it has ended."""
        process = self.process("run")
        try:
            wait_for(lambda: self.json("status")["daemon"]["running"])
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=DEADLINE_S)


def wait_for(holds: Callable[[], object]) -> None:
    """Return once a condition holds; fail when it does not hold in time."""
    until(holds, "it happens", step_s=0.02)


@pytest.fixture
def bare(tmp_path: Path, postgres_dsn: str) -> Shop:
    """A folder with a task file, and an empty database: not a workspace yet."""
    root = tmp_path / "my shop"
    root.mkdir()
    (root / "TASKS.md").write_text(TASKS)
    environ = {name: value for name, value in os.environ.items() if "DATABASE_URL" not in name}
    environ |= {
        "SYNCD_DATABASE_URL": postgres_dsn,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    return Shop(root, environ)


@pytest.fixture
def shop(bare: Shop) -> Shop:
    """A workspace in sync."""
    bare("init", "--yes")
    bare("sync")
    return bare


def test_from_nothing_to_in_sync(bare: Shop) -> None:
    """init shows what it sees and makes the workspace, sync carries the cards over, status says in sync."""
    said = bare("init", "--yes").stdout
    assert "TASKS.md  3 cards, table" in said
    assert bare.tasks.read_text() == TASKS
    report = bare.json("sync", "--dry-run", schema="sync")
    assert [each["id"] for each in report["toStore"]] == ["A1", "A2", "A3"]
    assert bare.json("backlog", "list") == []
    assert "3 changes to the store" in bare("sync").stdout
    assert bare("sync").stdout == "Nothing to do.\n"
    report = bare.json("status", "--exit-code", schema="status")
    assert report["inSync"]
    assert report["cards"] == {"total": 3, "ready": 2, "claimed": 0, "blocked": 0, "done": 1}
    assert bare("status").stdout.splitlines()[0] == "In sync"
    assert bare.tasks.read_text() == TASKS


def test_init_twice_is_fine(shop: Shop) -> None:
    """A second init changes nothing and says so."""
    before = (shop.root / "syncd.yaml").read_bytes()
    settings = shop.json("init", schema="init")
    assert settings["project"] == "default"
    assert "already" in shop("init").stdout
    assert (shop.root / "syncd.yaml").read_bytes() == before


def test_init_asks_before_it_joins_cards(shop: Shop, tmp_path: Path) -> None:
    """A store that holds cards already is joined only with a yes; where nobody can be asked, --yes says it."""
    other = Shop(tmp_path / "other", shop.environ)
    other.root.mkdir()
    other.tasks.write_text(TASKS)
    error = other.error("init", "--project", "default", code=2)
    assert "--yes" in error["hint"]
    assert not (other.root / "syncd.yaml").exists()
    other("init", "--project", "default", "--yes")
    assert "already" in other("init").stdout


def test_an_edit_shows_up_and_goes_over(shop: Shop) -> None:
    """status and diff tell an edit before it is carried over; sync carries it over; other bytes stay."""
    shop.edit("| A1 | not-started |", "| A1 | done |")
    report = shop.json("status", "--exit-code", code=1, schema="status")
    assert [(each["id"], each["field"], each["direction"], each["line"]) for each in report["drift"]] == [
        ("A1", "status", "to-store", 5)
    ]
    assert shop("status").stdout.startswith("Not in sync: 1 edit waits for the store\n")
    assert shop("diff").stdout == (
        "A1  TASKS.md:5\n"
        "  status  file → store\n"
        "    - ready\n"
        "    + done\n"
    )  # fmt: skip
    (entry,) = shop.json("diff", "A1", schema="drift")
    assert (entry["local"], entry["remote"]) == ("done", "ready")
    assert shop.json("diff", "A2") == []
    assert shop.error("diff", "A9", code=3)["code"] == "not-found"
    shop.json("sync", schema="sync")
    assert shop.json("backlog", "show", "A1", schema="card")["status"] == "done"


def test_a_change_of_the_store_comes_into_the_file(shop: Shop) -> None:
    """An update in the store changes one line of the file, at the next cycle."""
    shop.json("backlog", "update", "A2", "status=done", "title=The parser", schema="card")
    assert shop.json("status")["drift"] != []
    shop("sync")
    assert "| A2 | done | The parser | A1 | 3 |" in shop.tasks.read_text()
    assert shop.tasks.read_text().count("not-started") == 1


def test_create_takes_every_field(shop: Shop) -> None:
    """Every option of create is in the card; a repeated key gives the first card, a repeated id is refused."""
    words = ["backlog", "create", "--id", "B1", "--title", "New", "--body", "Long", "--phase", "M2", "--priority", "9"]
    words += ["--depends-on", "A1,A2,X9", "--acceptance", "tests; docs", "--idempotency-key", "k1"]
    words += ["--max-retries", "5", "--extra", "branch=feat/x", "--extra", "pr=#4"]
    card = shop.json(*words, schema="card")
    expected = {
        "id": "B1",
        "title": "New",
        "body": "Long",
        "phase": "M2",
        "priority": 9,
        "status": "ready",
        "dependsOn": ["A1", "A2", "X9"],
        "acceptance": ["tests", "docs"],
        "idempotencyKey": "k1",
        "maxRetries": 5,
        "extra": {"branch": "feat/x", "pr": "#4"},
        "unmet": 3,
        "project": "default",
    }
    assert {name: card[name] for name in expected} == expected
    again = shop.json("backlog", "create", "--id", "B2", "--title", "Other", "--idempotency-key", "k1", schema="card")
    assert again["id"] == "B1"
    assert shop.error("backlog", "create", "--id", "B1", "--title", "x", code=4)["code"] == "already-exists"
    json_acceptance = ["--acceptance", '{"coverage": 90}']
    card = shop.json("backlog", "create", "--id", "B3", "--title", "x", *json_acceptance, schema="card")
    assert card["acceptance"] == {"coverage": 90}


def test_list_filters_and_pages(shop: Shop) -> None:
    """list is ordered by priority and filters by state, phase, owner and claimability; the cursor goes on."""

    def ids(*words: str) -> list[str]:
        return [each["id"] for each in shop.json("backlog", "list", *words, schema="card")]

    assert ids() == ["A1", "A2", "A3"]
    assert ids("--status", "ready") == ["A1", "A2"]
    assert ids("--ready-only") == ["A1"]
    assert ids("--phase", "Shop") == ["A1", "A2", "A3"]
    assert ids("--owner", "w1") == []
    assert ids("--limit", "2") == ["A1", "A2"]
    assert ids("--limit", "2", "--cursor", "A2") == ["A3"]
    assert shop("backlog", "list", "--limit", "2").stdout.splitlines()[-1] == "more: syncd backlog list --cursor A2 …"
    assert shop.error("backlog", "list", "--status", "open", code=2)["code"] == "usage"


def test_update_sets_and_refuses(shop: Shop) -> None:
    """update sets fields, keeps to --if-version, and refuses what does not fit."""
    card = shop.json(
        "backlog", "update", "A1", "priority=8", "extra.pr=#4", "acceptance=a;b", "depends_on=A3", schema="card"
    )
    assert (card["priority"], card["extra"]["pr"], card["acceptance"], card["dependsOn"]) == (
        8,
        "#4",
        ["a", "b"],
        ["A3"],
    )
    stale = shop.error("backlog", "update", "A1", "title=x", "--if-version", str(card["version"] - 1), code=4)
    assert stale["code"] == "stale-version"
    card = shop.json("backlog", "update", "A1", "extra.pr=", "--if-version", str(card["version"]), schema="card")
    assert "pr" not in card["extra"]
    assert "title, body" in shop.error("backlog", "update", "A1", "colour=red", code=2)["hint"]
    assert shop.error("backlog", "update", "A9", "title=x", code=3)["code"] == "not-found"
    assert shop.error("backlog", "update", "A1", "dependsOn=A2", code=4)["code"] == "cycle"


def test_the_life_of_a_lease(shop: Shop) -> None:
    """claim, renew, release, claim again, complete: each by its holder only, and the next card is free then."""
    card = shop.json("backlog", "claim", "--owner", "w1", schema="card")
    assert (card["id"], card["status"], card["claimOwner"], card["claimTtlSeconds"]) == ("A1", "claimed", "w1", 900)
    assert shop.json("backlog", "claim", "--owner", "w2") is None
    assert shop.json("backlog", "claim", "--owner", "w2", "--id", "A1") is None
    assert shop.json("backlog", "claim", "--owner", "w2", "--count", "2") == []
    assert shop("backlog", "claim", "--owner", "w2").stdout == "Nothing to claim.\n"
    assert shop.error("backlog", "renew", "--id", "A1", "--owner", "w2", code=4)["code"] == "not-owner"
    assert shop.json("backlog", "renew", "--id", "A1", "--owner", "w1", "--ttl", "60")["claimTtlSeconds"] == 60
    assert shop.error("backlog", "release", "--id", "A1", "--owner", "w2", code=4)["code"] == "not-owner"
    assert shop.json("backlog", "release", "--id", "A1", "--owner", "w1", schema="card")["status"] == "ready"
    (card,) = shop.json("backlog", "claim", "--owner", "w2", "--count", "2", schema="card")
    assert card["attempts"] == 2
    error = shop.error("backlog", "complete", "--id", "A1", "--owner", "w2", "--attempt", "1", code=4)
    assert error["code"] == "not-owner"
    done = shop.json("backlog", "complete", "--id", "A1", "--owner", "w2", "--attempt", "2", schema="card")
    assert done["status"] == "done"
    assert shop.json("backlog", "complete", "--id", "A1", schema="card") == done
    assert shop.json("backlog", "claim", "--owner", "w1", schema="card")["id"] == "A2"


def test_claim_waits_for_a_card(shop: Shop) -> None:
    """claim --wait gives a card that becomes claimable meanwhile, and null when none does in time."""
    shop("backlog", "claim", "--owner", "w1", "--id", "A1")
    assert shop.json("backlog", "claim", "--owner", "w2", "--wait", "0.3") is None
    waiting = shop.process("backlog", "claim", "--owner", "w2", "--wait", "60", "--json")
    shop("backlog", "complete", "--id", "A1")
    out, _ = waiting.communicate(timeout=DEADLINE_S)
    assert json.loads(out)["id"] == "A2"


def test_block_reclaim_and_stats(shop: Shop) -> None:
    """A blocked card is out of the queue until it is unblocked; expired leases come back; stats count it all."""
    assert shop.json("backlog", "block", "--id", "A1", "--reason", "why", schema="card")["lastError"] == "why"
    assert shop.json("backlog", "claim", "--owner", "w1") is None
    assert shop.json("backlog", "unblock", "--id", "A1", schema="card")["status"] == "ready"
    assert shop.error("backlog", "unblock", "--id", "A1", code=4)["code"] == "refused"
    shop("backlog", "claim", "--owner", "w1", "--ttl", "1")
    wait_for(lambda: shop.json("backlog", "stats", schema="stats")["expiredClaimCount"] == 1)
    assert shop.json("backlog", "reclaim", schema="reclaimed") == {"reclaimed": ["A1"]}
    assert shop.json("backlog", "reclaim", schema="reclaimed") == {"reclaimed": []}
    stats = shop.json("backlog", "stats", schema="stats")
    assert stats["counts"] == {"ready": 2, "claimed": 0, "blocked": 0, "done": 1}
    assert stats["total"] == 3


def test_links_and_removal(shop: Shop) -> None:
    """link refuses itself, a cycle and an unknown card; a card that others need is removed only by force."""
    assert shop.json("backlog", "link", "--from", "A1", "--to", "A3", schema="card")["dependsOn"] == ["A3"]
    cycle = shop.error("backlog", "link", "--from", "A1", "--to", "A2", code=4)
    assert cycle["code"] == "cycle"
    assert "A1" in cycle["message"]
    assert "A2" in cycle["message"]
    assert shop.error("backlog", "link", "--from", "A1", "--to", "A1", code=4)["code"] == "cycle"
    assert shop.error("backlog", "link", "--from", "A1", "--to", "X9", code=3)["code"] == "not-found"
    assert shop.json("backlog", "unlink", "--from", "A1", "--to", "A3", schema="card")["dependsOn"] == []
    assert shop.json("backlog", "unlink", "--from", "A1", "--to", "A3", schema="card")["dependsOn"] == []
    assert shop.error("backlog", "remove", "--id", "A1", code=4)["code"] == "refused"
    assert shop.json("backlog", "remove", "--id", "A1", "--force", schema="card")["id"] == "A1"
    assert shop.error("backlog", "show", "A1", code=3)["code"] == "not-found"


def test_a_clash_is_kept_and_settled(shop: Shop) -> None:
    """Both sides change a title: the file's stands, both are kept, and resolve puts the other one back."""
    shop("backlog", "update", "A1", "title=From the store")
    shop.edit("| Schema |", "| From the file |")
    shop("sync")
    (conflict,) = shop.json("conflicts", schema="conflict")
    assert (conflict["field"], conflict["base"], conflict["local"], conflict["remote"], conflict["winner"]) == (
        "title",
        "Schema",
        "From the file",
        "From the store",
        "local",
    )
    assert "syncd resolve A1 --field title" in shop("conflicts").stdout
    assert shop.error("resolve", "A1", "--field", "title", "--use", "mine", code=2)["code"] == "bad-value"
    assert shop.error("resolve", "A2", "--field", "title", "--use", "local", code=3)["code"] == "not-found"
    card = shop.json("resolve", "A1", "--field", "title", "--use", "remote", schema="card")
    assert card["title"] == "From the store"
    assert "| From the store |" in shop.tasks.read_text()
    assert shop.json("conflicts") == []
    (settled,) = shop.json("conflicts", "--all", schema="conflict")
    assert settled["settled"] == "remote"


@pytest.fixture
def pruned(shop: Shop) -> Shop:
    """A workspace in which too many rows went at once, so that a guard holds them."""
    rows = "".join(f"| C{number} | not-started | Card {number} | — | 0 |\n" for number in range(12))
    shop.tasks.write_text(TASKS + rows)
    shop("sync")
    shop.tasks.write_text(TASKS.replace("Schema", "The schema"))
    shop("sync")
    return shop


def test_held_deletions_are_accepted(pruned: Shop) -> None:
    """Many deletions at once are held, shown with their release, and go through when accepted."""
    held = pruned.json("held", schema="hold")
    assert {each["guard"] for each in held} == {"deletions"}
    assert not pruned.json("status", schema="status")["inSync"]
    assert held[0]["release"] in pruned("held").stdout
    assert pruned.error("accept", "X9", code=3)["code"] == "not-found"
    pruned.json("accept", schema="hold")
    assert pruned.json("held") == []
    assert pruned.json("backlog", "stats")["total"] == 3


def test_held_deletions_are_rejected(pruned: Shop) -> None:
    """Rejected deletions are undone in the file."""
    pruned.json("reject", schema="hold")
    assert pruned.json("held") == []
    assert pruned.tasks.read_text().count("| Card ") == 12
    assert pruned.json("backlog", "stats")["total"] == 15


def test_settings_are_read_and_changed(shop: Shop) -> None:
    """config path, get and set; what is set is what is got, and an unknown key is refused."""
    assert shop("config", "path").stdout.strip() == str(shop.root / "syncd.yaml")
    assert shop.json("config", "get", "project") == "default"
    assert shop.json("config", "set", "guards.deletions_max", "10") == 10
    assert shop("config", "get", "guards.deletions_max").stdout == "10\n"
    assert shop.json("config", "get", schema="init")["project"] == "default"
    shop.error("config", "get", "nope", code=2)


def test_parse_needs_no_workspace(tmp_path: Path) -> None:
    """parse shows cards and problems of any file; --check ends with 1 when there are problems."""
    shop = Shop(tmp_path, dict(os.environ))
    shop.tasks.write_text(TASKS)
    found = shop.json("parse", "TASKS.md", "--check", schema="parse")
    assert [(each["id"], each["line"]) for each in found["cards"]] == [("A1", 5), ("A2", 6), ("A3", 7)]
    shop.tasks.write_text(TASKS + "| A1 | done | Again | — | 0 |\n|  | done | Nameless | — | 0 |\n")
    found = shop.json("parse", "TASKS.md", "--check", "--explain", code=1, schema="parse")
    assert [each["code"] for each in found["problems"]] == ["duplicate-id"]
    assert found["cards"][-1]["id"] is None
    assert "blocks" in found
    assert shop("parse", "TASKS.md", "--explain").stdout
    shop("parse", "nowhere.md", code=2)


def test_the_schema_of_the_store(bare: Shop) -> None:
    """db status tells what would run and changes nothing; db migrate runs it, and twice is fine."""
    bare("init", "--yes")
    status = bare.json("db", "status", schema="db")
    assert status["reachable"]
    bare.json("db", "migrate", schema="db")
    status = bare.json("db", "migrate", schema="db")
    assert status["pending"] == []
    assert status["schemaVersion"] == status["schemaKnown"]
    assert "up to date" in bare("db", "status").stdout


def test_no_workspace_is_3(tmp_path: Path) -> None:
    """Where there is no workspace, commands say so and how to make one."""
    shop = Shop(tmp_path, dict(os.environ))
    assert "init" in shop.error("status", code=3)["hint"]


def test_a_store_that_is_away(shop: Shop) -> None:
    """status tells a store that is away, fast and without its password; only what is about tables ends with 5."""
    address = "postgresql://me:s3cret@127.0.0.1:1/app"
    yaml = shop.root / "syncd.yaml"
    yaml.write_text(
        "".join(
            each
            for each in yaml.read_text().splitlines(True)
            if "store" not in each and "kind:" not in each and "address:" not in each
        )
    )
    begun = time.monotonic()
    ended = shop("status", "--json", SYNCD_DATABASE_URL=address)
    assert time.monotonic() - begun < 10
    report = json.loads(ended.stdout)
    Draft202012Validator(bundle("status")).validate(report)
    assert not report["store"]["reachable"]
    assert report["mode"] == "offline"
    screen = shop("status", SYNCD_DATABASE_URL=address)
    assert screen.stdout.startswith("Not in sync: the store does not answer")
    listed = shop("backlog", "list", "--json", SYNCD_DATABASE_URL=address)
    assert [each["id"] for each in json.loads(listed.stdout)] == ["A1", "A2", "A3"]
    needs = shop("db", "status", "--json", code=5, SYNCD_DATABASE_URL=address)
    assert json.loads(needs.stderr.splitlines()[-1])["error"]["code"] == "store-unreachable"
    assert "s3cret" not in ended.stdout + ended.stderr + screen.stdout + screen.stderr + needs.stderr


def test_titles_act_on_no_terminal(shop: Shop) -> None:
    """An escape sequence in a title is written out wherever it is shown."""
    shop("backlog", "create", "--id", "E1", "--title", "\x1b[2Jgone\x07")
    for words in (["list"], ["show", "E1"], ["list", "--json"]):
        out = shop("backlog", *words).stdout
        assert "\x1b" not in out
        assert "\x07" not in out
    assert "\x1b" not in shop("diff").stdout


def test_the_daemon_keeps_in_sync(shop: Shop) -> None:
    """Beside a daemon commands go through it; a second one is refused with 75; SIGTERM ends it with 0."""
    with shop.daemon() as daemon:
        shop.edit("| A1 | not-started |", "| A1 | done |")
        wait_for(lambda: shop.json("backlog", "show", "A1")["status"] == "done")
        shop.json("sync", schema="sync")
        report = shop.json("status", schema="status")
        assert report["daemon"]["pid"] == daemon.pid
        assert report["mode"] in ("live", "poll")
        assert shop.error("run", code=75)["code"] == "busy"
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=DEADLINE_S)
    assert daemon.returncode == 0


def test_run_once(shop: Shop) -> None:
    """run --once is one cycle in the foreground."""
    shop.edit("| A1 | not-started |", "| A1 | done |")
    shop("run", "--once")
    assert shop.json("backlog", "show", "A1")["status"] == "done"


def on_terminal(shop: Shop, *words: str, typed: str = "") -> tuple[int, str]:
    """Run a command on a terminal of 60 columns where somebody types; return its exit code and what it showed."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in shop.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "syncd", *words],
        cwd=shop.root,
        env=environ | {"TERM": "xterm-256color", "COLUMNS": "60"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = b""
        with suppress(OSError):
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    return process.returncode, shown.decode()


def test_making_many_cards_shows_a_bar_on_a_terminal(shop: Shop) -> None:
    """create --stdin draws how far it is on a terminal, and nothing of the kind elsewhere."""
    lines = "".join(f'{{"id": "N{number}", "title": "n"}}\n' for number in range(3))
    code, shown = on_terminal(shop, "backlog", "create", "--stdin", typed=lines + "\x04")
    assert code == 0
    assert "100%" in shown
    assert "N2" in shop("backlog", "list").stdout


def test_init_takes_an_answer_on_a_terminal(shop: Shop, tmp_path: Path) -> None:
    """On a terminal init asks; no leaves the folder as it was, yes makes the workspace."""
    other = Shop(tmp_path / "other", shop.environ)
    other.root.mkdir()
    other.tasks.write_text(TASKS)
    code, shown = on_terminal(other, "init", "--project", "default", typed="n\n")
    assert code == 0
    assert "Join this store and its 3 cards?" in shown
    assert [each.name for each in other.root.iterdir()] == ["TASKS.md"]
    code, shown = on_terminal(other, "init", "--project", "default", typed="y\n")
    assert (code, (other.root / "syncd.yaml").exists()) == (0, True)


def test_a_screen_on_a_terminal_has_colour_and_no_foreign_escapes(shop: Shop) -> None:
    """A terminal gets colour of ours, and never an escape sequence of a title."""
    shop("backlog", "create", "--id", "E1", "--title", "\x1b[2Jgone")
    code, shown = on_terminal(shop, "backlog", "list")
    assert code == 0
    assert "\x1b[1mE1\x1b[0m" in shown
    assert "\x1b[2J" not in shown
    assert r"\x1b[2Jgone" in shown
