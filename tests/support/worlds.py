"""Small worlds for the laws of reconcile: a base that both sides agreed on, edits on each side, and a
model of what a file and a store make of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from hypothesis import strategies as st

from syncd.core.plan import (
    BaseCard,
    Change,
    ChangeKind,
    LocalCard,
    Plan,
    Presence,
    RemoteCard,
    advance,
)
from syncd.schemas.card import STATUS_WORD, Value

PATH = "TASKS.md"
WORDS = {"open": "ready", "wip": "claimed", "needs-qa": "blocked", "in review": "blocked", "shipped": "done"}
POOL: Mapping[str, tuple[Value, ...]] = {
    "title": ("Parser", "Schema", "Engine"),
    "body": (None, "one\ntwo\nthree", "one\n2\nthree", "one\ntwo\nthree\nfour", "zero\ntwo\nthree"),
    "phase": ("M1", "M2", "M3"),
    "priority": (0, 1, 2, 5),
    "status": ("ready", "claimed", "blocked", "done"),
    "dependsOn": ((), ("X",), ("X", "Y"), ("Y", "X"), ("Y", "Z"), ("X", "Z")),
    "acceptance": (None, ("fast",), ("fast", "small"), ("small",), ("fast", "safe"), "by hand"),
    "extra.branch": (None, "a", "b"),
    "extra.labels": (None, ("ui",), ("ui", "db"), ("db",)),
}
OWNERS = (None, "alice", "bob")
OPTIONAL = ("body", "phase", "priority", "dependsOn", "acceptance", "extra.branch", "extra.labels")


@dataclass(frozen=True)
class World:
    """One input of reconcile."""

    base: dict[str, BaseCard]
    local: dict[str, LocalCard]
    remote: dict[str, RemoteCard]


@dataclass(frozen=True)
class Row:
    """What a row says: its values, the text of its owner's cell, and what it has no place for."""

    id: str
    values: dict[str, Value]
    owner: Value = None
    word: Value = None
    has_owner: bool = True
    heading: str | None = None
    lacks: frozenset[str] = frozenset()
    path: str = PATH

    def card(self) -> LocalCard:
        """Return the row as a parser gives it."""
        fields = {name: value for name, value in self.values.items() if name not in self.lacks}
        fields[STATUS_WORD] = self.word
        if self.has_owner:
            fields["claimOwner" if fields["status"] == "claimed" else "extra.owner"] = self.owner
        weak: frozenset[str] = frozenset()
        if self.heading is not None:
            fields["phase"], weak = self.heading, frozenset({"phase"})
        return LocalCard(self.id, fields, self.path, 1, weak, self.heading)

    def edited(self, name: str, value: Value) -> Row:
        """Return the row after an author changed one thing."""
        if name == "owner":
            return replace(self, owner=value)
        if name == "word":
            word = value if WORDS.get(str(value)) == self.values["status"] else None
            return replace(self, word=word)
        if name == "phase" and self.heading is not None:
            return replace(self, heading=str(value))
        if name in self.lacks:
            return self
        word = self.word if name != "status" or WORDS.get(str(self.word)) == value else None
        return replace(self, values={**self.values, name: value}, word=word)

    def written(self, change: Change) -> Row:
        """Return the row after syncd wrote a change into it."""
        row = self
        if "status" in change.fields:
            row = replace(row.edited("status", change.fields["status"]), word=None)
        for name, value in change.fields.items():
            if name in ("claimOwner", "extra.owner"):
                row = row.edited("owner", value) if row.has_owner else row
            elif name == STATUS_WORD:
                row = row.edited("word", value)
            elif name != "status":
                row = row.edited(name, value)
        return row


