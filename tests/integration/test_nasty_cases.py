"""The nasty cases that take real files and a real Postgres, each named after its number in tests/CASES.md."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd.errors import InputOutputError, NotFound
from syncd.files.atomic import digest
from syncd.files.layout import find_root
from tests.support.workspace import TABLE, Site, site

END = "\nSome words after it."
A2 = "| A2 | Write the parser | not-started | A1 | 2 | |\n"
A3 = "| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n"


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn, guards__settle_deletions_ms=0) as made:
        made.sync()
        yield made


@pytest.fixture
def there(tmp_path: Path, postgres_dsn: str, here: Site) -> Iterator[Site]:
    """A second working copy of the same project."""
    with site(tmp_path / "elsewhere", postgres_dsn, guards__settle_deletions_ms=0) as made:
        made.sync()
        yield made


def footprint(here: Site) -> tuple[object, ...]:
    """What must not move while nothing happens: the file's mtime and inode, the rows."""
    found = here.file.stat()
    return found.st_mtime_ns, found.st_ino, here.sql("select id, version, updated_at from backlog order by id")


def live(here: Site) -> list[str]:
    """The ids of the cards that are neither archived nor deleted."""
    return [
        id for (id,) in here.sql("select id from backlog where deleted_at is null and archived_at is null order by id")
    ]


def clashes(here: Site) -> list[tuple[str, str, object, object]]:
    """What the conflict record holds."""
    found = [each.conflict for each in here.wiring.store().conflicts()]
    return [(each.id, each.field, each.local, each.remote) for each in found]


# --- the file's side -----------------------------------------------------------------------------


def test_case_07_what_an_agent_overwrote_is_kept(here: Site) -> None:
    """An agent that saves an old buffer over another's save undoes it; every version that was seen is kept."""
    first = TABLE.replace("Write the parser", "Write a parser")
    here.write(first)
    here.sync()
    here.write(TABLE.replace("Write the docs  ", "Write some docs "))
    here.sync()
    assert (here.column("title", "A2"), here.column("title", "A3")) == ("Write the parser", "Write some docs")
    assert here.wiring.state().version_bytes("TASKS.md", digest(first.encode())) == first.encode()
    before = here.sql("select before ->> 'title' from backlog_history where id = 'A2' and op = 'update' order by seq")
    assert before == [("Write the parser",), ("Write a parser",)]


def test_case_17_a_copied_row_does_not_become_the_card(here: Site) -> None:
    """Of two rows with one id the first is the card; the copy stays in the file and is told, until it gets an id."""
    here.edit(A3, A3 + "| A2 | A copy, changed | done | — | 7 | |\n")
    text = here.text
    assert [(problem.code, problem.line) for problem in here.sync().problems] == [("duplicate-id", 10)]
    assert (here.text, here.column("title", "A2"), here.column("priority", "A2")) == (text, "Write the parser", 2)
    here.edit("| A2 | A copy", "|  | A copy")
    assert here.sync().problems == ()
    assert "| A4 | A copy, changed | done | — | 7 | |" in here.text
    assert live(here) == ["A1", "A2", "A3", "A4"]


def test_case_20_what_syncd_does_not_know_stays_byte_for_byte(tmp_path: Path, postgres_dsn: str) -> None:
    """Free text, comments, code, other tables and unknown columns survive; only the changed cell moves."""
    text = (
        "---\nteam: red\n---\n<!-- keep | me -->\n# Shop\t \n\n"
        "| id | mood  | title | status | estimate |\n|:--|---|---|:-:|--|\n"
        "|A1|  :) |  One \\| two|todo |  3d  |\n| A2 | meh | Two | todo | |  \n\n"
        "```\n| id | status |\n|---|---|\n| A1 | done |\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n* no task\n\n\n"
    )
    with site(tmp_path / "free", postgres_dsn, text) as here:
        here.sync()
        assert here.text == text
        here.sql("update backlog set status = 'done' where id = 'A1'")
        here.sync()
        assert here.text == text.replace("two|todo |", "two|done |")


