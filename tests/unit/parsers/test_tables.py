"""Pipe tables: which cells a row has, what counts as a task table, and how cells are written."""

from __future__ import annotations

import pytest

from syncd.parsers.cells import cell_spans, split_row
from syncd.parsers.document import AssignId, InsertCard, ParseOptions, SetField
from syncd.parsers.render import apply, can_show
from syncd.parsers.tasks_md import parse
from syncd.schemas.card import Value

HEAD = "| id | status | title |\n|---|---|---|\n"


def fields(text: str, id: str = "A1", **options: object) -> dict[str, Value]:
    card = parse(text.encode(), options=ParseOptions(**options)).card_by_id(id)  # type: ignore[arg-type]
    assert card is not None
    return dict(card.fields)


def edited(text: str, field: str, value: Value, key: int = 0) -> str:
    return apply(parse(text.encode()), [SetField(key, field, value)]).decode()


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("| a | b | c |", [" a ", " b ", " c "]),
        ("a | b | c", ["a ", " b ", " c"]),
        ("| a \\| b | c |", [" a \\| b ", " c "]),
        ("|a||c|", ["a", "", "c"]),
        ("  | a | b |  ", [" a ", " b "]),
        ("| `x|y` | b | c |", [" `x|y` ", " b ", " c "]),
        ("| a\\\\| b | c | d |", [" a\\\\| b ", " c ", " d "]),
    ],
)
def test_cells_of_a_row(line: str, cells: list[str]) -> None:
    """A row is divided at its pipes, not at escaped ones, nor in code where only that fits the header."""
    assert split_row(line, 3) == cells
    assert [line[start:end] for start, end in cell_spans(line, 3)] == cells


@pytest.mark.parametrize(
    "header",
    [
        "| ID | Status | Title |",
        "| Task ID | STATE | Description |",
        "| title | status | id |",
        "| Status | KEY | Summary | notes |",
    ],
)
def test_columns_are_found_by_header(header: str) -> None:
    """Columns are found by their headers in any order and case."""
    names = [cell.strip().casefold() for cell in split_row(header, 0)]
    values = {"id": "A1", "task id": "A1", "key": "A1", "status": "done", "state": "done"}
    row = " | ".join(values.get(name, "Name" if name in ("title", "description", "summary") else "n") for name in names)
    found = fields(f"{header}\n{'|---' * len(names)}|\n| {row} |\n")
    assert (found["status"], found["title"]) == ("done", "Name")


@pytest.mark.parametrize(
    "text",
    [
        "| id | title |\n|---|---|\n| A1 | no status |\n",
        "| name | status |\n|---|---|\n| A1 | done |\n",
        "| # | task | status |\n|---|---|---|\n| first | words | done |\n",
        f"```\n{HEAD}| A1 | done | code |\n```\n",
        f"<!--\n{HEAD}| A1 | done | comment |\n-->\n",
        "> | id | status |\n> |---|---|\n> | A1 | done |\n",
        "| id | status |\n| A1 | done |\n",
    ],
)
def test_tables_without_tasks(text: str) -> None:
    """Tables without an id and a status column, in code, in comments, in quotes, or without rules have no cards."""
    assert not parse(text.encode()).cards


def test_configured_headers_and_words() -> None:
    """Headers and words of the configuration are read before the built-in ones."""
    text = "| nummer | lage | was | title |\n|---|---|---|---|\n| A1 | ruht | Dach | x |\n"
    options = {"headers": {"nummer": "id", "lage": "status", "was": "title"}, "statuses": {"ruht": "blocked"}}
    found = fields(text, **options)
    assert (found["status"], found["title"], found["extra.title"]) == ("blocked", "Dach", "x")


def test_namespace_is_read_and_written() -> None:
    """With a namespace the file has short ids, cards and dependencies have long ones."""
    text = "| id | status | title | deps |\n|---|---|---|---|\n| 1.1 | todo | a | |\n| 1.2 | todo | b | 1.1, x/9 |\n"
    document = parse(text.encode(), options=ParseOptions(namespace="ui"))
    assert [card.id for card in document.cards] == ["ui/1.1", "ui/1.2"]
    assert document.cards[1].fields["dependsOn"] == ("ui/1.1", "x/9")
    result = apply(
        document, [SetField(0, "dependsOn", ("ui/1.2", "x/7")), InsertCard("ui/1.3", {"title": "c"})]
    ).decode()
    assert "| 1.1 | todo | a | 1.2, x/7" in result
    assert "| 1.3 | todo | c |" in result


