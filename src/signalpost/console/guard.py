"""What every request to the console passes first, and what every answer carries.

Only the names of this console are answered, so that a page of another site can't reach it under a name of its own
(DNS rebinding). A change must come from the console's own pages. Every answer forbids what the pages don't need.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signalpost.console.browsers import SAFE_METHODS, SECURITY_HEADERS
from signalpost.console.refusals import Refusal, respond

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PROBES: Final = frozenset({"/healthz", "/health", "/readyz"})
_HSTS: Final = "max-age=31536000"


class Guard:
    """ASGI middleware around the console's app."""

    def __init__(self, app: ASGIApp, host_names: Iterable[str]) -> None:
        """host_names: those under which the console is reached, besides the loopback ones."""
        self._app = app
        self._host_names = LOOPBACK_NAMES | {name.lower() for name in host_names if name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._check_host(scope, headers) or _check_origin(scope, headers)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        app = self._app if refusal is None else respond(Request(scope), refusal)
        await app(scope, receive, send_with_headers)

    def _check_host(self, scope: Scope, headers: Headers) -> Refusal | None:
        # Probes and programs come by address; no page can send their header to us from another origin. Static files are
        # the same for everybody, and the page that refuses is readable with them only.
        if scope["path"] in _PROBES or scope["path"].startswith("/static/") or "authorization" in headers:
            return None
        name = _host_name(headers.get("host", ""))
        if name in self._host_names:
            return None
        message = "This console is not reached under that name. Set server.console_public_url to its address."
        return Refusal(421, "wrong_host", message)


def _check_origin(scope: Scope, headers: Headers) -> Refusal | None:
    """A change that a browser sends must come from a page of this very origin; programs send a token."""
    if scope["method"] in SAFE_METHODS or "authorization" in headers:
        return None
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    own = f"{scope['scheme']}://{headers.get('host', '')}"
    # Under `Referrer-Policy: no-referrer` a form's Origin is "null"; then the browser's own word on the site counts.
    comes_from_here = origin == own if origin != "null" else site == "same-origin"
    if comes_from_here and site in {None, "same-origin", "none"}:
        return None
    message = (
        "Changes are taken from this console's own pages only. Load the page again and repeat. If the console stands "
        "behind a proxy, name its address in server.trusted_proxies."
    )
    return Refusal(403, "wrong_origin", message)


def _add_headers(scope: Scope, headers: MutableHeaders) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = _HSTS
    if "cache-control" not in headers:
        headers["Cache-Control"] = "no-store"


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