def test_case_24_half_a_mission_is_held_and_nothing_is_concluded(here: Site) -> None:
    """A mission.json that does not parse is held with its place; the store keeps what it said last, and goes on."""
    path = here.root / "mission.json"
    whole = json.dumps({"mission_id": "m", "name": "Shop", "milestones": [{"id": "M1", "status": "pending"}]}, indent=2)
    path.write_text(whole)
    here.sync()
    half = whole[:40].encode()
    path.write_bytes(half)
    here.sql("update milestone set status = 'active' where id = 'M1'")
    report = here.sync()
    assert [(each.code, each.path, each.line, each.column) for each in report.problems] == [
        ("invalid-json", "mission.json", 3, 18)
    ]
    assert [(each.id, each.guard) for each in report.held] == [("mission.json", "unreadable")]
    assert (path.read_bytes(), here.sql("select id, status from milestone")) == (half, [("M1", "active")])
    path.write_text(whole)
    assert here.sync().held == ()
    assert json.loads(path.read_text())["milestones"][0]["status"] == "active"


def test_case_30_a_file_system_without_exchange(here: Site) -> None:
    """Where names cannot be exchanged a file is linked, renamed and verified, and a save in between is merged."""
    pending = [lambda: here.edit("Write the parser", "Write a parser")]

    def refused(source: Path, target: Path) -> None:
        if pending and target.name == "TASKS.md":
            pending.pop()()
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(source), None, str(target))

    here.wiring.files._exchanging = refused  # type: ignore[assignment]  # the seam that tests have
    here.sql("update backlog set priority = 5 where id = 'A2'")
    here.sync()
    assert "| A2 | Write the parser | not-started | A1 | 5 | |" in here.text
    here.edit("Write the parser", "Write a parser")
    here.sql("update backlog set priority = 6 where id = 'A2'")
    here.sync()
    assert "| A2 | Write a parser | not-started | A1 | 6 | |" in here.text
    assert (here.column("title", "A2"), clashes(here)) == ("Write a parser", [])
    assert {each.value for each in here.wiring.files.replacements.values()} == {"link"}


def test_case_36_a_mount_that_is_missing_deletes_nothing(here: Site, tmp_path: Path) -> None:
    """A workspace whose folder is suddenly empty stops the sync; once the folder is back, it goes on."""
    away = tmp_path / "unmounted"
    here.root.rename(away)
    here.root.mkdir()
    with pytest.raises(InputOutputError):
        here.cycle.run()
    assert list(here.root.iterdir()) == []
    assert live(here) == ["A1", "A2", "A3"]
    with pytest.raises(NotFound):
        find_root(here.root, {})
    here.root.rmdir()
    away.rename(here.root)
    here.edit("Write the parser", "Write a parser")
    here.cycle.wake_fully()
    here.sync()
    assert here.column("title", "A2") == "Write a parser"


def test_case_16_one_renamed_id(here: Site) -> None:
    """A row under another id is another card; the one of the old id comes back when that is written again."""
    here.edit("| A3 | Write the docs", "| Z1 | Write the docs")
    here.sync()
    assert live(here) == ["A1", "A2", "Z1"]
    here.edit("| Z1 | Write the docs  ", "| A3 | Write good docs ")
    here.sync()
    assert (live(here), here.column("title", "A3")) == (["A1", "A2", "A3"], "Write good docs")


# --- processes and state -------------------------------------------------------------------------


def test_case_39_two_working_copies_change_one_card_at_once(here: Site, there: Site) -> None:
    """Two copies edit a card at the same time: versions put them one after the other, what clashes is recorded."""
    here.edit("Write the parser", "Write a parser")
    there.edit("| A1 | 2 |", "| A1 | 8 |")
    here.edit("Write the docs  ", "Write some docs ")
    there.edit("Write the docs  ", "Write other docs")
    for each in (here, there, here, there):
        each.sync()
    assert "| A2 | Write a parser | not-started | A1 | 8 | |" in here.text
    assert "| A2 | Write a parser | not-started | A1 | 8 | |" in there.text
    assert (here.column("title", "A2"), here.column("priority", "A2")) == ("Write a parser", 8)
    assert clashes(here) == [("A3", "title", "Write other docs", "Write some docs")]
    assert here.column("title", "A3") == "Write other docs"
    before = footprint(here), footprint(there)
    here.sync()
    there.sync()
    assert (footprint(here), footprint(there)) == before


class Steps:
    """Notes the names of the calls of interest that a port gets."""

    def __init__(self, port: Any, names: Sequence[str], seen: list[str]) -> None:
        self._port, self._names, self._seen = port, names, seen

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            self._seen.append(name)
        return getattr(self._port, name)


