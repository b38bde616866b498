"""What a shell is offered for a word that is being typed: cards, settings, schemas, choices.

Quick and quiet: it looks at this machine's files alone, and where they cannot be read it offers nothing.
Shells evaluate what they are offered, and cards are written by anybody: only letters, digits and a few signs
that mean nothing to any shell go out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final, TypeAlias

import typer

from syncd.errors import SyncdError

Offer: TypeAlias = list[tuple[str, str]]
"""Words, each with what a shell shows beside it."""

CARDS_MAX: Final = 1_000
BESIDE_MAX: Final = 60

_SAFE_WORD: Final = re.compile(r"[\w.@+#/-]+")
_UNSAFE_BESIDE: Final = re.compile(r"[^\w .,/+-]+")


def cards(context: typer.Context, incomplete: str) -> Offer:
    """Offer the ids of the cards as files and store last agreed on them."""
    from syncd import api
    from syncd.cli.options import globals_of

    try:
        known = api.known_cards(globals_of(context).directory, environ=os.environ)
    except SyncdError:
        return []
    found = sorted(id for id in known if id.startswith(incomplete) and _SAFE_WORD.fullmatch(id))[:CARDS_MAX]
    return [(id, _beside(known[id])) for id in found]


def settings(incomplete: str) -> Offer:
    """Offer the keys of ``syncd.yaml``, each with its meaning."""
    from syncd.schemas.config import KEYS

    return [(name, _beside(key.meaning)) for name, key in KEYS.items() if name.startswith(incomplete)]


def schemas(incomplete: str) -> Offer:
    """Offer the names of the JSON Schemas, each with what it describes."""
    from syncd.cli.schemas import titles

    return [(name, _beside(title)) for name, title in titles().items() if name.startswith(incomplete)]


def fields(incomplete: str) -> list[str]:
    """Offer the fields of a card."""
    from syncd.cli.values import FIELDS

    return [name for name in FIELDS if name.startswith(incomplete)]


def one_of(*choices: str) -> Callable[[str], list[str]]:
    """Return what offers these words."""

    def offer(incomplete: str) -> list[str]:
        return [each for each in choices if each.startswith(incomplete)]

    return offer


def _beside(text: str) -> str:
    """Return a text as a shell may show it, without anything that it could evaluate."""
    return " ".join(_UNSAFE_BESIDE.sub(" ", text).split())[:BESIDE_MAX]
