"""Three-way merge of lists that are sets: dependencies, labels, acceptance criteria.

An element is in the result when both sides kept it or one side added it; a removal by either side is
honoured.  There is nothing to clash about.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Collection

from syncd.schemas.card import Value


def merge_sets(base: Collection[str], local: Collection[str], remote: Collection[str]) -> tuple[str, ...]:
    """Return the merged elements, each once: the local ones in their order, then what the remote added.

    Holds: no element that both sides have is lost; none that neither side has appears.
    """
    known, here, there = frozenset(base), frozenset(local), frozenset(remote)
    kept = [each for each in local if each in there or each not in known]
    added = [each for each in remote if each not in here and each not in known]
    return tuple(dict.fromkeys(kept + added))


def merge_lists(base: Value, local: Value, remote: Value) -> tuple[str, ...] | None:
    """Return the merge of three values that are lists, or nothing; ``None`` when one of them is something else."""
    known, here, there = _as_set(base), _as_set(local), _as_set(remote)
    if known is None or here is None or there is None:
        return None
    return merge_sets(known, here, there)


def _as_set(value: Value) -> tuple[str, ...] | None:
    """Return the elements of a list, none of nothing; ``None`` for what is no list."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else None
