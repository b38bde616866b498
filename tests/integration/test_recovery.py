"""What the journal, the ids and the verification of a write are good for: each where only it helps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncd.engine import cycle as cycles
from syncd.engine.pace import BURST, Pace
from syncd.engine.postponement import Postponement
from syncd.errors import InputOutputError, StoreUnreachable
from syncd.files import atomic
from syncd.files.atomic import digest
from syncd.files.layout import Layout
from syncd.files.lock import Holder, holder
from syncd.ports import Batch, BatchResult
from tests.support.doom import Killed, doomed_cycle
from tests.support.syncs import recorded_syncs
from tests.support.workspace import TABLE, Site, site

END = "\nSome words after it."
NAMELESS = "|  | Ship it | not-started | A3 | 1 | |\n"
FORBIDDEN = "Write nonsense"


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn, guards__settle_deletions_ms=0) as made:
        made.sync()
        yield made


def interrupt(here: Site, *, before: Callable[[], object] | None = None, dies: bool = False) -> None:
    """Have somebody act right before the next exchange of the task file, and syncd die right after it."""
    pending = [True]

    def exchanging(source: Path, target: Path) -> None:
        is_ours = bool(pending) and target.name == "TASKS.md"
        if is_ours:
            pending.clear()
            if before is not None:
                before()
        atomic.exchange(source, target)
        if is_ours and dies:
            raise Killed

    here.wiring.files._exchanging = exchanging  # type: ignore[assignment]  # the seam that tests have


def before_call(port: Any, name: str, act: Callable[[], object]) -> None:
    """Have somebody act before the next call of a port's method."""
    method, pending = getattr(port, name), [act]

    def acting(*args: Any, **named: Any) -> Any:
        if pending:
            pending.pop()()
        return method(*args, **named)

    setattr(port, name, acting)


def forbid(here: Site) -> None:
    """Have the database refuse a title, as a service's own constraint would."""
    here.sql(f"alter table backlog add constraint sense check (title <> '{FORBIDDEN}')")


def calls_of(port: Any, name: str) -> list[str]:
    """Count the calls of a port's method."""
    method, seen = getattr(port, name), []

    def counting(*args: Any, **named: Any) -> Any:
        seen.append(name)
        return method(*args, **named)

    setattr(port, name, counting)
    return seen


def clashes(here: Site) -> list[tuple[str, str, object, object]]:
    found = [each.conflict for each in here.wiring.store().conflicts()]
    return [(each.id, each.field, each.local, each.remote) for each in found]


def leftovers(here: Site) -> list[str]:
    """Files that were staged beside the task file and stayed there."""
    return [each.name for each in here.root.iterdir() if each.name.startswith(".TASKS")]


# --- what was sent, what was written --------------------------------------------------------------


