"""What every store tells of the past, whatever it keeps its cards in."""

from __future__ import annotations

from datetime import UTC

from syncd.core.history import ARCHIVED_AT, DELETED_AT, Deed, HistoryEntry, fields_of, is_live, record_at
from syncd.core.plan import Change, ChangeKind
from syncd.ports import Batch, NewCard
from tests.contract.conftest import World


def told(entry: HistoryEntry) -> dict[str, tuple[object, object]]:
    """Return an entry's changes by field."""
    return {each.field: (each.before, each.after) for each in entry.changes}


def test_each_change_is_told_field_by_field(world: World) -> None:
    """The trail has an entry for each change, oldest first: what it did, from what to what, and the version it made."""
    store = world.store
    store.create(NewCard(id="A1", title="Draw", priority=3, extra={"branch": "x"}))
    store.update("A1", {"title": "Paint", "extra.branch": "y", "dependsOn": ("B1",)})
    store.update("A1", {"title": "Paint"})
    made, updated = store.history("A1").entries
    assert (made.op, made.id, made.version) == (Deed.CREATE, "A1", 1)
    assert told(made).items() >= {"title": (None, "Draw"), "priority": (None, 3), "extra.branch": (None, "x")}.items()
    assert (updated.op, updated.version, updated.at.tzinfo) == (Deed.UPDATE, 2, UTC)
    assert told(updated) == {
        "title": ("Draw", "Paint"),
        "extra.branch": ("x", "y"),
        "dependsOn": ([], ["B1"]),
    }
    assert made.actor
    assert made.face


def test_the_ways_of_a_card_have_names(world: World) -> None:
    """Archiving, removing, restoring and deleting outright are told as such."""
    store = world.store
    version = store.create(NewCard(id="A1", title="Draw")).version
    for number, kind in enumerate((ChangeKind.ARCHIVE, ChangeKind.RESTORE, ChangeKind.REMOVE, ChangeKind.RESTORE)):
        result = store.commit(Batch(f"c{number}", (Change(kind, "A1", {"status": "ready"}, version=version),), ()))
        version = result.cards["A1"].version
    world.delete_outright("A1")
    deeds = [entry.op for entry in store.history("A1").entries]
    assert deeds == [Deed.CREATE, Deed.ARCHIVE, Deed.RESTORE, Deed.REMOVE, Deed.RESTORE, Deed.DELETE]
    marks = [told(entry).keys() & {ARCHIVED_AT, DELETED_AT} for entry in store.history("A1").entries]
    assert marks[1:5] == [{ARCHIVED_AT}, {ARCHIVED_AT}, {DELETED_AT}, {DELETED_AT}]


def test_the_trail_is_of_one_project_or_one_card(world: World) -> None:
    """Another project's entries are not shown, and a limit gives the last ones, oldest first."""
    store = world.store
    for id in ("A1", "A2", "A3"):
        store.create(NewCard(id=id, title=id))
    world.open(project="another").create(NewCard(id="A1", title="not ours"))
    assert [entry.id for entry in store.history().entries] == ["A1", "A2", "A3"]
    assert [entry.id for entry in store.history(limit=2).entries] == ["A2", "A3"]
    assert [entry.id for entry in store.history("A2", limit=5).entries] == ["A2"]
    assert store.history("A9").entries == ()


def test_reading_on_leaves_nothing_out(world: World) -> None:
    """From the place of one answer the next one tells what was written since, hard deletes too."""
    store = world.store
    store.create(NewCard(id="A1", title="Draw"))
    page = store.history()
    store.update("A1", {"title": "Paint"})
    store.create(NewCard(id="A2", title="Write"))
    world.delete_outright("A2")
    known = {entry.seq for entry in page.entries}
    fresh = [entry for entry in store.history(since=page.place).entries if entry.seq not in known]
    assert [(entry.id, entry.op) for entry in fresh] == [
        ("A1", Deed.UPDATE),
        ("A2", Deed.CREATE),
        ("A2", Deed.DELETE),
    ]
    assert [entry.id for entry in store.history("A1", since=page.place).entries if entry.seq not in known] == ["A1"]


def test_a_card_is_known_as_it_was(world: World) -> None:
    """What a card said at any of its versions can be told from the trail."""
    store = world.store
    store.create(NewCard(id="A1", title="Draw", priority=3, extra={"branch": "x"}))
    store.update("A1", {"title": "Paint", "extra.branch": None})
    store.update("A1", {"body": "Slowly", "priority": 1})
    removed = store.remove("A1")
    entries = store.history("A1").entries
    assert fields_of(record_at(entries, 1)).items() >= {"title": "Draw", "priority": 3, "extra.branch": "x"}.items()
    second = fields_of(record_at(entries, 2))
    assert (second["title"], second["body"], second["priority"], second["extra.branch"]) == ("Paint", None, 3, None)
    assert is_live(entries, 3)
    assert not is_live(entries, removed.version)
