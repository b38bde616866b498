"""Which files and folders were made durable, in their order: what a power cut would have spared."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

_STAGED = re.compile(r"\.syncd-[\w-]+$")


def recorded_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of each file or folder that is fsynced; staged files are all ``staged``."""
    done: list[str] = []
    fsync = os.fsync

    def fsync_and_record(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        done.append("staged" if _STAGED.search(name) else name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fsync_and_record)
    return done
