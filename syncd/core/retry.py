"""When a card that failed is tried again.

May import nothing of syncd.
"""

from __future__ import annotations

from typing import Final

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often a failed card is tried again, and after which pause: ``base_s``, doubled each time, up to ``max_s``.

    ``jitter`` is the share of the pause that chance may add, so that cards that failed together do not
    come back together.
    """

    retries: int = 3
    base_s: float = 1.0
    max_s: float = 60.0
    jitter: float = 0.25


RETRIES: Final = RetryPolicy()


def retry_delay_s(failures: int, max_retries: int | None, chance: float, policy: RetryPolicy = RETRIES) -> float | None:
    """Return how long a card pauses after a failure; ``None`` when its retries are spent.

    Args:
        failures: how often it failed before this time.
        max_retries: the card's own number, over the policy's.
        chance: a random number from 0 to 1.
    """
    if failures >= (policy.retries if max_retries is None else max_retries):
        return None
    # 2**63 seconds is longer than any cap; beyond it only the computation would grow.
    pause_s = min(policy.base_s * 2.0 ** min(failures, 63), policy.max_s)
    return pause_s * (1 + policy.jitter * chance)
