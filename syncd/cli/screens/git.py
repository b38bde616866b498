"""What syncd did in a git repository."""

from __future__ import annotations

from typing import Any

from syncd.cli.screen import Element, Screen, Span, command, line
from syncd.cli.screens.words import count

Json = dict[str, Any]


def installed(found: Json) -> Screen:
    """Return what git merges with syncd from now on."""
    said = "Installed" if found["changed"] else "Installed already"
    screen: list[Element] = [line(f"{said}: git merges these with syncd.")]
    screen += [line(Span(each, "bold"), indent=2) for each in found["lines"]]
    screen.append(line(Span(f"The lines are in {found['attributes']}; commit it for other clones:", "dim"), indent=2))
    screen.append(command("git add .gitattributes", indent=6))
    return screen


def uninstalled(found: Json) -> Screen:
    """Return whether there was anything to take out."""
    return [line("Uninstalled." if found["changed"] else "It was not installed.")]


def merged(path: str, conflicts: int) -> Screen:
    """Return how a merge ended; a clean one says nothing, as git's own do."""
    return [line(f"{path}: {count(conflicts, 'conflict')}")] if conflicts else []
