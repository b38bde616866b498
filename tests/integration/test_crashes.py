"""A kill at any step, an editor or another writer between any two: the result is that of a quiet run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import InputOutputError, StoreUnreachable
from syncd.files import atomic, reading
from tests.support.doom import Killed, doomed_cycle
from tests.support.workspace import TABLE, Site, site

STEPS = [
    ("files", "stage"),
    ("state", "write_journal"),
    ("store", "commit"),
    ("files", "replace"),
    ("state", "advance"),
    ("state", "clear_journal"),
]


def disturb(here: Site) -> None:
    """Edit both sides at once: different fields, the same field, a new row without id, one less row, a new card."""
    text = here.text
    for old, new in [
        ("| A2 | Write the parser |", "| A2 | Write a parser |"),
        (
            "| A3 | Write the docs   | not-started | A1, A2 | 0 |",
            "| A3 | Write the docs   | not-started | A1, A2 | 4 |",
        ),
        ("| A1 | Draw the schema | done | — | 3 | |\n", ""),
        ("\nSome words after it.", "|  | Ship it | not-started | A3 | 1 | |\n\nSome words after it."),
    ]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    here.write(text)
    here.sql("update backlog set priority = 9, status = 'blocked' where id = 'A3'")
    here.sql("insert into backlog (id, title) values ('B1', 'From the service')")


def outcome(here: Site) -> tuple[object, ...]:
    """What both sides and the conflict record hold, less what differs from run to run."""
    rows = here.sql(
        "select id, title, status::text, priority, depends_on, attempts, archived_at is null, deleted_at is null"
        " from backlog order by id"
    )
    conflicts = [
        (each.conflict.id, each.conflict.field, each.conflict.local, each.conflict.remote)
        for each in here.wiring.store().conflicts()
    ]
    return here.text, rows, conflicts


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn, guards__settle_deletions_ms=0) as made:
        made.sync()
        yield made


EXPECTED_TEXT = (
    TABLE.replace("| A2 | Write the parser |", "| A2 | Write a parser |")
    .replace("| A1 | Draw the schema | done | — | 3 | |\n", "")
    .replace("| not-started | A1, A2 | 0 | |", "| blocked | A1, A2 | 9 | |")
    .replace(
        "\nSome words after it.",
        "| A4 | Ship it | not-started | A3 | 1 | |\n"
        "| B1 | From the service | not-started |  | 0 |  |\n\nSome words after it.",
    )
)


def check(here: Site, new: str = "A4") -> None:
    """Hold the outcome against the expected one; ``new`` is the id that the nameless row got."""
    text, rows, conflicts = outcome(here)
    assert text == EXPECTED_TEXT.replace("A4", new)
    assert rows == [
        ("A1", "Draw the schema", "done", 3, [], 0, False, True),
        ("A2", "Write a parser", "ready", 2, ["A1"], 0, True, True),
        ("A3", "Write the docs", "blocked", 9, ["A1", "A2"], 0, True, True),
        (new, "Ship it", "ready", 1, ["A3"], 0, True, True),
        ("B1", "From the service", "ready", 0, [], 0, True, True),
    ]
    assert conflicts == [("A3", "priority", 4, 9)]


def test_the_quiet_run(here: Site) -> None:
    """Without any accident the disturbed workspace comes to the expected state; the others are held against it."""
    disturb(here)
    here.sync()
    check(here)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), STEPS, ids=[method for _, method in STEPS])
def test_a_kill_at_any_step_changes_nothing(here: Site, port: str, method: str, after: bool) -> None:
    """Killed before or after any step and started again: the same result, no extra card or conflict (I9)."""
    disturb(here)
    here.restart(doomed_cycle(port, method, after=after, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    here.restart()
    here.sync()
    # A number reserved by a process that dies before it has journalled anything is not given again.
    is_journalled = method not in ("stage", "write_journal") or (method, after) == ("write_journal", True)
    check(here, "A4" if is_journalled else "A5")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), STEPS, ids=[method for _, method in STEPS])
def test_case_26_no_room_at_any_step(here: Site, port: str, method: str, after: bool) -> None:
    """A full disk at any step reverts and doubles nothing: with room again the same process finishes the work."""
    disturb(here)
    full = InputOutputError("No space left on device.")
    here.restart(doomed_cycle(port, method, after=after, how=full))
    with contextlib.suppress(InputOutputError):
        here.sync()
    here.sync()
    check(here)


@pytest.mark.parametrize("after", [False, True], ids=["lost", "committed"])
def test_case_50_a_connection_cut_at_commit(here: Site, after: bool) -> None:
    """COMMIT with unknown outcome is looked up before anything else, by the same process."""
    disturb(here)
    here.restart(doomed_cycle("store", "commit", after=after, how=StoreUnreachable("the connection was cut")))
    with pytest.raises(StoreUnreachable):
        here.sync()
    here.sync()
    check(here)


@pytest.mark.parametrize(("port", "method"), [("store", "commit"), ("files", "replace"), ("state", "advance")])
def test_a_newer_store_value_after_a_kill_is_no_clash(here: Site, port: str, method: str) -> None:
    """What a service writes over a value that was already on both sides when syncd died is news, not a conflict."""
    here.edit("Write the parser", "Write a parser")
    here.restart(doomed_cycle(port, method, after=method != "advance", how=Killed()))
    if method == "commit":
        with pytest.raises(Killed):
            here.sync()
        here.sql("update backlog set title = 'Write the best parser' where id = 'A2'")
    else:
        here.sql("update backlog set priority = 6 where id = 'A2'")
        with pytest.raises(Killed):
            here.sync()
        here.sql("update backlog set priority = 8 where id = 'A2'")
    here.restart()
    here.sync()
    assert here.wiring.store().conflicts() == []
    assert ("Write the best parser" if method == "commit" else "| A1 | 8 |") in here.text


def interrupt(here: Site, editor: Callable[[], None]) -> None:
    """Have ``editor`` act between syncd's last look at the file and its exchange, once."""
    pending = [editor]

    def exchanging(source: str, target: str) -> None:
        if pending and Path(target).name == "TASKS.md":
            pending.pop()()
        atomic.exchange(source, target)

    here.wiring.files._exchanging = exchanging  # type: ignore[assignment]  # the seam that tests have


