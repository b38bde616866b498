"""What a choice between two values that clashed makes of what the store has now."""

from __future__ import annotations

import pytest

from syncd.core.plan import Conflict, Winner
from syncd.engine.decisions import choose
from syncd.errors import Refused

BODY = Conflict("A1", "body", "1\n2\n3", "1\nH\n3", "1\nT\n3\n4", Winner.LOCAL)
MERGED = "1\nH\n3\n4"


def test_a_merged_body_stays_when_the_winner_is_chosen() -> None:
    """The file's lines won within a body that has the store's other lines as well: all of it stays."""
    assert choose(BODY, "local", MERGED) == MERGED


def test_a_merged_body_gives_way_to_the_one_that_lost() -> None:
    """A merged body that nobody edited since is no later edit: the store's whole body can be chosen."""
    assert choose(BODY, "remote", MERGED) == "1\nT\n3\n4"


def test_a_body_that_was_edited_since_does_not_give_way() -> None:
    """One more line in the merged body is somebody's work: taking the other body would lose it."""
    with pytest.raises(Refused, match="body of A1 was changed since"):
        choose(BODY, "remote", MERGED + "\n5")


def test_a_value_that_is_there_already_is_no_change() -> None:
    """The value that lost came back by hand: choosing it settles the conflict."""
    conflict = Conflict("A1", "priority", 0, 1, 2, Winner.REMOTE)
    assert choose(conflict, "local", 1) == 1
    assert choose(conflict, "local", 2) == 1
    with pytest.raises(Refused):
        choose(conflict, "local", 7)
