"""One event on its way to one receiver: what a receiver does wrong ends there."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest

from syncd.agents.delivery import Away, CommandCourier, WebhookCourier
from syncd.schemas.config import Outlet
from tests.support.desk import DEADLINE_S, until

TOLD = {"type": "task.queued", "seq": 1, "id": "A1"}


@pytest.mark.parametrize(
    "answer",
    [b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b""],
    ids=["no-http", "cut-off", "nothing"],
)
def test_a_receiver_that_answers_nonsense_is_away(answer: bytes) -> None:
    """What is no HTTP, or half of it, is asked again later, and ends no delivery for good."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            link, _ = server.accept()
            with closing(link):
                link.recv(1 << 16)
                link.sendall(answer)
                link.shutdown(socket.SHUT_WR)
                while link.recv(1 << 16):
                    pass

        helper = threading.Thread(target=serve, daemon=True)
        helper.start()
        courier = WebhookCourier(f"http://127.0.0.1:{server.getsockname()[1]}/", None, DEADLINE_S)
        with pytest.raises(Away):
            courier.deliver(TOLD)
        helper.join()


def test_what_a_command_leaves_behind_holds_nothing_up(tmp_path: Path) -> None:
    """A command that has ended well has had its event, though a process of another session holds its output open."""
    left = tmp_path / "left"
    script = (
        f"setsid sh -c 'echo $$ > {left}.new; mv {left}.new {left}; exec sleep 600' & while ! [ -e {left} ]; do :; done"
    )
    courier = CommandCourier(Outlet(run=("sh", "-c", script), timeout_s=5.0), tmp_path, os.environ)
    try:
        courier.deliver(TOLD)
        os.kill(int(left.read_text()), 0)
    finally:
        until(left.exists, "the process that is left has begun")
        os.kill(int(left.read_text()), signal.SIGKILL)
