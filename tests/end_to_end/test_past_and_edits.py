"""log, restore, undo, edit, with-lock and git as a user calls them, on real files and a real Postgres.

What needs no process of its own runs through the console script's function in this one.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.__main__ import main
from syncd.cli.schemas import bundle
from syncd.files.layout import Layout
from tests.support.desk import DEADLINE_S, Desk, Ended, bare_environment, desk, until


class Shop(Desk):
    """A working copy whose commands run in this process."""

    def __call__(self, *words: str, code: int | None = 0, **popen: Any) -> Ended:
        """Run a command and assert its exit code."""
        if words[0] == "with-lock":
            return super().__call__(*words, code=code, **popen)
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.root)
            for name in os.environ.keys() - self.environ.keys():
                patch.delenv(name)
            for name, value in self.environ.items():
                patch.setenv(name, value)
            for name, stream in zip(("stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            found = main(list(words))
        ended = Ended(found, *(_written(stream) for stream in streams))
        assert code in (None, ended.code), (words, ended)
        return ended


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def opened(root: Path, dsn: str, **settings: Any) -> Shop:
    """Make a workspace."""
    made = desk(root, dsn, environ=bare_environment(root.parent, USER="ann"), **settings)
    return Shop(made.root, made.environ, made.dsn)


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Shop:
    """A workspace in sync."""
    made = opened(tmp_path / "my shop", postgres_dsn)
    made("sync")
    return made


def told(shop: Shop, schema: str, *words: str, code: int = 0) -> Any:
    """Run a command with --json and return its value, which is as its schema says."""
    value = shop.json(*words, code=code)
    validator = Draft202012Validator(bundle(schema))
    for each in value if isinstance(value, list) else [value]:
        validator.validate(each)
    return value


def refused(shop: Shop, *words: str, code: int) -> dict[str, Any]:
    """Run a command that fails, and return its error."""
    ended = shop(*words, "--json", code=code)
    assert ended.stdout == ""
    found: dict[str, Any] = json.loads(ended.stderr.splitlines()[-1])["error"]
    return found


def settled(shop: Shop, statement: str) -> None:
    """Change the store by plain SQL, and sync."""
    shop.sql(statement)
    shop("sync")


@contextmanager
def lock_held(shop: Shop) -> Iterator[int]:
    """Hold the lock for editing task files, as flock(1) does; give who."""
    handle = os.open(Layout(shop.root).advisory_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield os.getpid()
    finally:
        os.close(handle)


# --- log -------------------------------------------------------------------------------------------


def test_log_tells_who_changed_what(shop: Shop) -> None:
    """log shows each change field by field: a person's edit, a command's and plain SQL's, with who and through what."""
    shop.edit("| A1 | not-started | Draw the schema |", "| A1 | done | Draw a schema |")
    shop("sync")
    shop("backlog", "update", "A1", "priority=9")
    shop.sql("update backlog set title = 'Plan' where id = 'A1'")
    made, edited, updated, foreign = told(shop, "history", "log", "A1")
    assert (made["op"], made["version"], edited["op"]) == ("create", 1, "update")
    assert {each["field"]: (each["from"], each["to"]) for each in edited["changes"]} == {
        "status": ("ready", "done"),
        "title": ("Draw the schema", "Draw a schema"),
    }
    assert edited["actor"].startswith("ann@")
    assert [each["face"] for each in (edited, updated, foreign)] == ["cli", "cli", "psql"]
    assert foreign["changes"] == [{"field": "title", "from": "Draw a schema", "to": "Plan"}]
    assert [each["id"] for each in told(shop, "history", "log", "--limit", "2")] == ["A1", "A1"]
    assert refused(shop, "log", "A9", code=3)["code"] == "not-found"
    screen = shop("log", "A1", "--limit", "1").stdout
    assert "A1  update  version 4" in screen
    assert "title  Draw a schema → Plan" in screen


