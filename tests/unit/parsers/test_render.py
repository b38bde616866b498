"""Documents as a whole: what is unreadable, where new cards go, how ids are made, what moves."""

from __future__ import annotations

import pytest

from syncd.parsers.document import PROBLEM_CODES, AssignId, InsertCard, ParseOptions, RemoveCard, SetField
from syncd.parsers.render import apply, can_show, id_habit, render, starter
from syncd.parsers.tasks_md import parse

TABLE = "| id | status | title | depends_on | priority |\n|---|---|---|---|---|\n"


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        (b"| id |\n\xff\n", "not-utf8", 2),
        (b"a\nb\0c", "nul-byte", 2),
        ("| id |\n".encode("utf-16"), "nul-byte", 1),
        (b"x" * 101, "too-large", 1),
        (b"\xed\xa0\x80", "not-utf8", 1),
    ],
)
def test_unreadable_files(source: bytes, code: str, line: int) -> None:
    """Bytes that are no text, and too many of them, give one problem, no cards and no change."""
    document = parse(source, path="docs/T.md", options=ParseOptions(bytes_max=100))
    (problem,) = document.problems
    assert (problem.path, problem.code, problem.line, document.readable) == ("docs/T.md", code, line, False)
    assert render(document) == apply(document, [InsertCard("A1", {"title": "x"})]) == source


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\n", 2),
        ("```\n<<<<<<< HEAD\n```\n", None),
        ("Title\n=======\n", None),
        ("a <<<<<<< b\n", None),
        (">>>>>>> theirs\n", 1),
    ],
)
def test_merge_markers(text: str, line: int | None) -> None:
    """A marker that a merge left is seen, not the one in a code block nor an underlined heading."""
    assert parse(text.encode()).has_markers == line


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", TABLE),
        ("# T\n", "# T\n\n" + TABLE),
        ("# T", "# T\n\n" + TABLE),
        ("# T\n\n", "# T\n\n" + TABLE),
        ("# T\r\n", "# T\r\n\r\n" + TABLE.replace("\n", "\r\n")),
    ],
)
def test_a_file_without_a_place_gets_a_table(text: str, result: str) -> None:
    """In a file without tasks a new card stands in a new table behind a blank line."""
    line_end = "\r\n" if "\r\n" in text else "\n"
    written = apply(parse(text.encode()), [InsertCard("A1", {"title": "a|b", "priority": 2, "dependsOn": ("B1",)})])
    assert written.decode() == result + f"| A1 | not-started | a\\|b | B1 | 2 |{line_end}"
    assert parse(written).cards[0].fields["title"] == "a|b"


def test_a_new_file() -> None:
    """A new file has a title, a table, and the cards that are given."""
    assert starter().decode() == "# Tasks\n\n" + TABLE
    document = parse(starter([InsertCard("A1", {"title": "a"}), InsertCard("A2", {"title": "b", "status": "done"})]))
    assert [(card.id, card.fields["status"]) for card in document.cards] == [("A1", "ready"), ("A2", "done")]


def test_a_form_gets_no_cards() -> None:
    """A template and a file that is one card take no further card."""
    for text in ("# {{Name}}\n\n- [ ] x\n", "---\nid: 1\ntitle: t\nstatus: todo\n---\n"):
        document = parse(text.encode())
        assert not document.can_insert
        assert apply(document, [InsertCard("A1", {"title": "a"})]) == text.encode()


@pytest.mark.parametrize(
    ("ids", "habit"),
    [
        (["T001", "T002", ""], ("T", 3, 2)),
        (["FED-M3-04", "FED-M3-11", "X-1", ""], ("FED-M3-", 2, 11)),
        (["1.1", "1.2", ""], ("1.", 1, 2)),
        (["abc", ""], ("", 0, 0)),
        (["A9", "A10", ""], ("A", 1, 10)),
    ],
)
def test_how_ids_are_made(ids: list[str], habit: tuple[str, int, int]) -> None:
    """The prefix that most ids of the table have, the width of their numbers and the highest one make the next id."""
    rows = "".join(f"| {id} | todo | t{n} | | |\n" for n, id in enumerate(ids))
    document = parse((TABLE + rows).encode())
    assert id_habit(document, len(ids) - 1) == habit


