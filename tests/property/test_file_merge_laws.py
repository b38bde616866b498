"""Laws of merging three versions of a task file."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from syncd.engine.displaced import fold
from syncd.engine.file_merge import FileMerge, marked, merge_files
from syncd.parsers.document import ParseOptions
from syncd.parsers.tasks_md import parse

PATH = "TASKS.md"
OPTIONS = ParseOptions()
HEAD = "# Shop\n\nWords.\n\n| id | title | status | depends_on | priority | notes |\n|---|---|---|---|---|---|\n"
FIELDS = ("title", "status", "depends_on", "priority", "notes")
WORDS = {
    "title": ("Draw", "Paint", "Write it", "Ship"),
    "status": ("todo", "doing", "done", "blocked"),
    "depends_on": ("", "X1", "X1, X2", "X2, X3"),
    "priority": ("", "1", "2", "5"),
    "notes": ("", "soon", "later", "see `a|b`".replace("|", "\\|")),
}


@dataclass(frozen=True)
class Row:
    """A row as an author writes it."""

    id: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return "| " + " | ".join((self.id, *self.cells)) + " |\n"


Edit = tuple[str, int, str]
"""A card, a column, and what is written into it."""


@dataclass(frozen=True)
class Side:
    """What one side does to a table: edits, rows taken out, rows added at the end, words behind the table."""

    edits: tuple[Edit, ...] = ()
    gone: frozenset[str] = frozenset()
    added: tuple[Row, ...] = ()
    after: str = "\nThe end.\n"
    is_open: bool = False

    def text(self, rows: tuple[Row, ...]) -> bytes:
        """Return the file as this side leaves it."""
        made = {row.id: row for row in rows if row.id not in self.gone}
        for id, column, value in self.edits:
            if id in made:
                cells = list(made[id].cells)
                cells[column] = value
                made[id] = replace(made[id], cells=tuple(cells))
        text = HEAD + "".join(map(str, (*made.values(), *self.added))) + self.after
        return (text.rstrip("\n") if self.is_open else text).encode()


cells = st.tuples(*(st.sampled_from(WORDS[name]) for name in FIELDS))
tables = st.lists(cells, min_size=1, max_size=5).map(
    lambda found: tuple(Row(f"A{at}", each) for at, each in enumerate(found, 1))
)
edits = st.integers(0, len(FIELDS) - 1).flatmap(
    lambda column: st.tuples(
        st.integers(1, 5).map("A{}".format), st.just(column), st.sampled_from(WORDS[FIELDS[column]])
    )
)


def sides(prefix: str) -> st.SearchStrategy[Side]:
    """Return what a side may do; its new rows have ids of its own."""
    return st.builds(
        Side,
        edits=st.lists(edits, max_size=4).map(tuple),
        gone=st.frozensets(st.integers(1, 5).map("A{}".format), max_size=2),
        added=st.lists(cells, max_size=2).map(
            lambda found: tuple(Row(f"{prefix}{at}", each) for at, each in enumerate(found, 1))
        ),
        after=st.sampled_from(("\nThe end.\n", "\nThe very end.\n", "\nThe end.\n\nMore.\n", "")),
        is_open=st.booleans(),
    )


def merge(base: bytes, local: bytes, remote: bytes) -> FileMerge:
    """Merge as git's driver does."""
    return merge_files(base, local, remote, path=PATH, options=OPTIONS)


def written(found: FileMerge) -> bytes:
    """Return the merged file."""
    return marked(found, marker_size=7, labels=("ours", "theirs"))


@given(tables, sides("B"))
def test_an_unchanged_side_gives_the_other_byte_for_byte(rows: tuple[Row, ...], side: Side) -> None:
    """Where one side did nothing, or both did the same, the result is the changed file itself (I7)."""
    base, changed = Side().text(rows), side.text(rows)
    for local, remote in ((base, changed), (changed, base), (changed, changed)):
        found = merge(base, local, remote)
        assert written(found) == changed
        assert not found.hunks


