"""The documents say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.reference import commands, errors, reference

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/01-first-sync/README.md")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)|<img src=\"([^\"]+)\"")


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_reference_is_what_the_code_generates() -> None:
    """The tables of REFERENCE.md are those of the code; `make reference` writes them anew."""
    assert _text("REFERENCE.md") == reference()


def test_readme_knows_every_command() -> None:
    """The README's table of commands names every command there is, and none that is not."""
    table = _text("README.md").split("## Commands", 1)[1].split("\n## ", 1)[0]
    named = set()
    for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE):
        named |= set(re.findall(r"`([a-z -]+)`", row))
    assert named == {name.removeprefix("syncd ") for name in commands()}


def test_exit_codes_are_those_of_the_contract() -> None:
    """No error ends the program with a code outside the table that scripts rely on."""
    assert {each.exit_code for each in errors()} <= {2, 3, 4, 5, 70, 74, 75, 78}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of a document leads to a file of the repository."""
    folder = (ROOT / name).parent
    targets = [first or second for first, second in LINK.findall(_text(name))]
    missing = [each for each in targets if "://" not in each and not (folder / each).exists()]
    assert not missing


def test_architecture_names_tests_that_exist() -> None:
    """Every test that ARCHITECTURE.md names for an invariant, a failure or a decision is there."""
    named = set(re.findall(r"`(tests/[\w/.-]+)`", _text("ARCHITECTURE.md")))
    assert named
    assert not {each for each in named if not (ROOT / each).exists()}


def test_makefile_targets_have_a_word_of_help() -> None:
    """`make help` lists every target that a person may call."""
    makefile = _text("Makefile")
    phony = set(re.findall(r"^\.PHONY: (\w+)$", makefile, re.MULTILINE))
    helped = set(re.findall(r"^(\w+):.*## \S", makefile, re.MULTILINE))
    assert phony == helped
