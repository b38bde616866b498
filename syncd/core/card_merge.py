"""One card that both sides show: field by field, what goes to the store, what to the file, and what clashes.

Each field is settled by itself (I11), by the table in ``_rule`` and its exceptions: sets and long
text merge, status and owner follow the lease, the author's status word follows the status.  A field
that the row cannot show is never looked at.  May import ``syncd.core`` and ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from syncd.core import lease
from syncd.core.plan import BaseCard, Conflict, FieldName, LocalCard, Policy, RemoteCard, Winner
from syncd.core.set_merge import merge_lists
from syncd.core.text_merge import merge3
from syncd.core.values import (
    ACCEPTANCE,
    BODY,
    CLAIM_OWNER,
    PHASE,
    SETS,
    STATUS,
    is_empty,
    is_same,
    stored,
    yields_to_done,
)
from syncd.schemas.card import EXTRA, OWNER_TEXT, STATUS_WORD, Status, Value, canonical

Recent = Mapping[tuple[str, FieldName], Value]
"""What syncd's own last write, if it is fresh, replaced: (id, field) -> the value that stood there."""

_SPECIAL: Final = frozenset({STATUS, CLAIM_OWNER, OWNER_TEXT, STATUS_WORD})
_LOCAL_RULE: Final = frozenset({"title", BODY, ACCEPTANCE})


@dataclass(slots=True)
class CardMerge:
    """The outcome for one card: fields for each side, and the clashes.  ``is_claim``: the row asks for the lease."""

    base: BaseCard | None
    local: LocalCard
    remote: RemoteCard
    policy: Policy
    recent: Recent
    to_store: dict[FieldName, Value] = field(default_factory=dict)
    to_file: dict[FieldName, Value] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    is_claim: bool = False

    def keep_local(self, name: FieldName) -> None:
        """Send the file's value to the store."""
        self.to_store[name] = stored(name, self.local.fields.get(name))

    def keep_remote(self, name: FieldName) -> None:
        """Send the store's value to the file."""
        self.to_file[name] = self.remote.fields.get(name)

    def record(self, name: FieldName, winner: Winner) -> None:
        """Put both values into the conflict record."""
        known = self.base.fields.get(name) if self.base else None
        here, there = self.local.fields.get(name), self.remote.fields.get(name)
        self.conflicts.append(Conflict(self.local.id, name, known, here, there, winner))

    def clash(self, name: FieldName, winner: Winner) -> None:
        """Record a clash and send the winner's value to the other side."""
        self.record(name, winner)
        if winner is Winner.LOCAL:
            self.keep_local(name)
        elif winner is Winner.REMOTE:
            self.keep_remote(name)

    def knows(self, name: FieldName) -> bool:
        """Return whether the base has a value for the field."""
        return self.base is not None and name in self.base.fields

    def base_value(self, name: FieldName) -> Value:
        """Return the base's value of a field, nothing when it has none."""
        return self.base.fields.get(name) if self.base else None

    def has_changed_here(self, name: FieldName) -> bool:
        """Return whether the file's value is another than the base's."""
        return not is_same(name, self.local.fields.get(name), self.base_value(name))

    def has_changed_there(self, name: FieldName) -> bool:
        """Return whether the store's value is another than the base's."""
        return not is_same(name, self.remote.fields.get(name), self.base_value(name))

    def is_stale(self, name: FieldName) -> bool:
        """Return whether the file went back to what syncd's own last write replaced: an editor's old buffer."""
        key = (self.local.id, name)
        return key in self.recent and is_same(name, self.local.fields.get(name), self.recent[key])


def merge_card(
    base: BaseCard | None, local: LocalCard, remote: RemoteCard, policy: Policy, recent: Recent
) -> CardMerge:
    """Merge one card that the file and a live row both show.

    Holds: I4 (only fields that one side changed are named), I10, I11.
    """
    merge = CardMerge(base, local, remote, policy, recent)
    if STATUS in local.fields:
        _merge_status(merge)
    for name in local.fields:
        if name in _SPECIAL:
            continue
        if name in local.weak:
            _merge_heading(merge, name)
        else:
            _merge_field(merge, name)
    _merge_owner(merge)
    _merge_word(merge)
    return merge


def take_back(base: BaseCard | None, local: LocalCard, remote: RemoteCard, names: Collection[FieldName]) -> CardMerge:
    """Undo what the row says of these fields: the store's values go back to the file, the row's are recorded."""
    merge = CardMerge(base, local, remote, Policy(), {})
    follows = {STATUS_WORD, CLAIM_OWNER} if STATUS in names else {STATUS_WORD}
    for name in names:
        if name in local.fields and name not in follows:
            merge.clash(name, Winner.REMOTE)
    if STATUS in merge.to_file:
        _follow_status(merge)
        _merge_word(merge)
    return merge


def is_edited(base: BaseCard, local: LocalCard, remote: RemoteCard, policy: Policy) -> bool:
    """Return whether the file changed the card since the base, whatever the store did.

    Where the base has no word for the state, one in the file is no edit: syncd may have chosen it for the row.
    """
    agreed = RemoteCard(id=base.id, fields={**remote.fields, **base.fields}, version=base.version)
    edited = merge_card(base, local, agreed, policy, {}).to_store.keys()
    is_word_told = not is_empty(STATUS_WORD, base.fields.get(STATUS_WORD))
    return bool(edited if is_word_told else edited - {STATUS_WORD})


