"""What a row's ``in-progress``, ``done`` and owner mean against the store's lease.

The store's lease decides who works on a card.  A row can ask for a claim and can report work as
finished; it never takes a lease from another.  May import ``syncd.core.plan`` and ``values``.
"""

from __future__ import annotations

from syncd.core.plan import BaseCard, LocalCard, Policy, RemoteCard
from syncd.core.values import CLAIM_OWNER, is_empty
from syncd.schemas.card import OWNER_TEXT, Value


def file_owner(policy: Policy) -> str:
    """Return the owner of claims by rows of this working copy that name none."""
    return f"file:{policy.replica}"


def asked_owner(local: LocalCard, policy: Policy) -> str:
    """Return for whom a row that says ``in-progress`` asks for the claim."""
    owner = local.fields.get(CLAIM_OWNER)
    return owner if isinstance(owner, str) and owner else file_owner(policy)


def is_refused(remote: RemoteCard, owner: str) -> bool:
    """Return whether another's live lease stands against a claim by ``owner``.  Holds: I13."""
    return remote.has_live_lease and remote.fields.get(CLAIM_OWNER) != owner


def shown_owner(remote: RemoteCard, policy: Policy) -> Value:
    """Return the owner that the row should name: nobody for the claim of a row that named nobody."""
    owner = remote.fields.get(CLAIM_OWNER)
    return None if owner == file_owner(policy) else owner


def is_anothers_work(base: BaseCard | None, local: LocalCard, remote: RemoteCard) -> bool:
    """Return whether a row that says ``done`` names an owner while another holds the live lease.

    Finished work counts whoever reports it, but not work that a row says was done by somebody who had
    lost the card.  A row without a place for an owner speaks for the one that it had when last agreed.
    """
    if not remote.has_live_lease:
        return False
    named = [local.fields[name] for name in (CLAIM_OWNER, OWNER_TEXT) if name in local.fields]
    if not named and base is not None:
        named = [base.fields.get(CLAIM_OWNER)]
    holder = remote.fields.get(CLAIM_OWNER)
    return any(not is_empty(CLAIM_OWNER, owner) and owner != holder for owner in named)
