"""What one cycle would do: the pure function of base, local and remote.

Each card is settled by itself (I12).  Here its existence is settled: it is new, it moved, it vanished on
one side or on both; ``card_merge`` settles the fields of a card that both sides show.  Without a base
nothing is deleted, and no clock is asked.  May import ``syncd.core`` and ``syncd.schemas``.

Source: the ancestor of three-way reconciliation as in B. C. Pierce, J. Vouillon, "What's in Unison?",
2004; the sides' rules are syncd's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from syncd.core import lease
from syncd.core.card_merge import CardMerge, Recent, is_changed_there, is_edited, merge_card
from syncd.core.plan import (
    CARD_FIELD,
    BaseCard,
    Change,
    ChangeKind,
    Conflict,
    LocalCard,
    Plan,
    Policy,
    Presence,
    RemoteCard,
    Winner,
    advance,
)
from syncd.core.values import CLAIM_OWNER, STATUS, absent, is_empty, is_same, others, stored
from syncd.schemas.card import EXTRA, OWNER_TEXT, Fields, Status, Value

_NOTHING_RECENT: Final[Recent] = MappingProxyType({})
_NOTHING_TAKEN_OUT: Final[Mapping[str, Fields]] = MappingProxyType({})


def reconcile(
    base: Mapping[str, BaseCard],
    local: Mapping[str, LocalCard],
    remote: Mapping[str, RemoteCard],
    policy: Policy,
    *,
    frozen: frozenset[str] = frozenset(),
    recent: Recent = _NOTHING_RECENT,
    taken_out: Mapping[str, Fields] = _NOTHING_TAKEN_OUT,
    settled: Settled | None = None,
) -> Plan:
    """Return the changes that make both sides agree, and the conflicts that this decides.

    Args:
        base: the cards as both sides last agreed.
        local: the cards of the workspace's files, in their order.
        remote: the store's cards; archived and deleted ones too.
        policy: who wins where the rules leave a choice.
        frozen: files whose content is unknown or unsettled: their cards get no change on either
            side, and from a row's absence nothing is inferred.
        recent: what syncd's own last write, under 10 s ago, replaced.  A file that goes back to exactly
            that is an old buffer that an editor saved.
        taken_out: the rows that syncd took out of the files, under 10 s ago, with what they said.  One that is
            back as it was is an old buffer too.
        settled: a caller's memory of what agreed; a card of which all three are still the same objects is not
            compared again, which makes no difference but in time.

    Returns:
        The plan.  Store changes are in the order of ``local``, then of ``remote``; so are the others.

    Shape: n cards in, at most one change a side and card.
    Holds: I3, I4, I8, I10, I11 (tests/property/test_reconcile_laws.py).
    """
    planner = _Planner(base, local, remote, policy, frozen, recent, taken_out)
    for id in (settled or Settled()).rest(base, local, remote):
        here, known, there = local[id], base.get(id), remote.get(id)
        if here.path in frozen or (known is not None and known.path in frozen):
            continue
        if there is not None and there.presence is Presence.LIVE:
            planner.both_show(known, here, there)
        elif known is None:
            planner.only_file_shows(here, there)
        else:
            planner.gone_from_store(known, here, there)
    for id in absent(remote, local):
        known, there = base.get(id), remote[id]
        if known is None:
            planner.only_store_shows(there)
        elif known.path not in frozen:
            planner.gone_from_file(known, there)
    planner.forgotten += [id for id in absent(absent(base, local), remote) if base[id].path not in frozen]
    return planner.plan()


class Settled:
    """A caller's memory of which cards were found to agree: the next comparison is about what moved since.

    Mappings that were compared must not change in place, nor the cards in them.
    """

    def __init__(self) -> None:
        self._before: tuple[Mapping[str, object], ...] = ({}, {}, {})
        self._open: set[str] = set()

    def rest(
        self, base: Mapping[str, BaseCard], local: Mapping[str, LocalCard], remote: Mapping[str, RemoteCard]
    ) -> list[str]:
        """Return the cards of the files on which the three do not plainly agree, in the order of ``local``."""
        moved = self._open
        for now, before in zip((base, local, remote), self._before, strict=True):
            moved.update(others(now, before))
        found = [id for id in _ordered(moved, local) if not _is_settled(base.get(id), local[id], remote.get(id))]
        self._before, self._open = (base, local, remote), set(found)
        return found


def _ordered(ids: Set[str], local: Mapping[str, LocalCard]) -> Iterable[str]:
    """Return those of the ids that the files show, in their order."""
    if len(ids) > 1:
        return [id for id in local if id in ids]
    return [id for id in ids if id in local]


def _is_settled(base: BaseCard | None, local: LocalCard, remote: RemoteCard | None) -> bool:
    """Return whether all three plainly agree: the short way for nearly every card of a cycle that reads all."""
    if (
        base is None
        or remote is None
        or remote.version != base.version
        or local.path != base.path
        or local.heading != base.heading
        or remote.presence is not Presence.LIVE
    ):
        return False
    shown = local.fields
    if shown != base.fields:
        # Under an unmoved heading the row says nothing of the phase.
        shown = {**shown, **{name: base.fields.get(name) for name in local.weak}}
        if shown != base.fields:
            return False
    current = remote.fields.get
    for name, value in base.fields.items():  # noqa: SIM110 - a generator costs twice the time here
        if current(name) != value:
            return False
    return True


@dataclass(slots=True)
class _Planner:
    """The plan under construction."""

    base: Mapping[str, BaseCard]
    local: Mapping[str, LocalCard]
    remote: Mapping[str, RemoteCard]
    policy: Policy
    frozen: frozenset[str]
    recent: Recent
    taken_out: Mapping[str, Fields]
    to_store: list[Change] = field(default_factory=list)
    to_file: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    agreed: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    known_files: frozenset[str | None] | None = None

    def plan(self) -> Plan:
        """Return the finished plan."""
        return Plan(
            to_store=tuple(self.to_store),
            to_file=tuple(self.to_file),
            conflicts=tuple(self.conflicts),
            agreed=tuple(self.agreed),
            forgotten=tuple(self.forgotten),
        )

    def both_show(self, base: BaseCard | None, local: LocalCard, remote: RemoteCard) -> None:
        """Merge the fields of a card that stands in a file and is live in the store."""
        merge = merge_card(base, local, remote, self.policy, self.recent)
        has_moved = base is not None and base.path != local.path != remote.path
        if merge.to_store or has_moved:
            self.to_store.append(_store_change(merge))
        if merge.to_file:
            self.to_file.append(
                Change(
                    ChangeKind.UPDATE,
                    local.id,
                    merge.to_file,
                    path=local.path,
                    before=_values(local.fields, merge.to_file),
                )
            )
        self.conflicts += merge.conflicts
        is_written = merge.to_store or merge.to_file or has_moved
        if not is_written and (base is None or advance(base, local, remote) != base):
            self.agreed.append(local.id)

    def only_file_shows(self, local: LocalCard, remote: RemoteCard | None) -> None:
        """Take in a card that was never agreed on: new, or an old id that is written down again.

        A row that syncd took out a moment ago is no such thing: an editor saved the buffer in which it still
        stood.  As it was, it goes again; edited since, the edit lives (I8).  Either way the loser is recorded.
        """
        was = self.taken_out.get(local.id)
        if was is not None and _says_the_same(local.fields, was):
            self._take_out(local)
            self.conflicts.append(
                Conflict(local.id, CARD_FIELD, _title(was), _title(local.fields), None, Winner.REMOTE)
            )
            return
        kind = ChangeKind.CREATE if remote is None else ChangeKind.RESTORE
        self._put_into_store(kind, local, remote)
        if was is not None:
            self.conflicts.append(Conflict(local.id, CARD_FIELD, _title(was), _title(local.fields), None, Winner.LOCAL))

    def gone_from_store(self, base: BaseCard, local: LocalCard, remote: RemoteCard | None) -> None:
        """Take out the row of a card that the store archived or deleted, unless the row was edited."""
        tombstone = remote or RemoteCard(id=base.id, fields=base.fields, version=base.version)
        if is_edited(base, local, tombstone, self.policy):
            kind = ChangeKind.CREATE if remote is None else ChangeKind.RESTORE
            self._put_into_store(kind, local, remote)
            self._record_existence(base, local=_title(local.fields), remote=None, winner=Winner.LOCAL)
        else:
            self._take_out(local)

    def only_store_shows(self, remote: RemoteCard) -> None:
        """Render a card that no file of this workspace ever had."""
        if remote.presence is Presence.LIVE and remote.path not in self.frozen:
            self._put_into_file(remote, remote.path if remote.path in self.files() else None)

    def gone_from_file(self, base: BaseCard, remote: RemoteCard) -> None:
        """Take in that a row vanished; an edit on the other side outlives that (I8)."""
        if remote.presence is not Presence.LIVE:
            self.forgotten.append(base.id)
        elif base.path is None:
            if base.version != remote.version:
                self.agreed.append(base.id)
        elif is_changed_there(base, remote):
            self._put_into_file(remote, base.path)
            self._record_existence(base, local=None, remote=_title(remote.fields), winner=Winner.REMOTE)
        elif self.policy.on_removed == "restore":
            self._put_into_file(remote, base.path)
        else:
            self.to_store.append(self._removal(base, remote))

    def _removal(self, base: BaseCard, remote: RemoteCard) -> Change:
        """Return what becomes of a card whose row its author took out."""
        archives = self.policy.on_removed == "archive" or (
            self.policy.on_removed != "delete" and remote.fields.get(STATUS) == Status.DONE
        )
        return Change(
            ChangeKind.ARCHIVE if archives else ChangeKind.REMOVE,
            base.id,
            version=remote.version,
            path=base.path,
            before=dict(remote.fields),
            asks=self.policy.on_removed == "hold",
        )

    def _put_into_store(self, kind: ChangeKind, local: LocalCard, remote: RemoteCard | None) -> None:
        """Add a row's card to the store with all that the row says."""
        self.to_store.append(offer(kind, local, remote, self.policy))

    def _take_out(self, local: LocalCard) -> None:
        """Take a row out of its file."""
        self.to_file.append(Change(ChangeKind.REMOVE, local.id, path=local.path, before=dict(local.fields)))

    def _put_into_file(self, remote: RemoteCard, path: str | None) -> None:
        """Add a row for a stored card."""
        self.to_file.append(render(remote, path))

    def _record_existence(self, base: BaseCard, *, local: Value, remote: Value, winner: Winner) -> None:
        """Record a deletion that met an edit; the edit lives."""
        self.conflicts.append(Conflict(base.id, CARD_FIELD, _title(base.fields), local, remote, winner))

    def files(self) -> frozenset[str | None]:
        """Return the files that are known to hold cards."""
        if self.known_files is None:
            self.known_files = frozenset(
                (*(card.path for card in self.local.values()), *(card.path for card in self.base.values()))
            )
        return self.known_files


