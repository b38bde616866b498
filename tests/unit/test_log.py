"""The log: structured events keep long lists short, a terminal gets one short line for each."""

from __future__ import annotations

import json
import logging

from syncd import log


def _record(name: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("syncd", logging.INFO, "", 0, name, None, None)
    record.fields = fields
    return record


def test_a_cycle_is_one_short_line_on_a_terminal() -> None:
    """At most five ids are named, the others counted."""
    ids = [f"A{number}" for number in range(3328)]
    line = log._Short().format(_record("cycle.done", ms=18.2, to_store=ids, to_file=[], conflicts=[]))
    assert line[8:] == " file → store A0, A1, A2, A3, A4 … and 3,323 more (18 ms)"


def test_a_structured_event_keeps_fifty_ids_and_their_number() -> None:
    """A long list is cut, with its length beside it."""
    found = json.loads(log._Json().format(_record("cycle.done", to_store=[str(n) for n in range(80)])))
    assert len(found["to_store"]) == 50
    assert found["to_store_count"] == 80


def test_nothing_in_a_line_acts_on_the_terminal() -> None:
    """Control characters of an id do not reach the terminal."""
    assert "\x1b" not in log._Short().format(_record("hold.began", guard="deletions", ids=["A\x1b[2J"]))