def is_changed_there(base: BaseCard, remote: RemoteCard) -> bool:
    """Return whether the store changed, or may have changed, a field of the card since the base.

    The owner's cell has one of two names, and the base may remember the other one.  Of a field that was
    never agreed on nobody can tell once the row's version has moved; such a card is not deleted (I8).
    """
    is_claimed = base.fields.get(STATUS) == Status.CLAIMED
    ignored = {STATUS_WORD, OWNER_TEXT if is_claimed else CLAIM_OWNER}
    if any(
        name not in ignored and not is_same(name, value, remote.fields.get(name)) for name, value in base.fields.items()
    ):
        return True
    unknown = remote.fields.keys() - base.fields.keys() - {STATUS_WORD, OWNER_TEXT, CLAIM_OWNER}
    return base.version != remote.version and any(not is_empty(name, remote.fields[name]) for name in unknown)


def _rule(name: FieldName, policy: Policy) -> Winner:
    """Return who wins when both sides changed a field differently."""
    configured = policy.winner(name)
    if configured is not None:
        return Winner.NONE if configured == "ask" else Winner(configured)
    if name in _LOCAL_RULE or name.startswith(EXTRA):
        return Winner.LOCAL
    return Winner.REMOTE


def _merge_field(merge: CardMerge, name: FieldName) -> None:
    """Settle a field that depends on no other."""
    here, there = merge.local.fields[name], merge.remote.fields.get(name)
    if is_same(name, here, there):
        return
    if not merge.knows(name):
        if is_empty(name, here):
            merge.keep_remote(name)
        elif is_empty(name, there):
            merge.keep_local(name)
        else:
            _merge_values(merge, name)
    elif merge.has_changed_here(name) and merge.is_stale(name):
        merge.clash(name, Winner.REMOTE)
    elif not merge.has_changed_there(name):
        merge.keep_local(name)
    elif not merge.has_changed_here(name):
        merge.keep_remote(name)
    else:
        _merge_values(merge, name)


def _merge_values(merge: CardMerge, name: FieldName) -> None:
    """Settle a field that both sides changed differently."""
    here, there, known = merge.local.fields[name], merge.remote.fields.get(name), merge.base_value(name)
    if name in SETS and merge.policy.winner(name) is None:
        merged = merge_lists(known, here, there)
        if merged is not None:
            _send_both(merge, name, merged)
            return
    if name == BODY and merge.knows(name):
        _merge_body(merge)
        return
    merge.clash(name, _rule(name, merge.policy))


def _merge_body(merge: CardMerge) -> None:
    """Merge the body line by line; overlapping hunks go to the winner, and both bodies are recorded."""
    known, here, there = (
        str(value or "") for value in (merge.base_value(BODY), merge.local.fields[BODY], merge.remote.fields.get(BODY))
    )
    winner = _rule(BODY, merge.policy)
    merged = merge3(known, there, here) if winner is Winner.REMOTE else merge3(known, here, there)
    if not merged.is_clean:
        merge.record(BODY, winner)
    if merged.is_clean or winner is not Winner.NONE:
        _send_both(merge, BODY, canonical(merged.text))


def _send_both(merge: CardMerge, name: FieldName, value: Value) -> None:
    """Send a merged value to each side that does not have it yet."""
    if not is_same(name, value, merge.remote.fields.get(name)):
        merge.to_store[name] = value or stored(name, None)
    if not is_same(name, value, merge.local.fields[name]):
        merge.to_file[name] = value


def _merge_heading(merge: CardMerge, name: FieldName) -> None:
    """Settle a phase that a heading gives: the row says something of it only by moving under another one."""
    base, local = merge.base, merge.local
    if base is None or is_same(name, local.fields[name], merge.remote.fields.get(name)):
        return
    has_moved = base.heading is not None and base.heading != local.heading
    is_moved_there = merge.knows(name) and merge.has_changed_there(name)
    if has_moved and (merge.is_stale(name) or is_moved_there):
        merge.clash(name, Winner.REMOTE if merge.is_stale(name) else _rule(PHASE, merge.policy))
    elif has_moved:
        merge.keep_local(name)
    elif is_moved_there:
        merge.keep_remote(name)


def _merge_status(merge: CardMerge) -> None:
    """Settle the state: work that is finished is never undone by a claim that raced it."""
    here, there = merge.local.fields[STATUS], merge.remote.fields.get(STATUS)
    if here == there:
        return
    if merge.knows(STATUS) and not merge.has_changed_here(STATUS):
        merge.keep_remote(STATUS)
    elif _is_status_refused(merge, here):
        merge.clash(STATUS, Winner.REMOTE)
    elif merge.knows(STATUS) and not merge.has_changed_there(STATUS):
        merge.keep_local(STATUS)
    else:
        merge.clash(STATUS, _status_winner(merge, here, there))
    merge.is_claim = merge.to_store.get(STATUS) == Status.CLAIMED


