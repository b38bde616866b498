"""The oracle: what must be true at the end, worked out from what editors and other writers did, without reconcile.

Every value that anybody writes is unique, and each write knows the value that its writer had before them.
At the end each value is current on both sides, or was replaced by a writer who had seen it, or is in the
conflict record, or part of a hold, or was lost by a mishap that no program between the two can mend (see
``excuse``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from syncd.core.plan import BaseCard, Conflict, Hold
from syncd.core.sight import STORE
from syncd.ports import ConflictRecord
from syncd.schemas.card import Card
from tests.simulation.editors import Audience
from tests.simulation.store import SimulatedDatabase, live_lease
from tests.simulation.table import WORDS, Row, elements, has_table, is_junk, mentioned, read_rows, repeated

ROW = "*"
CELLS = {"title": "title", "priority": "priority", "note": "extra.note"}
"""Columns whose values are unique, and the fields that they show."""

Fact = tuple[str, str, str]
"""A row's key, a field, and a value (an element, for dependencies; nothing, for the row itself)."""


class Violation(AssertionError):
    """An invariant that does not hold."""


@dataclass
class Write:
    """One value that somebody wrote: instead of which one, and whether the save was whole and stayed in sight."""

    fact: Fact
    seen: str
    who: str
    is_whole: bool = False


