"""Laws of reading and writing task files, over texts made from the pieces that real ones have."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.parsers.document import AssignId, Document, Edit, InsertCard, ParseOptions, RemoveCard, SetField
from syncd.parsers.render import apply, can_show, id_habit, render
from syncd.parsers.source import Source
from syncd.parsers.tasks_md import parse
from tests.fuzz import laws
from tests.fuzz.grammar import LINES, SCRAPS, TEXTS, VALUES


class Drawn:
    """Choices that Hypothesis makes, and takes back to find the smallest."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def number(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        return self._data.draw(st.integers(low, high))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A task file: a fixture or a shuffle of lines, bruised in a few places."""
    if draw(st.booleans()):
        text = draw(st.sampled_from(TEXTS))
    else:
        text = "\n".join(draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=12)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        if draw(st.booleans()):
            text = text[:at] + draw(st.sampled_from(SCRAPS)) + text[at:]
        else:
            text = text[:at] + text[at + draw(st.integers(1, 30)) :]
    return text.replace("\n", draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])))


@st.composite
def changes(draw: st.DrawFn, document: Document) -> SetField:
    """A change of one card's field."""
    field = draw(st.sampled_from(sorted(VALUES)))
    key = draw(st.integers(0, len(document.cards) - 1))
    return SetField(key, field, draw(st.sampled_from(VALUES[field])))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_are_written_unchanged(source: bytes) -> None:
    """Bytes of any kind are read without an error and written unchanged; what is unreadable has one problem."""
    document = parse(source)
    assert render(document) == source == apply(document, [])
    if not document.readable:
        assert len(document.problems) == 1
        assert not document.cards


@settings(deadline=None, max_examples=200)
@given(texts())
def test_task_files_are_written_unchanged(text: str) -> None:
    """A task file is written unchanged, its cards have distinct ids, and keys are places in the list."""
    source = text.encode()
    document = parse(source, options=ParseOptions(namespace="ns"))
    assert render(document) == source
    ids = [card.id for card in document.cards if card.id is not None]
    assert len(ids) == len(set(ids))
    assert [card.key for card in document.cards] == list(range(len(document.cards)))
    assert all(document.card_by_id(id) is not None for id in ids)
    assert parse(source, options=ParseOptions(namespace="ns")).cards == document.cards


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_what_can_be_shown_is_read_back(data: st.DataObject) -> None:
    """A value that a place can show is read back after the edit, and one that it cannot changes no byte."""
    document = parse(data.draw(texts()).encode())
    if not document.cards:
        return
    change = data.draw(changes(document))
    card = document.cards[change.key]
    result = apply(document, [change])
    if not can_show(document, change.key, change.field, change.value):
        assert result == document.source
        return
    if card.id is None or (change.field not in card.fields and change.field != "status"):
        return
    after = parse(result).card_by_id(card.id)
    assert after is not None
    assert after.fields[change.field] == change.value
    assert len(parse(result).cards) == len(document.cards)


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_a_change_touches_its_own_lines(data: st.DataObject) -> None:
    """A change of a status leaves every line as it was but one, where a mark or a cell says the status."""
    document = parse(data.draw(texts()).encode())
    if not document.cards:
        return
    key = data.draw(st.integers(0, len(document.cards) - 1))
    if document.homes[key][0].section_for(document.homes[key][1], {"status": "done"}) is not None:
        return
    result = parse(apply(document, [SetField(key, "status", "done")]))
    before, after = list(document.text.lines), list(result.text.lines)
    while before and after and before[0] == after[0]:
        del before[0], after[0]
    while before and after and before[-1] == after[-1]:
        del before[-1], after[-1]
    assert len(after) <= 1
    # A value in front matter may have stood on several lines, which become one.
    assert len(before) <= 1 or document.is_single


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_edits_together_never_fail(data: st.DataObject) -> None:
    """Any edits at once give a text again, and with none of them that removes, no card is lost."""
    document = parse(data.draw(texts()).encode())
    if not document.cards:
        return
    keys = st.integers(0, len(document.cards) - 1)
    one: st.SearchStrategy[Edit] = st.one_of(
        changes(document),
        st.builds(AssignId, keys, st.sampled_from(["W-1", "w2", "77", "abc"])),
        st.builds(RemoveCard, keys),
        st.builds(InsertCard, st.sampled_from(["N1", "N2"]), st.just({"title": "new", "dependsOn": ("A1",)})),
    )
    edits = data.draw(st.lists(one, max_size=6))
    after = parse(apply(document, edits))
    assert after.readable
    assert id_habit(document, 0)


