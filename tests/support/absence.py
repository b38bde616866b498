"""Two sides that part and meet again, for laws: a database, and what stands in for it, each worked on by its rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import strategies as st

from syncd.core.plan import Policy
from syncd.core.rejoin import Return, rejoin
from syncd.errors import SyncdError
from syncd.ports import Batch, NewCard, Store
from syncd.schemas.card import Card, Fields
from tests.support.memory_store import MemoryDatabase

IDS = ("A", "B", "C", "D")
NEW = ("N1", "N2")
PROJECT = "default"

Deed = tuple[str, str, str]
"""What is done, to which card, with which word."""

DEEDS = (
    "title",
    "priority",
    "note",
    "body",
    "link",
    "unlink",
    "claim",
    "renew",
    "release",
    "complete",
    "fail",
    "block",
)
DEEDS += ("unblock", "retry", "remove", "create", "wait")


def deeds(side: str) -> st.SearchStrategy[list[Deed]]:
    """Return what somebody may do: mostly few things to few cards, so that both sides meet on them."""
    card = st.sampled_from((*IDS, *IDS, *NEW))
    word = st.sampled_from((f"{side} 1", f"{side} 2", "both"))
    return st.lists(st.tuples(st.sampled_from(DEEDS), card, word), max_size=7)


@dataclass
class Parted:
    """A database and what stands in for it; ``contact`` is what both had when the line was cut."""

    database: MemoryDatabase = field(default_factory=lambda: MemoryDatabase(epoch="database"))
    standin: MemoryDatabase = field(default_factory=lambda: MemoryDatabase(epoch="standin"))
    contact: Mapping[str, Card] = field(default_factory=dict)
    sent: int = 0

    def part(self, before: Sequence[Deed]) -> None:
        """Make cards, have somebody work on them, and cut the line."""
        store = self.database.store()
        store.create_many([NewCard(id=id, title=f"Card {id}", priority=at) for at, id in enumerate(IDS)])
        do(store, self.database, before, "before")
        self.contact = {id: card for id, card in self.remote.items() if card.deleted_at is None}
        self.standin.now = self.database.now
        self.standin.project(PROJECT).fill(self.contact.values(), gone={})

    @property
    def local(self) -> Mapping[str, Card]:
        """The cards of what stands in."""
        return dict(self.standin.project(PROJECT).cards)

    @property
    def remote(self) -> Mapping[str, Card]:
        """The cards of the database."""
        return dict(self.database.project(PROJECT).cards)

    def plan(self, *, agreed: Mapping[str, Fields] | None = None, is_known: bool = True) -> Return:
        """Return what the return would do now."""
        return rejoin(
            self.contact,
            self.local,
            self.remote,
            Policy(),
            agreed=agreed or {},
            local_now=self.standin.now,
            remote_now=self.database.now,
            is_known=is_known,
        )

    def carry_out(self, plan: Return) -> frozenset[str]:
        """Bring a plan into the database; return the cards that were refused or had moved."""
        self.sent += 1
        result = self.database.store().commit(Batch(f"return {self.sent}", plan.changes, plan.conflicts))
        return frozenset((*result.moved, *result.refused))


def do(store: Store, clock: MemoryDatabase, wanted: Sequence[Deed], owner: str) -> None:
    """Do what the rules of a store allow."""
    verbs: Mapping[str, Callable[[str, str], object]] = {
        "title": lambda id, word: store.update(id, {"title": word}),
        "priority": lambda id, word: store.update(id, {"priority": len(word)}),
        "note": lambda id, word: store.update(id, {"extra.note": word}),
        "body": lambda id, word: store.update(id, {"body": f"{word}\n\nmiddle\n\nbottom"}),
        "link": lambda id, word: store.link(id, IDS[len(word) % len(IDS)]),
        "unlink": lambda id, word: store.unlink(id, IDS[len(word) % len(IDS)]),
        "claim": lambda id, word: store.claim(owner, 600, id=id),
        "renew": lambda id, word: store.renew(id, owner, 900),
        "release": lambda id, word: store.release(id, owner),
        "complete": lambda id, word: store.complete(id, owner=owner),
        "fail": lambda id, word: store.fail(id, word, owner=owner),
        "block": lambda id, word: store.block(id, word),
        "unblock": lambda id, word: store.unblock(id),
        "retry": lambda id, word: store.retry(id),
        "remove": lambda id, word: store.remove(id, force=True),
        "create": lambda id, word: store.create(NewCard(id=id, title=word)),
        "wait": lambda id, word: clock.advance(400),
    }
    for verb, id, word in wanted:
        with suppress(SyncdError):
            verbs[verb](id, word)
