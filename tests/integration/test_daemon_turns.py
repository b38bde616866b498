"""The daemon's turns, in this process: what goes wrong beside a cycle."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from syncd.engine.daemon import Daemon, Ending
from syncd.errors import InputOutputError
from syncd.notify import ServiceManager
from tests.support.workspace import TABLE, Site, site


class NoWatch(nullcontext[None]):
    """A watch that sees nothing."""

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    with site(tmp_path / "shop", postgres_dsn, TABLE) as made:
        yield made


@pytest.mark.parametrize("what", ["next_try_s", "tell"])
def test_what_fails_beside_a_cycle_is_tried_again(here: Site, what: str) -> None:
    """An error of what is asked after a cycle fails that cycle; the daemon goes on, and is well with the next one."""
    calls = chain(["fails"], repeat("works"))

    def failing_once() -> None:
        if next(calls) == "fails":
            raise InputOutputError("the disk failed")
        os.kill(os.getpid(), signal.SIGTERM)

    asked: dict[str, Any] = {what: failing_once}
    daemon = Daemon(
        here.cycle,
        here.wiring.store(),
        watch=lambda wake: NoWatch(),
        revive=lambda: None,
        greet=lambda: None,
        monotonic=time.monotonic,
        manager=ServiceManager({}, os.getpid()),
        replaced_in_s=lambda: 60.0,
        pid=os.getpid(),
        **asked,
    )
    assert daemon.run() is Ending.STOP
    assert dict(daemon.meters.failures) == {InputOutputError.code: 1}
    assert daemon.pulse.error is None