def test_a_row_moves_with_its_phase() -> None:
    """A phase that is another heading moves the row under it, with all else that changes."""
    text = f"# A\n\n{TABLE}| A1 | todo | a | | |\n| | todo | b | | |\n\n# B\n\n{TABLE}| B1 | todo | c | | |\n"
    document = parse(text.encode())
    edits = [SetField(1, "phase", "B"), SetField(1, "status", "done"), AssignId(1, "A2")]
    result = apply(document, edits).decode()
    assert result == text.replace("| | todo | b | | |\n", "") + "| A2 | done | b | | |\n"
    assert not can_show(document, 0, "phase", "C")
    assert can_show(document, 0, "phase", "A")


def test_a_removed_card_is_not_changed() -> None:
    """A card that is removed takes its other edits with it."""
    text = TABLE + "| A1 | todo | a | | |\n| A2 | todo | b | | |\n"
    result = apply(parse(text.encode()), [SetField(0, "status", "done"), RemoveCard(0)])
    assert result.decode() == TABLE + "| A2 | todo | b | | |\n"


def test_of_two_values_the_last_counts() -> None:
    """Two edits of one field write the last value."""
    text = TABLE + "| A1 | todo | a | | |\n"
    result = apply(parse(text.encode()), [SetField(0, "title", "x"), SetField(0, "title", "y")])
    assert b"| A1 | todo | y |" in result


def test_ids_that_cannot_be_are_not_written() -> None:
    """An id with a pipe or white space is never written."""
    text = TABLE + "| | todo | a | | |\n"
    document = parse(text.encode())
    assert apply(document, [AssignId(0, "a b"), InsertCard("x|y", {"title": "t"})]) == text.encode()


def test_every_problem_has_a_code_with_a_meaning() -> None:
    """Codes that the parser reports are in the table of codes."""
    text = TABLE + "| A1 | odd | a | A1 | soon |\n| A1 | todo |\n| a b | todo | c | | |\n| A2 | x | y | | | z |\n"
    codes = {problem.code for problem in parse(("---\na: [\n---\n" + text).encode()).problems}
    assert codes == PROBLEM_CODES.keys() - {"no-delimiter-row", "not-utf8", "nul-byte", "too-large"}


def test_blocks_say_what_they_were_taken_for() -> None:
    """Each block that could hold tasks says what it was taken for and why."""
    text = f"# T\n\n{TABLE}| A1 | todo | a | | |\n\n| a |\n|---|\n\n- [ ] x\n\n```\ncode\n```\n"
    taken = [(each.kind, each.line, each.cards) for each in parse(text.encode()).blocks]
    assert taken == [("heading", 1, 0), ("table", 3, 1), ("table", 7, 0), ("checklist", 10, 1), ("fence", 12, 0)]


def test_front_matter_that_cannot_be_read() -> None:
    """Broken YAML at the top is a problem; the rest of the file is read."""
    document = parse(f"---\ntitle: [\n---\n{TABLE}| A1 | todo | a | | |\n".encode())
    assert [problem.code for problem in document.problems] == ["bad-front-matter"]
    assert len(document.cards) == 1


def test_front_matter_settings() -> None:
    """The front matter's project, phase, prefix and words are values of the document."""
    text = (
        "---\nproject: p\nphase: ph\nprefix: X\nstatuses:\n  odd: done\n---\n| id | status |\n|---|---|\n| A1 | odd |\n"
    )
    document = parse(text.encode())
    assert (document.front.project, document.front.phase, document.front.prefix) == ("p", "ph", "X")
    assert document.front.statuses == {"odd": "done"}
    assert document.cards[0].fields["status"] == "done"
    assert document.cards[0].fields["phase"] == "ph"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_in_the_place_of_a_last_line_without_an_end(end: str) -> None:
    """Taking out the last row and adding others at once leaves no blank line between them."""
    lines = ["| id | title | status |", "|---|---|---|", "| A1 | one | done |", "| A2 | two | done |"]
    document = parse(end.join(lines).encode())
    added = [InsertCard(id, {"title": title, "status": "done"}) for id, title in (("A3", "three"), ("A4", "four"))]
    rows = [*lines[:3], "| A3 | three | done |", "| A4 | four | done |"]
    assert apply(document, [RemoveCard(1), *added]) == end.join(rows).encode()


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("| id | title | status |\n|---|---|---|\n| A1 | one | done |\n", "|  | two | not-started |\n"),
        ("- [ ] A1: one\n- [x] A2: two\n", "- [ ] two\n"),
        ("## A1: one\nstatus: done\n\n## A2: two\nstatus: done\n", ""),
    ],
)
def test_a_nameless_row(text: str, added: str) -> None:
    """A card without an id becomes a nameless row; a section without an id would be none, and is not made."""
    document = parse(text.encode())
    assert apply(document, [InsertCard("", {"title": "two", "status": "ready"})]).decode() == text + added


