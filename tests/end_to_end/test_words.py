"""What commands say and take, as their user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.desk import Desk, desk


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A workspace that is in sync."""
    here = desk(tmp_path / "shop", postgres_dsn)
    here("sync")
    return here


@pytest.mark.parametrize(("id", "title"), [("A 1", "x"), ("a|b", "x"), ("a" * 129, "x"), ("B1", " ")])
def test_a_card_that_no_file_could_show_is_refused(shop: Desk, id: str, title: str) -> None:
    """An id that cannot stand in a file, or no title, is wrong usage and makes no card."""
    ended = shop("backlog", "create", "--id", id, "--title", title, code=2)
    assert "hint: " in ended.stderr
    assert len(shop.json("backlog", "list")) == 3


def test_an_id_from_elsewhere_that_no_file_can_show_is_a_problem(shop: Desk) -> None:
    """A card that plain SQL made under such an id is told as a problem, and is neither a change nor drift."""
    shop.sql("insert into backlog (id, title) values ('A 1', 'Spaced')")
    report = shop.json("sync")
    assert [each["code"] for each in report["problems"]] == ["unplaceable"]
    assert report["toFile"] == []
    status = shop.json("status")
    assert status["drift"] == []
    assert status["inSync"]


def test_mode_flatfile_is_refused_beside_a_daemon(shop: Desk) -> None:
    """A mode that names another store than the workspace's is wrong, whether a daemon could answer or not."""
    shop("init", "--yes")
    with shop.daemon():
        for words in (("status",), ("backlog", "list"), ("sync",)):
            shop("--mode", "flatfile", *words, code=78)
            shop(*words, "--mode=flatfile", code=78)


def test_an_unknown_setting_is_wrong_usage(shop: Desk) -> None:
    """Reading and writing a setting that there is not end alike."""
    shop("config", "get", "nokey", code=2)
    shop("config", "set", "nokey", "1", code=2)


def test_a_decision_waits_for_a_file_that_settles(shop: Desk) -> None:
    """Right after the rows went, accept waits for the file to settle instead of saying that nothing is held."""
    path = shop.root / "TASKS.md"
    rows = "".join(f"| B{n} | not-started | Card {n} | — | 0 | |\n" for n in range(20))
    text = path.read_text()
    path.write_text(text.replace("\nWords after", rows + "\nWords after"))
    shop("sync")
    path.write_text(text)
    assert len(shop.json("accept")) == 20


def test_a_file_without_cards_says_why(shop: Desk) -> None:
    """parse tells in one line why it read no card."""
    (shop.root / "NOTES.md").write_text("# Notes\n\n- one\n- two\n")
    assert "no cards: " in shop("parse", "NOTES.md").stdout


def test_conflicts_are_resolved_without_naming_the_only_field(shop: Desk) -> None:
    """--field may be left out; --all settles every conflict; neither or both is wrong usage."""
    path = shop.root / "TASKS.md"
    path.write_text(path.read_text().replace("Draw the schema", "Draw it").replace("Write the docs", "Docs"))
    shop.sql("update backlog set title = 'The schema' where id = 'A1'")
    shop.sql("update backlog set title = 'The docs' where id = 'A3'")
    shop("sync")
    assert {each["id"] for each in shop.json("conflicts")} == {"A1", "A3"}
    assert shop.json("resolve", "A1", "--use", "local")["title"] == "Draw it"
    shop("resolve", "--use", "local", code=2)
    shop("resolve", "A3", "--all", "--use", "local", code=2)
    assert [each["title"] for each in shop.json("resolve", "--all", "--use", "remote")] == ["The docs"]
    assert shop.json("conflicts") == []
