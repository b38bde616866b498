"""What a process that runs on for long keeps of the memory that it used once.

Imports nothing of syncd.
"""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Give the system what the C library keeps of freed memory; a library that cannot (musl) keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