@dataclass
class Oracle(Audience):
    """Hears of every write and accident, and judges the end.

    Args:
        note: takes a line for the trace.
    """

    database: SimulatedDatabase
    note: Callable[[str], None]
    writes: list[Write] = field(default_factory=list)
    removed: set[Fact] = field(default_factory=set)
    """What somebody took away or replaced, having seen it."""
    gone: set[str] = field(default_factory=set)
    """Rows and cards that somebody deleted."""
    excused: dict[Fact, str] = field(default_factory=dict)
    unordered: set[tuple[str, str]] = field(default_factory=set)
    """Fields of which an editor saved an old buffer, or history was rewritten: nothing is known of their order."""
    stored: set[Fact] = field(default_factory=set)
    """Every value that the store ever held."""
    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The ids under which the store ever held a title."""
    may_double: set[str] = field(default_factory=set)
    copied: set[str] = field(default_factory=set)
    """Ids that stood in two rows of a file: a problem that is shown until one of them is taken out."""
    _saves: dict[int, list[Write]] = field(default_factory=dict)

    # --- what happens -----------------------------------------------------------------------------

    def begin(self, data: bytes) -> None:
        """Take in the file that a world begins with: its values are obligations as well."""
        for write in changes({}, read_rows(data), "the start"):
            write.is_whole = True
            self.writes.append(write)

    def save_begins(self, who: str, root: str, read: bytes, there: bytes, saved: bytes) -> int:
        before, now, after = read_rows(read), read_rows(there), read_rows(saved)
        for key in before.keys() - after.keys():
            if any(row.cells["title"] == before[key].cells["title"] for row in after.values()):
                self._excuse_row(key, before[key], "the row lost its id")
        titles = {row.cells["title"] for row in before.values()}
        self.copied |= repeated(saved)
        self.may_double |= {key[1:] for key in after.keys() - before.keys() if key.startswith("?")} & titles
        self._buffer_is_old(before, now, after)
        writes = changes(before, after, who)
        self._replace(before, after)
        self.writes += writes
        number = len(self._saves)
        self._saves[number] = writes
        self.note(f"  {who} saves {', '.join(_said(write) for write in writes) or 'no value'}")
        return number

    def overwrites(self, read: bytes, there: bytes, saved: bytes) -> None:
        if there:
            self._buffer_is_old(read_rows(read), read_rows(there), read_rows(saved))

    def save_ends(self, number: int, *, is_seen: bool) -> None:
        for write in self._saves[number]:
            write.is_whole = is_seen

    def committed(self, who: str, before: Mapping[str, Card], after: Mapping[str, Card]) -> None:
        """Take in a transaction of the store."""
        rows = _card_rows(before), _card_rows(after)
        for key, row in rows[1].items():
            self.stored.update(facts(key, row))
            self.ids[row.cells["title"]].add(key)
        if who.startswith("syncd"):
            self._leases_stand(who, before, after)
        elif who != "restore":
            for write in changes(*rows, who):
                write.is_whole = True
                self.writes.append(write)
                self.note(f"  {who}: {_said(write)}")
            self._replace(*rows)
            for id in sorted(rows[0].keys() - rows[1].keys()):
                # A row that still stands in some file may come back with what it says.
                self._unorder(id)
                self.note(f"  {who} deletes {id}")

    def restored(self, before: Mapping[str, Card], clashes: Iterable[Conflict], files: Iterable[bytes]) -> None:
        """A backup of the store came back: what was there, in a row or in the conflict record, is gone for good."""
        kept = {fact for data in files for key, row in read_rows(data).items() for fact in facts(key, row)}
        for key, row in _card_rows(before).items():
            self._unorder(key)
            for fact in facts(key, row):
                if fact not in kept:
                    self.excuse(fact, "a backup of the store was restored")
        for fact in sorted(_recorded(clashes) - kept):
            self.excuse(fact, "a backup of the store was restored")

    def taken_back(self, one: bytes, other: bytes) -> None:
        """What syncd had put in place gives way to a save; an editor may have read it there meanwhile."""
        shown, back = read_rows(one), read_rows(other)
        for key in shown.keys() & back.keys():
            self.unordered.update((key, name) for name in differing(shown[key], back[key]))

    def power_cut(self, who: str, data: bytes | None) -> None:
        """A machine lost its power; ``data`` is what is left of its file.

        What an editor had not fsynced may be lost, unless syncd had brought it to the store; and so may what it
        found there, when it had renamed the file away.
        """
        left = {fact for key, row in read_rows(data).items() for fact in facts(key, row)}
        for write in self.writes:
            is_there = write.who == "the start" or write.who.startswith(who)
            if is_there and write.fact not in left and write.fact not in self.stored:
                self.excuse(write.fact, "never fsynced before a power cut")

    def torn(self, data: bytes | None) -> None:
        """A power cut left half of an editor's save: nobody can tell that from what an author took out."""
        left = read_rows(data)
        shown = {fact for key, row in left.items() for fact in facts(key, row)}
        for write in self.writes:
            if write.fact not in shown:
                self.excuse(write.fact, "torn out of the file by a power cut")
        for key in {write.fact[0] for write in self.writes}:
            self._unorder(key)

    def forgotten(self, data: bytes | None) -> None:
        """A replica lost its state: what was agreed on is not known any more, nor which id a row was about to get."""
        for write in self.writes:
            self.unordered.add(write.fact[:2])
        self.may_double |= {row.cells["title"] for key, row in read_rows(data).items() if key.startswith("?")}

    def decided(self, holds: Iterable[Hold], answer: str) -> None:
        """A person answered holds: what is accepted may go, and a store that went back has values older than any."""
        for hold in holds:
            for write in self.writes:
                key = write.fact[0]
                if hold.id == STORE:
                    self._unorder(key)
                if answer == "accept" and (hold.id in (key, STORE) or hold.id == hold.path):
                    self.excuse(write.fact, f"somebody let through what {hold.guard} held")

    def settled(self, records: Iterable[ConflictRecord], clash: Conflict) -> None:
        """A person settled all that clashed in a field: both values of each were before them, and no others."""
        settled = [
            each.conflict for each in records if (each.conflict.id, each.conflict.field) == (clash.id, clash.field)
        ]
        for fact in sorted(_recorded(settled)):
            self.excuse(fact, "somebody chose another value")
        self._unorder(clash.id)
        if clash.field == ROW:
            for write in self.writes:
                if write.fact[0] == clash.id:
                    self.excuse(write.fact, "somebody chose whether the card lives")

    def excuse(self, fact: Fact, why: str) -> None:
        """Note that a value may be lost, and why."""
        if fact not in self.excused:
            self.excused[fact] = why
            self.note(f"  excused: {' '.join(fact)} ({why})")

    def _excuse_row(self, key: str, row: Row, why: str) -> None:
        for fact in facts(key, row):
            self.excuse(fact, why)
            self.unordered.add(fact[:2])
        self.gone.add(key)
        self.may_double.add(row.cells["title"])

    def _buffer_is_old(self, read: Mapping[str, Row], there: Mapping[str, Row], saved: Mapping[str, Row]) -> None:
        """Excuse what an editor overwrites without having read it."""
        lost = {fact for key, row in there.items() for fact in facts(key, row)}
        lost -= {fact for rows in (read, saved) for key, row in rows.items() for fact in facts(key, row)}
        for fact in sorted(lost):
            self.excuse(fact, "an old buffer was saved over it")
        for key in read.keys() | there.keys():
            one, other = read.get(key), there.get(key)
            if one is None or other is None:
                self._unorder(key)
                row = one or other
                if row is not None:
                    self.may_double.add(row.cells["title"])
                if other is not None:
                    self.gone.add(key)
            else:
                self.unordered.update((key, name) for name in differing(one, other))

    def _unorder(self, key: str) -> None:
        self.unordered.update((key, name) for name in (*CELLS.values(), "dependsOn", ROW))

    def _replace(self, before: Mapping[str, Row], after: Mapping[str, Row]) -> None:
        known = {fact for key, row in after.items() for fact in facts(key, row)}
        self.removed |= {fact for key, row in before.items() for fact in facts(key, row)} - known
        self.gone |= before.keys() - after.keys()

    def _leases_stand(self, who: str, before: Mapping[str, Card], after: Mapping[str, Card]) -> None:
        for id, card in after.items():
            holder = live_lease(before[id], self.database) if id in before else None
            now = live_lease(card, self.database)
            if holder is not None and now not in (None, holder):
                raise Violation(f"I13: {who} gave {holder}'s lease on {id} to {now}")

    # --- the end ----------------------------------------------------------------------------------

    def base_is_honest(
        self, root: str, before: Mapping[str, BaseCard], after: Mapping[str, BaseCard], data: bytes
    ) -> None:
        """Check that what a base newly holds was in the store, and is on the medium of the file (I6)."""
        durable, shown = read_rows(self.durable(root)), read_rows(data)
        for id, card in after.items():
            known = before.get(id)
            for column, name in CELLS.items():
                value = text_of(card.fields.get(name))
                if (
                    value in ("", "0")
                    or is_junk(id)
                    or (known is not None and text_of(known.fields.get(name)) == value)
                ):
                    continue
                if (id, name, value) not in self.stored:
                    raise Violation(f"I6: the base of {root} has {name} {value} of {id}, which the store never had")
                known_value = text_of(known.fields.get(name)) if known is not None else ""
                is_shown = id in shown and shown[id].cells.get(column) == value
                if is_shown and id in durable and known_value and durable[id].cells.get(column) == known_value:
                    raise Violation(f"I6: the base of {root} has {name} {value} of {id}; the file's is not durable")

    durable: Callable[[str], bytes | None] = lambda root: None

    def nothing_is_lost(
        self, files: Mapping[str, bytes | None], holds: Iterable[Hold], conflicts: Iterable[Conflict]
    ) -> None:
        """Check I2: each value is accounted for."""
        clashes = list(conflicts)
        recorded = _recorded(clashes)
        held, held_files = {hold.id for hold in holds}, any(hold.path == hold.id or hold.id == STORE for hold in holds)
        rows = _card_rows(self.database.cards)
        current = {fact for key, row in rows.items() for fact in facts(key, row)}
        whole = {each.id for each in clashes if each.field == ROW}
        for write in self.writes:
            key, name, value = write.fact
            title = key[1:]
            if key.startswith("?"):
                found = self.ids.get(title, set())
                if len(found) > 1 and title not in self.may_double:
                    raise Violation(f"I9: the row {title} became {len(found)} cards: {', '.join(sorted(found))}")
                key = min(found, default=key)
            fact = (key, name, value)
            if (
                not write.is_whole
                or held_files
                or key in held | self.copied
                or write.fact in self.excused
                or fact in self.excused
            ):
                continue
            if {fact, write.fact} & (self.removed | current) or fact in recorded or key in whole:
                continue
            if title in self.may_double and write.fact[0].startswith("?"):
                continue
            shown = sorted(root for root, data in files.items() if fact in _facts_in(data))
            raise Violation(f"I2: {write.who}'s {name} {value} of {key} is lost (still in {shown or 'no file'})")

    def sides_agree(self, files: Mapping[str, bytes | None], holds: Iterable[Hold], blocked: set[str]) -> None:
        """Check I1: every file says what the store says, but for what is held or has a problem."""
        held = {hold.id for hold in holds} | blocked
        if any(hold.path == hold.id or hold.id == STORE for hold in holds):
            return
        cards = _card_rows(self.database.cards)
        for root, data in files.items():
            if not has_table(data):
                continue
            shown = {key: row for key, row in read_rows(data).items() if not is_junk(key)}
            apart = (cards.keys() - mentioned(data)) | (shown.keys() - cards.keys())
            for key in sorted(apart - held):
                raise Violation(f"I1: {key} stands only in {'the store' if key in cards else root}, not in both")
            for key in sorted((cards.keys() & shown.keys()) - held):
                if names := differing(shown[key], cards[key]):
                    name = names[0]
                    raise Violation(f"I1: {root} and the store differ in {name} of {key}: {shown[key]} {cards[key]}")

    def conflicts_are_real(self, conflicts: Iterable[Conflict]) -> None:
        """Check that no conflict is about two values one of which was written by somebody who had seen the other."""
        seen_by = {write.fact: write.seen for write in self.writes if write.seen}
        clashes = list(conflicts)
        # A first contact may have brought an old value back.
        self.unordered |= {(each.id, each.field) for each in clashes if each.base is None}
        for each in clashes:
            if each.id in self.copied or each.field not in CELLS.values() or (each.id, each.field) in self.unordered:
                continue
            for one, other in ((each.local, each.remote), (each.remote, each.local)):
                value = text_of(one)
                while value := seen_by.get((each.id, each.field, value), ""):
                    if value == text_of(other):
                        raise Violation(f"a conflict that is none: {each}")