def test_log_follows(shop: Shop) -> None:
    """log --follow prints each change as it is committed, one JSON value a line, until it is interrupted."""
    following = shop.start("log", "--follow", "--json", "--limit", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["id"] == "A3"
        shop.sql("update backlog set priority = 8 where id = 'A2'")
        shop.sql("delete from backlog where id = 'A3'")
        lines = [json.loads(following.stdout.readline()) for _ in range(2)]
        assert [(each["id"], each["op"]) for each in lines] == [("A2", "update"), ("A3", "delete")]
        following.send_signal(signal.SIGINT)
        assert following.wait(DEADLINE_S) == 130
    finally:
        following.kill()
        following.communicate()


# --- restore ---------------------------------------------------------------------------------------


def test_restore_brings_back_what_was_deleted(shop: Shop) -> None:
    """A card whose row was taken out comes back with its state, in the store and in the file, as a new version."""
    shop.edit("| A3 | not-started | Write the docs | A1, A2 | 0 | |\n", "")
    shop("sync")
    assert shop.cell("deleted_at", "A3") is not None
    card = told(shop, "card", "restore", "A3")
    assert (card["title"], card["status"], card["dependsOn"]) == ("Write the docs", "ready", ["A1", "A2"])
    assert card["version"] == 3
    assert "| A3 | not-started | Write the docs | A1, A2 | 0 | |\n" in shop.unpadded
    assert told(shop, "history", "log", "A3")[-1]["op"] == "restore"
    assert refused(shop, "restore", "A3", code=4)["hint"] == "syncd restore A3 --version N"
    settled(shop, "delete from backlog where id = 'A3'")
    assert "A3" not in shop.text
    assert told(shop, "card", "restore", "A3")["title"] == "Write the docs"
    assert "| A3 | not-started | Write the docs | A1, A2 | 0 | |\n" in shop.unpadded


def test_restore_of_an_older_version(shop: Shop) -> None:
    """A card goes back to what it said at a version, as a new one; a lease that stands is left alone."""
    shop("backlog", "update", "A2", "title=Rewrite", "priority=8", "extra.branch=x")
    shop("backlog", "claim", "--owner", "w1", "--id", "A1")
    card = told(shop, "card", "restore", "A2", "--version", "1")
    assert (card["title"], card["priority"], card["extra"], card["version"]) == ("Write the parser", 2, {}, 3)
    assert "| A2 | not-started | Write the parser | A1 | 2 | |\n" in shop.text
    card = told(shop, "card", "restore", "A1", "--version", "1")
    assert (card["status"], card["claimOwner"]) == ("claimed", "w1")
    assert refused(shop, "restore", "A2", "--version", "9", code=3)["message"] == "A2 has no version 9"
    assert refused(shop, "restore", "A9", code=3)["code"] == "not-found"


# --- undo ------------------------------------------------------------------------------------------


def test_undo_takes_back_the_last_write(shop: Shop) -> None:
    """undo puts the file back byte for byte and the values with it into the store; a second one takes that back."""
    before = shop.text
    settled(shop, "update backlog set status = 'done', priority = priority + 5")
    after = shop.text
    assert after.count("done") == 3
    found = told(shop, "undo", "undo")
    assert (found["path"], Path(found["kept"]).read_text()) == ("TASKS.md", after)
    assert found["sync"]["held"] == []
    assert shop.text == before
    assert shop.sql("select status::text, priority from backlog order by id") == [
        ("ready", 3),
        ("ready", 2),
        ("ready", 0),
    ]
    shop("undo")
    assert shop.text == after
    assert shop.sql("select count(*) from backlog where status = 'done'") == [(3,)]
    assert shop.json("status")["inSync"]
    assert shop.json("conflicts") == []


def test_undo_beside_a_daemon(shop: Shop) -> None:
    """A daemon that wrote a moment ago takes undo for what it is, and not for an editor's old buffer."""
    with shop.daemon():
        before = shop.text
        shop.sql("update backlog set status = 'blocked' where id in ('A1', 'A2')")
        until(lambda: shop.text.count("blocked") == 2, "the daemon has written the file")
        told(shop, "undo", "undo")
        assert shop.text == before
        assert [shop.cell("status", id) for id in ("A1", "A2")] == ["ready", "ready"]
        assert shop.json("conflicts") == []


def test_undo_is_refused_after_an_edit(shop: Shop) -> None:
    """What a person wrote since is not taken back with it; the way to do so by hand is told."""
    assert (
        refused(shop, "undo", code=3)["message"] == "syncd has not written to a task file yet: there is nothing to undo"
    )
    settled(shop, "update backlog set status = 'done' where id = 'A1'")
    shop.edit("Words after the table.", "More words after the table.")
    error = refused(shop, "undo", code=4)
    assert error["message"] == "TASKS.md was edited since syncd's last write to it"
    assert " cp " in error["hint"]
    shop("sync")
    assert refused(shop, "undo", "TASKS.md", code=4)["code"] == "refused"
    assert refused(shop, "undo", "other.md", code=3)["hint"] == "syncd config get tasks"
    assert "More words" in shop.text


def test_undo_leaves_rows_the_ids_that_they_were_given(shop: Shop) -> None:
    """What a write gave ids to are cards by now: they keep them, and their history, while the rest is taken back."""
    row = "| A3 | not-started | Write the docs | A1, A2 | 0 | |\n"
    shop.edit(row, row + "|  | not-started | Ship it | A3 | 1 | |\n")
    shop("sync")
    text = shop.text
    assert "gave rows their ids" in refused(shop, "undo", code=3)["message"]
    assert (shop.text, shop.cell("version", "A4")) == (text, "1")
    shop.edit("| Ship it | A3 | 1 | |\n", "| Ship it | A3 | 1 | |\n|  | not-started | Rest | — | 1 | |\n")
    settled(shop, "update backlog set status = 'done' where id = 'A1'")
    assert (shop.text.count("| A5 |"), shop.cell("status", "A1")) == (1, "done")
    told(shop, "undo", "undo")
    assert (shop.text.count("| A5 |"), shop.cell("status", "A1"), shop.cell("version", "A5")) == (1, "ready", "1")
    assert "| A1 | not-started |" in shop.text


def test_undo_asks_which_file(tmp_path: Path, postgres_dsn: str) -> None:
    """With several task files that syncd wrote, the one that is meant is named."""
    shop = opened(tmp_path / "shop", postgres_dsn, tasks=["TASKS.md", "other.md"])
    (shop.root / "other.md").write_text("- [ ] B1 Paint\n")
    shop("sync")
    settled(shop, "update backlog set status = 'done' where id in ('A1', 'B1')")
    error = refused(shop, "undo", code=2)
    assert (error["message"], error["hint"]) == ("which file: TASKS.md or other.md", "syncd undo TASKS.md")
    told(shop, "undo", "undo", "other.md")
    assert (shop.cell("status", "A1"), shop.cell("status", "B1")) == ("done", "ready")


# --- edit ------------------------------------------------------------------------------------------


def test_edit_changes_the_file_and_the_store(shop: Shop) -> None:
    """edit sets cells of a row, keeps every other byte, and the store has them when it ends."""
    before = shop.text
    card = told(shop, "card", "edit", "A2", "status=done", "title=Write a | parser", "dependsOn=")
    assert (card["status"], card["title"], card["dependsOn"], card["line"]) == ("done", "Write a | parser", [], 6)
    row = "| A2 | done | Write a \\| parser | — | 2 | |"
    assert shop.text == before.replace("| A2 | not-started | Write the parser | A1 | 2 | |", row)
    assert shop.cell("title", "A2") == "Write a | parser"


def test_edit_refuses_what_the_file_cannot_show(shop: Shop) -> None:
    """A field without a column is refused with the command that sets it in the store; the file is not touched."""
    before = shop.text
    error = refused(shop, "edit", "A2", "status=done", "body=Long", code=4)
    assert error["message"] == "TASKS.md:6 cannot show this value of body"
    assert error["hint"].endswith("syncd backlog update A2 FIELD=VALUE")
    assert refused(shop, "edit", "A9", "status=done", code=3)["code"] == "not-found"
    assert refused(shop, "edit", "A2", "colour=red", code=2)["code"] == "bad-value"
    shop.file.write_text(before + "<<<<<<< ours\n=======\n>>>>>>> theirs\n")
    assert refused(shop, "edit", "A2", "status=done", code=4)["code"] == "held"


def test_edit_works_while_the_store_is_away(tmp_path: Path, postgres_dsn: str) -> None:
    """Without a reachable store the file is edited all the same, and the edit goes over later."""
    shop = opened(tmp_path / "shop", postgres_dsn)
    shop("sync")
    away = Shop(shop.root, {**shop.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}, shop.dsn)
    card = told(away, "card", "edit", "A2", "status=done")
    assert (card["status"], card["title"], card["priority"], card["path"]) == (
        "done",
        "Write the parser",
        2,
        "TASKS.md",
    )
    assert shop.cell("status", "A2") == "ready"
    shop("sync")
    assert shop.cell("status", "A2") == "done"


def test_case_07_many_edits_at_once(shop: Shop) -> None:
    """Edits by many processes at the same moment, beside a daemon that writes as well, are all there afterwards."""
    with shop.daemon():
        edits = [("A1", f"priority={n}", f"title=Title {n}") for n in range(3, 9)]
        edits += [("A2", f"priority={n}") for n in range(3, 6)]
        running = [shop.start("edit", *words) for words in edits]
        shop.sql("update backlog set status = 'blocked' where id = 'A3'")
        assert [process.wait(DEADLINE_S) for process in running] == [0] * len(running)
        until(lambda: shop.json("status")["inSync"], "both sides agree")
        assert shop.text.count("blocked") == 1
        assert f"Title {shop.cell('priority', 'A1')}" == shop.cell("title", "A1")
        assert shop.json("conflicts") == []


def test_an_edit_that_brings_a_value_back_is_meant(shop: Shop) -> None:
    """What syncd wrote a moment ago can be taken back by edit: it is no editor's old buffer."""
    with shop.daemon():
        shop.sql("update backlog set status = 'blocked' where id = 'A2'")
        until(lambda: "| A2 | blocked |" in shop.text, "the daemon has written the file")
        assert told(shop, "card", "edit", "A2", "status=ready")["status"] == "ready"
        until(lambda: shop.cell("status", "A2") == "ready", "the edit is in the store")
        assert shop.json("conflicts") == []


# --- with-lock -------------------------------------------------------------------------------------


def python(code: str) -> Sequence[str]:
    """Return a command that runs some Python."""
    return ("--", sys.executable, "-c", code)


def test_with_lock_passes_the_exit_code_and_the_output_on(shop: Shop) -> None:
    """What the command prints and how it ends is what with-lock prints and how it ends."""
    ended = shop("with-lock", *python("import sys; print('hello'); sys.exit(7)"), code=7)
    assert ended.stdout == "hello\n"
    assert shop("with-lock", *python("import os; os.kill(os.getpid(), 9)"), code=137).stdout == ""
    assert refused(shop, "with-lock", "--json", "--", "/no/such/command", code=2)["code"] == "usage"


def test_with_lock_forwards_signals(shop: Shop) -> None:
    """SIGTERM goes on to the command, whose answer decides how with-lock ends."""
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(9)); print('up', flush=True); signal.pause()"
    with shop.start("with-lock", *python(code), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.wait(DEADLINE_S) == 9


def test_with_lock_is_alone(shop: Shop) -> None:
    """A second with-lock waits, or is told who holds the lock; flock(1) is the same lock; edit inside works."""
    syncd = f"[{sys.executable!r}, '-P', '-m', 'syncd'"
    with lock_held(shop) as pid:
        error = refused(shop, "with-lock", "--wait", "0.05", "--json", *python(""), code=75)
        assert f"process {pid}" in error["message"]
        assert refused(shop, "undo", code=3)
    nested = f"import subprocess; subprocess.run({syncd}, 'edit', 'A2', 'priority=6'], check=True)"
    shop("with-lock", *python(nested))
    assert "| A1 | 6 | |" in shop.text
    assert shop.cell("priority", "A2") == "6"
    with shop.daemon():
        shop("with-lock", *python(nested.replace("=6", "=8")))
        assert "| A1 | 8 | |" in shop.text
        until(lambda: shop.cell("priority", "A2") == "8", "the daemon has carried the edit over")


def test_the_sync_waits_for_a_script_that_edits(shop: Shop) -> None:
    """While a script holds the lock its file is not written; status says who; edits go on to the store."""
    with shop.daemon():
        with lock_held(shop) as pid:
            before = shop.text
            shop.sql("update backlog set status = 'done' where id = 'A1'")
            shop.edit("| A2 | not-started |", "| A2 | blocked |")
            until(lambda: shop.cell("status", "A2") == "blocked", "the edit is in the store")
            report = told(shop, "status", "status")
            (wait,) = report["waits"]
            assert (wait["path"], wait["reason"]) == (
                "TASKS.md",
                f"process {pid} holds the lock for editing task files",
            )
            assert f"process {pid} holds the lock" in shop("status").stdout
            assert report["held"] == []
            assert shop.text == before.replace("| A2 | not-started |", "| A2 | blocked |")
        until(lambda: "| A1 | done |" in shop.text, "the file is written once the lock is free")
        until(lambda: shop.json("status")["waits"] == [], "nothing waits any more")


def test_a_waiting_sync_without_a_daemon_says_so(shop: Shop) -> None:
    """A single status sees the lock, too, and a lock that nothing waits for is no news."""
    with lock_held(shop) as pid:
        assert told(shop, "status", "status")["waits"] == []
        shop.sql("update backlog set status = 'done' where id = 'A1'")
        (wait,) = told(shop, "status", "status")["waits"]
        assert f"process {pid}" in wait["reason"]


# --- git -------------------------------------------------------------------------------------------


def test_git_commands(shop: Shop) -> None:
    """git install and uninstall say what they did; the driver tells how many places clash, and ends with 1."""
    subprocess.run(["git", "init", "--quiet"], cwd=shop.root, env=dict(shop.environ), check=True)
    found = told(shop, "git", "git", "install")
    assert (found["lines"], found["changed"]) == (["/TASKS.md merge=syncd"], True)
    assert not told(shop, "git", "git", "install")["changed"]
    assert "/TASKS.md merge=syncd" in shop("git", "install").stdout
    for name, title in (("base", "Draw the schema"), ("local", "Draw a schema"), ("remote", "Draw my schema")):
        (shop.root / f"{name}.md").write_text(shop.text.replace("Draw the schema", title))
    words = ("git", "merge-driver", "base.md", "local.md", "base.md", "TASKS.md")
    assert told(shop, "merge", *words) == {"path": "TASKS.md", "conflicts": 0}
    words = ("git", "merge-driver", "base.md", "local.md", "remote.md", "TASKS.md", "--marker-size", "9")
    assert told(shop, "merge", *words, code=1)["conflicts"] == 1
    assert f"\n{'<' * 9} ours\n| A1 " in (shop.root / "local.md").read_text()
    assert told(shop, "git", "git", "uninstall")["changed"]
    assert shop("git", "uninstall").stdout == "It was not installed.\n"
