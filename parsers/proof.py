"""Whether what was written is read as it was meant: a card with what gives it its meaning, and a file as a whole.

A value is first read back from the lines of its card alone, which tells whether the place can show it.  Lines that
come, go or move can change what other lines mean (a fence is closed, a heading is no state any more); so a file into
which such edits were made is read as a whole, and what would not come out as meant is not made.
May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.parsers.document import Document, Edit, FileCard, InsertCard, ParseOptions
from syncd.parsers.source import Replacement, outdented, patch
from syncd.parsers.tasks_md import parse
from syncd.parsers.values import as_list
from syncd.schemas.card import OWNER_TEXT, STATUS_WORD, Fields, Status, Value

_SENTINEL: Final = "end of sample"

STATE_FIELDS: Final = frozenset({"status", STATUS_WORD, "claimOwner", OWNER_TEXT})
"""Fields of which one changes with another: the word with the state, the owner's field with the claim."""


def reads_back(document: Document, key: int, written: list[Replacement], wanted: Mapping[str, Value]) -> bool:
    """Tell whether the card, read alone with the replacements made, has the new values and else the same ones."""
    again = read_alone(document, key, written, [], is_open_allowed=wanted.keys() <= STATE_FIELDS)
    before = document.cards[key]
    after = next((each for each in again.cards if each.id == before.id), None) if again else None
    if after is None:
        return False
    own = before.fields.keys() - before.weak - STATE_FIELDS - wanted.keys() - {"extra.parent"}
    return all(_equal(name, value, after) for name, value in wanted.items()) and all(
        after.fields.get(name) == before.fields[name] for name in own
    )


def read_alone(
    document: Document, key: int, written: list[Replacement], behind: list[str], *, is_open_allowed: bool = False
) -> Document | None:
    """Read a card with what gives it its meaning and nothing else, the replacements made and lines put behind it.

    Returns:
        The document, or ``None`` when an open fence or comment in it would swallow whatever stands behind the card.
    """
    container, position = document.homes[key]
    parts: list[str] = []
    model = ""
    headings = document.once("headings", lambda: frozenset(each.line for each in document.headings))
    for first, end in container.sample(position):
        start, stop = document.text.starts[first], document.text.starts[end]
        inside = [each for each in written if start <= each.start and each.end <= stop]
        # What is nested deep would be code, read alone.
        model = document.text.lines[first]
        part = outdented(patch(document.text.text[start:stop], inside, start), model)
        # An underlined heading would go on with the text before it.
        parts.append("\n" if first in headings else "")
        parts.append(part if part.endswith(("\n", "\r")) or not part else part + "\n")
    parts += [outdented(f"{line}\n", model) for line in behind]
    if document.is_single:
        return parse("".join(parts).encode(), options=document.options)
    parts.append(f"\n# {_SENTINEL}\n")
    again = parse("".join(parts).encode(), options=_options_alone(document))
    is_closed = bool(again.headings and again.headings[-1].text == _SENTINEL)
    return again if is_closed or is_open_allowed else None


def _options_alone(document: Document) -> ParseOptions:
    """Return how lines are read without the file around them: with the words of its front matter."""
    statuses = {**document.front.statuses, **document.options.statuses}
    return replace(document.options, ignore_headings=frozenset(), statuses=statuses)


def _equal(name: str, value: Value, card: FileCard) -> bool:
    if name in ("dependsOn", "acceptance"):
        return as_list(card.fields.get(name)) == as_list(value)
    if name in ("claimOwner", OWNER_TEXT) and name not in card.fields:
        # The other name of the same place, under which the new state has it.
        return True
    if name == "priority":
        value = value or 0
    return name in card.fields and card.fields[name] == (None if value == () else value)


class Made(msgspec.Struct, frozen=True):
    """A text into which edits were made, with what they were to do.

    ``shown`` are the values given to each card, ``named`` the ids, by key; ``removed`` the keys of cards taken out;
    ``added`` the new cards, nameless ones too.  ``is_local`` tells that nothing else can have changed.
    """

    text: str
    shown: Mapping[int, Fields]
    named: Mapping[int, str]
    removed: Set[int]
    added: Sequence[InsertCard]
    is_local: bool


def is_as_meant(document: Document, made: Made) -> bool:
    """Tell whether a text, read as a whole, shows what edits gave, and every other card as it was.

    What comes from a card's surroundings does not count, nor do cards that only stood behind one that went, nor that a
    row which begins with a number takes it for an id where its neighbour gets one.
    """
    after = parse(made.text.encode(), path=document.path, options=document.options, previous=document)
    document.keep(after)
    count = len(document.cards) - len(made.removed) + len(made.added)
    if len(after.cards) < count or (len(after.cards) > count and not made.removed):
        return False
    for insert in made.added:
        new = after.card_by_id(insert.id)
        if insert.id and (new is None or not is_in_state(new, insert)):
            return False
    known = {card.id for card in document.cards} | {None, *(each.id for each in made.added)}
    if not (made.removed or made.named) and any(card.id not in known for card in after.cards):
        return False
    for key, card in enumerate(document.cards):
        id = made.named.get(key, card.id)
        if id is None or key in made.removed:
            continue
        again = after.card_by_id(id)
        if again is None:
            return False
        if again is not card and not _is_as_meant(card, again, made.shown.get(key, {})):
            return False
    return True


def is_in_state(new: FileCard, insert: InsertCard) -> bool:
    """Tell whether a new card is in the state that it was to have, where its place says one."""
    return new.fields.get("status") in (None, insert.fields.get("status", Status.READY))


def _is_as_meant(card: FileCard, again: FileCard, shown: Fields) -> bool:
    left_out = card.weak | again.weak | shown.keys() | {"extra.parent"}
    left_out |= STATE_FIELDS if shown.keys() & STATE_FIELDS else frozenset()
    names = (card.fields.keys() | again.fields.keys()) - left_out
    return all(card.fields.get(name) == again.fields.get(name) for name in names) and all(
        _equal(name, value, again) for name, value in shown.items()
    )


def most(edits: Sequence[Edit], make: Callable[[Sequence[Edit]], Made], is_good: Callable[[Made], bool]) -> list[Edit]:
    """Return the edits that can be made together, in their order; those of one card are made together or not at all.

    Shape: of n cards of which k cannot have their edits, about k log n texts are made and judged.
    """
    groups: dict[tuple[bool, int], list[Edit]] = {}
    for n, edit in enumerate(edits):
        groups.setdefault((True, n) if isinstance(edit, InsertCard) else (False, edit.key), []).append(edit)
    return _most([], list(groups.values()), lambda some: is_good(make(some)))


def _most(kept: list[Edit], groups: list[list[Edit]], is_good: Callable[[Sequence[Edit]], bool]) -> list[Edit]:
    together = [*kept, *(edit for group in groups for edit in group)]
    if is_good(together):
        return together
    if len(groups) < 2:
        return kept
    half = len(groups) // 2
    return _most(_most(kept, groups[:half], is_good), groups[half:], is_good)