def changes(before: Mapping[str, Row], after: Mapping[str, Row], who: str) -> list[Write]:
    """Return what somebody wrote who made ``after`` of ``before``."""
    found: list[Write] = []
    for key, row in after.items():
        known = before.get(key)
        old = set(facts(key, known)) if known is not None else set()
        for fact in facts(key, row):
            if fact not in old:
                column = next((column for column, name in CELLS.items() if name == fact[1]), None)
                found.append(Write(fact, known.cells.get(column, "") if known is not None and column else "", who))
    return found


def facts(key: str, row: Row) -> list[Fact]:
    """Return the unique values of a row."""
    values = [(key, name, row.cells[column]) for column, name in CELLS.items() if row.cells.get(column)]
    added = [each for each in elements(row.cells.get("deps", "")) if each[0] == "X"]
    return [(key, ROW, ""), *values, *((key, "dependsOn", each) for each in added)]


def differing(one: Row, other: Row) -> list[str]:
    """Return the fields in which two rows differ, of those that both have a column for."""
    shared = one.cells.keys() & other.cells.keys()
    names = [name for column, name in CELLS.items() if column in shared and _differ(column, one, other)]
    if "deps" in shared and set(elements(one.cells["deps"])) != set(elements(other.cells["deps"])):
        names.append("dependsOn")
    if "status" in shared and _state(one) != _state(other):
        names.append("status")
    return names


