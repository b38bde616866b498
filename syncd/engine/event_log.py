"""The queue's events as lines of a file, for an orchestrator that reads one: each once, also over crashes.

The place is remembered after the lines are durable.  Lines behind the remembered end of the file are what a
crash kept from being remembered: those events are not written again, and half a line is cut off.
May import ``syncd.core``, ``syncd.ports``, ``syncd.errors``, ``syncd.log``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import msgspec

from syncd.core.events import Event, event_json, event_of
from syncd.errors import InputOutputError
from syncd.log import event
from syncd.ports import LineFile, State, Store

PAGE: Final = 500
WAITING_S: Final = 0.2
"""When to look again while an older transaction may still bring in events."""

_PLACE: Final = "events.place"


class _Place(msgspec.Struct, frozen=True):
    """The last event that is in the file (0 for the beginning), and how long the file was then."""

    seq: int
    end: int


class EventLog:
    """Writes a project's events to a file, as long as somebody wants them there."""

    def __init__(self, file: LineFile, state: State, store: Store) -> None:
        self._file = file
        self._state = state
        self._store = store
        self._is_checked = False
        self._failed: str | None = None

    def write(self) -> float | None:
        """Write the events that are new; return in how many seconds to look again, ``None`` for when one is heard of.

        The first time, what was before is left out.  A file that cannot be written is told once, and tried again.

        Raises: StoreUnreachable.
        """
        if not self._file.is_wanted():
            return None
        try:
            wait_s = self._write()
        except InputOutputError as error:
            if self._failed != error.message:
                event("events.unwritten", message=error.message, hint=error.hint)
            self._failed, self._is_checked = error.message, False
            return None
        self._failed = None
        return wait_s

    def _write(self) -> float | None:
        place = self._place()
        written, cut = self._left_by_a_crash(place) if not self._is_checked else (frozenset[int](), 0)
        while True:
            trail = self._store.trail(place.seq or None, limit=PAGE)
            lines = b"".join(_line(event_of(each)) for each in trail.entries if each.seq not in written)
            if trail.entries:
                end = self._file.append(lines, cut=cut) if lines or cut else place.end
                cut, place = 0, _Place(trail.entries[-1].seq, end)
                self._state.set_meta(_PLACE, msgspec.json.encode(place).decode())
            self._is_checked = True
            if not trail.has_more:
                return WAITING_S if trail.is_waiting else None

    def _place(self) -> _Place:
        text = self._state.meta(_PLACE)
        if text is not None:
            return msgspec.json.decode(text, type=_Place)
        last = self._store.history(limit=1).entries
        place = _Place(last[-1].seq if last else 0, len(self._file.read_from(0) or b""))
        self._state.set_meta(_PLACE, msgspec.json.encode(place).decode())
        return place

    def _left_by_a_crash(self, place: _Place) -> tuple[frozenset[int], int]:
        """Return the events that are in the file and were not remembered, and how many bytes are half a line."""
        tail = self._file.read_from(place.end) or b""
        *whole, torn = tail.split(b"\n")
        is_ours = torn.startswith(b'{"seq": ') or b'{"seq": '.startswith(torn)
        return frozenset(_seqs(whole)), len(torn) if is_ours else 0


def _line(each: Event) -> bytes:
    return json.dumps(event_json(each), ensure_ascii=False).encode() + b"\n"


def _seqs(lines: list[bytes]) -> Iterator[int]:
    """Yield the numbers of those lines that are events of the queue; others may write here, too."""
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("seq"), int) and "task." in str(found.get("type")):
            yield found["seq"]
