"""The dependency graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.core.graph import find_cycles, find_knots, would_close

ids = st.sampled_from([f"A{at}" for at in range(7)])
graphs = st.dictionaries(ids, st.lists(ids, max_size=3, unique=True).map(tuple), max_size=7)


def test_each_knot_gives_one_cycle_in_the_order_of_the_cards() -> None:
    """Cycles come in the mapping's order and begin with their first card; what hangs on them is no part."""
    graph = {"A": ("B",), "B": ("C",), "C": ("B", "D"), "D": (), "E": ("E",), "F": ("A",)}
    assert find_cycles(graph) == [("B", "C"), ("E",)]


def test_a_shortest_cycle_is_shown() -> None:
    """Of several ways round, the shortest through the knot's first card is shown."""
    assert find_cycles({"A": ("B", "C"), "B": ("C",), "C": ("A",)}) == [("A", "C")]


def test_a_closing_edge_is_told_with_its_path() -> None:
    """The path of the cycle that would close begins and ends with the card."""
    graph = {"A": ("X",), "B": ("A",), "C": ("B",)}
    assert would_close(graph, "A", ("C",)) == ("A", "C", "B", "A")
    assert would_close(graph, "C", ("A", "B")) is None
    assert would_close(graph, "A", ("A",)) == ("A", "A")


def test_old_dependencies_of_the_card_do_not_count() -> None:
    """A card may turn its dependencies round."""
    assert would_close({"A": ("B",), "B": ()}, "A", ()) is None


def test_a_chain_of_any_length_is_searched() -> None:
    """A chain of twenty thousand cards needs no recursion."""
    chain = {f"A{at}": (f"A{at + 1}",) for at in range(20_000)}
    assert find_cycles(chain) == []
    assert len(find_cycles({**chain, "A20000": ("A0",)})[0]) == 20_001


@given(graphs)
def test_knots_are_exactly_the_cards_that_reach_themselves(graph: dict[str, tuple[str, ...]]) -> None:
    """A card is in a knot when, and only when, a path leads from it back to it."""
    knotted = {id for knot in find_knots(graph) for id in knot}
    assert knotted == {id for id in graph if would_close(graph, id, graph[id]) is not None}


@given(graphs)
def test_cycles_are_real(graph: dict[str, tuple[str, ...]]) -> None:
    """Each card of a cycle depends on the next, and every knot has its cycle."""
    cycles = find_cycles(graph)
    assert len(cycles) == len(list(find_knots(graph)))
    for cycle in cycles:
        for id, needed in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert needed in graph[id]