def _differ(column: str, one: Row, other: Row) -> bool:
    """Return whether two cells differ; no priority and 0 are the same."""
    nothing = ("", "0") if column == "priority" else ("",)
    values = [row.cells[column] for row in (one, other)]
    return values[0] != values[1] and not all(value in nothing for value in values)


def _state(row: Row) -> str:
    return WORDS.get(row.cells["status"], row.cells["status"])


def _card_rows(cards: Mapping[str, Card]) -> dict[str, Row]:
    """Return the live cards as rows."""
    rows = {}
    for id, card in cards.items():
        if card.is_live and not is_junk(id):
            cells = {
                "id": id,
                "title": card.title,
                "status": card.status.value,
                "priority": text_of(card.priority or None),
                "deps": ", ".join(card.depends_on),
                "owner": card.claim_owner or "",
                "note": text_of(card.extra.get("note")),
            }
            rows[id] = Row(0, cells, card.phase)
    return rows


def text_of(value: object) -> str:
    """Return a value as a cell shows it."""
    return "" if value is None else str(value)


def _recorded(clashes: Iterable[Conflict]) -> set[Fact]:
    """Return every value that the conflict record holds."""
    return {
        (each.id, each.field, element)
        for each in clashes
        for value in (each.local, each.remote)
        for element in (value if isinstance(value, tuple) else (text_of(value),))
    }


def _facts_in(data: bytes | None) -> set[Fact]:
    return {fact for key, row in read_rows(data).items() for fact in facts(key, row)}


def _said(write: Write) -> str:
    return " ".join(write.fact) + (f" for {write.seen}" if write.seen else "")
