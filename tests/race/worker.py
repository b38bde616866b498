"""One worker of the race: claims, works for a moment, and completes; sometimes it fails, renews, gives back or lingers.

It is killed at any instant.  Each claim leaves a row in a table of the race's own before anything else is done with
the card, over another connection, which is never cut: evidence that does not come from syncd.  A store that does not
answer is told again what became of a card, until it has heard.
"""

from __future__ import annotations

import ctypes
import os
import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg

from syncd.core.retry import RetryPolicy
from syncd.errors import NotOwner, StoreUnreachable
from syncd.schemas.card import Card
from syncd.store.postgres import PostgresStore

TTL_S = 2
IDLE_S = 0.02
_CLONE_NEWNET = 0x40000000

BEGUN = "insert into race_claim (card, attempt, owner) values (%s, %s, %s)"
ENDED = "insert into race_end (card, attempt, owner, how, tries) values (%s, %s, %s, %s, %s)"


@dataclass(frozen=True)
class Line:
    """How a worker reaches the database: over a line that may be cut, in a network of its own, and for evidence."""

    store: str
    evidence: str
    network: Path | None = None


@dataclass(frozen=True)
class Chances:
    """How often out of a thousand a worker does something else than to complete its card at once."""

    fail: int = 40
    release: int = 30
    renew: int = 60
    linger: int = 15


def work(line: Line, owner: str, seed: int, deadline: float, work_s: float) -> None:
    """Work until no card is left that is not done, or the deadline of ``time.monotonic`` passes."""
    if line.network is not None:
        _enter(line.network)
    chance = random.Random(seed)
    policy = RetryPolicy(base_s=0.01, max_s=0.05)
    store = PostgresStore(line.store, project="default", actor=owner, face="race", replica=owner, retry=policy)
    with closing(store), closing(psycopg.connect(line.evidence, autocommit=True)) as evidence:
        while time.monotonic() < deadline:
            try:
                cards = store.claim(owner, TTL_S, count=chance.choice((1, 1, 1, 2)))
                if not cards and store.stats().counts["done"] == store.stats().total:
                    return
            except StoreUnreachable:
                # What it may have been given without hearing of it comes back when the lease ends.
                cards = []
            for card in cards:
                evidence.execute(BEGUN, (card.id, card.attempts, owner))
            for card in cards:
                _spend(chance.uniform(0, work_s))
                how, tries = _work_on(store, card, owner, chance, deadline)
                evidence.execute(ENDED, (card.id, card.attempts, owner, how, tries))
            if not cards:
                time.sleep(IDLE_S)


def _work_on(
    store: PostgresStore,
    card: Card,
    owner: str,
    chance: random.Random,
    deadline: float,
    chances: Chances = Chances(),
) -> tuple[str, int]:
    """End a card's work in one way or another; return how it ended, and how often that had to be told."""
    what = chance.randrange(1000)
    told = _Telling(deadline)
    try:
        for name in ("fail", "release", "renew", "linger"):
            what -= getattr(chances, name)
            if what < 0:
                break
        else:
            name = "complete"
        match name:
            case "fail":
                told(lambda: store.fail(card.id, "by chance", owner=owner, attempt=card.attempts))
                return "failed", told.tries
            case "release":
                told(lambda: store.release(card.id, owner, attempt=card.attempts))
                return "released", told.tries
            case "renew":
                told(lambda: store.renew(card.id, owner, TTL_S, attempt=card.attempts))
            case "linger":
                # Too long: whoever has the card by now must not be disturbed by what follows.
                _spend(TTL_S * 1.5)
        told(lambda: store.complete(card.id, owner=owner, attempt=card.attempts))
    except NotOwner:
        return "refused", told.tries
    return "completed", told.tries


class _Telling:
    """Tells the store until it answers, and counts how often that took."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.tries = 0

    def __call__(self, tell: Callable[[], object]) -> None:
        """Tell it one thing.  Raises what the store answers, StoreUnreachable after the deadline."""
        self.tries, deadline = 0, self._deadline
        while True:
            self.tries += 1
            try:
                tell()
            except StoreUnreachable:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(IDLE_S)
            else:
                return


def _enter(network: Path) -> None:
    """Have this process use another network from now on; it has to be single-threaded."""
    libc = ctypes.CDLL(None, use_errno=True)
    with network.open() as opened:
        if libc.setns(opened.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(network))


def _spend(seconds: float) -> None:
    """Be busy with a card."""
    deadline = time.monotonic() + seconds
    while (left_s := deadline - time.monotonic()) > 0:
        time.sleep(left_s)
