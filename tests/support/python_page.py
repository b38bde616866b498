"""The Python interface as a page: each public class with its methods, their signatures and first sentences."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from syncd.api import Workspace
from syncd.backlog import Backlog
from syncd.missions import Missions
from syncd.past import Past
from syncd.ports import CardFilter, NewCard
from syncd.schemas.card import Card

HEAD = """\
# Python
Made from the code by `make reference`. [How to use it](../how-to/python.md) has a day's work to copy.

`syncd.open(path=None, …)` gives a `Workspace`, which is a context manager. Results are frozen; times are aware, in UTC.
An error is a `syncd.errors.SyncdError` with `message`, `hint`, `code` and `exit_code`: the
[codes](exit-codes.md) are those of the command line.
"""
CLASSES: tuple[tuple[type, str], ...] = (
    (Workspace, "`syncd.open(…)`"),
    (Backlog, "`workspace.backlog`"),
    (Past, "`workspace.past`"),
    (Missions, "`workspace.missions`"),
)
RECORDS: tuple[type, ...] = (Card, NewCard, CardFilter)


def page() -> str:
    """Return the page as the code has it now."""
    parts = [HEAD]
    for each, whence in CLASSES:
        parts.append(f"## {each.__name__}\n\n{_sentence(each)} It is {whence}.\n")
        parts += _methods(each)
    parts.append("## Records\n")
    parts += [_record(each) for each in RECORDS]
    return "\n".join(parts)


def _methods(owner: type) -> Iterator[str]:
    for name, member in vars(owner).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"### {owner.__name__}.{name}\n\n{_sentence(member)}\n"
        elif inspect.isfunction(member):
            yield f"### {owner.__name__}.{name}\n\n```text\n{name}{_signature(member)}\n```\n\n{_text(member)}\n"


class _Left:
    """Stands in a signature for a default that is code."""

    def __repr__(self) -> str:
        return "…"


def _signature(function: Any) -> str:
    """Return a signature as its author wrote it, without the object itself."""
    found = inspect.signature(function)
    kept = [
        each.replace(default=_Left()) if callable(each.default) and each.default is not each.empty else each
        for name, each in found.parameters.items()
        if name != "self"
    ]
    return str(found.replace(parameters=kept)).replace("'", "")


def _record(owner: type) -> str:
    names = ", ".join(f"`{name}`" for name in inspect.get_annotations(owner))
    return f"### {owner.__name__}\n\n{_sentence(owner)} Fields: {names}.\n"


def _sentence(member: Any) -> str:
    return " ".join((inspect.getdoc(member) or "").split("\n\n")[0].replace("``", "`").split())


def _text(member: Any) -> str:
    """Return a docstring, its parts as paragraphs."""
    parts = (inspect.getdoc(member) or "").replace("``", "`").split("\n\n")
    return "\n\n".join(re.sub(r"\s*\n\s*", " ", each) for each in parts)
