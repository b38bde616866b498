"""Who may ask: a token with every request, a Host that is ours, no foreign Origin, nothing for other sites.

A page on the web that makes a browser ask this server gets nothing: it does not know the token, its Origin is
another, and a name that was rebound to loopback is no Host of ours.  May import ``starlette``.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "syncd_token"
PARAMETER: Final = "token"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer says to a browser."""


def is_loopback(host: str) -> bool:
    """Return whether a host to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_of(host: str, port: int) -> frozenset[str]:
    """Return the Host headers under which the server is asked: its own, and loopback's names."""
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    return frozenset({f"{name}:{port}" for name in names} | ({*names} if port == 80 else set()))


class Guarded:
    """Lets requests through that may ask, and refuses the others before anything is looked at.

    Args:
        token: what has to come with each request: as ``Authorization: Bearer``, in the cookie that the printed
            address sets, or as ``?token=``.
        hosts: the Host headers that are ours.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str]) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._welcome(scope)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (answer or self._app)(scope, receive, sent)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "").lower()
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            return PlainTextResponse("this is no name of this server\n", 421)
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host}":
            return PlainTextResponse("another site may not ask\n", 403)
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/":
            return PlainTextResponse("another site may not ask\n", 403)
        if not any(hmac.compare_digest(each.encode(), self._token) for each in _tokens(scope, headers)):
            return PlainTextResponse("syncd ui prints the address with the token\n", 401)
        return None

    def _welcome(self, scope: Scope) -> ASGIApp | None:
        """Return the answer to the printed address: the token moves into a cookie, and out of sight."""
        rest = parse_qsl(scope["query_string"].decode("latin-1"))
        if scope["path"] != "/" or PARAMETER not in dict(rest):
            return None
        kept = urlencode([each for each in rest if each[0] != PARAMETER])
        answer = RedirectResponse("/" + (f"?{kept}" if kept else ""), 303)
        answer.set_cookie(COOKIE, self._token.decode(), httponly=True, samesite="strict", path="/")
        return answer


def _tokens(scope: Scope, headers: Headers) -> list[str]:
    found = [dict(parse_qsl(scope["query_string"].decode("latin-1"))).get(PARAMETER, "")]
    kind, _, said = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        found.append(said.strip())
    # Browsers share cookies between the ports of a host: another server's may stand beside ours.
    found += [cookie_parser(each).get(COOKIE, "") for each in headers.getlist("cookie")]
    return found