def test_a_row_that_is_put_back_after_a_crash_is_a_card_again(here: Site) -> None:
    """What was removed before the crash is removed: the row that somebody puts back then is new, and no leftover."""
    here.edit("| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n", "")
    here.restart(doomed_cycle("state", "advance", after=False, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    here.restart()
    here.write(TABLE)
    report = here.sync()
    assert (report.conflicts, here.text) == ((), TABLE)
    assert here.column("deleted_at", "A3") is None


def test_an_unknown_outcome_is_settled_before_the_next_write(here: Site) -> None:
    """After a cut at COMMIT the same process finds out what is durable first: newer news of the field is no clash."""
    here.edit("Write the parser", "Write a parser")
    here.restart(doomed_cycle("store", "commit", after=True, how=StoreUnreachable("the connection was cut")))
    with pytest.raises(StoreUnreachable):
        here.sync()
    here.sql("update backlog set title = 'Write the best parser' where id = 'A2'")
    here.sync()
    assert clashes(here) == []
    assert "Write the best parser" in here.text


def test_what_was_never_committed_is_not_agreed(here: Site) -> None:
    """Killed before COMMIT, the file's edit is still an edit: a newer value in the store clashes with it."""
    here.edit("| A1 | 2 |", "| A1 | 4 |")
    here.restart(doomed_cycle("store", "commit", after=False, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    here.sql("update backlog set priority = 9 where id = 'A2'")
    here.restart()
    here.sync()
    assert clashes(here) == [("A2", "priority", 4, 9)]


def test_what_the_store_refused_is_not_agreed(here: Site) -> None:
    """Killed after a COMMIT that left a card out, that card's edit is still an edit."""
    here.edit("| A1 | 2 |", "| A1 | 4 |")
    here.edit("Write the docs  ", "Write some docs ")
    here.restart(doomed_cycle("store", "commit", after=True, how=Killed()))
    store: Any = here.wiring.store()
    before_call(store, "commit", lambda: here.sql("update backlog set phase = 'M1' where id = 'A2'"))
    with pytest.raises(Killed):
        here.sync()
    here.restart()
    here.sync()
    assert (here.column("priority", "A2"), here.column("title", "A3")) == (4, "Write some docs")
    assert clashes(here) == []


def test_a_file_that_was_left_alone_was_not_written(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that came before syncd's write leaves the store's value for the next cycle, also after a kill."""
    monkeypatch.setattr(cycles, "PASSES_MAX", 1)
    here.sql("update backlog set priority = 5 where id = 'A2'")
    before_call(here.wiring.files, "replace", lambda: here.edit("Write the docs  ", "Write some docs "))
    here.cycle.run()
    here.restart()
    here.cycle.run()
    assert (here.column("priority", "A2"), here.column("title", "A3")) == (5, "Write some docs")
    assert "| A1 | 5 |" in here.text


def test_a_staged_file_that_was_not_used_goes(here: Site) -> None:
    """Killed before the file was replaced, nothing of the attempt stays beside it."""
    here.sql("update backlog set priority = 5 where id = 'A2'")
    here.restart(doomed_cycle("files", "replace", after=False, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    assert leftovers(here)
    here.restart()
    here.sync()
    assert leftovers(here) == []
    assert "| A1 | 5 |" in here.text


def test_a_kill_right_after_the_exchange(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the exchange and the look at what came out: it is kept, and the new file made durable."""
    text = here.text
    here.sql("update backlog set priority = 5 where id = 'A2'")
    interrupt(here, dies=True)
    with pytest.raises(Killed):
        here.sync()
    here.restart()
    done, before_the_base = recorded_syncs(monkeypatch), []
    before_call(here.wiring.state(), "advance", lambda: before_the_base.extend(done))
    here.sync()
    assert leftovers(here) == []
    assert [each.digest for each in here.wiring.files.versions("TASKS.md")] == [digest(text.encode())]
    assert before_the_base == [*before_the_base[:-2], "TASKS.md", here.root.name]
    assert here.column("priority", "A2") == 5
    assert clashes(here) == []


def test_a_kill_right_after_an_exchange_that_met_a_save(here: Site) -> None:
    """The save that came out of a killed write is the file again, and is an edit like any other."""
    here.sql("update backlog set priority = 5 where id = 'A2'")
    interrupt(here, before=lambda: here.edit("Write the parser", "Write a parser"), dies=True)
    with pytest.raises(Killed):
        here.sync()
    assert "Write a parser" not in here.text
    here.restart()
    here.sync()
    assert "| A2 | Write a parser | not-started | A1 | 5 | |" in here.text
    assert here.column("title", "A2") == "Write a parser"
    assert clashes(here) == []


def test_a_kill_right_after_an_exchange_between_two_saves(here: Site) -> None:
    """A save that came out of a killed write and cannot be put back, since the file was saved again, is merged."""
    here.sql("update backlog set priority = 5 where id = 'A2'")
    interrupt(here, before=lambda: here.edit("Write the parser", "Write a parser"), dies=True)
    with pytest.raises(Killed):
        here.sync()
    here.edit("Write the docs  ", "Write some docs ")
    here.restart()
    deadline = time.monotonic() + 60
    while here.column("title", "A2") != "Write a parser":
        assert time.monotonic() < deadline
        here.sync()
    here.sync()
    assert "| A2 | Write a parser | not-started | A1 | 5 | |" in here.text
    assert (here.column("title", "A3"), here.column("priority", "A2")) == ("Write some docs", 5)


def test_a_cycle_is_alone_in_its_workspace(here: Site) -> None:
    """While a cycle works, the workspace's lock is held in its name; afterwards it is free."""
    lock = Layout(here.root).cycle_lock
    held: list[Holder | None] = []
    before_call(here.wiring.store(), "commit", lambda: held.append(holder(lock)))
    here.edit("Write the parser", "Write a parser")
    here.sync()
    assert [each and each.pid for each in held] == [os.getpid()]
    assert holder(lock) is None


def test_what_was_taken_over_is_not_taken_over_again(here: Site) -> None:
    """Recovery takes over what was on both sides once, also when the journal has to keep an id for later."""
    here.edit("Write the parser", "Write a parser")
    here.edit(END, NAMELESS + END)
    here.restart(doomed_cycle("store", "commit", after=True, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    here.restart(doomed_cycle("late", "take_in", after=False, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    journal = here.wiring.state().journal()
    assert journal is not None
    assert (set(journal.ids.values()), journal.commit_id, journal.sent, journal.written) == ({"A4"}, "", {}, {})
    here.restart()
    here.sync()
    assert here.wiring.state().journal() is None
    assert clashes(here) == []


def test_nothing_is_under_way_after_a_cycle(here: Site) -> None:
    """A cycle that did its work leaves no journal behind."""
    here.edit("Write the parser", "Write a parser")
    here.sync()
    assert here.wiring.state().journal() is None


def test_a_write_that_was_made_anew_is_in_the_journal(here: Site) -> None:
    """When the store leaves a card out, the file that is written without it is the one that a kill finds."""
    forbid(here)
    here.edit(END, NAMELESS.replace("Ship it", FORBIDDEN) + END)
    here.sql("update backlog set priority = 6 where id = 'A2'")
    here.restart(doomed_cycle("state", "advance", after=False, how=Killed()))
    with pytest.raises(Killed):
        here.sync()
    assert "| A1 | 6 |" in here.text
    here.sql("update backlog set priority = 8 where id = 'A2'")
    here.restart()
    here.sync()
    assert "| A1 | 8 |" in here.text
    assert clashes(here) == []


# --- ids ------------------------------------------------------------------------------------------


def ids_of(here: Site) -> Sequence[str]:
    return [id for (id,) in here.sql("select id from backlog where deleted_at is null order by id")]


def test_an_id_outlives_two_kills(here: Site) -> None:
    """A nameless row whose card is in the store gets that card's id, however often syncd dies before it is written."""
    here.edit(END, NAMELESS + END)
    for port, method, after in (("store", "commit", True), ("files", "stage", False), ("files", "replace", False)):
        here.restart(doomed_cycle(port, method, after=after, how=Killed()))
        with pytest.raises(Killed):
            here.sync()
    here.restart()
    here.sync()
    assert ids_of(here) == ["A1", "A2", "A3", "A4"]
    assert "| A4 | Ship it |" in here.text


def test_an_id_waits_for_its_row_when_the_file_was_saved(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save at the last moment puts a new id off; killed then, the row gets the same one."""
    monkeypatch.setattr(cycles, "PASSES_MAX", 1)
    here.edit(END, NAMELESS + END)
    interrupt(here, before=lambda: here.edit("Write the parser", "Write a parser"))
    here.cycle.run()
    assert ids_of(here) == ["A1", "A2", "A3", "A4"]
    assert "| A4 |" not in here.text
    here.restart()
    for _ in range(3):
        here.cycle.run()
    assert ids_of(here) == ["A1", "A2", "A3", "A4"]
    assert "| A4 | Ship it |" in here.text


def test_two_working_copies_give_no_id_twice(here: Site, tmp_path: Path) -> None:
    """Rows that two copies name at the same moment get two ids."""
    with site(tmp_path / "elsewhere", here.dsn) as there:
        there.sync()
        here.edit(END, NAMELESS + END)
        there.edit(END, NAMELESS.replace("Ship it", "Sell it") + END)
        before_call(there.cycle._names, "give", here.sync)
        there.sync()
        here.sync()
        assert sorted(here.sql("select id, title from backlog where title like '%% it'")) == [
            ("A4", "Ship it"),
            ("A5", "Sell it"),
        ]
        assert clashes(here) == []


def test_rows_that_look_alike_take_no_lost_id_by_chance(here: Site) -> None:
    """Of rows with the same words only one takes the id that was lost; where several lost theirs, none does."""
    row = "| A2 | Write the parser | not-started | A1 | 2 | |\n"
    here.edit(row, 2 * row.replace("| A2 |", "|  |"))
    here.sync()
    assert ids_of(here) == ["A1", "A2", "A3", "A4"]
    twins = "| B1 | Twin | not-started | — | 0 | |\n| B2 | Twin | not-started | — | 0 | |\n"
    here.edit(END, twins + END)
    here.sync()
    here.edit(twins, "|  | Twin | not-started | — | 0 | |\n")
    here.sync()
    assert not {"B1", "B2"} & set(ids_of(here))


def test_a_row_that_the_store_refuses_gets_no_id(here: Site) -> None:
    """A nameless row that the store cannot hold stays as it is written, beside one that it can."""
    forbid(here)
    bad = NAMELESS.replace("Ship it", FORBIDDEN)
    here.edit(END, bad + "|  | Fine | not-started | A3 | 1 | |\n" + END)
    report = here.sync()
    assert bad in here.text
    assert [problem.code for problem in report.problems] == ["refused"]
    assert "| Fine |" in here.text
    assert here.sql("select count(*) from backlog where title = 'Fine'") == [(1,)]


def test_no_card_without_its_row(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file cannot be written no nameless row becomes a card, since the row could not be told from it."""
    here.edit(END, NAMELESS + END)

    def full(*_: object) -> str:
        raise InputOutputError("Cannot write beside TASKS.md: no space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr(here.wiring.files, "stage", full)
        assert [problem.code for problem in here.sync().problems] == ["cannot-write"]
    assert ids_of(here) == ["A1", "A2", "A3"]
    here.sync()
    assert ids_of(here) == ["A1", "A2", "A3", "A4"]


def test_no_card_from_a_file_that_waits(tmp_path: Path, postgres_dsn: str) -> None:
    """A nameless row in a file from which rows just vanished gets card and id when the file has settled."""
    with site(tmp_path / "shop", postgres_dsn, guards__settle_deletions_ms=400) as here:
        here.sync()
        here.edit("| A3 | Write the docs   | not-started | A1, A2 | 0 | |\n", NAMELESS)
        assert here.cycle.run().waits
        assert ids_of(here) == ["A1", "A2", "A3"]
        here.sync()
        assert ids_of(here) == ["A1", "A2", "A4"]


# --- verification -----------------------------------------------------------------------------------


def test_a_save_while_syncd_writes_beside_it(here: Site) -> None:
    """An edit between the look and the staged write is merged, and not written over."""
    here.sql("update backlog set priority = 5 where id = 'A2'")
    before_call(here.wiring.files, "stage", lambda: here.edit("Write the parser", "Write a parser"))
    here.sync()
    assert "| A2 | Write a parser | not-started | A1 | 5 | |" in here.text
    assert here.column("title", "A2") == "Write a parser"


def test_a_deletion_that_met_a_save_stays_a_deletion(here: Site) -> None:
    """A card that the store dropped does not come back because its row could not be taken out at once."""
    here.sql("update backlog set deleted_at = now() where id = 'A3'")
    interrupt(here, before=lambda: here.edit("Write the parser", "Write a parser"))
    here.sync()
    assert here.column("deleted_at", "A3") is not None
    assert "| A3 |" not in here.text
    assert here.column("title", "A2") == "Write a parser"


def test_a_save_that_was_merged_at_once_is_a_version(here: Site) -> None:
    """Bytes that an editor saved and syncd wrote over in the same cycle are remembered."""
    here.edit("Write the parser", "Write a parser")
    saved = here.text.encode()
    here.sql("update backlog set priority = 5 where id = 'A3'")
    here.sync()
    state = here.wiring.state()
    assert here.text.encode() != saved
    assert state.version_bytes("TASKS.md", digest(saved)) == saved
    assert state.version_rank("TASKS.md", digest(here.text.encode())) == 0


def test_a_late_save_that_clashes_is_recorded(here: Site) -> None:
    """What somebody wrote into the replaced file and the new file contradicts is in the conflict record."""
    with here.file.open("r+b") as held:
        here.sql("update backlog set title = 'Write the best parser' where id = 'A2'")
        here.sync()
        held.write(TABLE.replace("Write the parser", "Write a parser").encode())
        held.truncate()
    here.restart(doomed_cycle("store", "commit", after=False, how=StoreUnreachable("cut")))
    deadline = time.monotonic() + 60
    is_cut = False
    while not clashes(here):
        assert time.monotonic() < deadline
        try:
            here.sync()
        except StoreUnreachable:
            is_cut = True
    assert is_cut
    assert clashes(here) == [("A2", "title", "Write a parser", "Write the best parser")]
    assert "Write the best parser" in here.text


def test_a_row_that_moved_is_planned_again_at_once(here: Site) -> None:
    """An edit of a row that a service changed meanwhile is sent again in the same cycle, whatever the field."""
    here.edit("| A1 | 2 |", "| A1 | 4 |")
    before_call(here.wiring.store(), "commit", lambda: here.sql("update backlog set phase = 'M1' where id = 'A2'"))
    here.cycle.run()
    assert (here.column("priority", "A2"), here.column("phase", "A2")) == (4, "M1")


def test_a_clash_of_a_row_that_moved_is_recorded(here: Site) -> None:
    """A loser is in the conflict record though its row moved before COMMIT: it goes with the second attempt."""
    here.edit("Write the docs  ", "Write some docs ")
    here.sql("update backlog set title = 'Write the best docs' where id = 'A3'")
    before_call(here.wiring.store(), "commit", lambda: here.sql("update backlog set phase = 'M1' where id = 'A3'"))
    here.sync()
    assert here.column("title", "A3") == "Write some docs"
    assert clashes(here) == [("A3", "title", "Write some docs", "Write the best docs")]


# --- what is not done again --------------------------------------------------------------------------


def test_a_clash_that_waits_is_sent_once(tmp_path: Path, postgres_dsn: str) -> None:
    """A clash that the policy leaves open costs one transaction, however many cycles see it."""
    with site(tmp_path / "shop", postgres_dsn, policy={"title": "ask"}) as here:
        here.sync()
        here.edit("Write the parser", "Write a parser")
        here.sql("update backlog set title = 'Write the best parser' where id = 'A2'")
        here.sync()
        sent = calls_of(here.wiring.store(), "commit")
        here.cycle.run(full=True)
        here.cycle.wake_fully()
        here.cycle.run()
        assert sent == []


def test_what_the_store_refused_is_sent_once(here: Site) -> None:
    """A value that the store cannot hold is not sent along with other edits, until its row says something else."""
    forbid(here)
    here.edit("Write the docs  ", FORBIDDEN)
    here.sync()
    here.edit("Write the parser", "Write a parser")
    store, batches = here.wiring.store(), []
    commit = store.commit

    def noting(batch: Batch) -> BatchResult:
        batches.append([change.id for change in batch.changes])
        return commit(batch)

    store.commit = noting  # type: ignore[method-assign]
    assert here.sync().problems
    assert batches == [["A2"]]
    here.edit(FORBIDDEN, "Write sense")
    here.sync()
    assert here.column("title", "A3") == "Write sense"


def test_an_edit_is_durable_before_it_is_agreed(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an editor saved reaches the disk before the store has it; an unchanged file is not synced again."""
    done = recorded_syncs(monkeypatch)
    here.edit("Write the parser", "Write a parser")
    here.sync()
    assert done == ["TASKS.md", here.root.name]
    here.cycle.wake_fully()
    here.cycle.run()
    assert len(done) == 2


def test_files_are_written_at_a_pace(here: Site) -> None:
    """After a burst of writes a file waits; what it is to get, and ids for its rows, wait with it."""
    now_s = [0.0]
    cycle: Any = here.cycle
    cycle._postponement = Postponement(Pace(1_000, lambda: now_s[0]), None)
    for number in range(BURST + 1):
        here.sql("update backlog set priority = %s where id = 'A2'", 10 + number)
        report = here.cycle.run()
    assert f"| A1 | {10 + BURST - 1} |" in here.text
    assert [wait.retry_ms for wait in report.waits] == [1_000]
    here.edit(END, NAMELESS + END)
    here.cycle.run()
    assert ids_of(here) == ["A1", "A2", "A3"]
    now_s[0] += 1
    here.cycle.run()
    assert f"| A1 | {10 + BURST} |" in here.text
    assert "| A4 | Ship it |" in here.text


def test_a_new_history_is_taken_over_once(here: Site) -> None:
    """A store of another epoch with the same cards asks once; accepted, it is the store from then on."""
    here.sql("update backlog_meta set value = gen_random_uuid()::text where key = 'epoch'")
    for _ in range(2):
        here.restart()
        held = here.sync().held
        assert [hold.guard for hold in held] == ["store-rewound"]
    here.wiring.state().decide({hold.fingerprint: "accept" for hold in held})
    here.restart()
    here.sync()
    here.restart()
    assert here.sync().held == ()
