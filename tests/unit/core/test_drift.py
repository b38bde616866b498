"""The drift report."""

from __future__ import annotations

from syncd.core.drift import Direction, DriftEntry, drift
from syncd.core.guard import guard
from syncd.core.plan import BaseCard, LocalCard, Plan, Policy, RemoteCard
from syncd.core.reconcile import reconcile
from syncd.core.sight import FileSight, Sight, Thresholds
from syncd.schemas.card import Value

PATH = "TASKS.md"


def fields(**values: Value) -> dict[str, Value]:
    """The fields of a plain card."""
    return {"title": "Task", "status": "ready", **values}


def report(
    base: dict[str, BaseCard],
    local: dict[str, LocalCard],
    remote: dict[str, RemoteCard],
    *,
    policy: Policy | None = None,
    marker_line: int | None = None,
) -> tuple[DriftEntry, ...]:
    """Reconcile, guard and report."""
    plan = reconcile(base, local, remote, policy or Policy())
    sight = Sight(base, local, remote, {PATH: FileSight(PATH, marker_line=marker_line)})
    guarded = guard(plan, sight, Thresholds(), {})
    return drift(base, local, remote, guarded.planned, guarded.holds)


def one(here: dict[str, Value], there: dict[str, Value], **options: object) -> list[tuple[str | None, str]]:
    """Report one card that was agreed as plain: the fields and their directions."""
    entries = report(
        {"A1": BaseCard("A1", fields(), 1, PATH)},
        {"A1": LocalCard("A1", here, PATH, 7)},
        {"A1": RemoteCard("A1", there, 2, path=PATH)},
        **options,  # type: ignore[arg-type]
    )
    return [(entry.field, entry.direction) for entry in entries]


def test_nothing_differs_when_in_sync() -> None:
    """A workspace in sync has no entry, also when the base still has to take that in."""
    assert one(fields(), fields()) == []
    assert one(fields(title="Same"), fields(title="Same")) == []


def test_each_difference_has_its_direction() -> None:
    """What the file changed goes to the store, what the store changed goes to the file, field by field."""
    assert one(fields(status="done"), fields(title="Other")) == [
        ("status", Direction.TO_STORE),
        ("title", Direction.TO_FILE),
    ]


def test_an_entry_shows_all_three_values_and_its_place() -> None:
    """An entry has what was agreed, what each side says, and the line in the file."""
    (entry,) = report(
        {"A1": BaseCard("A1", fields(), 1, PATH)},
        {"A1": LocalCard("A1", fields(status="done"), PATH, 7)},
        {"A1": RemoteCard("A1", fields(), 1, path=PATH)},
    )
    assert entry == DriftEntry("A1", "status", "ready", "done", "ready", Direction.TO_STORE, PATH, 7)


def test_a_clash_is_a_conflict_whoever_wins() -> None:
    """A field that both sides changed differently is a conflict, or held where the policy is to ask."""
    assert one(fields(title="H"), fields(title="T")) == [("title", Direction.CONFLICT)]
    ask = Policy(winners={"title": "ask"})
    assert one(fields(title="H"), fields(title="T"), policy=ask) == [("title", Direction.HELD)]


def test_what_a_guard_keeps_back_is_held() -> None:
    """Differences under a hold, on the card or its file, say so."""
    assert one(fields(title="H"), fields(), marker_line=3) == [("title", Direction.HELD)]


def test_a_card_on_one_side_only_has_no_field() -> None:
    """Cards that come or go are one entry each; one that no file has yet has no line."""
    entries = report(
        {"A1": BaseCard("A1", fields(), 1, PATH)},
        {"A2": LocalCard("A2", fields(), PATH, 3)},
        {"A1": RemoteCard("A1", fields(), 1, path=PATH), "A3": RemoteCard("A3", fields(), 1, path=PATH)},
    )
    assert [(each.id, each.field, each.direction, each.path, each.line) for each in entries] == [
        ("A2", None, Direction.TO_STORE, PATH, 3),
        ("A1", None, Direction.TO_STORE, PATH, None),
        ("A3", None, Direction.TO_FILE, PATH, None),
    ]


def test_a_moved_row_is_no_difference() -> None:
    """A row in another file than before says the same."""
    entries = report(
        {"A1": BaseCard("A1", fields(), 1, "old.md")},
        {"A1": LocalCard("A1", fields(), PATH)},
        {"A1": RemoteCard("A1", fields(), 1, path="old.md")},
    )
    assert entries == ()


def test_an_empty_plan_has_no_drift() -> None:
    """The report is the plan read aloud."""
    assert drift({}, {}, {}, Plan(), ()) == ()
