"""What a shell is offered for a word that is being typed: cards, settings, schemas, choices.

Quick and quiet: it looks at this machine's files alone, and where they cannot be read it offers nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeAlias

import typer

from syncd.cli.screen import visible
from syncd.errors import SyncdError

Offer: TypeAlias = list[tuple[str, str]]
"""Words, each with what a shell shows beside it."""

CARDS_MAX: Final = 1_000
TITLE_MAX: Final = 60


def cards(context: typer.Context, incomplete: str) -> Offer:
    """Offer the ids of the cards as files and store last agreed on them."""
    from syncd import api
    from syncd.cli.options import globals_of

    try:
        known = api.known_cards(globals_of(context).directory, environ=os.environ)
    except SyncdError:
        return []
    found = sorted(id for id in known if id.startswith(incomplete))[:CARDS_MAX]
    return [(id, visible(known[id])[:TITLE_MAX]) for id in found]


def settings(incomplete: str) -> Offer:
    """Offer the keys of ``syncd.yaml``, each with its meaning."""
    from syncd.schemas.config import KEYS

    return [(name, key.meaning) for name, key in KEYS.items() if name.startswith(incomplete)]


def schemas(incomplete: str) -> Offer:
    """Offer the names of the JSON Schemas, each with what it describes."""
    from syncd.cli.schemas import titles

    return [(name, title) for name, title in titles().items() if name.startswith(incomplete)]


def fields(incomplete: str) -> list[str]:
    """Offer the fields of a card."""
    from syncd.cli.values import FIELDS

    return [name for name in FIELDS if name.startswith(incomplete)]


def one_of(*choices: str) -> Callable[[str], list[str]]:
    """Return what offers these words."""

    def offer(incomplete: str) -> list[str]:
        return [each for each in choices if each.startswith(incomplete)]

    return offer
