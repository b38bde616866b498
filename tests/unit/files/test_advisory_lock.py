"""The lock for editing task files, between syncd and scripts."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from syncd.files.layout import Layout
from syncd.files.lock import HELD_VARIABLE, AdvisoryLock, advisory_lock, holder
from syncd.files.workspace import make_dot


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    make_dot(made)
    return made


def test_it_is_taken_at_once_or_not_at_all(layout: Layout) -> None:
    """A write that cannot have the lock is told so, with who has it; afterwards it can."""
    lock = AdvisoryLock(layout, {})
    assert lock.holder() is None
    with advisory_lock(layout):
        assert lock.holder() == f"process {os.getpid()}"
        with lock.taken() as is_ours:
            assert not is_ours
    with lock.taken() as is_ours:
        assert is_ours
        assert holder(layout.advisory_lock) is not None
    assert holder(layout.advisory_lock) is None


def test_who_runs_under_it_may_write(layout: Layout) -> None:
    """A command of syncd that runs under with-lock writes; under the lock of another workspace it does not."""
    with advisory_lock(layout):
        inside = AdvisoryLock(layout, {HELD_VARIABLE: str(layout.advisory_lock)})
        assert inside.holder() is None
        with inside.taken() as is_ours:
            assert is_ours
        elsewhere = AdvisoryLock(layout, {HELD_VARIABLE: "/another/.syncd/TASKS.md.lock"})
        assert elsewhere.holder() is not None


def test_a_holder_that_wrote_no_name_is_known_to_the_kernel(layout: Layout) -> None:
    """flock(1) leaves what an earlier holder wrote; the process that really holds the lock is named."""
    path = layout.advisory_lock
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert str(holder(path)) == f"process {os.getpid()}"
    finally:
        os.close(handle)
