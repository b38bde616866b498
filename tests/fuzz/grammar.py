"""Task files and edits made from choices, whoever makes them: Hypothesis, a coverage-guided fuzzer, or chance.

One grammar serves all three.  It writes what real files hold (tables, checklists, boards, headings with keys, front
matter), in the spellings that real files have, and then bruises it: a scrap put in or taken out anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final, Protocol, TypeVar

from syncd.parsers.document import AssignId, Document, Edit, InsertCard, RemoveCard, SetField
from syncd.schemas.card import Value

T = TypeVar("T")

FIXTURES: Final = sorted((Path(__file__).parents[1] / "fixtures" / "dialects").glob("*.md"))
TEXTS: Final = [path.read_bytes().decode() for path in FIXTURES]
LINES: Final = sorted({line for text in TEXTS for line in text.split("\n")})
SCRAPS: Final = [
    *("\r", "\r\n", "\t", "|", "~~", "**", "`", "[ ]", "- [ ] ", "(depends: A", "🆔 x", "⛔ a,b", "<!--", "-->", "---"),
    *("\u2028", "\x0b", "\x85", "\ufeff", "#", "@x", "!3", "\\|", "\\", "| --- |", "```", "> ", "1. ", "[x]", "{{"),
    *("T001", "T001..T005", "❌", "✅", "blocked", "id: 1", "  - **ID**: q", ":", "é", "中", "<<<<<<< HEAD\n", "\n\n"),
    *("    ", "\n===\n", "\n---\n", "[", "]", "(", ")", "<div>", "&amp;", "* ", "+ ", "\u200d", "\ufe0f", "\x00"),
]
VALUES: Final[dict[str, list[Value]]] = {
    "title": [
        "new title",
        "a|b",
        "-",
        "@foo",
        "!3 bar",
        "T5 baz",
        "~~s~~",
        "(depends: Z1)",
        "`a|b`",
        "\\",
        "done",
        "#x",
    ],
    "status": ["ready", "claimed", "blocked", "done"],
    "priority": [0, 1, -1, 3, 100],
    "dependsOn": [(), ("A1",), ("A1", "B2"), ("x|y",)],
    "body": [None, "line", "a\n\nb", "- [ ] q", "# h", "```\nx", "<!-- x"],
    "phase": ["P1", "Beds", "Paths", "M1 Foundations"],
    "extra.owner": [None, "bob", "a b"],
    "claimOwner": ["bob", "w-1"],
    "acceptance": [(), ("a", "b"), ("a;b",)],
    "extra.notes": ["n|m", None],
    "extra.statusWord": [None, "needs-qa", "Complete", "weird"],
}
IDS: Final = ["T001", "A-1", "1.2", "FED-M3-04", "x", "🆔", "task-12", "2024-01-01", "ns/1", "TXXX", "1", "~~B2~~"]
WORDS: Final = [
    "todo",
    "not-started",
    "done",
    "In Progress",
    "✅ Done",
    "🚧",
    "[x]",
    "nonsense",
    "",
    "—",
    "blocked (a)",
]
TITLES: Final = [
    *(
        "Write it",
        "a `b|c` d",
        "x \\| y",
        "**bold** end",
        "~~gone~~",
        "",
        "- dash",
        "#12 fix",
        "[P1] rank",
        "中文 标题",
    ),
    *("see [x](y)", "e:mail", "(depends on A1)", "@me", "!2", "T9: more", "<b>", "A | B", "trail  "),
]
HEADS: Final = [
    "id",
    "ID",
    "Task",
    "#",
    "status",
    "State",
    "title",
    "Depends On",
    "prio",
    "owner",
    "notes",
    "状态",
    "phase",
]
HEADINGS: Final = ["Todo", "Doing", "Done", "Phase 1", "Legend", "T-1 Title", "[T-002] Other", "✅ Ready", "A", ""]
KEYS: Final = ["status", "Priority", "depends_on", "owner", "phase", "id", "acceptance", "notes", "title", "body"]
MARKS: Final = " xX~!/->?oö"
ENDS: Final = ["\n", "\n", "\n", "\r\n", "\r"]


class Chooser(Protocol):
    """Whoever makes the choices."""

    def number(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""


class Chance:
    """Choices of a seeded random generator."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def number(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        return self._random.randint(low, high)


def pick(chooser: Chooser, values: Sequence[T]) -> T:
    """Return one of the values."""
    return values[chooser.number(0, len(values) - 1)]


def task_file(chooser: Chooser) -> str:
    """Return a task file: a fixture, a shuffle of lines of all fixtures, or one written from the grammar."""
    kind = chooser.number(0, 3)
    if kind == 0:
        text = pick(chooser, TEXTS)
    elif kind == 1:
        text = "\n".join(pick(chooser, LINES) for _ in range(chooser.number(1, 12)))
    else:
        text = "\n".join(pick(chooser, _PARTS)(chooser) for _ in range(chooser.number(1, 5)))
    text = bruised(chooser, text, chooser.number(0, 4))
    return text.replace("\n", pick(chooser, ENDS))


def bruised(chooser: Chooser, text: str, times: int) -> str:
    """Return the text with scraps put in and stretches taken out."""
    for _ in range(times):
        at = chooser.number(0, len(text))
        if chooser.number(0, 1):
            text = text[:at] + pick(chooser, SCRAPS) + text[at:]
        else:
            text = text[:at] + text[at + chooser.number(1, 30) :]
    return text