def test_case_42_the_base_comes_last(here: Site) -> None:
    """Bytes are staged, the journal written, the store committed, the file replaced; only then the base advances."""
    seen: list[str] = []
    cycle: Any = here.cycle
    for port, names in {
        "_files": ("stage", "replace"),
        "_store": ("commit",),
        "_state": ("write_journal", "advance", "clear_journal"),
    }.items():
        setattr(cycle, port, Steps(getattr(cycle, port), names, seen))
    here.edit("Write the parser", "Write a parser")
    here.sql("update backlog set priority = 5 where id = 'A3'")
    here.sync()
    assert seen[:6] == ["stage", "write_journal", "commit", "replace", "advance", "clear_journal"]


def test_case_42_a_file_that_was_not_written_is_not_in_the_base(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot be replaced the base keeps what the file still shows, and the value comes later."""
    replace_file = here.wiring.files.replace

    def full(*_: object) -> Any:
        raise InputOutputError("Cannot replace TASKS.md: no space left on device.")

    monkeypatch.setattr(here.wiring.files, "replace", full)
    here.sql("update backlog set priority = 5 where id = 'A3'")
    with pytest.raises(InputOutputError):
        here.sync()
    assert here.wiring.state().base()["A3"].fields["priority"] == 0
    monkeypatch.setattr(here.wiring.files, "replace", replace_file)
    here.sync()
    assert "| A1, A2 | 5 |" in here.text
    assert here.wiring.state().base()["A3"].fields["priority"] == 5


def test_case_46_another_parser_makes_no_edits(here: Site) -> None:
    """What a new parser reads otherwise in the same bytes is held, and not sent as somebody's edit."""
    state = here.wiring.state()
    here.sql("update backlog set title = title || '.'")
    cards = {card.id: card for card in here.wiring.store().read(None).cards.values()}
    read_otherwise = [
        replace(card, fields={**card.fields, "title": f"{card.fields['title']}."}, version=cards[id].version)
        for id, card in state.base().items()
    ]
    state.advance(read_otherwise, (), None)
    state.set_meta("parser.version", "0")
    here.restart()
    report = here.sync()
    assert [hold.guard for hold in report.held] == ["everything-changed"]
    assert here.column("title", "A2") == "Write the parser."
    assert here.text == TABLE


@pytest.mark.parametrize("at", [0, 4_000_000_000], ids=["1970", "2096"])
def test_case_47_no_clock_decides(here: Site, at: int) -> None:
    """A file from long ago or from the future is merged like any other, and a touched one writes nothing."""
    before = here.sql("select id, version from backlog order by id")
    os.utime(here.file, (at, at))
    here.sync()
    assert here.sql("select id, version from backlog order by id") == before
    here.edit("Write the docs   | not-started | A1, A2 | 0 |", "Write good docs | not-started | A1, A2 | 4 |")
    os.utime(here.file, (at, at))
    here.sql("update backlog set priority = 9, updated_at = now() + interval '1 year' where id = 'A3'")
    here.sync()
    assert (here.column("title", "A3"), here.column("priority", "A3")) == ("Write good docs", 9)
    assert "| A3 | Write good docs | not-started | A1, A2 | 9 | |" in here.text
    assert clashes(here) == [("A3", "priority", 4, 9)]


# --- the database's side -------------------------------------------------------------------------


def snapshot(dsn: str) -> Callable[[], None]:
    """Copy a database as a backup does; return what puts the copy in its place, as another history."""
    name = str(conninfo_to_dict(dsn)["dbname"])
    copy = f"backup_{secrets.token_hex(6)}"

    def run(*statements: sql.Composed) -> None:
        with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as link:
            link.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
            for each in statements:
                link.execute(each)

    here, there = sql.Identifier(name), sql.Identifier(copy)
    run(sql.SQL("create database {} template {}").format(there, here))

    def restore() -> None:
        run(
            sql.SQL("drop database {} with (force)").format(here),
            sql.SQL("alter database {} rename to {}").format(there, here),
        )
        with psycopg.connect(dsn, autocommit=True) as link:
            link.execute("update backlog_meta set value = gen_random_uuid()::text where key = 'epoch'")

    return restore


@pytest.fixture
def restored(here: Site) -> Site:
    """A workspace in sync whose store then lost its last commits: an update and a card."""
    here.wiring.close()
    restore = snapshot(here.dsn)
    here.restart()
    here.edit("Write the parser", "Write a parser")
    here.edit(END, "| A4 | Ship it | not-started | — | 1 | |\n" + END)
    here.sync()
    assert here.column("title", "A2") == "Write a parser"
    here.wiring.close()
    restore()
    here.restart()
    return here


def test_case_48_a_store_restored_from_a_backup_asks(restored: Site) -> None:
    """A store that went back takes nothing out of the file and writes nothing over it; rejecting keeps its values."""
    text = restored.text
    report = restored.sync()
    assert [(hold.guard, hold.id) for hold in report.held] == [("store-rewound", "store")]
    assert (restored.text, live(restored), restored.column("title", "A2")) == (
        text,
        ["A1", "A2", "A3"],
        "Write the parser",
    )
    restored.wiring.state().decide({hold.fingerprint: "reject" for hold in report.held})
    restored.restart()
    restored.sync()
    assert restored.text == TABLE
    assert live(restored) == ["A1", "A2", "A3"]


def test_case_49_what_a_failover_lost_is_offered_again(restored: Site) -> None:
    """A standby without the last commits gets them again from the files, once somebody has confirmed it."""
    text = restored.text
    report = restored.sync()
    restored.wiring.state().decide({hold.fingerprint: "accept" for hold in report.held})
    restored.restart()
    restored.sync()
    assert restored.text == text
    assert (live(restored), restored.column("title", "A2")) == (["A1", "A2", "A3", "A4"], "Write a parser")
    assert restored.sync().held == ()


def test_case_49_transactions_that_the_store_has_forgotten(here: Site) -> None:
    """A store whose transactions are behind the ones that were seen is one that went back."""
    state = here.wiring.state()
    known = state.cursor()
    assert known is not None
    state.advance((), (), replace(known, last=known.last + 1_000_000))
    here.sql("delete from backlog where id = 'A3'")
    here.restart()
    assert [hold.guard for hold in here.sync().held] == ["store-rewound"]
    assert here.text == TABLE


def test_case_57_values_that_only_look_different(here: Site) -> None:
    """Blanks around a text, the order of a list or of JSON keys, and a repeated dependency are no edits."""
    here.sql(
        "update backlog set title = title || '  ', depends_on = '[\"A2\", \"A1\", \"A1\"]', phase = '',"
        ' extra = \'{"b": {"y": 1, "x": [1, 2]}, "a": null}\' where id = \'A3\''
    )
    here.sync()
    assert here.text == TABLE
    before = footprint(here)
    here.sql('update backlog set extra = \'{"a": null, "b": {"x": [1, 2], "y": 1}}\' where id = \'A3\'')
    here.sync()
    here.restart()
    here.sync()
    assert (footprint(here), here.text, clashes(here)) == (before, TABLE, [])


def test_case_59_weeks_offline_are_like_a_second(here: Site, there: Site) -> None:
    """A copy that was away while the store went on merges its edits, drops what was deleted, and deletes nothing."""
    here.wiring.close()
    for number in range(30):
        there.sql("update backlog set priority = %s where id = 'A2'", number)
    there.edit(END, "| A4 | Ship it | not-started | — | 1 | |\n" + END)
    there.edit("| A1 | Draw the schema | done | — | 3 | |\n", "")
    there.sync()
    there.sql("delete from backlog where id = 'A3'")
    there.sync()
    # What the server keeps for the feed may be gone by now.
    there.sql("delete from backlog_history")
    there.sql("delete from backlog_commit")
    here.edit("Write the parser", "Write a parser")
    here.restart()
    report = here.sync()
    there.sync()
    assert report.held == ()
    assert live(here) == ["A2", "A4"]
    for each in (here, there):
        assert "| A2 | Write a parser | not-started | A1 | 29 | |" in each.text
        assert ["Draw the schema" in each.text, "| A3 |" in each.text, "| A4 |" in each.text] == [False, False, True]
    assert clashes(here) == []


def test_case_62_a_formatter_and_syncd_come_to_rest(here: Site) -> None:
    """A formatter that pads what syncd wrote is left its padding: neither writes again on account of the other."""
    here.sql("update backlog set status = 'blocked' where id = 'A3'")
    here.sync()
    padded = here.text.replace(" | ", "  |  ")
    rows = footprint(here)[2]
    here.write(padded)
    for _ in range(3):
        here.sync()
    assert (here.text, footprint(here)[2]) == (padded, rows)
