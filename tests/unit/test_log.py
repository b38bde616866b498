"""The log: structured events keep long lists short, a terminal gets one short line for each."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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


def _entry(data: bytes) -> dict[str, str]:
    """Return the fields of an entry in the journal's protocol."""
    fields = {}
    while data:
        name, _, rest = data.partition(b"\n")
        length = int.from_bytes(rest[:8], "little")
        fields[name.decode()] = rest[8 : 8 + length].decode()
        assert rest[8 + length : 9 + length] == b"\n"
        data = rest[9 + length :]
    return fields


def test_the_journal_gets_each_field(tmp_path: Path) -> None:
    """An event's fields are fields of the journal; a line end in a value stays in that value."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        journal.settimeout(5)
        handler = log.JournalHandler(str(tmp_path / "journal"))
        handler.emit(_record("cycle.failed", code="io", message="two\nlines", ids=["A1"]))
        fields = _entry(journal.recv(4096))
        handler.close()
    assert fields["SYNCD_EVENT"] == "cycle.failed"
    assert fields["PRIORITY"] == "6"
    assert fields["SYNCD_MESSAGE"] == "two\nlines"
    assert json.loads(fields["SYNCD_IDS"]) == ["A1"]
    assert fields["MESSAGE"].startswith("cycle.failed code=")


def test_a_journal_that_is_gone_leaves_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the journal does not take is said on stderr, and the daemon goes on."""
    handler = log.JournalHandler(str(tmp_path / "nowhere"))
    handler.emit(_record("store.back"))
    handler.close()
    assert capsys.readouterr().err == "store.back\n"


def test_the_databases_driver_says_nothing_between_messages() -> None:
    """What psycopg warns of does not reach stderr, of which an error's JSON is the last line."""
    said = (
        "import logging; from syncd.log import configure; configure('text'); logging.getLogger('psycopg').warning('x')"
    )
    ended = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
