"""The base moves by what a write really did."""

from __future__ import annotations

from syncd.core.plan import Change, ChangeKind, LocalCard, Plan
from syncd.engine.base import outcome_of, shown
from syncd.engine.observe import LocalView
from syncd.ports import Batch, BatchResult, Refusal
from syncd.schemas.card import Value

PATH = "TASKS.md"


def view(**rows: dict[str, Value]) -> LocalView:
    local = {id: LocalCard(id, fields, PATH) for id, fields in rows.items()}
    return LocalView({}, {}, local, {}, (), (), frozenset())


def change(id: str, kind: ChangeKind = ChangeKind.UPDATE, path: str = PATH, **fields: Value) -> Change:
    return Change(kind, id, fields, path=path)


def test_what_moved_or_was_refused_keeps_its_base() -> None:
    """Of a batch only what the store took counts as done: a refused deletion forgets nothing."""
    changes = (
        change("A1", title="a"),
        change("A2", title="b"),
        change("A3", ChangeKind.REMOVE),
        change("A4", ChangeKind.ARCHIVE),
    )
    result = BatchResult({}, frozenset({"A2"}), {"A3": Refusal("bad-value", "no")})
    plan = Plan(to_store=changes, to_file=(change("A2", title="c"),), agreed=("A5",))
    outcome = outcome_of(view(A1={"title": "a"}), plan, Batch("c", changes, ()), result, {PATH})
    assert (outcome.touched, outcome.forgotten) == ({"A1", "A5"}, {"A4"})
    assert outcome.sent == {"A1": {"title": "a"}}


def test_what_was_not_written_keeps_its_base() -> None:
    """Of the files only what was really replaced counts: a row that is still there is not forgotten."""
    rows = (change("A1", title="a"), change("A2", ChangeKind.REMOVE), change("A3", ChangeKind.REMOVE, "more.md"))
    outcome = outcome_of(view(), Plan(to_file=rows), Batch("c", (), ()), BatchResult({}, frozenset(), {}), {"more.md"})
    assert (outcome.touched, outcome.forgotten) == (set(), {"A3"})


def test_only_what_the_row_shows_was_on_both_sides() -> None:
    """A merged list that goes to both sides is not agreed when the store has it: the row does not show it yet."""
    rows = view(A1={"title": "a", "dependsOn": ("X",)})
    sent = (change("A1", title="a", dependsOn=("X", "Y"), body="z"), change("B1", title="b"))
    assert shown(rows, sent) == {"A1": {"title": "a"}}
