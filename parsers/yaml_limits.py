"""How large YAML from somebody else's repository may be before it is read.

ruamel.yaml takes time that grows with the square of the nesting, and aliases make a tree of a hundred bytes stand
for a billion nodes.  Real front matter and settings are far below these limits.  Imports nothing.
"""

from __future__ import annotations

from typing import Any, Final

CHARACTERS_MAX: Final = 65_536
DEPTH_MAX: Final = 50
NODES_MAX: Final = 50_000
"""Nodes of a tree whose aliases are written out."""


def excess(text: str) -> tuple[int, str] | None:
    """Return what is too large about a text, before it is read: the line, counted from 0, and a reason."""
    if len(text) > CHARACTERS_MAX:
        return 0, f"it has more than {CHARACTERS_MAX} characters"
    depth = 0
    for line, part in enumerate(text.split("\n")):
        # Brackets within quotes count as well: nobody writes fifty that are never closed.
        for character in part:
            if character in "[{":
                depth += 1
            elif character in "]}":
                depth -= 1
            if depth > DEPTH_MAX:
                return line, f"it is nested more than {DEPTH_MAX} deep"
    return None


def is_overgrown(root: Any) -> bool:
    """Tell whether a node tree has too many nodes with its aliases written out; one that holds itself has."""
    count, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        count += 1
        if count > NODES_MAX:
            return True
        if node.id != "scalar":
            for each in node.value:
                waiting += each if isinstance(each, tuple) else (each,)
    return False
