"""Three versions of a task file, merged card by card and field by field; the text around them by lines.

Used where two files meet instead of a file and a store: git's merge driver, and an edit that syncd's own
write displaced.  The sequence of cards and lines is merged first (``file_units``): a row that one side
added, moved or took out stays, moves or goes, and rows that both sides added at one place are all kept.
Then each row is settled: the bytes of the side that changed it, or, where both did, one side's row with
the other's fields written into it.  What nothing decides is a hunk with both sides.  Pure.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

import msgspec

from syncd.core.plan import CARD_FIELD, Conflict, Winner
from syncd.core.row_merge import RowMerge, merge_row
from syncd.core.text_merge import chunks
from syncd.core.values import CLAIM_OWNER, STATUS, is_same
from syncd.engine.file_units import Version, is_card, is_nameless, lines_alone, read_version
from syncd.parsers.document import Edit, FileCard, ParseOptions, SetField
from syncd.parsers.render import apply
from syncd.schemas.card import OWNER_TEXT, STATUS_WORD, Fields, Value

T = TypeVar("T")

_TOGETHER: Final = frozenset({STATUS, STATUS_WORD})
_OWNER: Final = (CLAIM_OWNER, OWNER_TEXT)


class Hunk(msgspec.Struct, frozen=True):
    """A place that nothing decides: what each side has there.

    A row's hunk has the fields that could be merged on both sides; ``is_survival`` marks a row that one
    side took out and the other edited.
    """

    local: str
    base: str
    remote: str
    is_row: bool = False
    is_survival: bool = False


Piece: TypeAlias = str | Hunk


class FileMerge(msgspec.Struct, frozen=True):
    """The merged file in pieces, and the conflicts of its cards, those that a rule decided too."""

    pieces: tuple[Piece, ...]
    conflicts: tuple[Conflict, ...] = ()
    is_open: bool = False

    @property
    def hunks(self) -> tuple[Hunk, ...]:
        """The places that nothing decides."""
        return tuple(each for each in self.pieces if isinstance(each, Hunk))

    def closed(self, text: str) -> bytes:
        """Return a text made of the pieces as a file: without a last line end where the merged file has none."""
        if self.is_open and not (self.pieces and isinstance(self.pieces[-1], Hunk)):
            text = text.removesuffix("\n").removesuffix("\r")
        return text.encode("utf-8", "surrogateescape")


class _Place(msgspec.Struct, frozen=True):
    """A card where one of the sides has it (``side``), or both (``None``)."""

    unit: str
    side: str | None


class _Clash(msgspec.Struct, frozen=True):
    """A run of units that both sides changed differently."""

    base: Sequence[str]
    local: Sequence[str]
    remote: Sequence[str]


_Step: TypeAlias = str | _Place | _Clash


def merge_files(base: bytes, local: bytes, remote: bytes, *, path: str, options: ParseOptions) -> FileMerge:
    """Merge two versions of a task file that come from one base.

    Bytes that are no readable task file, on any side, are merged by lines alone.

    Holds: merging with an unchanged side gives the other side, byte for byte; I11.
    """
    if base == local or local == remote:
        return _as_it_is(remote)
    if base == remote:
        return _as_it_is(local)
    was, here, there = (read_version(data, path=path, options=options) for data in (base, local, remote))
    if not (was.document and here.document and there.document):
        was, here, there = map(lines_alone, (base, local, remote))
    return _Merger(was, here, there, path=path, options=options).merge()


def _as_it_is(data: bytes) -> FileMerge:
    return FileMerge((data.decode("utf-8", "surrogateescape"),))


@dataclass(slots=True)
class _Merger:
    base: Version
    local: Version
    remote: Version
    path: str
    options: ParseOptions
    rows: Mapping[str, Piece] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def merge(self) -> FileMerge:
        """Return the merged file."""
        sequence = list(self._sequence())
        self.rows = self._settled()
        is_open = _of_three(self.base.is_open, self.local.is_open, self.remote.is_open)
        mark = _of_three(self.base.mark, self.local.mark, self.remote.mark)
        pieces: list[Piece] = [mark] if mark else []
        pieces += self._written(sequence)
        return FileMerge(_joined(pieces), tuple(self.conflicts), is_open)

    # --- the sequence of cards and lines ----------------------------------------------------------

    def _sequence(self) -> Iterator[_Step]:
        for base, local, remote in chunks(self.base.units, self.local.units, self.remote.units):
            is_clean = local == remote or base in (local, remote)
            if is_clean and not any(self._survives(unit) for unit in base):
                chosen = remote if base == local else local
                yield from self._places(chosen, local, remote)
            elif (rows := self._rows(base, local, remote)) is not None:
                yield from rows
            else:
                yield _Clash(base, local, remote)

    def _survives(self, unit: str) -> bool:
        """Return whether one side took a card out that the other edited."""
        known = self.base.texts.get(unit)
        if known is None or (unit in self.local.texts) == (unit in self.remote.texts):
            return False
        kept = self.local.texts.get(unit) or self.remote.texts.get(unit)
        return not is_nameless(unit) and kept != known

    def _rows(self, base: Sequence[str], local: Sequence[str], remote: Sequence[str]) -> list[_Step] | None:
        """Merge a run of rows as a set, with the text behind them; ``None`` where that cannot be told apart."""
        (base, base_rest), (local, local_rest), (remote, remote_rest) = map(_split, (base, local, remote))
        if local_rest != remote_rest and base_rest not in (local_rest, remote_rest):
            return None
        if any(is_nameless(unit) and not (unit in local and unit in remote) for unit in base):
            return None
        if any(self._survives(unit) for unit in base_rest):
            return None
        rest = remote_rest if base_rest == local_rest else local_rest
        kept = [unit for unit in local if unit in remote or unit not in base or self._survives(unit)]
        added = [unit for unit in remote if unit not in local and (unit not in base or self._survives(unit))]
        return [*self._places([*kept, *added], local, remote), *self._places(rest, local_rest, remote_rest)]

    def _places(self, units: Sequence[str], local: Sequence[str], remote: Sequence[str]) -> Iterator[_Step]:
        for unit in units:
            if is_card(unit):
                side = None if unit in local and unit in remote else "local" if unit in local else "remote"
                yield _Place(unit, side)
            else:
                yield unit

    # --- what the cards say -----------------------------------------------------------------------

    def _settled(self) -> dict[str, Piece]:
        """Return the row of every card that is on any side."""
        rows: dict[str, Piece] = {}
        both_edited: dict[str, RowMerge] = {}
        for unit in {**self.local.texts, **self.remote.texts}:
            known, here, there = (each.texts.get(unit) for each in (self.base, self.local, self.remote))
            if here is None or there is None:
                kept = here if here is not None else there or ""
                rows[unit] = self._survivor(unit) if self._survives(unit) else kept
            elif here in (there, known):
                rows[unit] = there
            elif there == known:
                rows[unit] = here
            else:
                both_edited[unit] = self._merged(unit)
        if both_edited:
            rows.update(self._rewritten(both_edited))
        return rows

    def _survivor(self, unit: str) -> Hunk:
        here, there = self.local.cards.get(unit), self.remote.cards.get(unit)
        known = self.base.cards[unit]
        title = known.fields.get("title")
        local, remote = (each.fields.get("title") if each else None for each in (here, there))
        winner = Winner.REMOTE if here is None else Winner.LOCAL
        self.conflicts.append(Conflict(known.id or "", CARD_FIELD, title, local, remote, winner))
        return Hunk(
            local=self.local.texts.get(unit, ""),
            base=self.base.texts[unit],
            remote=self.remote.texts.get(unit, ""),
            is_row=True,
            is_survival=True,
        )

    def _merged(self, unit: str) -> RowMerge:
        here, there, known = self.local.cards[unit], self.remote.cards[unit], self.base.cards.get(unit)
        weak = here.weak | there.weak | (known.weak if known else frozenset())
        sides = [{name: value for name, value in card.fields.items() if name not in weak} for card in (here, there)]
        return merge_row(here.id or "", known.fields if known else None, *sides)

    def _rewritten(self, merges: Mapping[str, RowMerge]) -> dict[str, Piece]:
        """Return the rows that both sides edited: one side's bytes, with the merged fields written into them.

        The side whose row differs from the base in more than its fields gives the bytes; when both do, the
        whole row is a hunk.
        """
        known = {unit: self.base.cards[unit].fields for unit in merges if unit in self.base.cards}
        is_own = {
            side: {unit for unit, text in self._with(version, known).items() if not _is_alike(text, self.base, unit)}
            for side, version in (("local", self.local), ("remote", self.remote))
        }
        rows: dict[str, Piece] = {}
        for version, other, units in (
            (self.local, is_own["remote"], [unit for unit in merges if unit not in is_own["remote"]]),
            (self.remote, is_own["local"], [unit for unit in merges if unit in is_own["remote"]]),
        ):
            chosen = {unit: merges[unit] for unit in units if unit not in other}
            if chosen:
                rows |= self._variants(version, chosen)
        for unit in merges.keys() - rows.keys():
            rows[unit] = self._by_lines(unit)
        return {unit: rows[unit] for unit in merges}

    def _variants(self, version: Version, merges: Mapping[str, RowMerge]) -> dict[str, Piece]:
        """Return the merged rows in the bytes of one version; left out where the place cannot show them."""
        locals_ = self._with(version, {unit: merge.local() for unit, merge in merges.items()}, is_checked=True)
        remotes = self._with(version, {unit: merge.remote() for unit, merge in merges.items()}, is_checked=True)
        rows: dict[str, Piece] = {}
        for unit in locals_.keys() & remotes.keys():
            self.conflicts.extend(merges[unit].conflicts)
            here, there = locals_[unit], remotes[unit]
            base = self.base.texts.get(unit, "")
            rows[unit] = here if here == there else Hunk(here, base, there, is_row=True)
        return rows

    def _with(self, version: Version, wanted: Mapping[str, Fields], *, is_checked: bool = False) -> dict[str, str]:
        """Return these rows of a version with other values; with ``is_checked`` only those that then have them."""
        document = version.document
        assert document is not None
        edits: list[Edit] = []
        for unit, fields in wanted.items():
            card = version.cards[unit]
            changed = {name for name, value in fields.items() if _differs(card, name, value)}
            if changed & _TOGETHER:
                changed |= _TOGETHER & fields.keys()
            edits += [SetField(card.key, name, fields[name]) for name in fields if name in changed]
        written = read_version(apply(document, edits), path=self.path, options=self.options)
        return {
            unit: written.texts[unit]
            for unit, fields in wanted.items()
            if unit in written.texts
            and not (is_checked and _lacks(written.cards[unit].fields, version.cards[unit].fields, fields))
        }

    def _by_lines(self, unit: str) -> Piece:
        """Merge a row as text: its lines, or a hunk of all of it."""
        here, there = self.local.texts[unit], self.remote.texts[unit]
        known = self.base.texts.get(unit, "")
        merged: list[str] = []
        for base, local, remote in chunks(*(text.splitlines(keepends=True) for text in (known, here, there))):
            if not (local == remote or base in (local, remote)):
                return Hunk(here, known, there)
            merged += remote if base == local else local
        return "".join(merged)

    # --- the merged file --------------------------------------------------------------------------

    def _written(self, sequence: Sequence[_Step]) -> Iterator[Piece]:
        """Put the rows into the sequence; a row that both sides moved stands where its merged state belongs."""
        twice = {unit for unit, sides in _sides(sequence).items() if len(sides) > 1}
        for each in sequence:
            match each:
                case str():
                    yield each
                case _Clash(base, local, remote):
                    yield Hunk(self._said(local, "local"), self.base.text(base), self._said(remote, "remote"))
                case _Place(unit) if unit not in twice:
                    yield self.rows[unit]
                case _Place():
                    yield from self._moved_twice(each)

    def _said(self, units: Sequence[str], side: str) -> str:
        """Return the text of one side of a clash, its cards as merged."""
        texts = []
        for unit in units:
            row = self.rows.get(unit, unit)
            texts.append(row if isinstance(row, str) else row.local if side == "local" else row.remote)
        return "".join(texts)

    def _moved_twice(self, place: _Place) -> Iterator[Piece]:
        here, there = self.local.cards[place.unit], self.remote.cards[place.unit]
        status = merge_row("", {}, *({STATUS: card.fields.get(STATUS)} for card in (here, there))).fields.get(STATUS)
        if here.fields.get(STATUS) != there.fields.get(STATUS) and status is not None:
            home = "local" if status == here.fields.get(STATUS) else "remote"
        else:
            home = "local"
        row = self.rows[place.unit]
        if place.side == home:
            yield row
        elif here.heading != there.heading and status is None:
            yield Hunk("", "", self.remote.texts[place.unit]) if place.side == "remote" else row


def _split(units: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the rows with which a run of units begins, and the rest."""
    at = next((index for index, unit in enumerate(units) if not is_card(unit)), len(units))
    return units[:at], units[at:]


