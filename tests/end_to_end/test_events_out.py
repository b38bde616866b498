"""Events that leave the daemon: to commands, webhooks and files, each at least once and in order."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from syncd.files.layout import Layout
from tests.support.desk import TABLE, Desk, desk, until, whole_lines
from tests.support.ports import free_port

SECRET = "a secret"


class Receiver(ThreadingHTTPServer):
    """A webhook's receiver: keeps what it is sent, and answers with the next of ``answers``, then with 204."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.bodies: list[bytes] = []
        self.signatures: list[str] = []
        self.answers: list[int] = []
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.bodies]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.answers.pop(0) if self.server.answers else 204
        if code < 300:
            self.server.bodies.append(body)
            self.server.signatures.append(self.headers.get("X-Syncd-Signature", ""))
        self.send_response(code)
        if code == 302:
            self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def receiving(port: int | None = None) -> Iterator[Receiver]:
    """Run a receiver, at the port of an earlier one or at one of its own."""
    with Receiver(port or free_port()) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def configured(place: Path, dsn: str, events: str, table: str = TABLE) -> Desk:
    """Make a synced working copy whose daemon sends events out."""
    made = desk(place / "shop", dsn, table)
    made.environ = {**made.environ, "HOOK_SECRET": SECRET}
    settings = Layout(made.root).config
    settings.write_text((settings.read_text() if settings.exists() else "") + events)
    made("sync")
    made("trust", "--yes")
    return made


def types(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["type"], each["id"]) for each in found]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in whole_lines(path.read_text())] if path.exists() else []


def test_a_webhook_is_signed_retried_and_goes_on_where_it_was(tmp_path: Path, postgres_dsn: str) -> None:
    """A receiver that says 500 or is away is asked again; after a kill of the daemon nothing is missing, in order."""
    with receiving() as receiver:
        port = receiver.server_address[1]
        shop = configured(
            tmp_path,
            postgres_dsn,
            f"events:\n  - url: {receiver.url}\n    secret_env: HOOK_SECRET\n    on: ['task.*']\n",
        )
        receiver.answers += [500]
        with shop.daemon() as daemon:
            until(lambda: "outlet." in _places(shop), "the place is kept")
            shop("backlog", "claim", "--owner", "w")
            until(lambda: types(receiver.events) == [("task.processing", "A1")], "the claim has arrived")
            daemon.ended(signal.SIGKILL)
        at, _, digest = receiver.signatures[0].removeprefix("t=").partition(",v1=")
        signed = hmac.new(SECRET.encode(), f"{at}.".encode() + receiver.bodies[0], hashlib.sha256)
        assert digest == signed.hexdigest()
        first = receiver.events[0]["seq"]
    # Nobody is there, neither daemon nor receiver.
    shop("backlog", "complete", "--id", "A1")
    shop("backlog", "block", "--id", "A3")
    with shop.daemon(), receiving(port) as receiver:
        # What arrived in the moment of the kill may come a second time.
        until(lambda: len(_after(receiver, first)) == 2, "the rest has arrived")
        assert types(_after(receiver, first)) == [("task.completed", "A1"), ("task.blocked", "A3")]


def _after(receiver: Receiver, seq: int) -> list[dict[str, Any]]:
    return [each for each in receiver.events if each["seq"] > seq]


def _places(shop: Desk) -> str:
    """Return what the workspace remembers of its outlets."""
    import sqlite3

    with closing(sqlite3.connect(f"file:{Layout(shop.root).state}?mode=ro", uri=True)) as link:
        return " ".join(f"{key}={value}" for key, value in link.execute("select key, value from meta"))


def test_a_webhook_that_says_no_is_left_behind(tmp_path: Path, postgres_dsn: str) -> None:
    """What a receiver refuses for good is logged, and those behind it arrive; a redirect is no yes."""
    with receiving() as receiver:
        shop = configured(tmp_path, postgres_dsn, f"events:\n  - url: {receiver.url}\n    retries: 0\n")
        receiver.answers += [302, 400]
        with shop.daemon() as daemon:
            until(lambda: "outlet." in _places(shop), "the place is kept")
            for id in ("A1", "A2", "A3"):
                shop("backlog", "block", "--id", id)
            until(lambda: receiver.events, "the third has arrived")
            assert types(receiver.events) == [("task.blocked", "A3")]
            assert len(daemon.events("events.undelivered")) == 2


def test_a_command_gets_each_event_it_asked_for(tmp_path: Path, postgres_dsn: str) -> None:
    """A hook gets the event on stdin and in its environment; one that fails is run again; others are not for it."""
    hook = 'cat >> heard; echo "$SYNCD_EVENT $SYNCD_CARD_ID" >> named; [ -e second ] || { touch second; exit 1; }'
    shop = configured(
        tmp_path, postgres_dsn, f"events:\n  - run: '{hook}'\n    on: [task.completed]\n  - file: all.ndjson\n"
    )
    with shop.daemon():
        until(lambda: _places(shop).count("outlet.") == 2, "the places are kept")
        shop("backlog", "claim", "--owner", "w")
        shop("backlog", "complete", "--id", "A1")
        until(lambda: len(lines(shop.root / "heard")) == 2, "it was run again")
        until(lambda: len(lines(shop.root / "all.ndjson")) == 2, "the file has all")
    assert (shop.root / "named").read_text() == "task.completed A1\n" * 2
    assert types(lines(shop.root / "all.ndjson")) == [("task.processing", "A1"), ("task.completed", "A1")]


