"""One worker of the race: claims, works for a moment, and completes; sometimes it fails, renews, gives back or lingers.

It is killed at any instant.  Each claim leaves a row in a table of the race's own before anything else is done with
the card, over another connection: evidence that does not come from syncd.
"""

from __future__ import annotations

import random
import time
from contextlib import closing
from dataclasses import dataclass

import psycopg

from syncd.core.retry import RetryPolicy
from syncd.errors import NotOwner
from syncd.schemas.card import Card
from syncd.store.postgres import PostgresStore

TTL_S = 2
WORK_MAX_S = 0.004
IDLE_S = 0.02

BEGUN = "insert into race_claim (card, attempt, owner) values (%s, %s, %s)"
ENDED = "insert into race_end (card, attempt, owner, how) values (%s, %s, %s, %s)"


@dataclass(frozen=True)
class Chances:
    """How often out of a thousand a worker does something else than to complete its card at once."""

    fail: int = 40
    release: int = 30
    renew: int = 60
    linger: int = 15


def work(dsn: str, owner: str, seed: int, deadline: float) -> None:
    """Work until no card is left that is not done, or the deadline of ``time.monotonic`` passes."""
    chance = random.Random(seed)
    policy = RetryPolicy(base_s=0.01, max_s=0.05)
    store = PostgresStore(dsn, project="default", actor=owner, face="race", replica=owner, retry=policy)
    with closing(store), closing(psycopg.connect(dsn, autocommit=True)) as evidence:
        while time.monotonic() < deadline:
            cards = store.claim(owner, TTL_S, count=chance.choice((1, 1, 1, 2)))
            for card in cards:
                evidence.execute(BEGUN, (card.id, card.attempts, owner))
            for card in cards:
                how = _work_on(store, card, owner, chance)
                evidence.execute(ENDED, (card.id, card.attempts, owner, how))
            if not cards:
                if store.stats().counts["done"] == store.stats().total:
                    return
                time.sleep(IDLE_S)


def _work_on(store: PostgresStore, card: Card, owner: str, chance: random.Random, chances: Chances = Chances()) -> str:
    """Do something with a card that was claimed; return how it ended."""
    _spend(chance.uniform(0, WORK_MAX_S))
    what = chance.randrange(1000)
    try:
        for name in ("fail", "release", "renew", "linger"):
            what -= getattr(chances, name)
            if what < 0:
                break
        else:
            name = "complete"
        match name:
            case "fail":
                store.fail(card.id, "by chance", owner=owner, attempt=card.attempts)
                return "failed"
            case "release":
                store.release(card.id, owner, attempt=card.attempts)
                return "released"
            case "renew":
                store.renew(card.id, owner, TTL_S, attempt=card.attempts)
            case "linger":
                # Too long: whoever has the card by now must not be disturbed by what follows.
                _spend(TTL_S * 1.5)
        store.complete(card.id, owner=owner, attempt=card.attempts)
    except NotOwner:
        return "refused"
    return "completed"


def _spend(seconds: float) -> None:
    """Be busy with a card."""
    deadline = time.monotonic() + seconds
    while (left_s := deadline - time.monotonic()) > 0:
        time.sleep(left_s)
