"""The Postgres that a bench or a race runs on: a served one that was named, else an embedded one of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from syncd.store.embedded import EmbeddedServer
from tests.support.embedded import wait_until_stopped


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """Give its address; an embedded one is gone afterwards."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="syncd-") as name, ExitStack() as life:
        home = Path(name) / "postgres"
        life.callback(wait_until_stopped, home)
        yield life.enter_context(EmbeddedServer.start(home, grace_s=0.2)).dsn
