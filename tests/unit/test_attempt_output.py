"""What is kept of an attempt's output."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from syncd.work import output
from syncd.work.output import Output, attempt_file, file_name


def _kept(path: Path, said: bytes, limit: int) -> tuple[bytes, str]:
    """Return the file of an attempt that said something on its error stream, and the last lines of it."""

    async def take() -> str:
        stream = asyncio.StreamReader()
        stream.feed_data(said)
        stream.feed_eof()
        with Output(path, limit) as kept:
            await kept.take(stream, is_errors=True)
            return kept.last_errors()

    tail = asyncio.run(take())
    return path.read_bytes(), tail


def test_all_is_kept_up_to_the_limit(tmp_path: Path) -> None:
    """Output within the limit is kept byte for byte."""
    said = bytes(range(256)) * 4
    assert _kept(tmp_path / "log", said, len(said))[0] == said


@pytest.mark.parametrize("length", [101, 150, 199, 1000, 200_000])
def test_of_more_the_beginning_and_the_end_are_kept(tmp_path: Path, length: int) -> None:
    """Of output over the limit its first and last half stay, and how much is missing is said."""
    said = b"".join(b"%06d\n" % number for number in range(length))[:length]
    kept, _ = _kept(tmp_path / "log", said, 100)
    assert kept == said[:50] + f"\n… {length - 100} bytes are left out …\n".encode() + said[-50:]


def test_the_last_lines_of_the_errors_act_on_no_terminal(tmp_path: Path) -> None:
    """Colours and control characters go; the last lines stay, whatever came before."""
    said = b"".join(b"line %d\n" % number for number in range(5000)) + b"\x1b[31mred\x1b[0m\a\xff\r\n\n"
    tail = _kept(tmp_path / "log", said, 10)[1].splitlines()
    assert tail[-2:] == ["line 4999", "red\ufffd"]
    assert len(tail) == output.TAIL_LINES


@pytest.mark.parametrize(("id", "name"), [("A1", "A1"), ("ui/1.1", "ui%2F1.1"), ("..", "%2E."), ("a b", "a%20b")])
def test_an_id_is_one_name_in_the_folder(id: str, name: str) -> None:
    """No id leads out of the folder."""
    assert file_name(id) == name


def test_the_oldest_output_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder holds so many files at most, the newest of them."""
    monkeypatch.setattr(output, "KEPT_FILES", 3)
    for number in range(1, 6):
        path = attempt_file(tmp_path, "A1", number)
        path.touch()
        os.utime(path, (number, number))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["A1.3.log", "A1.4.log", "A1.5.log"]
