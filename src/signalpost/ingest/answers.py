"""What the tracking API answers: bodies, headers and CORS. HTTP status codes live here and nowhere else.

Success is exactly 200. A 4xx makes SDKs throw data away, so it is for what can never succeed; trouble that passes, or
is ours, is 429 or 503 with Retry-After in whole seconds. Source: tracking API, sections 3 to 6.
"""

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from signalpost.http_messages import Answer, Header
from signalpost.ingest.decode import FaultCode, RequestFault

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


def build_answer(status: int, body: object, *headers: Header, is_last: bool = False) -> Answer:
    """JSON that nobody may keep."""
    return Answer(status, msgspec.json.encode(body), (_JSON, _NO_STORE, *CORS, *headers), is_last)


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
    return build_answer(status, body, *_find_headers(status, wait_seconds), is_last=status == 413)


def build_call_refusal(code: str, message: str) -> Answer:
    """The answer to a single call that is no valid one."""
    return build_answer(400, {"success": False, "code": code, "message": message, "error": message})


def _find_headers(status: int, wait_seconds: int) -> Sequence[Header]:
    wait = b"%d" % wait_seconds
    match status:
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
