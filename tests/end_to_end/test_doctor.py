"""The doctor, and the comparison of all three sides, as a user meets them: real files, Postgres and faults."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from tests.support.desk import DEADLINE_S, TABLE, Desk, desk

CHECK = Draft202012Validator(bundle("check"))


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A working copy in sync with its store."""
    made = desk(tmp_path / "shop", postgres_dsn)
    made("sync")
    return made


def checks(here: Desk, *words: str, code: int = 0) -> dict[str, Any]:
    """Run the doctor and return its checks by name."""
    found = here.json("doctor", *words, code=code)
    for each in found:
        CHECK.validate(each)
    return {each["name"]: each for each in found}


def test_all_is_well(shop: Desk) -> None:
    """In a healthy workspace nothing is a warning, and every part was looked at."""
    found = checks(shop)
    assert {"ok", "note"} >= {each["health"] for each in found.values()}, found
    assert {"settings", "task files", "state", "locks", "leftovers", "git", "daemon", "service"} <= found.keys()
    assert {"disk", "file system", "watching", "open files"} <= found.keys()
    assert {"store", "database", "schema", "triggers", "indexes", "dependencies", "snapshots", "clock"} <= found.keys()
    assert "All is well" in shop("doctor").stdout


def test_a_disabled_trigger_and_a_lost_index(shop: Desk) -> None:
    """A trigger that is off is an error, an index that is gone a warning, each with its name and a way back."""
    shop.sql("alter table backlog disable trigger backlog_after_update")
    shop.sql("drop index backlog_claimable")
    found = checks(shop, code=1)
    assert found["triggers"]["health"] == "error"
    assert "backlog_after_update on backlog (disabled)" in found["triggers"]["message"]
    assert found["indexes"]["health"] == "warning"
    assert "backlog_claimable is missing" in found["indexes"]["message"]


def test_wrong_counters_are_mended(shop: Desk) -> None:
    """A count of unmet dependencies that lies is found, and counted anew with --fix."""
    shop.sql("alter table backlog disable trigger zz_backlog_before_update")
    shop.sql("update backlog set unmet = 7 where id = 'A1'")
    shop.sql("alter table backlog enable trigger zz_backlog_before_update")
    found = checks(shop, code=1)
    assert found["dependencies"]["health"] == "error"
    assert "A1" in found["dependencies"]["message"]
    assert found["dependencies"]["fixable"]
    assert checks(shop, "--fix")["dependencies"]["fixed"]
    assert shop.cell("unmet", "A1") == "0"