def _is_status_refused(merge: CardMerge, here: Value) -> bool:
    """Return whether the row's new state counts for nothing: an old buffer, or another's work."""
    if merge.knows(STATUS) and merge.is_stale(STATUS):
        return True
    return here == Status.DONE and lease.is_anothers_work(merge.base, merge.local, merge.remote)


def _status_winner(merge: CardMerge, here: Value, there: Value) -> Winner:
    """Return whose state stays when both sides changed it."""
    if merge.policy.winner(STATUS) is not None:
        return _rule(STATUS, merge.policy)
    if here == Status.DONE and yields_to_done(there):
        return Winner.LOCAL
    return Winner.REMOTE


def _merge_owner(merge: CardMerge) -> None:
    """Settle the owner's cell: the claim's owner while the card is claimed, text of the author otherwise."""
    local, remote = merge.local, merge.remote
    if merge.is_claim:
        merge.to_store[CLAIM_OWNER] = lease.asked_owner(local, merge.policy)
        return
    there = remote.fields.get(STATUS)
    is_claimed_here = local.fields.get(STATUS, there) == Status.CLAIMED
    if not is_claimed_here and OWNER_TEXT in local.fields and not _is_left_by_claim(merge):
        _merge_field(merge, OWNER_TEXT)
    if STATUS in merge.to_file:
        _follow_status(merge)
    elif is_claimed_here and there == Status.CLAIMED:
        _merge_claim(merge)


def _follow_status(merge: CardMerge) -> None:
    """Let the owner's cell follow a state that goes to the file: a holder comes, or the author's text comes back.

    On finished work the name stays that the author wrote there; a holder's went over what the cell had before,
    which the base knows.
    """
    local = merge.local.fields
    was_claimed, is_claimed = (status == Status.CLAIMED for status in (local.get(STATUS), merge.to_file[STATUS]))
    if was_claimed == is_claimed or not (CLAIM_OWNER in local or OWNER_TEXT in local):
        return
    if merge.to_file[STATUS] == Status.DONE and not merge.knows(OWNER_TEXT):
        return
    if is_claimed:
        merge.to_file.pop(OWNER_TEXT, None)
        merge.keep_remote(CLAIM_OWNER)
        return
    if not is_empty(CLAIM_OWNER, local.get(CLAIM_OWNER)) and merge.has_changed_here(CLAIM_OWNER):
        merge.record(CLAIM_OWNER, Winner.REMOTE)
    merge.keep_remote(OWNER_TEXT)


def _merge_claim(merge: CardMerge) -> None:
    """Settle who holds a card that both sides call claimed: the store's lease decides."""
    name, remote = CLAIM_OWNER, merge.remote
    here, there = merge.local.fields.get(name), lease.shown_owner(remote, merge.policy)
    if name not in merge.local.fields or is_same(name, here, there) or here == remote.fields.get(name):
        return
    asks = not is_empty(name, here) and merge.has_changed_here(name)
    is_refused = lease.is_refused(remote, lease.asked_owner(merge.local, merge.policy))
    if asks and not merge.is_stale(name) and not is_refused:
        merge.to_store |= {STATUS: Status.CLAIMED.value, name: here}
        merge.is_claim = True
        return
    if asks or _has_asked_nameless(merge):
        merge.record(name, Winner.REMOTE)
    merge.to_file[name] = there


def _has_asked_nameless(merge: CardMerge) -> bool:
    """Return whether the row came to say ``in-progress`` without a name, and another's lease stands against that."""
    return (
        merge.knows(STATUS)
        and merge.has_changed_here(STATUS)
        and is_empty(CLAIM_OWNER, merge.local.fields.get(CLAIM_OWNER))
        and merge.remote.has_live_lease
    )


def _is_left_by_claim(merge: CardMerge) -> bool:
    """Return whether the owner's text is only the name that the claim had put there.

    The store's text then goes to the cell only when it changed since the base.
    """
    text = merge.local.fields[OWNER_TEXT]
    if is_empty(OWNER_TEXT, text) or text != merge.base_value(CLAIM_OWNER):
        return False
    if merge.knows(OWNER_TEXT) and merge.has_changed_there(OWNER_TEXT):
        merge.keep_remote(OWNER_TEXT)
    return True


def _merge_word(merge: CardMerge) -> None:
    """Let the author's word for the state travel with the state; it is no value to clash about."""
    local, remote = merge.local.fields, merge.remote.fields
    there = remote.get(STATUS_WORD)
    if STATUS in merge.to_file:
        if not is_empty(STATUS_WORD, there):
            merge.keep_remote(STATUS_WORD)
        return
    if STATUS_WORD not in local or is_same(STATUS_WORD, local[STATUS_WORD], there):
        return
    is_same_state = local.get(STATUS, remote.get(STATUS)) == remote.get(STATUS)
    is_own = merge.has_changed_here(STATUS_WORD) if merge.knows(STATUS_WORD) else is_empty(STATUS_WORD, there)
    if STATUS in merge.to_store or (is_same_state and is_own):
        merge.keep_local(STATUS_WORD)
