"""What requests of browsers have in common: methods that change nothing, the session's cookie, who wants a page.

Every answer carries the headers that forbid a page what ours don't need.
"""

from typing import Final

from fastapi import Request

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_COOKIE: Final = "signalpost"
_DIRECTIVES: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "font-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "; ".join(_DIRECTIVES),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def cookie_name(request: Request) -> str:
    """`__Host-` binds the cookie to this very host, but needs HTTPS, which a loopback address may lack."""
    return f"__Host-{SESSION_COOKIE}" if request.url.scheme == "https" else SESSION_COOKIE


def is_for_a_person(request: Request) -> bool:
    """Whether a browser shows the answer as a page."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
