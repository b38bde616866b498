"""The lines of a manifest's log and of its history: JSON with a checksum, so that a torn one is known.

A line reads ``{"sum":"1c291ca3","change":{…}}``; the sum is the CRC of the bytes of ``change``.
May import ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

_BEFORE: Final = b'{"sum":"'
_BETWEEN: Final = b'","change":'
_AFTER: Final = b"}"
_SUM: Final = slice(len(_BEFORE), len(_BEFORE) + 8)
_BODY: Final = len(_BEFORE) + 8 + len(_BETWEEN)


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """The first line of a log: of which history it is, and after which change it begins."""

    epoch: str
    after: int


def line_of(change: Any) -> bytes:
    """Return the line that says a change."""
    body = msgspec.json.encode(change)
    return b"".join((_BEFORE, b"%08x" % zlib.crc32(body), _BETWEEN, body, _AFTER, b"\n"))


def body_of(line: bytes) -> bytes | None:
    """Return what a line without its end says, ``None`` for one that is torn or was changed."""
    body = line[_BODY:-1]
    if line[: len(_BEFORE)] != _BEFORE or line[_SUM.stop : _BODY] != _BETWEEN or line[-1:] != _AFTER:
        return None
    return body if line[_SUM] == b"%08x" % zlib.crc32(body) else None


def is_torn(line: bytes) -> bool:
    """Return whether a last line that is not as it was written may be one that a power cut left behind.

    What was never written of it reads as zeros, which JSON never has.
    """
    return b"\0" in line


def whole_lines(data: bytes) -> Iterator[bytes]:
    """Yield the lines that have an end, without it: a writer may be in the middle of the last one."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1
