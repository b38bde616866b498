"""db backup and db restore as a user calls them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_past_and_edits import Shop, opened, refused, told
from tests.support.postgres import fresh_database

__all__ = ["Shop"]


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Shop:
    """A workspace in sync, with a done card, a claimed one, and an open conflict in its store."""
    made = opened(tmp_path / "my shop", postgres_dsn)
    made("sync")
    made("backlog", "complete", "--id", "A1")
    made("backlog", "claim", "--owner", "w", "--id", "A2")
    made("backlog", "update", "A3", "extra.note=keep", "body=two\nlines")
    made("sync")
    return made


@pytest.fixture
def second_dsn(embedded_dsn: str) -> Iterator[str]:
    """Another database."""
    with fresh_database(embedded_dsn) as dsn:
        yield dsn


def cards(shop: Shop) -> dict[str, dict[str, Any]]:
    """Return the live cards without what counts changes."""
    found = shop.json("backlog", "list")
    return {each["id"]: {key: each[key] for key in each.keys() - {"version", "updatedAt", "line"}} for each in found}


def test_a_project_comes_back_as_it_was(shop: Shop) -> None:
    """Whatever was changed, made or deleted since goes back, the file with it; the lease is not brought back."""
    before = cards(shop)
    made = told(shop, "backup", "db", "backup", "cards.jsonl.gz")
    assert (made["cards"], made["project"]) == (3, "default")
    shop.sql("update backlog set title = 'spoilt', status = 'ready' where id = 'A1'")
    shop.sql("delete from backlog where id = 'A3'")
    shop.sql("insert into backlog (id, title) values ('B9', 'made since')")
    shop.sql("update backlog set attempts = 7 where id = 'A2'")
    shop("sync")
    error = refused(shop, "db", "restore", "cards.jsonl.gz", code=4)
    assert (error["code"], error["hint"].split(",")[0]) == ("refused", "syncd db restore --dry-run cards.jsonl.gz")
    planned = told(shop, "restored", "db", "restore", "cards.jsonl.gz", "--dry-run")
    assert (planned["added"], planned["changed"], planned["removed"], planned["done"]) == (1, 2, 1, False)
    assert cards(shop)["A1"]["title"] == "spoilt"
    done = told(shop, "restored", "db", "restore", "cards.jsonl.gz", "--replace")
    assert (done["added"], done["changed"], done["removed"], done["done"]) == (1, 2, 1, True)
    lease = {"status": "ready", "claimOwner": None, "claimTtlSeconds": None, "claimedAt": None, "attempts": 7}
    assert cards(shop) == {**before, "A2": {**before["A2"], **lease}}
    shop("sync")
    text = shop.file.read_text()
    assert "spoilt" not in text
    assert "B9" not in text
    assert "| A3 |" in text
    assert shop.json("backlog", "stats")["counts"] == {"ready": 2, "claimed": 0, "blocked": 0, "done": 1}
    assert shop.json("log", "A1")[-1]["actor"].startswith("ann@")
    assert shop.sql("select backlog_mend('default')") == []


def test_restoring_what_is_there_changes_nothing(shop: Shop) -> None:
    """A second restore of the same file finds nothing to do, and no row moves."""
    shop("backlog", "release", "--id", "A2", "--owner", "w")
    shop("db", "backup", "cards.jsonl")
    rows = shop.sql("select id, version, changed_xid from backlog order by id")
    done = told(shop, "restored", "db", "restore", "cards.jsonl", "--replace")
    assert (done["added"], done["changed"], done["removed"]) == (0, 0, 0)
    assert shop.sql("select id, version, changed_xid from backlog order by id") == rows


def test_a_backup_moves_to_another_database(shop: Shop, tmp_path: Path, second_dsn: str) -> None:
    """In an empty database the cards come with their audit trail, and their versions go on where they were."""
    shop("db", "backup", str(tmp_path / "cards.jsonl"))
    versions = dict(shop.sql("select id, version from backlog"))
    trail = [(each["id"], each["op"], each["actor"]) for each in shop.json("log")]
    other = opened(tmp_path / "other shop", second_dsn)
    other.file.unlink()
    other("db", "migrate")
    other("db", "restore", str(tmp_path / "cards.jsonl"))
    assert cards(other)["A3"]["extra"]["note"] == "keep"
    assert all(version >= versions[id] for id, version in other.sql("select id, version from backlog"))
    found = [(each["id"], each["op"], each["actor"]) for each in other.json("log")]
    assert found[: len(trail)] == trail
    kinds = [json.loads(each)["type"] for each in other("backlog", "events", "--json").stdout.splitlines()]
    assert kinds[:3] == ["task.queued"] * 3


def test_what_is_no_backup_is_refused(shop: Shop) -> None:
    """A missing, torn, foreign or newer file changes nothing, and each says what is the matter."""
    shop("db", "backup", "good.jsonl.gz")
    good = (shop.root / "good.jsonl.gz").read_bytes()
    lines = gzip.decompress(good).splitlines(keepends=True)
    head = json.loads(lines[0])
    (shop.root / "torn.gz").write_bytes(good[: len(good) // 2])
    (shop.root / "foreign").write_text("hello\n")
    (shop.root / "newer").write_text(json.dumps({**head, "format": 99}) + "\n")
    (shop.root / "odd").write_bytes(lines[0] + b'{"table": "users", "row": {}}\n')
    before = cards(shop)
    for name, code, word in (
        ("nothing", 3, "does not exist"),
        ("torn.gz", 74, "cannot be read"),
        ("foreign", 2, "no backup"),
        ("newer", 2, "newer"),
        ("odd", 2, "line 2"),
    ):
        assert word in refused(shop, "db", "restore", name, "--replace", code=code)["message"]
    assert cards(shop) == before


def test_a_backup_replaces_no_file_unless_it_is_whole(shop: Shop) -> None:
    """An older backup of the same name stays until the new one is complete; what cannot be written exits 74."""
    shop("db", "backup", "cards.jsonl")
    assert refused(shop, "db", "backup", "no/such/folder/cards.jsonl", code=74)["code"] == "io"
    assert [path.name for path in shop.root.iterdir() if path.name.startswith(".cards")] == []
    assert (shop.root / "cards.jsonl").stat().st_mode & 0o777 == 0o600