@dataclass(frozen=True)
class Stored:
    """A row of the store: its values, the claim and the author's text in ``extra.owner``."""

    id: str
    values: dict[str, Value]
    claim: Value = None
    owner: Value = None
    word: Value = None
    version: int = 1
    presence: Presence = Presence.LIVE
    is_live_lease: bool = True
    path: str | None = PATH

    def card(self) -> RemoteCard:
        """Return the row as the engine gives it: empty extras and a word of another state are left out."""
        fields = {
            name: value
            for name, value in self.values.items()
            if not name.startswith("extra.") or value not in (None, ())
        }
        is_claimed = fields["status"] == "claimed"
        fields["claimOwner"] = self.claim if is_claimed else None
        if self.owner is not None:
            fields["extra.owner"] = self.owner
        if WORDS.get(str(self.word)) == fields["status"]:
            fields[STATUS_WORD] = self.word
        lease = is_claimed and self.is_live_lease and self.presence is Presence.LIVE
        return RemoteCard(self.id, fields, self.version, self.presence, self.path, lease)

    def edited(self, name: str, value: Value) -> Stored:
        """Return the row after somebody changed one thing in the store."""
        if name == "owner":
            return replace(self, owner=value, version=self.version + 1)
        if name == "word":
            return replace(self, word=value, version=self.version + 1)
        claim = (self.claim or "alice") if name == "status" and value == "claimed" else self.claim
        return replace(self, values={**self.values, name: value}, claim=claim, version=self.version + 1)

    def written(self, change: Change) -> Stored:
        """Return the row after syncd's change."""
        values, claim, owner, word = dict(self.values), self.claim, self.owner, self.word
        for name, value in change.fields.items():
            match name:
                case "claimOwner":
                    claim = value
                case "extra.owner":
                    owner = value
                case "extra.statusWord":
                    word = value
                case _:
                    values[name] = value
        presence = {
            ChangeKind.REMOVE: Presence.DELETED,
            ChangeKind.ARCHIVE: Presence.ARCHIVED,
            ChangeKind.RESTORE: Presence.LIVE,
        }.get(change.kind, self.presence)
        return Stored(
            self.id,
            values,
            claim if values["status"] == "claimed" else None,
            owner,
            word,
            self.version + 1,
            presence,
            True,
            change.path or self.path,
        )


EMPTY: dict[str, Value] = {name: choices[0] for name, choices in POOL.items()} | {"title": "?", "phase": None}


@dataclass
class Sides:
    """Both sides and the base, as they live through cycles."""

    rows: dict[str, Row] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    base: dict[str, BaseCard] = field(default_factory=dict)

    def world(self) -> World:
        """Return what reconcile sees now."""
        return World(
            dict(self.base),
            {id: row.card() for id, row in self.rows.items()},
            {id: row.card() for id, row in self.stored.items()},
        )

    def carry_out(self, plan: Plan) -> None:
        """Do what a plan says on both sides, then advance the base from the results."""
        for change in plan.to_store:
            known = self.stored.get(change.id, Stored(change.id, dict(EMPTY), version=0))
            self.stored[change.id] = known.written(change)
        for change in plan.to_file:
            if change.kind is ChangeKind.REMOVE:
                del self.rows[change.id]
            elif change.kind is ChangeKind.CREATE:
                row = Row(change.id, dict(EMPTY), path=change.path or PATH)
                self.rows[change.id] = row.written(change)
            else:
                self.rows[change.id] = self.rows[change.id].written(change)
        written = {change.id for change in (*plan.to_store, *plan.to_file)}
        for id in (*written, *plan.agreed):
            self.settle(id)
        for id in plan.forgotten:
            del self.base[id]

    def settle(self, id: str) -> None:
        """Advance the base of one card from what is in the file and in the store."""
        if id in self.rows and self.stored[id].presence is Presence.LIVE:
            self.base[id] = advance(self.base.get(id), self.rows[id].card(), self.stored[id].card())
        else:
            self.base.pop(id, None)


EDITABLE = (*POOL, "owner", "word")
_OFTEN = (
    *EDITABLE,
    "phase",
    "acceptance",
    "status",
    "status",
    "status",
    "status",
    "body",
    "body",
    "dependsOn",
    "acceptance",
    "owner",
)
AGREED: Mapping[str, tuple[Value, ...]] = {
    "body": (None, "one\ntwo\nthree", "one\ntwo\nthree", "one\ntwo\nthree"),
    "dependsOn": ((), ("X",), ("X", "Y"), ("X", "Y")),
    "acceptance": (None, ("fast",), ("fast",), "by hand"),
    "extra.labels": (None, ("ui",), ("ui", "db")),
    "status": ("ready", "ready", "claimed", "blocked", "done", "done"),
}
"""Values that leave the sides something to change apart."""
_MISHAPS = (*(6 * ["both"]), "row", "pruned", "stored", "neither", "gone")
"""What happens to a card's existence: mostly nothing."""


