"""Working copies with files whose database comes and goes, and whose processes die: nothing clashes."""

from __future__ import annotations

import pytest

from tests.simulation.journeys import live

FOUND = (
    0,  # a cut right after own commits was taken for a store that went back
    18,  # killed between the commit and the base, then cut off: the next edit clashed with the one before
)


@pytest.mark.parametrize("seed", sorted({*range(10), *FOUND}))
def test_nothing_clashes_and_nothing_is_held(seed: int) -> None:
    """Each field has one writer who knows what stood there: whatever is cut or killed, their last value stands."""
    live(seed)
