"""Telling the store how an attempt ended, for as long as it takes.

A store that is away is asked again: work that is finished must not be lost to a restart of the database.
The lease's owner and attempt go with every word, so a late one is refused and harms nobody.  May import
``syncd.api``, ``syncd.errors``, ``syncd.log`` and ``syncd.work``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from syncd.api import Backlog
from syncd.errors import NotFound, NotOwner, StoreUnreachable, SyncdError
from syncd.log import event
from syncd.work.attempt import Attempt, Outcome, Stop

_RETRY_MIN_S: Final = 0.2
_RETRY_MAX_S: Final = 10.0


async def report(backlog: Backlog, attempt: Attempt, outcome: Outcome, may_wait: Callable[[], bool]) -> None:
    """Complete, fail or release an attempt's card.

    Args:
        may_wait: whether a store that is away is waited for (still).
    """
    id, number = attempt.key
    owner = attempt.workshop.owner
    if outcome.stopped is Stop.LEASE_LOST:
        event("work.lost", id=id, attempt=number)
        return

    def tell() -> None:
        if outcome.stopped is Stop.RELEASE:
            backlog.release(id, owner, attempt=number)
        elif outcome.error is not None:
            backlog.fail(id, outcome.error, owner=owner, attempt=number)
        else:
            backlog.complete(id, owner=owner, attempt=number)

    name = "work.released" if outcome.stopped else "work.failed" if outcome.error else "work.done"
    pause_s = _RETRY_MIN_S
    while True:
        try:
            await asyncio.to_thread(tell)
        except (NotOwner, NotFound) as error:
            if outcome.is_done and await asyncio.to_thread(_is_taken_back, backlog, attempt):
                event("work.done", id=id, attempt=number, log=str(attempt.log))
            else:
                event("work.late", id=id, attempt=number, message=error.message)
        except StoreUnreachable as error:
            if may_wait():
                event("store.offline", message=error.message)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_MAX_S)
                continue
            event("work.unreported", id=id, attempt=number, message=error.message)
        except SyncdError as error:
            event("work.unreported", id=id, attempt=number, message=error.message)
        else:
            event(name, id=id, attempt=number, error=_first_line(outcome.error), log=str(attempt.log))
        return


def _is_taken_back(backlog: Backlog, attempt: Attempt) -> bool:
    """Complete a card whose lease the store has forgotten, if nobody else has taken it; return whether that was so.

    A store that went away between the claim and the end may know nothing of the claim; the work is done all the same.
    """
    owner = attempt.workshop.owner
    try:
        card = backlog.claim(owner, id=attempt.card.id)
        if card is not None:
            backlog.complete(card.id, owner=owner, attempt=card.attempts)
    except SyncdError:
        return False
    return card is not None


def _first_line(error: str | None) -> str | None:
    return error.splitlines()[0] if error else None