def _sides(sequence: Sequence[_Step]) -> dict[str, list[str | None]]:
    sides: dict[str, list[str | None]] = {}
    for each in sequence:
        if isinstance(each, _Place):
            sides.setdefault(each.unit, []).append(each.side)
    return sides


def _of_three(base: T, local: T, remote: T) -> T:
    return remote if base == local else local


def _differs(card: FileCard, name: str, value: Value) -> bool:
    """Return whether a row has a place for a field, and another value in it."""
    shown = _shown(card.fields, name)
    return shown is not None and name not in card.weak and shown[0] != value


def _lacks(found: Fields, had: Fields, wanted: Fields) -> bool:
    """Return whether a row misses one of the values that were to be written into it."""
    for name, value in wanted.items():
        shown = _shown(found, name)
        if _shown(had, name) is not None and (shown is None or not is_same(name, shown[0], value)):
            return True
    return False


def _shown(fields: Fields, name: str) -> tuple[Value] | None:
    """Return what a row shows of a field; the owner's cell has one of two names.  ``None`` without a place."""
    names = _OWNER if name in _OWNER else (name,)
    return next(((fields[each],) for each in names if each in fields), None)


def _is_alike(text: str, base: Version, unit: str) -> bool:
    """Return whether a row is the base's but for padding and punctuation."""
    return _letters(text) == _letters(base.texts.get(unit, ""))