@settings(deadline=None, max_examples=150)
@given(texts())
def test_rows_are_named(text: str) -> None:
    """A nameless row that gets an id has it when it is read again, with the same title."""
    document = parse(text.encode())
    nameless = [card for card in document.cards if card.id is None]
    if not nameless or "<!--" in text:
        return
    after = parse(apply(document, [AssignId(nameless[0].key, "QQ-901")])).card_by_id("QQ-901")
    assert after is not None
    assert after.fields.get("title") == nameless[0].fields.get("title")


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_reading_again_is_reading(data: st.DataObject) -> None:
    """A file that is read with the document before it at hand gives what reading it alone gives."""
    before = data.draw(st.sampled_from([text for text in TEXTS if "\n|" in text]))
    lines = before.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        n = data.draw(st.integers(0, len(lines) - 1))
        line = lines[n]
        at = data.draw(st.integers(0, len(line)))
        scrap = data.draw(st.sampled_from(["done", "x", " | ", "|", "M2", "HB-01", "\n", "high", "—", "\\", *SCRAPS]))
        lines[n] = line[:at] + scrap + line[at + data.draw(st.integers(0, 6)) :]
    source = "\n".join(lines).encode()
    known = parse(before.encode())
    again, alone = parse(source, previous=known), parse(source)
    assert (again.cards, again.problems, again.blocks) == (alone.cards, alone.problems, alone.blocks)
    assert (again.source, again.has_markers, again.front) == (alone.source, alone.has_markers, alone.front)
    for card in alone.cards[:4]:
        for state in ("claimed", "done"):
            edits = [SetField(card.key, "status", state), InsertCard("N1", {"title": "n", "status": state})]
            assert apply(again, edits) == apply(alone, edits)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_every_law_of_the_fuzzer(data: st.DataObject) -> None:
    """What `make fuzz` asks for an hour holds for the same few files of its grammar in every run."""
    laws.everything(Drawn(data))


@settings(deadline=None, max_examples=300)
@given(st.text("ab\n|é"), st.text("ab\n|é", max_size=3), st.integers(0, 40), st.integers(0, 3))
def test_edited_sources_are_sources(text: str, scrap: str, at: int, gone: int) -> None:
    """The lines of an edited text are those of the text, and lines outside the window are the same."""
    after = text[:at] + scrap + text[at + gone :]
    before, whole = Source(text), Source(after)
    if (edited := before.edited(after)) is None:
        return
    source, first, end, end_after = edited
    assert (source.text, source.lines, source.starts) == (whole.text, whole.lines, whole.starts)
    assert before.lines[:first] == whole.lines[:first]
    assert before.lines[end:] == whole.lines[end_after:]


CHECKLIST = "# P\n\n- [ ] T1 one (depends: T2)\n  - **Owner**: bo\n- [~] T2 two @al\n  - [x] T3 three\n\ntext\n"


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 7), st.integers(0, 40), st.sampled_from([*SCRAPS, "x", "[x]", "T2"]), st.integers(0, 4))
def test_reading_a_list_again_is_reading(number: int, at: int, scrap: str, gone: int) -> None:
    """A checklist that is read with the document before it at hand gives what reading it alone gives."""
    lines = CHECKLIST.split("\n")
    lines[number] = lines[number][:at] + scrap + lines[number][at + gone :]
    laws.again_is_alone(parse(CHECKLIST.encode()), "\n".join(lines).encode())


def test_one_row_is_read_alone() -> None:
    """Where one row or item of many changed, the others are the very cards of the document before."""
    rows = "".join(f"| A-{n} | todo | Title {n} |\n" for n in range(50))
    items = "".join(f"- [ ] B-{n} Title {n}\n" for n in range(50))
    text = f"| id | status | title |\n|---|---|---|\n{rows}\n{items}"
    before = parse(text.encode())
    for old, new in (("| A-7 | todo |", "| A-7 | done |"), ("[ ] B-9 T", "[x] B-9 Another t")):
        after = parse(text.replace(old, new).encode(), previous=before)
        same = [card is other for card, other in zip(before.cards, after.cards, strict=True)]
        assert same.count(False) == 1
