"""A cut between what the database did and whoever asked for it: nothing is lost, nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncd.errors import InputOutputError, NotOwner
from syncd.ports import NewCard, Store
from syncd.schemas.card import Card, Status
from tests.support.laptop import Line, another, back, laptop, let_pass
from tests.support.workspace import TABLE, Site


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[tuple[Site, Line]]:
    """A working copy in sync, and its line."""
    with laptop(tmp_path / "laptop", postgres_dsn, TABLE) as (made, line):
        made.sync()
        yield made, line


def lost(line: Line) -> None:
    """Have the next call reach the database, and its answer nobody."""
    line.calls_left, line.cuts_after = 0, True


def test_a_lease_whose_answer_was_lost_is_the_same_lease(here: tuple[Site, Line]) -> None:
    """Its owner is given the same card at the same number, and keeps it over the return."""
    made, line = here
    store = made.wiring.store()
    lost(line)
    (card,) = store.claim("laptop.1", 900)
    assert (card.id, card.attempts) == ("A2", 1)
    assert made.column("claim_owner", "A2") == "laptop.1"
    assert made.wiring.absence() is not None
    back(here)
    assert made.wiring.store().conflicts() == []
    assert made.sql("select claim_owner, attempts from backlog where id = 'A2'") == [("laptop.1", 1)]
    assert made.wiring.store().complete("A2", owner="laptop.1", attempt=1).status is Status.DONE


def test_a_lost_lease_that_was_renewed_goes_on(here: tuple[Site, Line]) -> None:
    """What was renewed while the database was away does not run out when it is back."""
    made, line = here
    store = made.wiring.store()
    lost(line)
    store.claim("laptop.1", 900)
    let_pass(made, 600)
    store.renew("A2", "laptop.1", 7200, attempt=1)
    store.update("A2", {"title": "Edited away"})
    back(here)
    assert made.sql("select claim_owner, claim_ttl_seconds, attempts, title from backlog where id = 'A2'") == [
        ("laptop.1", 7200, 1, "Edited away")
    ]
    assert made.wiring.store().complete("A2", owner="laptop.1", attempt=1).status is Status.DONE
    assert made.wiring.store().conflicts() == []


ENDS: dict[str, tuple[Callable[[Store], object], tuple[object, ...]]] = {
    "complete": (lambda store: store.complete("A2", owner="laptop.1", attempt=1), ("done", None, 1, 0)),
    "release": (lambda store: store.release("A2", "laptop.1", attempt=1), ("ready", None, 1, 0)),
    "fail": (lambda store: store.fail("A2", "broken", owner="laptop.1", attempt=1), ("ready", None, 1, 1)),
}


def test_a_lost_lease_that_was_given_back_and_taken_again(here: tuple[Site, Line]) -> None:
    """It has its new number and its new end in the database."""
    made, line = here
    store = made.wiring.store()
    lost(line)
    store.claim("laptop.1", 900, id="A2")
    store.release("A2", "laptop.1")
    store.claim("laptop.1", 7200, id="A2")
    back(here)
    assert made.wiring.store().conflicts() == []
    assert made.sql("select claim_owner, claim_ttl_seconds, attempts from backlog where id = 'A2'") == [
        ("laptop.1", 7200, 2)
    ]


@pytest.mark.parametrize("end", ENDS)
def test_a_lost_lease_ends_as_its_owner_says(here: tuple[Site, Line], end: str) -> None:
    """What the database holds for an owner is theirs to end while it is away: nobody is in between."""
    made, line = here
    store = made.wiring.store()
    lost(line)
    store.claim("laptop.1", 900)
    verb, after = ENDS[end]
    verb(store)
    back(here)
    assert made.wiring.store().conflicts() == []
    assert made.sql("select status::text, claim_owner, attempts, failures from backlog where id = 'A2'") == [after]


def test_a_card_whose_making_was_not_answered_is_removed_by_its_maker(here: tuple[Site, Line]) -> None:
    """The database had made it: removed while that is away, it is no card that others changed."""
    made, line = here
    lost(line)
    made.wiring.store().create(NewCard(id="N1", title="Came and went"))
    made.sync()
    assert "Came and went" in made.text
    made.wiring.store().remove("N1")
    made.sync()
    back(here)
    assert made.wiring.store().conflicts() == []
    assert "Came and went" not in made.text
    assert made.sql("select deleted_at is not null from backlog where id = 'N1'") == [(True,)]


def test_a_lease_of_a_process_that_died_goes_on(here: tuple[Site, Line]) -> None:
    """Its owner asks again, without the database, and is given the same card at the same number: it is one lease."""
    made, line = here
    with closing(made.wiring.database()) as database:
        database.claim("laptop", 900, id="A2")
    line.is_cut = True
    made.wiring.store().claim("laptop", 900, id="A2")
    made.wiring.store().renew("A2", "laptop", 7200)
    back(here)
    assert made.wiring.store().conflicts() == []
    assert made.sql("select claim_owner, claim_ttl_seconds, attempts from backlog where id = 'A2'") == [
        ("laptop", 7200, 1)
    ]


def test_a_lost_answer_says_nothing_of_the_lease_of_others(here: tuple[Site, Line]) -> None:
    """The database had given the card to somebody else already: they are told that it was finished."""
    made, line = here
    with closing(made.wiring.database()) as database:
        database.claim("office", 900, id="A2")
    lost(line)
    made.wiring.store().claim("laptop.1", 900, id="A2")
    made.wiring.store().complete("A2", owner="laptop.1", attempt=1)
    back(here)
    (conflict,) = [each.conflict for each in made.wiring.store().conflicts()]
    assert (conflict.id, conflict.local, conflict.remote) == ("A2", "done", "claimed")
    with pytest.raises(NotOwner):
        made.wiring.store().complete("A2", owner="office", attempt=1)


def test_a_lost_lease_that_others_got_is_theirs(here: tuple[Site, Line]) -> None:
    """Two leases of one card are never both live: the database's stands, and the other owner is told."""
    made, line = here
    other = another(made, line)
    # The process that asked died before it could tell anybody.
    with closing(made.wiring.database()) as database:
        database.claim("laptop.1", 900, id="A2")
    line.is_cut = True
    (mine,) = other.store().claim("laptop.2", 900)
    assert mine.id == "A2"
    back(here)
    (conflict,) = [each.conflict for each in made.wiring.store().conflicts()]
    assert (conflict.id, conflict.local, conflict.remote) == ("A2", "laptop.2", "laptop.1")
    assert made.column("claim_owner", "A2") == "laptop.1"
    with pytest.raises(NotOwner):
        other.store().renew("A2", "laptop.2", attempt=mine.attempts)
    other.close()


