"""Leases belong to one owner: who asks under another name, or at the same moment, gets nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from syncd.errors import NotOwner
from syncd.ports import NewCard
from tests.contract.conftest import World


def test_only_its_owner_renews_or_releases_a_lease(world: World) -> None:
    """Another name extends or ends no lease, with or without the number of the attempt."""
    world.store.create(NewCard(id="A", title="a"))
    (leased,) = world.store.claim("ann", 60)
    for attempt in (None, leased.attempts):
        with pytest.raises(NotOwner):
            world.store.renew("A", "bob", 600, attempt=attempt)
        with pytest.raises(NotOwner):
            world.store.release("A", "bob", attempt=attempt)
    assert world.store.get("A") == leased


def test_racing_claimers_of_many_get_different_cards(world: World) -> None:
    """Claimers that take several cards at a time lease each card once.  Holds: I13."""
    for number in range(40):
        world.store.create(NewCard(id=f"T{number}", title="t"))
    stores = [world.open(replica=f"r{number}") for number in range(4)]

    def take(number: int) -> list[str]:
        taken: list[str] = []
        while cards := stores[number].claim(f"w{number}", 60, count=3):
            taken += [card.id for card in cards]
        return taken

    with ThreadPoolExecutor(4) as pool:
        leased = [id for ids in pool.map(take, range(4)) for id in ids]
    assert sorted(leased) == sorted(f"T{number}" for number in range(40))