@given(tables, sides("B"), sides("C"))
def test_every_value_stays_or_is_told(rows: tuple[Row, ...], local: Side, remote: Side) -> None:
    """What a side wrote into a cell, and each row that it added, is in the merged file, or a rule decided it (I2)."""
    versions = [side.text(rows) for side in (Side(), local, remote)]
    found = merge(*versions)
    text = written(found).decode()
    merged = parse(text.encode(), path=PATH, options=OPTIONS)
    was, here, there = (parse(each, path=PATH, options=OPTIONS) for each in versions)
    decided = {(each.id, each.field) for each in found.conflicts}
    for mine, other in ((here, there), (there, here)):
        for card in mine.cards:
            assert card.id is not None
            before, after, across = was.card_by_id(card.id), merged.card_by_id(card.id), other.card_by_id(card.id)
            if before is not None and before.fields == card.fields:
                continue
            if found.hunks and (after is None or f"| {card.id} |" not in text):
                continue
            assert after is not None, (card.id, text)
            if before is None or across is None:
                continue
            for name, value in card.fields.items():
                is_lists = name == "dependsOn" and across.fields[name] != before.fields[name]
                if value != before.fields.get(name) and (card.id, name) not in decided and not is_lists:
                    if name == "extra.statusWord" or found.hunks:
                        continue
                    assert after.fields[name] == value, (card.id, name, text)


@given(tables, sides("B"), sides("C"))
def test_swapping_the_sides_swaps_the_hunks(rows: tuple[Row, ...], local: Side, remote: Side) -> None:
    """Who is local and who remote decides no clash (I10)."""
    base, one, other = (side.text(rows) for side in (Side(), local, remote))
    there, back = merge(base, one, other), merge(base, other, one)
    assert len(there.hunks) == len(back.hunks)
    assert {(each.id, each.field) for each in there.conflicts} == {(each.id, each.field) for each in back.conflicts}


@given(tables, st.lists(edits, max_size=8), st.data())
def test_different_fields_never_clash(rows: tuple[Row, ...], made: list[Edit], data: st.DataObject) -> None:
    """Edits of different cells on different sides are all in the result, however they share lines (I11)."""
    cells_of = {(id, column): value for id, column, value in made}
    mine = data.draw(st.sets(st.sampled_from(sorted(cells_of)))) if cells_of else set()
    local = Side(edits=tuple((*at, value) for at, value in cells_of.items() if at in mine))
    remote = Side(edits=tuple((*at, value) for at, value in cells_of.items() if at not in mine))
    both = Side(edits=tuple((*at, value) for at, value in cells_of.items()))
    found = merge(Side().text(rows), local.text(rows), remote.text(rows))
    assert not found.hunks
    merged, wanted = (parse(each, path=PATH, options=OPTIONS) for each in (written(found), both.text(rows)))
    assert [card.id for card in merged.cards] == [card.id for card in wanted.cards]
    for card, like in zip(merged.cards, wanted.cards, strict=True):
        assert {name: card.fields[name] for name in like.fields} == like.fields


@given(tables, sides("B"), sides("C"))
def test_a_displaced_edit_is_in_the_file_or_in_a_conflict(rows: tuple[Row, ...], local: Side, remote: Side) -> None:
    """Folding an edit into the file as it is now loses no card, and no value without a conflict (I2)."""
    base, meant, now = (side.text(rows) for side in (Side(), local, remote))
    folded = fold(base, meant, now, path=PATH, options=OPTIONS)
    was, here, there, done = (parse(each, path=PATH, options=OPTIONS) for each in (base, meant, now, folded.data))
    assert done.has_markers is None
    recorded = {(each.id, each.field) for each in folded.conflicts}
    for card in here.cards:
        assert card.id is not None
        before, after, current = was.card_by_id(card.id), done.card_by_id(card.id), there.card_by_id(card.id)
        if before is not None and card.fields == before.fields:
            continue
        assert after is not None, card.id
        if before is None or current is None:
            continue
        for name in ("title", "status", "priority", "extra.notes"):
            if card.fields[name] != before.fields[name] and (card.id, name) not in recorded:
                assert after.fields[name] == card.fields[name]
