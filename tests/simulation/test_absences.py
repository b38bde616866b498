"""Three working copies whose database comes and goes."""

from __future__ import annotations

import pytest

from tests.simulation.absences import live


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_while_the_database_comes_and_goes(seed: int) -> None:
    """Cuts before and after any call, kills, and work on all sides: all is kept or told, finished work stays so."""
    live(seed)
