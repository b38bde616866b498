"""syncd ui as programs and browsers use it: a real server, real requests, and a headless Chromium."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from tests.support.browser import browser, chromium
from tests.support.desk import DEADLINE_S, TABLE, Desk, desk
from tests.support.postgres import fresh_database

pytest.importorskip("starlette", reason="the extra 'ui' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'ui' is not installed")

HOSTILE = "<img src=x onerror=document.title='owned'> & </script>"


@dataclass
class Server:
    """A dashboard that runs, and how it is asked."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        port = urllib.parse.urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def token(self) -> str:
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.url).query)["token"][0]

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", has_token: bool = True
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Ask once, with the token unless told otherwise; return status, headers and body."""
        said = {"Authorization": f"Bearer {self.token}"} if has_token else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, headers={**said, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers.items()), answer.read()
        finally:
            connection.close()

    def json(self, path: str, *, status: int = 200) -> Any:
        """Ask for JSON and assert the status."""
        code, _, body = self.get(path)
        assert code == status, (code, body)
        return json.loads(body)

    @contextmanager
    def stream(self, since: int | None = None) -> Iterator[http.client.HTTPResponse]:
        """Listen to the events."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        headers = {"Authorization": f"Bearer {self.token}"}
        if since is not None:
            headers["Last-Event-ID"] = str(since)
        connection.request("GET", "/api/events", headers=headers)
        try:
            yield connection.getresponse()
        finally:
            connection.close()


@contextmanager
def dashboard(here: Desk, *words: str) -> Iterator[Server]:
    """Run the dashboard on a free port until the end of the context."""
    words = ("ui", "--port", "0", "--json", *words)
    with here.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            Draft202012Validator(bundle("ui")).validate(said)
            yield Server(process, said["url"])
            process.terminate()
            assert process.wait(DEADLINE_S) in (0, -signal.SIGTERM)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, embedded_dsn: str) -> Iterator[Desk]:
    """A synced working copy with a card whose title is an attack; the tests of the module share it."""
    with fresh_database(embedded_dsn) as dsn:
        made = desk(tmp_path_factory.mktemp("ui") / "here", dsn, TABLE)
        made("sync")
        made("backlog", "create", "--id", "X1", "--title", HOSTILE)
        yield made


@pytest.fixture(scope="module")
def server(here: Desk) -> Iterator[Server]:
    """Its dashboard."""
    with dashboard(here) as found:
        yield found


def events(answer: http.client.HTTPResponse, count: int) -> list[Any]:
    """Read so many events of a stream."""
    found: list[Any] = []
    while len(found) < count:
        text = answer.readline().decode()
        if text.startswith("data: "):
            found.append(json.loads(text.removeprefix("data: ")))
    return found


def test_the_api_says_what_the_commands_say(here: Desk, server: Server) -> None:
    """Status, cards, one card with what stands in its way, counts: the same shapes as on the command line."""
    status = server.json("/api/coord/status")
    Draft202012Validator(bundle("status")).validate(status)
    cards = server.json("/api/coord/tasks")
    for each in cards:
        Draft202012Validator(bundle("card")).validate(each)
    assert cards == server.json("/api/backlog") == here.json("backlog", "list")
    assert [each["id"] for each in server.json("/api/coord/tasks?status=ready&limit=1")] == ["A1"]
    assert [each["id"] for each in server.json("/api/backlog?ready=1&limit=1&cursor=A1")] == ["X1"]
    card = server.json("/api/coord/tasks/A2")
    assert (card["line"], card["claimable"], card["reasons"][0]["code"]) == (6, False, "unmet")
    assert server.json("/api/backlog/cards/A2") == card
    stats = server.json("/api/backlog/stats")
    Draft202012Validator(bundle("stats")).validate(stats)
    assert stats["total"] == 4


def test_errors_have_the_shape_of_the_command_line(server: Server) -> None:
    """404 for no such card, 400 for a bad value, 405 for another method."""
    found = server.json("/api/coord/tasks/nope", status=404)
    Draft202012Validator(bundle("error")).validate(found)
    assert server.json("/api/coord/tasks?status=nope", status=400)["error"]["code"] == "bad-value"
    assert server.json("/api/coord/tasks?limit=0") == []
    assert server.json("/api/coord/tasks?limit=-1", status=400)["error"]["code"] == "bad-value"
    assert server.get("/api/nope")[0] == 404
    for method in ("POST", "PUT", "DELETE"):
        assert server.get("/api/coord/tasks", method=method)[0] == 405


