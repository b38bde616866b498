"""The merge of lists that are sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.core.set_merge import merge_sets

lists = st.lists(st.sampled_from("abcd"), max_size=5)


def test_additions_and_removals_of_both_sides_are_honoured() -> None:
    """Local elements keep their order; what the remote added follows; what either removed is gone."""
    assert merge_sets(("a", "b", "c"), ("n", "c", "a"), ("b", "c", "m")) == ("n", "c", "m")


@given(lists, lists, lists)
def test_each_element_is_decided_by_itself(base: list[str], local: list[str], remote: list[str]) -> None:
    """An element stays when both kept it or one added it, and stands once."""
    merged = merge_sets(base, local, remote)
    was, here, there = set(base), set(local), set(remote)
    assert set(merged) == (was & here & there) | (here - was) | (there - was)
    assert len(merged) == len(set(merged))
