"""What the base remembers of a card, and what follows from what it does not know."""

from __future__ import annotations

import pytest

from syncd.core.plan import BaseCard, ChangeKind, LocalCard, Policy, RemoteCard, advance
from syncd.core.reconcile import reconcile

FIELDS = {"title": "one", "priority": 5, "status": "ready"}


def test_a_field_that_the_row_does_not_show_now_keeps_its_base_value() -> None:
    """Half a row, as a slow editor leaves it for a moment, does not make the base forget what was agreed."""
    base = BaseCard("A1", FIELDS, 1, "TASKS.md")
    local = LocalCard("A1", {"title": "one"}, "TASKS.md")
    remote = RemoteCard("A1", {**FIELDS, "priority": 7}, 2)
    assert advance(base, local, remote) == BaseCard("A1", FIELDS, 2, "TASKS.md")


@pytest.mark.parametrize(("version", "kind"), [(1, ChangeKind.REMOVE), (2, ChangeKind.CREATE)])
def test_a_vanished_row_with_a_field_that_was_never_agreed_on(version: int, kind: ChangeKind) -> None:
    """Nobody can tell whether the store changed such a field once the version moved: the card lives then (I8)."""
    base = BaseCard("A1", {"title": "one", "status": "ready"}, 1, "TASKS.md")
    plan = reconcile({"A1": base}, {}, {"A1": RemoteCard("A1", FIELDS, version)}, Policy())
    assert [each.kind for each in (*plan.to_store, *plan.to_file)] == [kind]