def test_a_hook_that_hangs_holds_up_nobody(tmp_path: Path, postgres_dsn: str) -> None:
    """A command over its time limit is ended, and neither the sync nor another outlet waits for it."""
    shop = configured(
        tmp_path,
        postgres_dsn,
        "events:\n  - run: 'sleep 1000'\n    timeout_s: 0.3\n    retries: 0\n  - file: all.ndjson\n",
    )
    with shop.daemon() as daemon:
        until(lambda: _places(shop).count("outlet.") == 2, "the places are kept")
        shop.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: shop.cell("status", "A1") == "done", "the edit is in the table")
        until(lambda: lines(shop.root / "all.ndjson"), "the file has it")
        until(lambda: daemon.events("events.undelivered"), "the hook was ended")
        assert "0.3 s" in daemon.events("events.undelivered")[0]["reason"]


def test_the_monitor_tells_of_a_deadlock(tmp_path: Path, postgres_dsn: str) -> None:
    """When everything left waits for a blocked card, an event says so, once, and names the card."""
    shop = configured(tmp_path, postgres_dsn, "monitor: true\nevents:\n  - file: all.ndjson\n    on: ['queue.*']\n")
    shop("backlog", "update", "A1", "status=blocked")
    shop("sync")
    with shop.daemon() as daemon:
        until(lambda: lines(shop.root / "all.ndjson"), "the deadlock is told")
        (told,) = lines(shop.root / "all.ndjson")
        assert (told["type"], told["data"]) == ("queue.deadlock", {"waiting": 2, "blocked": ["A1"], "unknown": []})
        shop("backlog", "unblock", "--id", "A1")
        until(lambda: daemon.events("queue.moving"), "it is over")


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ("events:\n  - on: ['*']\n", "exactly one of"),
        ("events:\n  - {run: a, url: 'https://x'}\n", "exactly one of"),
        ("events:\n  - {url: 'ftp://x'}\n", "https://"),
        ("events:\n  - {file: ../out}\n", "cannot be used"),
        ("events:\n  - {run: a, retry: 3}\n", "`retries`?"),
        ("events:\n  - {run: a, concurrency: 0}\n", "too small"),
        ("assign:\n  - {phase: M1}\n", "no `worker`"),
    ],
)
def test_wrong_settings_are_told_with_their_line(tmp_path: Path, postgres_dsn: str, events: str, says: str) -> None:
    """A setting that cannot be meant is refused, with file and line."""
    shop = desk(tmp_path / "shop", postgres_dsn)
    Layout(shop.root).config.write_text(events)
    said = shop("status", code=78).stderr
    assert says in said
    assert "syncd.yaml:2" in said


def test_a_secret_that_is_not_there_stops_the_daemon(tmp_path: Path, postgres_dsn: str) -> None:
    """Without the secret a webhook would go out unsigned: the daemon says so and does not start."""
    shop = desk(tmp_path / "shop", postgres_dsn)
    Layout(shop.root).config.write_text("events:\n  - {url: 'https://x', secret_env: NOT_THERE}\n")
    shop("trust", "--yes")
    assert "$NOT_THERE" in shop("run", code=78).stderr


def test_settings_of_strangers_run_nothing(tmp_path: Path, postgres_dsn: str) -> None:
    """A repository's settings name a command: it runs only once its user has seen it, and as it was then."""
    shop = desk(tmp_path / "shop", postgres_dsn)
    settings = Layout(shop.root).config
    settings.write_text("events:\n  - run: 'touch pwned'\n  - file: all.ndjson\n")
    shop("sync")
    assert "--yes" in shop("trust", code=2).stderr
    with shop.daemon() as daemon:
        until(lambda: daemon.events("events.untrusted"), "it is told")
        shop("backlog", "block", "--id", "A1")
    found = shop.json("trust", "--yes")
    Draft202012Validator(bundle("trust")).validate(found)
    assert (found["trusted"], found["events"][0]["target"]) == (True, "sh -c touch pwned")
    settings.write_text(settings.read_text().replace("all.ndjson", "more.ndjson"))
    with shop.daemon() as daemon:
        until(lambda: daemon.events("events.untrusted"), "changed settings are others")
        shop("backlog", "block", "--id", "A2")
    assert shop.json("trust", "--revoke")["trusted"] is False
    assert not (shop.root / "pwned").exists()
    assert not list(shop.root.glob("*.ndjson"))