def test_metrics_and_health(server: Server) -> None:
    """Prometheus reads gauges; whoever watches reads one word."""
    code, headers, body = server.get("/metrics")
    assert (code, headers["content-type"].split(";")[0]) == (200, "text/plain")
    lines = body.decode().splitlines()
    assert any(re.fullmatch(r'syncd_cards\{.*state="ready".*\} 4\.0', each) for each in lines), lines
    assert all(each.startswith("#") or len(each.rsplit(" ", 1)) == 2 for each in lines)
    assert server.json("/healthz")["ok"] is True


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/coord/status", "/api/events", "/metrics", "/healthz", "/nope"])
def test_nothing_is_told_without_the_token(server: Server, path: str) -> None:
    """Every path, also one that is none, wants the token; a wrong one is no token."""
    assert server.get(path, has_token=False)[0] == 401
    assert server.get(path, {"Authorization": "Bearer nope"}, has_token=False)[0] == 401
    assert server.get(path, {"Cookie": "syncd_token=nope"}, has_token=False)[0] == 401


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://127.0.0.1:{port}", "Host": "127.0.0.1:{port}"}, 200),
        ({"Host": "localhost:{port}"}, 200),
    ],
)
def test_other_sites_get_nothing(server: Server, headers: dict[str, str], code: int) -> None:
    """A name that was rebound to loopback, and a page of another origin, are refused although they have the token."""
    given = {name: value.replace("{port}", str(server.port)) for name, value in headers.items()}
    found, answered, _ = server.get("/api/coord/status", given)
    assert found == code
    assert not [name for name in answered if name.lower().startswith("access-control-")]


def test_the_printed_address_sets_a_cookie_and_hides_the_token(server: Server) -> None:
    """The browser is sent on to an address without the token; the cookie is for this site only, and for no script."""
    code, headers, _ = server.get(f"/?token={server.token}", has_token=False)
    assert (code, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    code, headers, body = server.get("/", {"Cookie": cookie.split(";")[0]}, has_token=False)
    assert code == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"http://" not in body.replace(b"http://www.w3.org", b"")
    assert b"https://" not in body


def test_events_come_as_they_happen_and_are_caught_up(here: Desk, server: Server) -> None:
    """A change is a message of the stream; one who comes back with the last number gets what is missing, once."""
    with server.stream() as first, server.stream() as second:
        assert first.headers["content-type"].startswith("text/event-stream")
        assert first.readline().startswith(b"retry:")
        assert second.readline().startswith(b"retry:")
        here("backlog", "create", "--id", "E1", "--title", "First")
        (found,) = events(first, 1)
        Draft202012Validator(bundle("event")).validate(found)
        assert (found["type"], found["id"]) == ("task.queued", "E1")
        assert events(second, 1) == [found]
    here("backlog", "block", "--id", "E1")
    with server.stream(found["seq"]) as again:
        here("backlog", "unblock", "--id", "E1")
        caught = events(again, 2)
    assert [each["to"] for each in caught] == ["blocked", "ready"]
    here("backlog", "remove", "--id", "E1", "--force")


def test_other_machines_reach_it_only_when_that_is_said(here: Desk) -> None:
    """An address beyond loopback is refused without --public; a port that is taken, and a foreign host, are told."""
    assert "other machines" in here("ui", "--host", "0.0.0.0", code=4).stderr
    assert "cannot listen" in here("ui", "--host", "192.0.2.1", "--public", code=74).stderr
    with dashboard(here) as first:
        assert "is taken" in here("ui", "--port", str(first.port), code=75).stderr


def test_it_goes_on_while_the_database_is_away(here: Desk) -> None:
    """The cards are those of the last contact, and the status says since when nothing was heard."""
    away = Desk(here.root, {**here.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"})
    with dashboard(away) as server:
        status = server.json("/api/coord/status")
        Draft202012Validator(bundle("status")).validate(status)
        assert status["mode"] == "offline"
        assert "A1" in [each["id"] for each in server.json("/api/coord/tasks")]
        assert json.loads(server.get("/healthz")[2])["mode"] == "offline"


def test_a_browser_shows_what_happens_and_runs_nothing_of_it(here: Desk, server: Server, tmp_path: Path) -> None:
    """Chromium draws the board, a title that is an attack is text, and a change shows without a reload."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium is installed here")
    with browser(program, tmp_path / "profile") as page:
        page.open(server.url)
        page.until("document.querySelectorAll('#board button').length >= 4")
        assert page.value("location.href") == f"http://127.0.0.1:{server.port}/"
        assert HOSTILE in page.value("document.querySelector('#board').innerText")
        assert page.value("document.querySelectorAll('#board img').length") == 0
        assert page.value("document.cookie") == ""
        page.until("document.querySelector('#headline').innerText.startsWith('Not in sync')")
        page.until("document.querySelector('#hands').innerText.includes('syncd sync')")
        here("backlog", "claim", "--owner", "worker-7", "--id", "A1")
        page.until("document.querySelector('.claimed').innerText.includes('worker-7')")
        page.until("document.querySelector('#events').innerText.includes('processing')")
        page.value("document.querySelector('.claimed button').click()")
        assert "Draw the schema" in page.until("document.querySelector('dialog[open] h2').innerText")
        page.until("document.querySelector('dialog[open] dl').innerText.includes('TASKS.md:5')")
        page.screenshot(tmp_path / "page.png")
        assert page.value("document.title").endswith("– syncd")
    here("backlog", "release", "--owner", "worker-7", "--id", "A1")