def test_a_blocked_card_leaves_a_board_a_board() -> None:
    """A state for which a board has no section is a mark, and makes no other card's section doubtful."""
    text = "## Todo\n\n- [ ] A1 one\n\n## Doing\n\n- [ ] A2 two\n- [ ] A3 three\n\n## Done\n\n- [x] A4 four\n"
    document = parse(text.encode())
    edits = [SetField(document.cards[n].key, "status", "blocked") for n in (0, 1)]
    after = parse(apply(document, edits))
    assert [card.fields["status"] for card in after.cards] == ["blocked", "blocked", "claimed", "done"]


def test_a_nameless_item_takes_no_numbers_away() -> None:
    """Items that count upwards keep their numbers as ids when somebody adds one without."""
    ids = [card.id for card in parse(b"- [ ] 1 Saw\n- [ ] 2 Plane\n- [ ] buy glue\n").cards]
    assert ids == ["1", "2", None]
    assert {card.id for card in parse(b"- [ ] 3 apples\n- [ ] 2 eggs\n- [ ] milk\n").cards} == {None}


def test_a_new_title_makes_no_other_cards_number_an_id() -> None:
    """Where two titles begin with the same number, it is none; a title that would make it one is not written."""
    document = parse(b"- [x] 1 Saw\n- [x] 1 Plane\n")
    assert [card.id for card in document.cards] == [None, None]
    assert apply(document, [SetField(1, "title", "Plane")]) == document.source
    document = parse(b"- [x] 3 Saw\n- [x] 3 Plane\n")
    assert apply(document, [SetField(1, "title", "Plane")]) == b"- [x] 3 Saw\n- [x] Plane\n"


def test_a_new_section_whose_id_cannot_stand_in_brackets_has_it_as_a_key() -> None:
    """``[N2]`` before a title is no id: a task whose kind has a key for the id too has it there, and its own title."""
    text = "# [T-002] Other\n\n  - **ID**: q7\n  - **Depends**: T3\n"
    result = apply(parse(text.encode()), [InsertCard("N2", {"title": "new"})]).decode()
    assert result == text + "\n# new\n\n  - **ID**: N2\n  - **Depends**:\n"
    assert [(card.id, card.fields["title"]) for card in parse(result.encode()).cards] == [
        ("T-002", "Other"),
        ("N2", "new"),
    ]


def test_a_new_section_whose_id_cannot_stand_in_brackets_has_it_in_a_comment() -> None:
    """``[N2]`` before a title is no id: where no other task has a key for it, it goes into a comment."""
    text = "# [T-002] Other\n\n- status: todo\n"
    result = apply(parse(text.encode()), [InsertCard("N2", {"title": "new"})]).decode()
    assert result == text + "\n# new <!-- id: N2 -->\n\n- status: todo\n"
    assert [(card.id, card.fields["title"]) for card in parse(result.encode()).cards] == [
        ("T-002", "Other"),
        ("N2", "new"),
    ]


def test_an_id_as_a_key_makes_an_item_a_card_whatever_its_mark() -> None:
    """A nameless item with an unknown mark gets its id as a key, in a list where another has it so."""
    text = "- [1] Smith 2020\n- [ ] (task:web-001) [P1] [codex] Build the page\n  - **ID**: publish\n"
    result = apply(parse(text.encode()), [AssignId(0, "Z-9")]).decode()
    assert result == text.replace("2020\n", "2020\n  - **ID**: Z-9\n")
    assert [card.id for card in parse(result.encode()).cards] == ["Z-9", "publish"]


