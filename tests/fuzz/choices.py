"""Choices that bytes make, as a fuzzer gives them."""

from __future__ import annotations

from tests.fuzz import laws


class Bytes:
    """Choices taken from bytes; when they are used up, always the lowest."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        span = high - low
        width = (span.bit_length() + 7) // 8
        part = self._data[self._at : self._at + width]
        self._at += width
        return low + int.from_bytes(part) % (span + 1)


def one(data: bytes) -> None:
    """Ask the laws of what these bytes stand for: the bytes themselves, or the choices that they make."""
    if data[:1] < b"\x40":
        laws.any_bytes(data[1:])
    else:
        laws.everything(Bytes(data[1:]))