def _letters(text: str) -> str:
    return "".join(each for each in text.casefold() if each.isalnum())


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return the pieces with runs of text joined."""
    joined: list[Piece] = []
    for each in pieces:
        if isinstance(each, str) and joined and isinstance(joined[-1], str):
            joined[-1] += each
        else:
            joined.append(each)
    return tuple(joined)


def marked(merge: FileMerge, *, marker_size: int, labels: tuple[str, str]) -> bytes:
    """Return the merged file with git's conflict markers around the lines that clash.

    Args:
        marker_size: how many characters a marker has.
        labels: what stands behind the first and the last marker.
    """
    text = "".join(each if isinstance(each, str) else _marked(each, marker_size, labels) for each in merge.pieces)
    return merge.closed(text)


def _marked(hunk: Hunk, size: int, labels: tuple[str, str]) -> str:
    """Return a hunk's two sides between markers, and what they have in common outside of these."""
    local, remote = (side.splitlines(keepends=True) for side in (hunk.local, hunk.remote))
    ending = "\r\n" if any(each.endswith("\r\n") for each in (*local, *remote)) else "\n"
    head = tail = 0
    if not hunk.is_survival:
        shorter = min(len(local), len(remote))
        while head < shorter and local[head] == remote[head]:
            head += 1
        while tail < shorter - head and local[-1 - tail] == remote[-1 - tail]:
            tail += 1
    begin, middle, end = "<" * size, "=" * size, ">" * size
    parts = [
        *local[:head],
        f"{begin} {labels[0]}{ending}",
        *local[head : len(local) - tail],
        f"{middle}{ending}",
        *remote[head : len(remote) - tail],
        f"{end} {labels[1]}{ending}",
        *local[len(local) - tail :],
    ]
    return "".join(parts)