@pytest.mark.parametrize(
    "text",
    [
        "## Todo\n\n- [ ] A1 one\n\n## Doing\n\n- [ ] A2 two\n\n## Ideas\n\n- [ ] A3 x\n\n## Notes\n\n- [ ] A4 y\n",
        "## Todo\n\n- [ ] A1 one\n- [ ] A3 x\n- [x] A4 y\n\n## Doing\n\n- [ ] A2 two\n\n## Done\n",
    ],
    ids=["a section is empty", "few are left beside one that was ticked off in its place"],
)
def test_a_board_stays_one_when_its_cards_move(text: str) -> None:
    """Where cards have gone says nothing of whether headings are states: A2 is claimed before and after."""
    document = parse(text.encode())
    state = "done" if "Done" in text else "claimed"
    result = parse(apply(document, [SetField(key, "status", state) for key in (0, 1)]))
    assert document.card_by_id("A2").fields["status"] == result.card_by_id("A2").fields["status"] == "claimed"
    assert result.card_by_id("A1").fields["status"] == state


@pytest.mark.parametrize(
    ("text", "id", "state", "line"),
    [
        (
            "## Doing\n\n- [/] A1 one\n\n## Done\n\n  id  |  status\n  ---  |  ---\n  B1  |  todo\n",
            *("A1", "done", "- [x] A1 one"),
        ),
        (
            "## Todo\n\n- [ ] A1 one\n  ```\n1. [x] A2 two\n  - [ ] A3 three\n\n## Doing\n",
            *("A2", "claimed", "1. [~] A2 two"),
        ),
    ],
    ids=["what stands behind would be its text", "another would be the code of what stands before"],
)
def test_a_card_that_cannot_move_is_marked_in_its_place(text: str, id: str, state: str, line: str) -> None:
    """Where the move of a card would change what other lines mean, it stays, and its mark says the state."""
    document = parse(text.encode())
    before = {card.id: card.fields["status"] for card in document.cards}
    result = apply(document, [SetField(document.card_by_id(id).key, "status", state)])
    assert [each for each in result.decode().split("\n") if each not in text.split("\n")] == [line]
    assert {card.id: card.fields["status"] for card in parse(result).cards} == {**before, id: state}


NEW = f"\n{TABLE}| N-1 | not-started | {{}} |  | 0 |\n"


@pytest.mark.parametrize(
    ("text", "title", "added"),
    [
        ("- [?] A-3: Write it\n- [X] **1 bold** it\n", "new", NEW.format("new")),
        ("- [ ] A1: Write it\n", "ask @bob", NEW.format("ask @bob")),
        ("- [x] A1: one\n-\t[ two\n  ```\n1) [x] A2 three\n", "new", ""),
    ],
    ids=["a number would be no id any more", "its title would be an owner", "what is code would be a card"],
)
def test_a_new_card_changes_no_other(text: str, title: str, added: str) -> None:
    """A new card that a list cannot take, or not as it is, gets a table; where no table can stand, nothing."""
    document = parse(text.encode())
    result = apply(document, [InsertCard("N-1", {"title": title})])
    assert result.decode() == text + added
    assert [card.id for card in parse(result).cards] == [
        *(card.id for card in document.cards),
        *(["N-1"] * bool(added)),
    ]


def test_of_many_edits_those_that_can_be_made_are_made() -> None:
    """One edit that would change another card does not keep the others from being made."""
    text = "- [ ] A1 one\n- [ ] A2 two\n- [x] A3: three\n-\t[ four\n  ```\n1) [x] A4 five\n"
    edits = [SetField(0, "status", "done"), InsertCard("N-1", {"title": "new"}), SetField(1, "title", "2")]
    result = apply(parse(text.encode()), edits)
    assert result.decode() == text.replace("[ ] A1", "[x] A1").replace("two", "2")