Edits: TypeAlias = list[tuple[str, Value]]
"""Fields and their new values, in order."""


@st.composite
def edits(draw: st.DrawFn, agreed: Mapping[str, Value]) -> tuple[Edits, Edits]:
    """What each side changed of a card: mostly to a new value, and some fields on both sides, so that they clash."""
    here: Edits = []
    there: Edits = []
    for name in draw(st.lists(st.sampled_from(_OFTEN), min_size=1, max_size=4, unique=True)):
        choices = [value for value in values_of(name) if value != agreed.get(name)]
        first, second = draw(st.permutations(choices))[:2]
        match draw(st.sampled_from(("both", "both", "same", "here", "there"))):
            case "both":
                here.append((name, first))
                there.append((name, second))
            case "same":
                here.append((name, first))
                there.append((name, first))
            case "here":
                here.append((name, first))
            case _:
                there.append((name, first))
    return here, there


def values_of(name: str) -> tuple[Value, ...]:
    """Return the values that a field may get."""
    if name == "owner":
        return OWNERS
    return (*WORDS, None) if name == "word" else POOL[name]


@st.composite
def agreed_cards(draw: st.DrawFn, id: str) -> tuple[Row, Stored]:
    """A card as a file and the store both have it."""
    values = {name: draw(st.sampled_from(AGREED.get(name, POOL[name]))) for name in POOL}
    owner = draw(st.sampled_from(OWNERS))
    has_heading = draw(st.booleans())
    lacks = draw(st.frozensets(st.sampled_from(OPTIONAL), max_size=2))
    row = Row(
        id,
        values,
        owner,
        has_owner=draw(st.booleans()),
        heading=str(values["phase"]) if has_heading else None,
        lacks=lacks | {"phase"} if has_heading else lacks,
    )
    is_claimed = values["status"] == "claimed"
    claim = (owner if row.has_owner and owner else "file:local") if is_claimed else None
    text = owner if row.has_owner and not is_claimed else None
    return row, Stored(id, dict(values), claim, text)


def _edits_or_none(agreed: Mapping[str, Value]) -> st.SearchStrategy[tuple[Edits, Edits]]:
    """Edits of a card, now and then none."""
    return st.one_of(edits(agreed), edits(agreed), edits(agreed), st.just(([], [])))


@st.composite
def sides(draw: st.DrawFn, *, cards: int = 3, with_base: bool = True) -> Sides:
    """Both sides after edits, losses and additions since the base was agreed."""
    result = Sides()
    for id in (f"A{at}" for at in range(1, draw(st.integers(1, cards)) + 1)):
        row, stored = draw(agreed_cards(id))
        result.rows[id], result.stored[id] = row, stored
        if with_base and draw(st.sampled_from((True, True, True, True, False))):
            result.settle(id)
        mishap = draw(st.sampled_from(_MISHAPS))
        match mishap:
            case "row" | "pruned":
                del result.rows[id]
            case "stored":
                del result.stored[id]
            case "neither":
                del result.rows[id], result.stored[id]
            case "gone":
                gone = draw(st.sampled_from((Presence.ARCHIVED, Presence.DELETED)))
                result.stored[id] = replace(stored, presence=gone, version=stored.version + 1)
        here, there = ([], []) if mishap == "pruned" else draw(_edits_or_none(row.values))
        for name, value in here if id in result.rows else ():
            result.rows[id] = result.rows[id].edited(name, value)
        for name, value in there if id in result.stored else ():
            result.stored[id] = result.stored[id].edited(name, value)
        if id in result.stored and draw(st.sampled_from((False, False, True))):
            result.stored[id] = replace(result.stored[id], is_live_lease=False)
    return result
