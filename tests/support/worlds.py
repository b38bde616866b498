"""Small worlds for the laws of reconcile: a base that both sides agreed on, edits on each side, and a
model of what a file and a store make of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
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


def edits(random: Random, agreed: Mapping[str, Value]) -> tuple[Edits, Edits]:
    """Return what each side changed of a card: to new values, and often of the same field, so that they clash."""
    here: Edits = []
    there: Edits = []
    for name in dict.fromkeys(random.choices(_OFTEN, k=random.randint(0, 4))):
        choices = [value for value in values_of(name) if value != agreed.get(name)]
        first, second = random.sample(choices, 2)
        place = random.choice(("both", "both", "same", "here", "there"))
        if place != "there":
            here.append((name, first))
        if place != "here":
            there.append((name, second if place == "both" else first))
    return here, there


def values_of(name: str) -> tuple[Value, ...]:
    """Return the values that a field may get."""
    if name == "owner":
        return OWNERS
    return (*WORDS, None) if name == "word" else POOL[name]


def agreed_card(random: Random, id: str) -> tuple[Row, Stored]:
    """Return a card as a file and the store both have it."""
    values = {name: random.choice(AGREED.get(name, POOL[name])) for name in POOL}
    owner = random.choice(OWNERS)
    lacks = frozenset(random.sample(OPTIONAL, random.randint(0, 2)))
    has_heading = random.random() < 0.4
    row = Row(
        id,
        values,
        owner,
        has_owner=random.random() < 0.7,
        heading=str(values["phase"]) if has_heading else None,
        lacks=lacks | {"phase"} if has_heading else lacks,
    )
    is_claimed = values["status"] == "claimed"
    claim = (owner if row.has_owner and owner else "file:local") if is_claimed else None
    text = owner if row.has_owner and not is_claimed else None
    return row, Stored(id, dict(values), claim, text)


def random_sides(random: Random, *, with_base: bool = True) -> Sides:
    """Return both sides after edits, losses and additions since the base was agreed."""
    result = Sides()
    for id in (f"A{at}" for at in range(1, random.randint(1, 3) + 1)):
        row, stored = agreed_card(random, id)
        result.rows[id], result.stored[id] = row, stored
        if with_base and random.random() < 0.85:
            result.settle(id)
        mishap = random.choice(_MISHAPS)
        match mishap:
            case "row" | "pruned":
                del result.rows[id]
            case "stored":
                del result.stored[id]
            case "neither":
                del result.rows[id], result.stored[id]
            case "gone":
                gone = random.choice((Presence.ARCHIVED, Presence.DELETED))
                result.stored[id] = replace(stored, presence=gone, version=stored.version + 1)
        here, there = edits(random, row.values) if mishap != "pruned" else ([], [])
        for name, value in here if id in result.rows else ():
            result.rows[id] = result.rows[id].edited(name, value)
        for name, value in there if id in result.stored else ():
            result.stored[id] = result.stored[id].edited(name, value)
        if id in result.stored and random.random() < 0.3:
            result.stored[id] = replace(result.stored[id], is_live_lease=False)
    return result


def sides(*, with_base: bool = True) -> st.SearchStrategy[Sides]:
    """Worlds by seed: spread evenly over the branches, which draws of single choices are not."""
    return st.integers(0, 2**32 - 1).map(lambda seed: random_sides(Random(seed), with_base=with_base))