def test_what_was_read_before_it_was_written_is_not_read_again() -> None:
    """The content that an edit was proved on is known to whoever reads it next to the document; no other is."""
    document = parse((TABLE + "| A1 | todo | a | | |\n").encode())
    result = apply(document, [InsertCard("A2", {"title": "b"})])
    again = parse(result, previous=document)
    assert again is parse(result, previous=document)
    assert again.cards == parse(result).cards
    assert parse(result + b"\n", previous=document) is not again
    assert parse(result, path="other.md", previous=document) is not again
    assert parse(result, previous=again) is not again


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("# Board\n\n## Doing\n\n- [ ] S-1 one\n\n## Done\n\n- [x] S-2 two\n", "ready"),
        (
            "# Board\n\n## Todo\n\n### S-1: One\n- **Priority**: 1\n\n## Done\n\n### S-2: Two\n- **Priority**: 2\n",
            "blocked",
        ),
        ("| Done | ID | Title |\n|---|---|---|\n| ✅ | S-1 | One |\n| ❌ | S-2 | Two |\n", "blocked"),
    ],
    ids=["items", "sections", "ticks"],
)
def test_a_new_card_is_never_put_where_it_says_another_state(text: str, state: str) -> None:
    """A board without a section for a card's state gives it none of the others, which would count as an edit."""
    document = parse(text.encode())
    assert len(document.cards) == 2
    after = parse(apply(document, [InsertCard("S-3", {"title": "three", "status": state})]))
    new = after.card_by_id("S-3")
    assert new is not None
    assert new.fields["status"] == state
    assert after.source.startswith(document.source)


def test_a_new_card_goes_to_the_list_in_which_it_can_say_its_state() -> None:
    """Of a board's lists, one under a heading that is no state takes what no section is for."""
    text = "## Ideas\n\n- [ ] S-0 zero\n\n## Doing\n\n- [ ] S-1 one\n\n## Done\n\n- [x] S-2 two\n"
    result = apply(parse(text.encode()), [InsertCard("S-3", {"title": "three", "status": "ready"})])
    assert result.decode() == text.replace("zero\n", "zero\n- [ ] S-3 three\n")


def test_a_board_with_underlined_headings() -> None:
    """An underlined heading is a section like any other: items move below the line, into an empty one too."""
    text = "Doing\n=====\n\n- [ ] S-1 one\n- [ ] S-3 three\n\nBlocked\n-------\n\nDone\n----\n\n- [x] S-2 two\n"
    document = parse(text.encode())
    moved = apply(document, [SetField(0, "status", "blocked")]).decode()
    assert moved == text.replace("- [ ] S-1 one\n", "").replace("-------\n\n", "-------\n\n- [ ] S-1 one\n\n")
    assert apply(document, [SetField(0, "status", "done")]).decode().endswith("- [x] S-2 two\n- [x] S-1 one\n")
    told = apply(document, [SetField(1, "body", "text")]).decode()
    assert told == text.replace("three\n", "three\n  text\n")


def test_steps_below_keys_are_the_tasks_text() -> None:
    """A list that begins with keys and goes on with checkboxes is two, as a person reads it."""
    text = "# Plan\n\n### T-1: One\n- **Status**: todo\n- **Owner**: kim\n\n- [ ] a step\n- [x] another\n"
    document = parse(text.encode())
    assert [(card.id, card.dialect) for card in document.cards] == [("T-1", "heading")]
    assert document.cards[0].fields["body"] == "- [ ] a step\n- [x] another"
    assert document.cards[0].fields["extra.owner"] == "kim"
    named = parse(text.replace("a step", "T-1.1 a step").encode())
    assert [card.id for card in named.cards] == ["T-1", "T-1.1", None]


def test_the_last_cell_of_a_row_without_outer_pipes_can_be_emptied() -> None:
    """An empty last cell needs a pipe behind it, or there would be none."""
    document = parse(b"id | status | title | deps\n---|---|---|---\nA1 | todo | x | B2\n")
    after = parse(apply(document, [SetField(0, "dependsOn", ())]))
    assert after.source.endswith(b"A1 | todo | x | |\n")
    assert after.cards[0].fields["dependsOn"] == ()
    assert not after.problems


def test_a_tight_table_stays_tight() -> None:
    """A value that comes into an empty cell of a row without spaces brings none along."""
    document = parse(b"|id|status|title|\n|-|-|-|\n|A1|todo|x|\n||todo|y|\n")
    assert apply(document, [AssignId(1, "A2")]).endswith(b"|A2|todo|y|\n")
