"""The screens of what is past: the audit trail, a file that was put back, a merge."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from syncd.cli.screen import Screen, plain
from syncd.cli.screens import git, history

ENTRY: dict[str, Any] = {
    "seq": 9,
    "at": "2026-11-22T06:05:01.250Z",
    "id": "A4",
    "version": 3,
    "op": "update",
    "actor": "ann@desk",
    "face": "cli",
    "changes": [
        {"field": "status", "from": "ready", "to": "done"},
        {"field": "dependsOn", "from": ["A1", "A2"], "to": []},
        {"field": "extra.branch", "from": None, "to": "feat/x"},
    ],
}


def reads(screen: Screen, expected: str) -> None:
    """Assert that a screen reads so, as plain text."""
    assert plain(screen) == dedent(expected).lstrip("\n")


def is_valid(name: str, value: Any) -> None:
    """Assert that a value is what a schema describes."""
    Draft202012Validator(bundle(name)).validate(value)


def test_an_entry_tells_who_when_and_what() -> None:
    """Each change shows its card, what was done, by whom, through what, and every field from what to what."""
    is_valid("history", ENTRY)
    reads(
        history.entries([ENTRY]),
        """
        A4  update  version 3  2026-11-22 06:05:01Z  ann@desk (cli)
            status        ready → done
            dependsOn     A1, A2 → —
            extra.branch  — → feat/x
        """,
    )
    assert plain(history.entries([])) == "No changes.\n"


def test_what_an_entrys_word_says_is_not_said_twice() -> None:
    """A removal shows no time of deletion beside its word."""
    gone = ENTRY | {"op": "remove", "changes": [{"field": "deletedAt", "from": None, "to": "2026-11-22T06:05:01Z"}]}
    is_valid("history", gone)
    reads(history.entries([gone]), "A4  remove  version 3  2026-11-22 06:05:01Z  ann@desk (cli)\n")


def test_an_undone_file_says_how_to_take_that_back() -> None:
    """After undo the screen names the file, the way back, and what was synced."""
    sync = {"toStore": [], "toFile": [], "conflicts": [], "held": [], "problems": []}
    found = {"path": "my docs/TASKS.md", "kept": "/w/.syncd/displaced/x", "sync": sync}
    is_valid("undo", found)
    reads(
        history.undone(found),
        """
        my docs/TASKS.md is as it was before syncd's last write to it.
          What it was until now is kept; to take this back:
              syncd undo 'my docs/TASKS.md'
        Nothing to do.
        """,
    )


def test_git_says_what_it_did() -> None:
    """install shows the lines and that they are to be committed; a merge speaks only of conflicts."""
    found = {"attributes": "/w/.gitattributes", "driver": "x", "lines": ["/TASKS.md merge=syncd"], "changed": False}
    is_valid("git", found)
    assert plain(git.installed(found)).startswith("Installed already: git merges these with syncd.\n  /TASKS.md merge")
    assert plain(git.uninstalled(found)) == "It was not installed.\n"
    assert plain(git.merged("TASKS.md", 0)) == ""
    assert plain(git.merged("TASKS.md", 2)) == "TASKS.md: 2 conflicts\n"
