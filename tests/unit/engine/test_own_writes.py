"""What syncd itself wrote last."""

from __future__ import annotations

from syncd.core.sight import OwnWrite
from syncd.engine.own_writes import OWN_WRITES_MAX, OwnWrites


def test_the_same_word_of_the_same_side_again_is_none() -> None:
    """A field's history has a write only where its value or its side differs from the last one."""
    writes = OwnWrites()
    one, two, three = (
        OwnWrite("A1", "title", side, value) for side, value in (("store", "a"), ("file", "a"), ("file", "b"))
    )
    for each in (one, one, two, two, OwnWrite("A2", "title", "file", "a"), three, two):
        writes.note(each)
    assert [each for each in writes if each.id == "A1"] == [one, two, three, two]


def test_the_oldest_writes_are_forgotten() -> None:
    """Beyond so many writes the oldest goes, and its field has no history any more."""
    writes = OwnWrites()
    first = OwnWrite("A1", "title", "store", "a")
    writes.note(first)
    for number in range(OWN_WRITES_MAX):
        writes.note(OwnWrite(f"B{number}", "title", "store", "a"))
    assert first not in writes
    writes.note(first)
    assert [*writes][-1] is first
    assert len([*writes]) == OWN_WRITES_MAX


def test_what_is_kept_still_has_its_history() -> None:
    """Of the writes that are kept the last of a field is still known."""
    writes = OwnWrites()
    kept, gone = OwnWrite("A1", "title", "store", "a"), OwnWrite("A2", "title", "store", "a")
    for each in (kept, gone):
        writes.note(each)
    writes.keep(lambda each: each.id == "A1")
    for each in (kept, gone):
        writes.note(each)
    assert [*writes] == [kept, gone]
    writes.clear()
    assert not [*writes]
