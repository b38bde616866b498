"""Working copies with files whose database comes and goes, and whose processes die: nothing clashes."""

from __future__ import annotations

import pytest

from tests.simulation.journeys import live


@pytest.mark.parametrize("seed", range(12))
def test_nothing_clashes_and_nothing_is_held(seed: int) -> None:
    """Whatever is cut or killed: last values stand, what is removed or finished stays so, a lost claim is told."""
    live(seed)