def offer(kind: ChangeKind, local: LocalCard, remote: RemoteCard | None, policy: Policy) -> Change:
    """Return the store change that gives a card all that its row says.

    A row in progress is leased to the owner that it names, else to this working copy.
    """
    before = {} if remote is None else dict(remote.fields)
    fields = {
        name: stored(name, value)
        for name, value in local.fields.items()
        if not (name.startswith(EXTRA) and is_empty(name, value) and is_empty(name, before.get(name)))
    }
    if fields.get(STATUS) == Status.CLAIMED:
        fields[CLAIM_OWNER] = lease.asked_owner(local, policy)
    return Change(
        kind,
        local.id,
        fields,
        version=None if remote is None else remote.version,
        path=local.path,
        before=before,
    )


def render(remote: RemoteCard, path: str | None) -> Change:
    """Return the file change that adds a row for a stored card; a claimed one shows who holds it."""
    fields = dict(remote.fields)
    if fields.get(STATUS) == Status.CLAIMED:
        fields.pop(OWNER_TEXT, None)
    return Change(ChangeKind.CREATE, remote.id, fields, version=remote.version, path=path)


def _store_change(merge: CardMerge) -> Change:
    """Return the store change of a merged card."""
    return Change(
        ChangeKind.CLAIM if merge.is_claim else ChangeKind.UPDATE,
        merge.local.id,
        merge.to_store,
        version=merge.remote.version,
        path=merge.local.path,
        before=_values(merge.remote.fields, merge.to_store),
    )


def _values(fields: Fields, names: Mapping[str, Value]) -> dict[str, Value]:
    """Return what these fields hold now."""
    return {name: fields.get(name) for name in names}


def _says_the_same(here: Fields, was: Fields) -> bool:
    """Return whether a row says what it said before."""
    return all(is_same(name, here.get(name), was.get(name)) for name in here.keys() | was.keys())


def _title(fields: Fields) -> Value:
    """Return what a conflict about a whole card shows of it."""
    return fields.get("title")
