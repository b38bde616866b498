"""Laws of reading and writing task files, over texts made from the pieces that real ones have."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.parsers.document import AssignId, Document, Edit, InsertCard, ParseOptions, RemoveCard, SetField
from syncd.parsers.render import apply, can_show, id_habit, render
from syncd.parsers.tasks_md import parse
from syncd.schemas.card import Value

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures" / "dialects").glob("*.md"))
TEXTS = [path.read_text("utf-8") for path in FIXTURES]
LINES = sorted({line for text in TEXTS for line in text.split("\n")})
SCRAPS = [
    *("\r", "\r\n", "\t", "|", "~~", "**", "`", "[ ]", "- [ ] ", "(depends: A", "🆔 x", "⛔ a,b", "<!--", "-->", "---"),
    *("\u2028", "\x0b", "\x85", "\ufeff", "#", "@x", "!3", "\\|", "\\", "| --- |", "```", "> ", "1. ", "[x]", "{{"),
    *("T001", "T001..T005", "❌", "✅", "blocked", "id: 1", "  - **ID**: q", ":", "é", "中", "<<<<<<< HEAD\n"),
]
VALUES: dict[str, list[Value]] = {
    "title": ["new title", "a|b", "-", "@foo", "!3 bar", "T5 baz", "~~s~~", "(depends: Z1)", "`a|b`", "\\", "done"],
    "status": ["ready", "claimed", "blocked", "done"],
    "priority": [0, 1, -1, 3, 100],
    "dependsOn": [(), ("A1",), ("A1", "B2"), ("x|y",)],
    "body": [None, "line", "a\n\nb", "- [ ] q", "# h", "```\nx", "<!-- x"],
    "phase": ["P1", "Beds", "Paths", "M1 Foundations"],
    "extra.owner": [None, "bob", "a b"],
    "acceptance": [(), ("a", "b"), ("a;b",)],
    "extra.notes": ["n|m", None],
    "extra.statusWord": [None, "needs-qa", "Complete", "weird"],
}


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


@settings(deadline=None, max_examples=300)
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
    for card in alone.cards:
        for state in ("ready", "claimed", "done"):
            edits = [SetField(card.key, "status", state), InsertCard("N1", {"title": "n", "status": state})]
            assert apply(again, edits) == apply(alone, edits)
