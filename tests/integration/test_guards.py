"""Every guard for real: tripped through files and Postgres, seen, kept over a restart, ended in every way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from syncd.api import Workspace
from syncd.errors import NotFound, Refused
from syncd.schemas.card import Status
from tests.support.workspace import Site, site

IDS = [f"A{number}" for number in range(1, 25)]
TABLE = """# Shop

| id | title | status | depends_on | priority |
|----|-------|--------|------------|----------|
"""
ROWS = "".join(f"| {id} | Title of {id} | not-started | — | 5 |\n" for id in IDS)
TEXT = TABLE + ROWS

Do = Callable[[Site], None]


@dataclass(frozen=True)
class Case:
    """One guard.

    ``trip`` brings about what it guards against, ``mend`` takes the cause away by an edit; ``accepted`` and
    ``rejected`` assert what is there afterwards.  ``subjects`` are the ids that are held, ``clashes`` the
    fields in which rejecting undoes a value.
    """

    guard: str
    trip: Do
    mend: Do
    accepted: Do
    rejected: Do
    subjects: frozenset[str]
    reason: str
    clashes: frozenset[tuple[str, str]] = frozenset()
    may_pass: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


def live(here: Site) -> list[str]:
    """Return the ids of the store's live cards."""
    return [row[0] for row in here.sql("select id from backlog where deleted_at is null and archived_at is null")]


def without(here: Site, *ids: str) -> None:
    """Take rows out of the file."""
    lines = here.text.splitlines(keepends=True)
    here.write("".join(line for line in lines if not line.startswith(tuple(f"| {id} |" for id in ids))))


def all_are_back(here: Site) -> None:
    assert set(live(here)) == set(IDS)
    rows = [re.findall(r"\| (A\d+) .*Title of (A\d+) ", line) for line in here.text.splitlines()]
    assert {row[0] for row in rows if row} == {(id, id) for id in IDS}


def gone(*ids: str) -> Do:
    """Return an assertion that these cards, and no others, are gone from both sides."""

    def check(here: Site) -> None:
        assert set(live(here)) == set(IDS) - set(ids)
        assert not any(f"| {id} |" in here.text for id in ids)

    return check


def restored(here: Site) -> None:
    here.write(TEXT)


def trip_time_travel(here: Site) -> None:
    """Let two cards be edited, and the file then be what it was before."""
    here.write(TEXT.replace("Title of A1 |", "Second |").replace("Title of A2 |", "Second |"))
    here.sync()
    here.write(TEXT)


def mend_time_travel(here: Site) -> None:
    here.write(TEXT.replace("Title of A1 |", "Second |").replace("Title of A2 |", "Second |"))


def titles(here: Site, *wanted: str) -> None:
    assert [here.column("title", id) for id in ("A1", "A2")] == list(wanted)
    assert all(f"| {id} | {title} |" in here.text for id, title in zip(("A1", "A2"), wanted, strict=True))


def trip_rewound(here: Site) -> None:
    """Put the store into another history, in which a card never was and another one is older."""
    here.sql("update backlog_meta set value = 'another' where project = '*' and key = 'epoch'")
    here.sql("delete from backlog where id = 'A1'")
    here.sql("update backlog set title = 'Of yesterday' where id = 'A2'")


def mend_rewound(here: Site) -> None:
    """Let the store be what it was: the file's values are back in it."""
    here.sql("insert into backlog (id, title, priority, phase) values ('A1', 'Title of A1', 5, 'Shop')")
    here.sql("update backlog set title = 'Title of A2' where id = 'A2'")


def offered_again(here: Site) -> None:
    all_are_back(here)
    assert here.column("title", "A2") == "Title of A2"


def gone_with_the_store(here: Site) -> None:
    assert "A1" not in live(here)
    assert "| A2 | Of yesterday |" in here.text


def priorities(here: Site, wanted: int) -> None:
    assert here.sql("select distinct priority from backlog") == [(wanted,)]
    assert here.text.count(f"| {wanted} |\n") == len(IDS)


def marked(here: Site) -> None:
    """Leave a merge marker, with an edit beside it."""
    row = "| A2 | Title of A2 | not-started | — | 5 |\n"
    here.write(TEXT.replace("Title of A1 |", "New |") + f"<<<<<<< ours\n{row}=======\n{row}>>>>>>> theirs\n")


