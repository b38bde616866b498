"""What must be true after the race, whatever was killed when: each law is a query that finds its breaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

CLAIM = "h.after ->> 'status' = 'claimed' and h.before ->> 'attempts' <> h.after ->> 'attempts'"

LAWS = {
    "every card is done": "select id from backlog where status <> 'done'",
    "no lease is left": "select id from backlog where claim_owner is not null",
    "the count of unmet dependencies is right": "select backlog_mend('default')",
    "an attempt number is claimed once (the workers' own evidence)": (
        "select card, attempt from race_claim group by 1, 2 having count(*) > 1"
    ),
    "an attempt number is claimed once (history)": (
        f"select id, after ->> 'attempts' from backlog_history h where {CLAIM} group by 1, 2 having count(*) > 1"
    ),
    "attempts count the claims": (
        "select b.id from backlog b where b.attempts <> ("
        f" select count(*) from backlog_history h where h.id = b.id and {CLAIM})"
    ),
    "a card is done once, by the attempt that was the last to claim it": (
        "select b.id from backlog b where (select count(*) from backlog_history h"
        " where h.id = b.id and h.after ->> 'status' = 'done' and h.before ->> 'status' is distinct from 'done') <> 1"
    ),
    "only one worker believes that it completed a card": (
        "select card from race_end where how = 'completed' group by 1 having count(*) > 1"
    ),
    "who believes that it completed a card was the last to claim it": (
        "select e.card from race_end e join backlog b on b.id = e.card"
        " where e.how = 'completed' and e.attempt <> b.attempts"
    ),
    "no completion is lost: who completed a card was never told that it was refused": (
        "select e.card, e.attempt from race_end e join backlog b on b.id = e.card"
        " where e.how = 'refused' and b.status = 'done' and e.attempt = b.attempts"
    ),
    "a claim follows a card that is ready: no lease passes from one to another": (
        f"select id, seq from backlog_history h where {CLAIM} and h.before ->> 'status' <> 'ready'"
    ),
    "a lease is taken away only when its time is over": (
        "select h.id, h.seq from backlog_history h"
        " where h.before ->> 'status' = 'claimed' and h.after ->> 'status' = 'ready'"
        " and h.actor <> h.before ->> 'claim_owner'"
        " and (h.before ->> 'claimed_at')::timestamptz"
        " + make_interval(secs => (h.before ->> 'claim_ttl_seconds')::integer) > h.at"
    ),
    "a card is claimed when what it depends on is done": (
        "select h.id, d.dependency from backlog_history h join backlog_edge d on d.card = h.id"
        f" where {CLAIM} and not exists (select from backlog_history done"
        " where done.id = d.dependency and done.after ->> 'status' = 'done' and done.seq < h.seq)"
    ),
}

WORKED_APART = {
    law: query for law, query in LAWS.items() if "race_" not in query and law != "attempts count the claims"
}
"""What the store's own history must say when workers without the store's answer claimed elsewhere and came home: those
claims are counted, and have no line of their own in it."""


@dataclass(frozen=True)
class Counts:
    """What happened in the race."""

    claims: int
    completed: int
    failed: int
    expired: int
    refused: int
    told_again: int


def breaches(link: psycopg.Connection[Any], laws: Mapping[str, str] = LAWS) -> Iterator[str]:
    """Yield each law that does not hold, with the first rows that break it."""
    for law, query in laws.items():
        found = link.execute(query).fetchall()
        if found:
            yield f"{law}: broken {len(found)} times, first {found[:3]}"


def counts(link: psycopg.Connection[Any]) -> Counts:
    """Return what happened."""
    row = link.execute(
        f"select (select count(*) from backlog_history h where {CLAIM}),"
        " (select count(*) from race_end where how = 'completed'),"
        " (select count(*) from race_end where how = 'failed'),"
        " (select count(*) from backlog_history where before ->> 'status' = 'claimed'"
        "  and after ->> 'status' = 'ready' and actor <> before ->> 'claim_owner'),"
        " (select count(*) from race_end where how = 'refused'),"
        " (select count(*) from race_end where tries > 1)"
    ).fetchone()
    assert row is not None
    return Counts(*row)