def test_a_transaction_that_was_left_open(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old snapshot is shown with whose it is."""
    import psycopg

    from syncd.doctor import store
    from syncd.store.examination import examine

    with psycopg.connect(shop.dsn, application_name="forgotten") as left:
        left.execute("set transaction isolation level repeatable read")
        left.execute("select count(*) from backlog")
        health = examine(shop.dsn, "default")
        assert "forgotten" in health.oldest_snapshot
        monkeypatch.setattr(store, "SNAPSHOT_OLD_S", 0.0)
        (found,) = (each for each in store._health(health, shop.dsn, "default") if each.name == "snapshots")
        assert found.health == "warning"
        assert "forgotten" in found.message


def test_settings_that_cannot_be_read(shop: Desk) -> None:
    """Broken settings are one error; everything that does not need them is looked at all the same."""
    (shop.root / "syncd.yaml").write_text("project: [1\n")
    found = checks(shop, code=1)
    assert found["settings"]["health"] == "error"
    assert "syncd.yaml" in found["settings"]["message"]
    assert found["disk"]["health"] == "ok"


def test_a_database_that_hangs_takes_seconds(shop: Desk) -> None:
    """A server that takes connections and says nothing costs some seconds, is away, and its password is not shown."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://me:hunter2@127.0.0.1:{silent.getsockname()[1]}/shop"
        away = Desk(shop.root, {**shop.environ, "DATABASE_URL": url})
        begun = time.monotonic()
        ended = away("doctor", "--json")
        assert time.monotonic() - begun < 30.0
        assert '"database", "health": "note", "message": "away since just now' in ended.stdout
        assert "hunter2" not in ended.said
        away("backlog", "update", "A1", "title=Made away")
        found = checks(away)["database"]
    assert (found["health"], found["remedy"]) == ("note", "Nothing to do: it is tried by itself. At once: syncd sync")
    assert re.search(
        r"away since \d{4}-\d\d-\d\d \d\d:\d\d .*the work goes on in .syncd/manifest.json", found["message"]
    )


def test_a_database_that_never_answered_is_a_warning(tmp_path: Path, postgres_dsn: str) -> None:
    """Work goes on, but an address that was never right is worth a look."""
    made = desk(tmp_path / "new", postgres_dsn)
    nowhere = Desk(made.root, {**made.environ, "DATABASE_URL": "postgresql://me@127.0.0.1:9/shop"})
    nowhere("sync")
    found = checks(nowhere)["database"]
    assert (found["health"], found["remedy"]) == ("warning", "Is its address right?")


def test_a_state_that_others_can_read(shop: Desk) -> None:
    """A .syncd/ that others may enter is a warning, and private again with --fix."""
    (shop.root / ".syncd").chmod(0o755)
    assert checks(shop)["state"]["health"] == "warning"
    assert checks(shop, "--fix")["state"]["fixed"]
    assert (shop.root / ".syncd").stat().st_mode & 0o777 == 0o700


def test_leftovers_go_only_when_their_bytes_are_known(shop: Desk) -> None:
    """A staged file that a crash left is removed by --fix when its content is a known version, and kept otherwise."""
    known = shop.root / ".TASKS.md.syncd-00000007-abcdef"
    known.write_bytes(shop.file.read_bytes())
    assert checks(shop)["leftovers"]["fixable"]
    assert checks(shop, "--fix")["leftovers"]["fixed"]
    assert not known.exists()
    unknown = shop.root / ".TASKS.md.syncd-00000008-abcdef"
    unknown.write_text("the only copy of an edit")
    assert not checks(shop, "--fix")["leftovers"]["fixed"]
    assert unknown.exists()


def test_a_daemon_of_another_version(shop: Desk) -> None:
    """A daemon that greets with another version is named, with what to do."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(shop.socket))
        other.listen()
        process = shop.start("doctor", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        caller, _ = other.accept()
        caller.sendall(b'{"syncd":1,"version":"0.0.1"}\n')
        said, _ = process.communicate(timeout=DEADLINE_S)
        caller.close()
    assert "version 0.0.1 runs" in said


@pytest.mark.skipif(shutil.which("git") is None, reason="this machine has no git")
def test_a_merge_driver_that_is_half_there(shop: Desk) -> None:
    """A clone with the lines in .gitattributes and no driver is told what it lacks."""
    subprocess.run(["git", "init", "-q"], cwd=shop.root, check=True)
    assert checks(shop)["git"]["remedy"] == "syncd git install"
    (shop.root / ".gitattributes").write_text("/TASKS.md merge=syncd\n")
    found = checks(shop)["git"]
    assert found["health"] == "warning"
    assert "merge driver of this clone" in found["message"]
    shop("git", "install")
    assert checks(shop)["git"]["health"] == "ok"


# --- verify ----------------------------------------------------------------------------------------


def verified(here: Desk, *, code: int) -> dict[str, Any]:
    found: dict[str, Any] = here.json("verify", code=code)
    Draft202012Validator(bundle("verification")).validate(found)
    return found


def test_all_three_agree(shop: Desk) -> None:
    """After a sync the three sides have the same cards, and nothing differs."""
    found = verified(shop, code=0)
    assert found["agrees"]
    assert (found["files"], found["base"], found["store"]) == ([{"path": "TASKS.md", "cards": 3}], 3, 3)
    assert "They agree" in shop("verify").stdout


def test_each_difference_is_explained(shop: Desk) -> None:
    """An edit of the file, a change in the store and both at once are told apart, each with what ends it."""
    shop.edit("| A1 | not-started |", "| A1 | done |")
    shop.sql("update backlog set title = 'Parser' where id = 'A2'")
    shop.edit("Write the docs", "Docs of the file")
    shop.sql("update backlog set title = 'Docs of the store' where id = 'A3'")
    found = {each["id"]: each for each in verified(shop, code=1)["differences"]}
    assert "file was edited" in found["A1"]["because"]
    assert "store was changed" in found["A2"]["because"]
    assert "both sides" in found["A3"]["because"]
    said = shop("verify", code=1).stdout
    assert "They do not agree" in said
    assert "syncd sync" in said


def test_a_held_change_names_its_release(shop: Desk) -> None:
    """What a guard keeps back is explained by the hold, with the command that releases it."""
    rows = "".join(f"| B{number} | not-started | Card {number} | — | 0 | |\n" for number in range(12))
    shop.file.write_text(TABLE.replace("\nWords", f"{rows}\nWords"))
    shop("sync")
    shop.file.write_text(TABLE)
    shop("sync")
    found = verified(shop, code=1)["differences"]
    assert {each["command"] for each in found if each["id"] == "B1"} == {"syncd accept B1"}


def test_a_file_that_cannot_be_read_is_no_agreement(shop: Desk) -> None:
    """With a file of which nothing is known the three do not agree, whatever the rest says."""
    shop.file.write_bytes(shop.file.read_bytes() + b"\xff\xfe")
    found = verified(shop, code=1)
    assert [each["code"] for each in found["unread"]] == ["not-utf8"]
