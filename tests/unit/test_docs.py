"""The documents say what the code says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import error_pages
from tests.support.pages import anchors, links
from tests.support.reference import commands, error_codes, errors, generated, problem_codes

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(str(each.relative_to(ROOT)) for each in (ROOT / "docs").rglob("*.md"))
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/01-first-sync/README.md",
    "examples/02-fleet/README.md",
    *PAGES,
)


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("path", sorted(generated()))
def test_reference_is_what_the_code_generates(path: str) -> None:
    """What is generated says what the code says; `make reference` writes it anew."""
    assert _text(path) == generated()[path]


def test_every_code_has_a_cause_and_a_remedy() -> None:
    """The page on errors has each exit code, error code and problem code that there is, and none that is not."""
    assert error_pages.ERRORS.keys() == error_codes().keys()
    assert error_pages.PROBLEMS.keys() == problem_codes().keys()
    assert error_pages.EXIT_CODES.keys() >= {each.exit_code for each in errors()} | {0, 1}
    for cause, remedy in (*error_pages.ERRORS.values(), *error_pages.PROBLEMS.values()):
        assert cause.endswith(".")
        assert remedy.endswith(".")


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
    """Every relative link of a document leads to a file of the repository, and to a heading that is there."""
    folder = (ROOT / name).parent
    missing = []
    for link in links(_text(name)):
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / name
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            missing.append(link)
    assert not missing


@pytest.mark.parametrize("name", PAGES)
def test_pages_stay_on_the_site(name: str) -> None:
    """A page of the site links to nothing outside docs/, where the site has no page."""
    folder = (ROOT / name).parent
    targets = {(folder / path).resolve() for link in links(_text(name)) if (path := link.partition("#")[0])}
    assert not {each for each in targets if not each.is_relative_to(ROOT / "docs")}


def test_navigation_has_every_page_once() -> None:
    """The site's navigation names each page of docs/ once, and none that is not there."""
    site = tomllib.loads(_text("zensical.toml"))
    assert sorted(f"docs/{each}" for each in _named(site["project"]["nav"])) == PAGES


def _named(nav: Any) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list():
            for each in nav:
                yield from _named(each)
        case dict():
            yield from _named(list(nav.values()))


def test_architecture_names_tests_that_exist() -> None:
    """Every test that ARCHITECTURE.md or the threat model names for a promise is there."""
    named = set(re.findall(r"`(tests/[\w/.-]+)`", _text("ARCHITECTURE.md") + _text("docs/operations/security.md")))
    assert named
    assert not {each for each in named if not (ROOT / each).exists()}


def test_makefile_targets_have_a_word_of_help() -> None:
    """`make help` lists every target that a person may call."""
    makefile = _text("Makefile")
    phony = set(re.findall(r"^\.PHONY: ([\w-]+)$", makefile, re.MULTILINE))
    helped = set(re.findall(r"^([\w-]+):.*## \S", makefile, re.MULTILINE))
    assert phony == helped