VERBS: dict[str, Callable[[Store], object]] = {
    "create": lambda store: store.create(NewCard(id="B1", title="New", priority=4)),
    "update": lambda store: store.update("A3", {"title": "Other"}),
    "complete": lambda store: store.complete("A2", owner="w", attempt=1),
    "fail": lambda store: store.fail("A2", "broken", owner="w", attempt=1),
    "release": lambda store: store.release("A2", "w", attempt=1),
    "renew": lambda store: store.renew("A2", "w", 4000, attempt=1),
    "block": lambda store: store.block("A2", "no key"),
    "link": lambda store: store.link("A3", "A0"),
    "unlink": lambda store: store.unlink("A3", "A1"),
    "remove": lambda store: store.remove("A3"),
    "reclaim": lambda store: store.reclaim("A2"),
}
SAID = ("id", "title", "status", "claim_owner", "claim_ttl_seconds", "attempts", "failures", "last_error", "depends_on")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_answer_was_lost_counts_once(here: tuple[Site, Line], verb: str) -> None:
    """Whoever asked gets the answer of what stands in, and the database ends where it would have been anyhow."""
    made, line = here
    store = made.wiring.store()
    store.create(NewCard(id="A0", title="Zero"))
    store.claim("w", 900, id="A2")
    made.sync()
    lost(line)
    VERBS[verb](store)
    assert made.wiring.absence() is not None
    after = _cards(made)
    back(here)
    made.sync()
    assert _cards(made) == after
    assert made.wiring.store().conflicts() == []
    assert made.wiring.status().in_sync


def _cards(made: Site) -> list[tuple[object, ...]]:
    return made.sql(  # type: ignore[return-value]
        f"select {', '.join(SAID)} from backlog where deleted_at is null order by id"
    )


def test_a_later_value_outlives_the_one_whose_answer_was_lost(here: tuple[Site, Line]) -> None:
    """What an owner wrote into the database unawares is no other writer's: what they wrote after it stands."""
    made, line = here
    store = made.wiring.store()
    lost(line)
    store.update("A3", {"priority": 5, "title": "First"})
    assert made.column("priority", "A3") == 5
    store.update("A3", {"priority": 6})
    back(here)
    assert made.wiring.store().conflicts() == []
    assert made.sql("select priority, title from backlog where id = 'A3'") == [(6, "First")]


def test_other_processes_know_of_a_lease_before_its_owner_does(here: tuple[Site, Line]) -> None:
    """A worker that only claims never looks at the feed; still nobody else gets its card once the database is away."""
    made, line = here
    worker, other = made.wiring.store(), another(made, line)
    (card,) = worker.claim("worker.1", 60)
    line.is_cut = True
    let_pass(made, 30)
    assert other.store().claim("worker.2", 900) == []
    assert worker.renew(card.id, "worker.1", attempt=card.attempts).claim_owner == "worker.1"
    other.close()


def test_a_renewal_is_known_to_other_processes(here: tuple[Site, Line]) -> None:
    """A lease that was renewed in the database does not run out in what stands in for it."""
    made, line = here
    worker, other = made.wiring.store(), another(made, line)
    worker.claim("worker.1", 1)
    worker.renew("A2", "worker.1", 3600)
    line.is_cut = True
    assert other.store().get("A2").claim_ttl_seconds == 3600
    other.close()


def test_a_full_disk_takes_no_lease_back(here: tuple[Site, Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the database gave is given, also where it cannot be written down at once."""
    made, _ = here
    contact = made.wiring.contact(may_write=True)
    take = type(contact).take
    is_full = [True]

    def full(self: object, cards: list[Card]) -> None:
        if is_full[0]:
            raise InputOutputError("no space left on device")
        take(self, cards)  # type: ignore[arg-type]

    monkeypatch.setattr(type(contact), "take", full)
    (card,) = made.wiring.store().claim("w", 900)
    assert card.id == "A2"
    assert contact.cards()["A2"].claim_owner is None
    is_full[0] = False
    made.wiring.store().get("A1")
    made.wiring.store().read(None)
    assert contact.cards()["A2"].claim_owner == "w"
