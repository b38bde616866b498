"""What every command that changes one card does: open the workspace, change, print the card."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from syncd.cli.options import workspace
from syncd.cli.output import emit

if TYPE_CHECKING:
    from syncd.api import Workspace
    from syncd.schemas.card import Card


def change_card(context: typer.Context, word: str, change: Callable[[Workspace], Card]) -> None:
    """Carry out a change in the workspace and print the card as it is then.

    Args:
        word: what was done to it, as ``Claimed``.
    """
    from syncd.cli.screens import cards
    from syncd.schemas.card import card_json

    with workspace(context) as opened:
        changed = change(opened)
    card = card_json(changed)
    emit(context, card, lambda: cards.changed(word, card, is_deleted=changed.deleted_at is not None))