def edited_title(here: Site, wanted: str) -> None:
    assert here.column("title", "A1") == wanted
    assert f"| A1 | {wanted} |" in here.text


def circle(here: Site) -> None:
    """Let the file close a circle that the store has half of."""
    here.sql("update backlog set depends_on = '[\"A1\"]' where id = 'A2'")
    here.sync()
    here.edit("| A1 | Title of A1 | not-started | — |", "| A1 | Title of A1 | not-started | A2 |")


def depends(here: Site, wanted: list[str]) -> None:
    assert here.column("depends_on", "A1") == wanted
    assert f"| not-started | {', '.join(wanted) or '—'} | 5 |" in here.text.splitlines()[4]


FIVE = ("A2", "A3", "A4", "A5", "A6")
CASES = [
    Case(
        "deletions",
        trip=lambda here: without(here, *FIVE),
        mend=restored,
        accepted=gone(*FIVE),
        rejected=all_are_back,
        subjects=frozenset(FIVE),
        reason="5 of the 24 cards of TASKS.md went at once (rows are gone); 4 may go without asking",
    ),
    Case(
        "emptied",
        trip=lambda here: here.write("# Shop\n"),
        mend=restored,
        accepted=gone(*IDS),
        rejected=all_are_back,
        subjects=frozenset({"TASKS.md"}),
        reason="TASKS.md had 24 cards and has none",
    ),
    Case(
        "time-travel",
        trip=trip_time_travel,
        mend=mend_time_travel,
        accepted=lambda here: titles(here, "Title of A1", "Title of A2"),
        rejected=lambda here: titles(here, "Second", "Second"),
        subjects=frozenset({"A1", "A2"}),
        reason="TASKS.md went back to an older version, which would revert title of A1",
        clashes=frozenset({("A1", "title"), ("A2", "title")}),
    ),
    Case(
        "markers",
        trip=marked,
        mend=lambda here: here.write(TEXT.replace("Title of A1 |", "Newer |")),
        accepted=lambda here: edited_title(here, "New"),
        rejected=lambda here: edited_title(here, "Title of A1"),
        subjects=frozenset({"TASKS.md"}),
        reason="TASKS.md has a merge marker in line 29",
        clashes=frozenset({("A1", "title")}),
    ),
    Case(
        "everything-changed",
        trip=lambda here: here.write(TEXT.replace("| 5 |\n", "| 7 |\n")),
        mend=restored,
        accepted=lambda here: priorities(here, 7),
        rejected=lambda here: priorities(here, 5),
        subjects=frozenset({"TASKS.md"}),
        reason="one change gives 24 of the 24 cards of TASKS.md another priority",
        clashes=frozenset((id, "priority") for id in IDS),
    ),
    Case(
        "store-rewound",
        trip=trip_rewound,
        mend=mend_rewound,
        accepted=offered_again,
        rejected=gone_with_the_store,
        subjects=frozenset({"store"}),
        reason="the store went back in time",
        clashes=frozenset({("A1", "*"), ("A2", "title")}),
    ),
    Case(
        "removed",
        trip=lambda here: without(here, "A3"),
        mend=restored,
        accepted=gone("A3"),
        rejected=all_are_back,
        subjects=frozenset({"A3"}),
        reason="the row of A3 is gone from TASKS.md, and on_removed is hold",
        settings={"on_removed": "hold"},
    ),
    Case(
        "cycle",
        trip=circle,
        mend=lambda here: here.edit("| not-started | A2 |", "| not-started | A3 |"),
        accepted=lambda here: None,
        rejected=lambda here: depends(here, []),
        subjects=frozenset({"A1"}),
        reason="a circle of dependencies: A1 → A2 → A1",
        clashes=frozenset({("A1", "dependsOn")}),
        may_pass=False,
    ),
]