def edit_of(chooser: Chooser, document: Document) -> Edit:
    """Return an edit of a document that has cards."""
    key = chooser.number(0, len(document.cards) - 1)
    kind = chooser.number(0, 7)
    if kind == 0:
        return AssignId(key, pick(chooser, ["W-1", "w2", "77", "abc"]))
    if kind == 1:
        return RemoveCard(key)
    if kind == 2:
        return InsertCard(pick(chooser, ["N-1", "N2", "n.3"]), {"title": "new", "status": pick(chooser, STATES)})
    return change_of(chooser, key)


def change_of(chooser: Chooser, key: int) -> SetField:
    """Return a change of one card's field."""
    field = pick(chooser, sorted(VALUES))
    return SetField(key, field, pick(chooser, VALUES[field]))


STATES: Final = ["ready", "claimed", "blocked", "done"]


def _table(chooser: Chooser) -> str:
    heads = [pick(chooser, HEADS) for _ in range(chooser.number(1, 5))]
    if chooser.number(0, 2):
        heads[:0] = ["id", "status"]
    pad = pick(chooser, ["", " ", "  ", "\t"])
    edge = pick(chooser, ["|", "|", ""])

    def row(cells: Sequence[str]) -> str:
        return edge + "|".join(f"{pad}{cell}{pad}" for cell in cells) + edge

    rows = [row(heads), row([pick(chooser, ["---", "-", ":-:"]) for _ in heads])]
    for _ in range(chooser.number(0, 4)):
        cells = [pick(chooser, IDS if n == 0 else WORDS if n == 1 else TITLES) for n, _ in enumerate(heads)]
        rows.append(row(cells[: len(cells) - (chooser.number(0, 9) == 0)]))
    indent = pick(chooser, ["", "", "", "  ", "   "])
    intro = ["- A part:", ""] if indent else []
    return "\n".join([*intro, *(indent + each for each in rows), ""])


def _item(chooser: Chooser, depth: int) -> list[str]:
    lead = pick(chooser, ["  ", "    ", "\t"]) * depth + pick(chooser, ["- ", "- ", "* ", "+ ", "1. ", "1) ", "-\t"])
    id = pick(chooser, IDS)
    spelled = pick(chooser, ["{} ", "{}: ", "**{}**: ", "`{}` ", "[{}] ", "(task:{}) ", "**{} bold** ", "", "{} - "])
    tail = pick(
        chooser,
        [
            "",
            "",
            " (depends: A1, A2)",
            " @bob",
            " !3",
            " #p1",
            " 🆔 k1",
            " ⛔ k1,k2",
            " ⏫",
            " <!-- id: 42 -->",
            " after:A1",
        ],
    )
    lines = [f"{lead}[{pick(chooser, MARKS)}] {spelled.format(id)}{pick(chooser, TITLES)}{tail}"]
    inner = " " * len(lead)
    for _ in range(chooser.number(0, 2)):
        extra = pick(
            chooser,
            [
                "text below",
                "- **Depends**: T3",
                "- Priority: 2",
                "- **ID**: q7",
                "",
                "- **Acceptance**:",
                "```",
                "| a | b |",
            ],
        )
        lines.append(inner + extra if extra else "")
    if depth < 3 and not chooser.number(0, 3):
        lines += _item(chooser, depth + 1)
    return lines


def _checklist(chooser: Chooser) -> str:
    return "\n".join([*(line for _ in range(chooser.number(1, 4)) for line in _item(chooser, 0)), ""])


def _board(chooser: Chooser) -> str:
    sections = [f"## {word}\n\n{_checklist(chooser)}" for word in ("Todo", "Doing", "Done")]
    return "\n".join(sections)


def _heading_task(chooser: Chooser) -> str:
    keys = [
        pick(chooser, ["- {}: {}", "- **{}**: {}", "**{}:** {}", "  - {}: {}"]).format(
            pick(chooser, KEYS), pick(chooser, [*WORDS, *TITLES[:6], "A1, A2", "[A1]", "2"])
        )
        for _ in range(chooser.number(0, 4))
    ]
    gap = pick(chooser, ["", "\n"])
    text = pick(chooser, ["", "\nSome text.\n", "\n- [ ] sub\n"])
    return f"{'#' * chooser.number(1, 4)} {pick(chooser, [*HEADINGS, *IDS])}\n{gap}" + "\n".join([*keys, text])


def _heading(chooser: Chooser) -> str:
    return f"{'#' * chooser.number(1, 3)} {pick(chooser, HEADINGS)}\n"


def _front(chooser: Chooser) -> str:
    keys = [
        f"{pick(chooser, [*KEYS, 'project', 'prefix', 'statuses'])}: {pick(chooser, [*WORDS, *IDS, '[a, b]', 'x'])}"
        for _ in range(chooser.number(0, 5))
    ]
    return "\n".join(["---", *keys, "---", ""])


def _prose(chooser: Chooser) -> str:
    return (
        pick(
            chooser,
            ["text", "> | id | status |\n> |---|---|", "```\n- [ ] T1 x\n```", "<!-- - [ ] T1 -->", "---", "***"],
        )
        + "\n"
    )


_PARTS: Final[list[Callable[[Chooser], str]]] = [
    *(_table, _table, _checklist, _checklist, _board, _heading_task, _heading_task, _heading, _front, _prose)
]
