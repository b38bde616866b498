"""Three-way merge of lists that are sets: dependencies, labels, acceptance criteria.

An element is in the result when both sides kept it or one side added it; a removal by either side is
honoured.  There is nothing to clash about.  May import nothing of syncd.
"""

from __future__ import annotations

from collections.abc import Collection


def merge_sets(base: Collection[str], local: Collection[str], remote: Collection[str]) -> tuple[str, ...]:
    """Return the merged elements, each once: the local ones in their order, then what the remote added.

    Holds: no element that both sides have is lost; none that neither side has appears.
    """
    known, here, there = frozenset(base), frozenset(local), frozenset(remote)
    kept = [each for each in local if each in there or each not in known]
    added = [each for each in remote if each not in here and each not in known]
    return tuple(dict.fromkeys(kept + added))