@pytest.fixture(params=CASES, ids=[case.guard for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    """Each guard in turn."""
    found: Case = request.param
    return found


@pytest.fixture
def held(tmp_path: Path, postgres_dsn: str, case: Case) -> Iterator[Site]:
    """A workspace in which the guard has tripped."""
    with site(tmp_path / "shop", postgres_dsn, TEXT, **case.settings) as made:
        made.sync()
        case.trip(made)
        assert {(hold.id, hold.guard) for hold in made.sync().held} == {(id, case.guard) for id in case.subjects}
        yield made


def held_in(here: Site) -> set[str]:
    """Return what is held, as a command that runs now sees it."""
    return {hold.id for hold in Workspace(here.wiring).held()}


def test_a_hold_is_seen_with_its_reason_and_its_way_out(held: Site, case: Case) -> None:
    """status and held show each hold with its reason and the command that ends it, and nothing moves meanwhile."""
    rows = held.sql("select id, version from backlog order by id")
    text = held.text
    workspace = Workspace(held.wiring)
    report = workspace.status()
    assert not report.in_sync
    found = {each["id"]: each for each in report.held}
    assert found.keys() == case.subjects
    assert any(case.reason in each["reason"] for each in found.values())
    verb = "accept" if case.may_pass else "reject"
    assert all(each["release"] == f"syncd {verb} {id}" for id, each in found.items())
    held.sync()
    assert held.sql("select id, version from backlog order by id") == rows
    assert held.text == text


def test_a_hold_survives_a_restart(held: Site, case: Case) -> None:
    """What is held is held by the next process, too."""
    before = {hold.fingerprint for hold in held.sync().held}
    held.restart()
    assert {hold.fingerprint for hold in held.sync().held} == before


def test_an_accepted_hold_goes_through(held: Site, case: Case) -> None:
    """accept lets through what was held, once; what cannot pass is refused, and stays held."""
    with nullcontext() if case.may_pass else pytest.raises(Refused):
        Workspace(held.wiring).accept()
    held.sync()
    case.accepted(held)
    if not case.may_pass:
        assert held_in(held) == case.subjects
    else:
        assert held_in(held) == set()
        assert held.sync().to_store == held.sync().to_file == ()


def test_a_rejected_hold_is_undone(held: Site, case: Case) -> None:
    """reject gives the file what the store says, and keeps each value that this takes back as a conflict."""
    Workspace(held.wiring).reject(sorted(case.subjects))
    held.sync()
    case.rejected(held)
    conflicts = {(each.conflict.id, each.conflict.field) for each in held.wiring.store().conflicts()}
    assert conflicts == case.clashes
    assert held_in(held) == set()


def test_an_edit_that_removes_the_cause_ends_the_hold(held: Site, case: Case) -> None:
    """Nothing has to be accepted or rejected where the cause is gone, and decisions about it are no more."""
    case.mend(held)
    held.restart()
    held.sync()
    if case.guard == "store-rewound":
        Workspace(held.wiring).accept()
        held.sync()
    assert held_in(held) == set()
    assert held.wiring.state().decisions() == {}
    with pytest.raises(NotFound, match="nothing is held"):
        Workspace(held.wiring).accept(["A1"])


def test_other_cards_go_on(held: Site, case: Case) -> None:
    """What is held stops nothing else: a card of the store that has nothing to do with it is claimed and completed."""
    store = held.wiring.store()
    (card,) = store.claim("w1", 60, id="A24")
    assert store.complete(card.id, owner="w1").status is Status.DONE
    held.sync()
    assert held_in(held) == case.subjects
    if not case.subjects & {"TASKS.md", "store"}:
        assert "| A24 | Title of A24 | done |" in held.text


def test_markers_hold_before_the_file_has_settled(tmp_path: Path, postgres_dsn: str) -> None:
    """A file in which rows vanished with the markers waits for the rows, and nothing else of it goes on meanwhile."""
    with site(tmp_path / "shop", postgres_dsn, TEXT) as here:
        here.sync()
        here.write(TEXT.replace("Title of A1 |", "New |") + "<<<<<<< ours\n=======\n>>>>>>> theirs\n")
        without(here, "A3")
        here.cycle.run()
        assert here.column("title", "A1") == "Title of A1"
        assert {hold.guard for hold in here.sync().held} == {"markers"}
        assert here.column("title", "A1") == "Title of A1"
        assert "A3" in live(here)