def test_text_below_a_table_is_no_row() -> None:
    """A line without a pipe right below a table is text: no card, no problem, and behind new rows."""
    text = HEAD + "| A1 | todo | a |\nSome words.\n"
    document = parse(text.encode())
    assert (len(document.cards), document.problems) == (1, ())
    assert apply(document, [InsertCard("A2", {"title": "b"})]).decode() == (
        HEAD + "| A1 | todo | a |\n| A2 | todo | b |\nSome words.\n"
    )


@pytest.mark.parametrize("row", ["| A1 | todo", "| A1 | todo |", "A1 | todo"])
def test_a_row_that_is_still_being_typed(row: str) -> None:
    """A row with too few cells gives the fields that it has, and a problem; what is missing cannot be shown."""
    document = parse((HEAD + row).encode())
    assert [problem.code for problem in document.problems] == ["too-few-cells"]
    assert "title" not in document.cards[0].fields
    assert not can_show(document, 0, "title", "x")


def test_a_row_with_a_stray_pipe() -> None:
    """In a row with too many cells only the id is sure: nothing else is read, and nothing is written."""
    document = parse((HEAD + "| A1 | todo | a | b |\n").encode())
    assert [problem.code for problem in document.problems] == ["too-many-cells"]
    assert dict(document.cards[0].fields) == {"phase": None} or not document.cards[0].fields
    assert not can_show(document, 0, "status", "done")


@pytest.mark.parametrize(
    ("cell", "value", "result"),
    [
        (" x ", "done", " done "),
        ("x", "y", "y"),
        ("  ", "y", " y "),
        ("", "y", " y "),
        ("      ", "y", " y    "),
        (" x   ", "longer text", " longer text   "),
        (" x ", None, "  "),
        ("x", "ends with \\", "ends with \\ "),
        (" ~~x~~ ", "y", " ~~y~~ "),
    ],
)
def test_padding_stays(cell: str, value: Value, result: str) -> None:
    """A value takes the place of the value before it; the padding around it stays."""
    text = "| id | status | title |\n|---|---|---|\n| A1 | todo |{}|\n"
    assert edited(text.format(cell), "title", value) == text.format(result)


def test_the_empty_marker_of_the_column() -> None:
    """A cell that is emptied gets what the author writes for empty in that column."""
    text = "| id | status | deps | pr |\n|---|---|---|---|\n| A1 | todo | A2 | 5 |\n| A2 | todo | — | n/a |\n"
    assert "| A1 | todo | — | 5 |" in edited(text, "dependsOn", ())
    assert "| A1 | todo | A2 | n/a |" in edited(text, "extra.pr", None)


def test_the_most_used_word_is_written() -> None:
    """A state is written with the word that the table uses most for it."""
    rows = "| A1 | todo | a |\n| A2 | complete | b |\n| A3 | Closed | c |\n| A4 | complete | d |\n"
    assert edited(HEAD + rows, "status", "done").count("complete") == 3


@pytest.mark.parametrize(
    ("cell", "state", "result"),
    [
        ("✅ Complete", "claimed", "🚧 In Progress"),
        ("🚀 todo", "done", "🚀 done"),
        ("[ ]", "done", "[x]"),
        ("[x]", "blocked", "[!]"),
        ("**Done**", "ready", "**Not Started**"),
        ("TODO", "claimed", "IN PROGRESS"),
        ("to_do", "claimed", "in_progress"),
        ("done (see #4)", "ready", "not-started"),
        ("", "done", "done"),
    ],
)
def test_a_state_in_the_dress_of_the_cell(cell: str, state: str, result: str) -> None:
    """Without a habit the default word is written in the case, marks and emoji of what it replaces."""
    text = "| id | title | status |\n|---|---|---|\n| A1 | a | {} |\n"
    written = edited(text.format(cell), "status", state)
    assert " ".join(written.split()) == " ".join(text.format(result).split())


def test_an_authors_word_is_kept() -> None:
    """The author's word is a field of its own, absent for the default words, and can be written back."""
    text = HEAD + "| A1 | Needs-QA | a |\n| A2 | In Progress | b |\n"
    document = parse(text.encode())
    assert [card.fields["extra.statusWord"] for card in document.cards] == ["Needs-QA", None]
    result = apply(document, [SetField(1, "extra.statusWord", "Needs-QA"), SetField(1, "status", "blocked")])
    assert b"| A2 | Needs-QA | b |" in result
    assert edited(text, "extra.statusWord", None).splitlines()[2] == "| A1 | Blocked | a |"


def test_a_specific_word_is_no_habit() -> None:
    """A card that became blocked is not said to be cancelled because others are."""
    text = HEAD + "| A1 | todo | a |\n| A2 | cancelled | b |\n| A3 | cancelled | c |\n"
    assert "| A1 | blocked | a |" in edited(text, "status", "blocked")


