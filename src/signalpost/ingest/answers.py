"""What the tracking API answers: bodies, headers and CORS. HTTP status codes live here and nowhere else.

Success is exactly 200. A 4xx makes SDKs throw data away, so it is for what can never succeed; trouble that passes, or
is ours, is 429 or 503 with Retry-After in whole seconds. Source: tracking API, sections 3 to 6.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from signalpost.ingest.decode import FaultCode, RequestFault

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
SendWhole = Callable[[bytes, bytes], bool]
Header = tuple[bytes, bytes]

STATUS: Final[Mapping[FaultCode, int]] = {
    "missing_write_key": 401,
    "invalid_write_key": 401,
    "origin_not_allowed": 403,
    "not_found": 404,
    "unknown_source": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "payload_too_large": 413,
    "unsupported_encoding": 415,
    "rate_limited": 429,
    "temporarily_unavailable": 503,
}
"""Faults that are not a plain 400."""

_JSON: Final[Header] = (b"content-type", b"application/json")
_NO_STORE: Final[Header] = (b"cache-control", b"no-store")
_ANY_ORIGIN: Final[Header] = (b"access-control-allow-origin", b"*")
_EXPOSED: Final[Header] = (b"access-control-expose-headers", b"Retry-After, X-RateLimit-Reset, X-Request-Id")

CORS: Final[Sequence[Header]] = (_ANY_ORIGIN, _EXPOSED)
_PREFLIGHT: Final[tuple[Header, ...]] = (
    *CORS,
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    # By name, since `*` does not cover Authorization, which browser SDKs send.
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Content-Encoding, X-Retry-Count, X-Write-Key, AnonymousId, X-Requested-With",
    ),
    (b"access-control-max-age", b"86400"),
    _NO_STORE,
)

GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
"""One transparent pixel."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body, and every header but Content-Length and X-Request-Id."""

    status: int
    body: bytes
    headers: tuple[Header, ...]

    def with_headers(self, *more: Header) -> "Answer":
        """The same answer with more headers; one that is there already is replaced."""
        names = {name for name, _ in more}
        return Answer(self.status, self.body, (*(each for each in self.headers if each[0] not in names), *more))

    async def send(self, send: Send, request_id: str, send_whole: SendWhole | None = None) -> None:
        """Hand it to the server. send_whole: its short way, for success only: a refusal may end the connection."""
        if send_whole is not None and self.status == 200:
            own_lines = b"x-request-id: %s\r\ncontent-length: %d\r\n" % (request_id.encode(), len(self.body))
            if send_whole(_encode_headers(self.headers) + own_lines, self.body):
                return
        own = [(b"x-request-id", request_id.encode()), (b"content-length", b"%d" % len(self.body))]
        own = own if self.status != 204 else own[:1]
        await send({"type": "http.response.start", "status": self.status, "headers": [*self.headers, *own]})
        await send({"type": "http.response.body", "body": self.body})


@lru_cache(maxsize=256)
def _encode_headers(headers: tuple[Header, ...]) -> bytes:
    return b"".join(b"%s: %s\r\n" % header for header in headers)


def build_answer(status: int, body: object, *headers: Header) -> Answer:
    """JSON that nobody may keep."""
    return Answer(status, msgspec.json.encode(body), (_JSON, _NO_STORE, *CORS, *headers))


@lru_cache(maxsize=1_024)
def build_success(accepted: int, duplicates: int) -> Answer:
    """The answer to calls of which none was rejected."""
    return build_answer(200, {"success": True, "accepted": accepted, "duplicates": duplicates, "rejected": []})


def build_probe_answer(status: int, body: object) -> Answer:
    """The same for health checks, which no browser makes."""
    return Answer(status, msgspec.json.encode(body), (_JSON, _NO_STORE))


def build_refusal(fault: RequestFault, wait_seconds: int = 0) -> Answer:
    """The answer to a request that can't be taken. wait_seconds: how long to wait, where waiting helps."""
    status = STATUS.get(fault.code, 400)
    message = fault.message
    body = {"success": False, "code": fault.code, "message": message, "error": message}
    return build_answer(status, body, *_find_headers(status, wait_seconds))


def build_call_refusal(code: str, message: str) -> Answer:
    """The answer to a single call that is no valid one."""
    return build_answer(400, {"success": False, "code": code, "message": message, "error": message})


def _find_headers(status: int, wait_seconds: int) -> Sequence[Header]:
    wait = b"%d" % wait_seconds
    match status:
        case 413:
            return ((b"connection", b"close"),)
        case 415:
            return ((b"accept-encoding", b"gzip"),)
        case 429:
            return ((b"retry-after", wait), (b"x-ratelimit-reset", wait))
        case 503:
            return ((b"retry-after", wait),)
        case _:
            return ()


PREFLIGHT_ANSWER: Final = Answer(204, b"", _PREFLIGHT)
GIF_ANSWER: Final = Answer(200, GIF, ((b"content-type", b"image/gif"), _NO_STORE, *CORS))
EMPTY_SUCCESS: Final = build_answer(200, {"success": True})
