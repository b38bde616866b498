"""What the feed tells, as reconcile is to see it: presence, leases, words that still mean something."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from syncd.core.plan import BaseCard, Presence
from syncd.engine.remote import RemoteView
from syncd.ports import Cursor, Feed
from syncd.schemas.card import STATUS_WORD, Card, Status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Told:
    """A store that tells what a test says."""

    def __init__(self, *feeds: Feed) -> None:
        self._feeds = iter(feeds)

    def read(self, _: Cursor | None) -> Feed:
        return next(self._feeds)


def feed(*cards: Card, gone: Iterable[str] = (), is_full: bool = False, now: datetime = NOW) -> Feed:
    return Feed({card.id: card for card in cards}, frozenset(gone), Cursor("here", 7), is_full, now)


def view_of(*feeds: Feed) -> RemoteView:
    """Read one feed after the other."""
    view = RemoteView(Told(*feeds))  # type: ignore[arg-type]  # only what reads the feed is asked
    for number, _ in enumerate(feeds):
        view.load(full=number == 0, statuses={"in review": Status.BLOCKED})
    return view


def card(id: str = "A1", **fields: Any) -> Card:
    return Card(id=id, title="One", **fields)


def test_archived_and_deleted_cards_are_not_live() -> None:
    """A card's presence tells whether the store still shows it."""
    view = view_of(feed(card(), card("A2", archived_at=NOW), card("A3", deleted_at=NOW, archived_at=NOW), is_full=True))
    assert {id: each.presence for id, each in view.remote.items()} == {
        "A1": Presence.LIVE,
        "A2": Presence.ARCHIVED,
        "A3": Presence.DELETED,
    }


def test_cards_that_were_deleted_outright_are_gone() -> None:
    """A row that others deleted leaves the view, and one that a full feed does not have as well."""
    assert set(view_of(feed(card(), card("A2"), is_full=True), feed(gone=["A2"])).remote) == {"A1"}
    assert set(view_of(feed(card(), card("A2"), is_full=True), feed(card(), is_full=True)).remote) == {"A1"}


def test_a_lease_ends_by_the_stores_clock() -> None:
    """A lease is live until its time is over, and without a time for ever, whether the row changes or not."""
    leased = card(status=Status.CLAIMED, claim_owner="ann", claim_ttl_seconds=60, claimed_at=NOW)
    for_ever = card("A2", status=Status.CLAIMED, claim_owner="ann", claimed_at=NOW)
    late = feed(now=NOW + timedelta(seconds=60))
    assert [each.has_live_lease for each in view_of(feed(leased, for_ever, is_full=True)).remote.values()] == [True] * 2
    ended = view_of(feed(leased, for_ever, is_full=True), late).remote
    assert [each.has_live_lease for each in ended.values()] == [False, True]


def test_a_word_that_means_another_state_is_left_out() -> None:
    """The author's word for a state is told while the card is in that state, and not after a service moved it."""
    word = {"statusWord": "in review"}
    fresh = view_of(feed(card(status=Status.BLOCKED, extra=word), is_full=True)).remote["A1"]
    stale = view_of(feed(card(status=Status.READY, extra=word), is_full=True)).remote["A1"]
    assert fresh.fields.get(STATUS_WORD) == "in review"
    assert STATUS_WORD not in stale.fields


def test_a_store_that_is_empty_is_seen_empty_after_the_base_was_taken_for_it() -> None:
    """What was supposed while the store was away ends with the first answer, also with one that has no card."""
    view = RemoteView(Told(feed(is_full=True)))  # type: ignore[arg-type]  # only what reads the feed is asked
    view.suppose({"A1": BaseCard("A1", {"title": "One"}, 1)})
    assert view.load(full=True, statuses={})
    assert view.remote == {}


def test_the_next_end_of_a_lease_follows_who_has_one() -> None:
    """Leases that come, end, are given back, or go with their card are asked for no longer than they last."""
    leased = card(status=Status.CLAIMED, claim_owner="ann", claim_ttl_seconds=60, claimed_at=NOW)
    view = RemoteView(  # only what reads the feed is asked
        Told(  # type: ignore[arg-type]
            feed(card(), card("A2"), is_full=True),
            feed(leased),
            feed(now=NOW + timedelta(seconds=90)),
            feed(gone=["A1"]),
        )
    )
    ends = []
    for number in range(4):
        view.load(full=number == 0, statuses={})
        ends.append(view.next_expiry_s())
    assert ends == [None, 60.0, 0.0, None]
    view.take([card("A2", status=Status.CLAIMED, claim_owner="bob", claim_ttl_seconds=100, claimed_at=NOW)], {})
    assert view.next_expiry_s() == 100.0
    view.take([card("A2")], {})
    assert view.next_expiry_s() is None