def test_case_05_an_edit_between_the_last_look_and_the_exchange(here: Site) -> None:
    """An editor that saves at the last moment loses nothing, and neither does the store."""
    here.sql("update backlog set priority = 5 where id = 'A2'")
    interrupt(here, lambda: here.edit("Write the parser", "Write a parser"))
    here.sync()
    assert "| A2 | Write a parser | not-started | A1 | 5 | |" in here.text
    assert here.column("title", "A2") == "Write a parser"
    assert here.wiring.store().conflicts() == []


def test_case_03_a_rename_swap_between_the_last_look_and_the_exchange(here: Site) -> None:
    """The same with an editor that renames a new file over the old one."""
    here.sql("update backlog set priority = 5 where id = 'A2'")

    def swap() -> None:
        other = here.root / "TASKS.md.swp"
        other.write_text(here.text.replace("Write the parser", "Write a parser"))
        other.replace(here.file)

    interrupt(here, swap)
    here.sync()
    assert "| A2 | Write a parser | not-started | A1 | 5 | |" in here.text
    assert here.column("title", "A2") == "Write a parser"


def test_a_save_right_behind_syncds_own_write_is_seen(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes long to sync the folder gives an editor time to save before syncd looks at what it wrote."""
    # The save is older than a tick of the clock by the time of that look.
    monkeypatch.setattr(reading, "_RACY_NS", 0)
    sync_folder = atomic.fsync_directory
    pending = [lambda: here.edit("Write the parser", "Write a parser")]

    def slowly(folder: Path) -> None:
        sync_folder(folder)
        if pending and folder == here.root and "| A1 | 5 |" in here.text:
            pending.pop()()

    monkeypatch.setattr(atomic, "fsync_directory", slowly)
    here.sql("update backlog set priority = 5 where id = 'A2'")
    here.sync()
    here.sync()
    assert pending == []
    assert here.column("title", "A2") == "Write a parser"


def test_case_06_a_writer_that_still_holds_the_old_file_is_merged(here: Site) -> None:
    """A program that writes into the file it had open when syncd replaced it has its edit merged."""
    with here.file.open("r+b") as held:
        here.sql("update backlog set priority = 5 where id = 'A2'")
        here.sync()
        text = TABLE.replace("Write the parser", "Write a parser")
        held.write(text.encode())
        held.truncate()
    here.restart()
    look_s = here.wiring.files.next_look_s()
    assert look_s is not None
    while "Write a parser" not in here.text:
        here.sync()
        assert (look_s := here.wiring.files.next_look_s()) is not None
    here.sync()
    assert "| A2 | Write a parser | not-started | A1 | 5 | |" in here.text
    assert here.column("title", "A2") == "Write a parser"
    assert here.wiring.store().conflicts() == []


def test_a_row_that_moves_between_read_and_commit(here: Site) -> None:
    """A version that moved leaves that card out of the batch; it is planned again alone, the others go on."""
    here.edit("Write the parser", "Write a parser")
    text = here.text.replace("Write the docs  ", "Write some docs ")
    here.write(text)
    commit = here.wiring.store().commit
    moved = []

    def racing(batch: Any) -> Any:
        if not moved:
            moved.append(here.sql("update backlog set priority = 6 where id = 'A2'"))
        return commit(batch)

    store: Any = here.cycle._store
    store.commit = racing
    here.sync()
    assert (here.column("title", "A2"), here.column("priority", "A2")) == ("Write a parser", 6)
    assert here.column("title", "A3") == "Write some docs"
    assert "| A2 | Write a parser | not-started | A1 | 6 | |" in here.text
    assert here.wiring.store().conflicts() == []


def test_case_44_a_lost_state_deletes_nothing(here: Site) -> None:
    """Without its base syncd takes the union of both sides: equal cards adopt, nothing goes."""
    here.wiring.close()
    for each in (here.root / ".syncd").glob("state.db*"):
        each.unlink()
    here.edit("| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n", "")
    here.restart()
    here.sync()
    assert "| A3 | Write the docs | not-started | A1, A2 | 0 |  |" in here.text
    assert here.sql("select count(*) from backlog where deleted_at is null") == [(3,)]
    assert here.wiring.store().conflicts() == []


def test_a_merged_list_whose_file_write_is_put_off_loses_nothing(here: Site) -> None:
    """A list merged from both sides keeps both elements when the store has it and the file write comes later."""
    here.edit(
        "| A3 | Write the docs   | not-started | A1, A2 |", "| A3 | Write the docs   | not-started | A1, A2, A4 |"
    )
    here.edit(
        "\nSome words after it.", "| A4 | Four | done | | 0 | |\n| A5 | Five | done | | 0 | |\n\nSome words after it."
    )
    here.sql("""update backlog set depends_on = '["A1", "A2", "A5"]' where id = 'A3'""")
    here.restart(doomed_cycle("files", "replace", after=False, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    here.restart()
    here.sync()
    assert set(here.card("A3").depends_on) == {"A1", "A2", "A4", "A5"}
    assert "A1, A2, A5, A4 |" in here.text or "A1, A2, A4, A5 |" in here.text
    assert here.wiring.store().conflicts() == []
