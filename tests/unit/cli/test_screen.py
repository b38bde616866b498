"""What a screen is made of, and how it reads with and without a terminal."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.cli.output import json_line
from syncd.cli.screen import UNSAFE, Screen, Span, Table, command, line, plain, visible, width
from syncd.cli.terminal import show


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünïcode 猫", "plain – ünïcode 猫"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("evil\u202etxt.exe", r"evil\u202etxt.exe"),
        ("half \udc80", r"half \udc80"),
    ],
)
def test_what_could_act_on_a_terminal_is_written_out(text: str, shown: str) -> None:
    """Escape sequences, controls, marks of direction and lone surrogates are shown, not sent."""
    assert visible(text) == shown


def test_a_table_is_aligned_by_cells() -> None:
    """Columns line up although some characters take two cells or none."""
    table = Table(
        ((Span("A1"), Span("ready"), Span("one")), (Span("猫猫猫"), Span("done"), Span("e\u0301"))),
        ("ID", "STATUS", "TITLE"),
        indent=2,
    )
    assert plain([table]) == (
        "  ID      STATUS  TITLE\n"
        "  A1      ready   one\n"
        "  猫猫猫  done    e\u0301\n"
    )  # fmt: skip


def test_width_counts_cells() -> None:
    """Wide characters take two cells, combining ones none."""
    assert [width(each) for each in ("abc", "猫", "e\u0301", "\u200b")] == [3, 2, 1, 0]


@given(st.text())
def test_no_text_reaches_a_reader_unwritten(text: str) -> None:
    """Whatever a title holds, a screen has no more lines than it was made of, and none acts on a terminal."""
    shown = plain([line("title ", text), Table(((Span("A1"), Span(text)),))])
    assert shown.count("\n") == 2
    assert not UNSAFE.search(shown.replace("\n", ""))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_is_one_line_and_says_the_same(value: object) -> None:
    """JSON on stdout is one line in UTF-8, acts on no terminal, and reads back as the value."""
    data = json_line(value)
    assert data.endswith(b"\n")
    assert not UNSAFE.search(data.decode()[:-1])
    assert json.loads(data) == value


def test_a_lone_surrogate_survives_json() -> None:
    """Bytes that were no UTF-8 are escaped instead of ending the command."""
    assert json_line("\udc80") == b'"\\udc80"\n'


def _on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, **environ: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns), **environ}.items():
        monkeypatch.setenv(name, value)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    show(
        [
            line(Span("A1", "bold"), " a title that is longer than the terminal is wide", indent=4),
            command("syncd resolve A1 --field title --use local", indent=6),
            Table(((Span("A1"), Span("a title that is longer than the line")),), ("ID", "TITLE")),
        ],
        stream,
    )
    return stream.getvalue()


def test_a_narrow_terminal_wraps_under_the_indent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text wraps under its indent and cells under their column; a command to be copied stays whole."""
    text = re.sub("\x1b\\[[0-9;]*m", "", _on_terminal(monkeypatch, 30))
    assert [each.rstrip() for each in text.splitlines()] == [
        "    A1 a title that is longer",
        "    than the terminal is wide",
        "      syncd resolve A1 --field title --use local",
        "ID  TITLE",
        "A1  a title that is longer",
        "    than the line",
    ]


def _drawn(screen: Screen, columns: int) -> list[str]:
    stream = io.StringIO()
    stream.columns = columns  # type: ignore[attr-defined]  # as a daemon's page has it
    stream.environ = {"TERM": "dumb"}  # type: ignore[attr-defined]
    show(screen, stream)
    return [each.rstrip() for each in stream.getvalue().splitlines()]


def test_what_wraps_is_no_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line with a hang goes on further in, and so does each row of a table that is too wide."""
    said = line("note  git  merges task files line by line", indent=1, hang=6)
    assert _drawn([said], 30) == [" note  git  merges task files", "       line by line"]
    assert _drawn([said], 80) == [" note  git  merges task files line by line"]
    row = (Span("task files"), Span("TASKS.md can be read, and replaced"))
    assert _drawn([Table((row,), indent=2)], 30) == ["  task files  TASKS.md can be", "    read, and replaced"]
    assert _drawn([line("x" * 12, hang=4)], 5) == [
        "xxxxx",
        "    x",
        "    x",
        "    x",
        "    x",
        "    x",
        "    x",
        "    x",
    ]


def test_colour_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colour, and none when NO_COLOR is set."""
    assert "\x1b[36m" in _on_terminal(monkeypatch, 80)
    assert "\x1b[36m" not in _on_terminal(monkeypatch, 80, NO_COLOR="1")


@pytest.mark.parametrize("columns", [30, 40, 80, 120])
def test_nothing_is_cut_on_a_narrow_terminal(columns: int) -> None:
    """A table that does not fit is shown row by row: every word of it is still there."""
    words = ("DEMO-001", "status", "file → store", "docs/TASKS.md:14", "ready → done")
    shown = _drawn([Table((tuple(map(Span, words)),), indent=2)], columns)
    together = "".join("".join(shown).split())
    assert all("".join(word.split()) in together for word in words)
    assert all(len(each) <= columns for each in shown)
