"""Real task files: read as a person reads them, written back byte for byte, changed by one line.

The files lie beside the repository and are not part of it; without them the tests are skipped.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.parsers.document import Document, SetField
from syncd.parsers.render import apply, can_show, render
from syncd.parsers.tasks_md import parse

FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "corpus"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no corpus of real task files at {FOLDER}")

# name -> (cards, nameless ones among them, the first ids, problem codes)
EXPECTED: dict[str, tuple[int, int, tuple[str, ...], set[str]]] = {
    "0xkhdr__specd": (6, 0, ("T01", "T02", "T03", "T04", "T05", "T06"), set()),
    "0xmhha__anvil-go": (19, 0, ("P6.1.1", "P6.1.2"), set()),
    "4pollo__urp": (19, 0, ("1.1", "1.2"), set()),
    "Fission-AI__OpenSpec": (38, 0, ("1.1", "1.2", "1.3", "1.4", "2.1"), set()),
    "MrLesk__Backlog.md__backlog__tasks__back-200": (1, 0, ("BACK-200",), set()),
    "MrLesk__Backlog.md__backlog__tasks__back-368": (1, 0, ("BACK-368",), set()),
    "alotth__mapctx__TASKS": (19, 0, ("T-001", "T-002"), set()),
    "alotth__mapctx__example": (5, 0, ("T-001", "T-002", "T-003", "T-004", "T-005"), set()),
    "antopolskiy__kanban-md": (1, 0, ("1",), set()),
    "auxclawdbot__taskflow": (0, 0, (), set()),
    "github__spec-kit": (0, 0, (), set()),
    "hmans__beans": (1, 0, ("beans-04yk",), set()),
    "marcusquinn__aidevops": (2592, 6, ("r040", "r041"), {"duplicate-id"}),
    "obsidian-tasks-group__obsidian-tasks__resources__sample_vaults__Tasks-Demo__Formats": (19, 18, ("dcf64c",), set()),
    "obsidian-tasks-group__obsidian-tasks__resources__sample_vaults__Tasks-Demo__Manual": (
        17,
        5,
        ("ya44g5", "g7317o"),
        set(),
    ),
    "obsidian-tasks-group__obsidian-tasks__resources__sample_vaults__Tasks-Demo__Tasks": (0, 0, (), set()),
    "tasksmd__tasks.md__TASKS": (7, 2, ("publish-mcp", "publish-lint"), set()),
    "tasksmd__tasks.md__examples": (7, 6, ("job-race",), set()),
}


def read(name: str) -> Document:
    (path,) = (path for path in FOLDER.glob("*.md") if path.name.startswith(name))
    return parse(path.read_bytes(), path=path.name)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.name[:40])
def test_written_unchanged(path: Path) -> None:
    """Reading and writing a real file gives the same bytes."""
    document = parse(path.read_bytes())
    assert render(document) == path.read_bytes()


@pytest.mark.parametrize("name", EXPECTED)
def test_cards_of_a_real_file(name: str) -> None:
    """A real file has as many cards as a person counts, with their ids; a file without tasks has none."""
    document = read(name)
    count, nameless, ids, codes = EXPECTED[name]
    assert len(document.cards) == count
    assert sum(card.id is None for card in document.cards) == nameless
    assert tuple(card.id for card in document.cards if card.id)[: len(ids)] == ids
    assert {problem.code for problem in document.problems} == codes


@pytest.mark.parametrize("name", [name for name, (count, *_) in EXPECTED.items() if count])
def test_one_status_is_one_line(name: str) -> None:
    """A status changed in a real file is one changed line, and is read back."""
    document = read(name)
    for card in document.cards[:: max(1, len(document.cards) // 6)]:
        state = "blocked" if card.fields.get("status") == "done" else "done"
        assert can_show(document, card.key, "status", state)
        result = apply(document, [SetField(card.key, "status", state)])
        lines, lines_after = document.source.split(b"\n"), result.split(b"\n")
        assert len(lines) == len(lines_after)
        assert sum(line != after for line, after in zip(lines, lines_after, strict=True)) == 1
        again = parse(result)
        assert again.cards[card.key].fields["status"] == state
        assert len(again.cards) == len(document.cards)


def test_duplicate_ids_stop_nothing() -> None:
    """A hundred ids that stand twice are a hundred problems, each with the line of the first, and no more."""
    document = read("marcusquinn__aidevops")
    assert len(document.problems) == 100
    assert len({card.id for card in document.cards if card.id}) == 2586
    assert all("line" in problem.message for problem in document.problems)