def test_the_owner_is_the_claims_only_while_it_is_claimed() -> None:
    """One column is the claim's owner on a claimed card and text on any other."""
    text = "| id | status | owner |\n|---|---|---|\n| A1 | in-progress | bob |\n| A2 | done | ana |\n"
    document = parse(text.encode())
    assert document.cards[0].fields["claimOwner"] == "bob"
    assert document.cards[1].fields["extra.owner"] == "ana"
    assert "claimOwner" not in document.cards[1].fields
    result = apply(document, [SetField(0, "status", "done"), SetField(0, "claimOwner", None)]).decode()
    assert "| A1 | done | " in result
    assert "bob" not in result


def test_two_owner_columns() -> None:
    """Where a claim column and an owner column stand side by side, neither hides the other."""
    text = "| id | status | claimed_by | owner |\n|---|---|---|---|\n| A1 | done | w1 | ana |\n"
    found = fields(text)
    assert (found["extra.claimed_by"], found["extra.owner"]) == ("w1", "ana")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", ""])
def test_new_rows_at_the_end_of_the_file(ending: str) -> None:
    """A row behind the last line ends as that line did: without a line end the new last line has none."""
    line_end = ending or "\n"
    text = (HEAD + "| A1 | todo | a |").replace("\n", line_end) + ending
    result = apply(parse(text.encode()), [InsertCard("A2", {"title": "b"}), InsertCard("A3", {"title": "c"})])
    assert (
        result.decode()
        == text.removesuffix(ending) + line_end + f"| A2 | todo | b |{line_end}| A3 | todo | c |" + ending
    )


def test_new_rows_by_display_width() -> None:
    """A new row lines up with those above it where wide characters stand."""
    text = "| id | status | title |\n|----|--------|-------|\n| A1 | todo   | 初期化 |\n| A2 | todo   | 次の件 |\n"
    result = apply(parse(text.encode()), [InsertCard("A3", {"title": "新しい"})]).decode()
    assert result.splitlines()[-1] == "| A3 | todo   | 新しい |"


def test_a_table_without_outer_pipes() -> None:
    """A table without outer pipes gets rows without them."""
    text = "id | status | title\n---|---|---\nA1 | todo | a\n"
    assert apply(parse(text.encode()), [InsertCard("A2", {"title": "b"})]).decode() == text + "A2 | todo | b\n"


def test_a_byte_order_mark_stays() -> None:
    """A byte order mark neither hides a table on the first line nor is lost."""
    text = "\ufeff" + HEAD + "| A1 | todo | a |\n"
    assert edited(text, "status", "done") == text.replace("todo", "done")


def test_an_emoji_beside_a_nameless_row() -> None:
    """An id that is given to a row with a status emoji goes behind it."""
    text = "| id | title |\n|---|---|\n| ✅ A1 | a |\n| 🚧 | b |\n"
    assert "| 🚧 A2 | b |" in apply(parse(text.encode()), [AssignId(1, "A2")]).decode()


def test_a_table_of_thousands_of_columns_is_no_task_table() -> None:
    """A table that is too wide to be one is left alone, and at once."""
    wide = 20_000
    text = f"| id | status |{' x |' * wide}\n|{'---|' * (wide + 2)}\n| A1 | done |{' y |' * wide}\n"
    document = parse(text.encode())
    assert not document.cards
    assert not document.problems


def test_rows_that_are_gone_are_forgotten() -> None:
    """Of a row that changes again and again its last text is kept, not all of them."""
    known = parse((HEAD + "| A1 | todo | One |\n").encode())
    for number in range(50):
        known = parse((HEAD + f"| A1 | todo | Title {number} |\n").encode(), previous=known)
    assert len(known.containers[0].known) == 1  # type: ignore[attr-defined]  # a table


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (HEAD, "| {} | todo | One  two |"),
        ("| title | id | status |\n|---|---|---|\n", "| One  two | {} | todo |"),
        (HEAD, "| {} | todo | `x|y` |"),
        (HEAD, "  {} | todo | One \\| two"),
    ],
)
def test_a_row_is_recognised_without_its_id(head: str, row: str) -> None:
    """What a row says beside its id is the same whatever its id is, and another with another cell."""
    one, two = (parse((head + row.format(id) + "\n").encode()).cards[0] for id in ("A1", "B-22"))
    other = parse((head + row.format("A1").replace("todo", "done") + "\n").encode()).cards[0]
    assert (one.id, two.id) == ("A1", "B-22")
    assert one.text == two.text != other.text
    assert "A1" not in one.text
