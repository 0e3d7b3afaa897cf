"""The tracking API's routes. HTTP status codes live here and nowhere else.

Success is exactly 200, sent only after the durable commit. A 4xx makes SDKs throw data away, so it is for what can
never succeed; trouble that passes, or is ours, is 503 with Retry-After. Source: tracking API, sections 1 to 6.
"""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import cast

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from signalpost.catalog import Catalog, Source
from signalpost.ingest.decode import (
    DecodedBatch,
    FaultCode,
    Limits,
    RequestFault,
    decode_batch,
    decode_single,
    decompress,
)
from signalpost.ingest.intake import Intake, IntakeReceipt
from signalpost.ingest.message_ids import new_message_id
from signalpost.model.errors import QueueUnavailable
from signalpost.model.segment_event import CallType, InvalidCall, RequestContext
from signalpost.telemetry import Telemetry

SINGLE_PATHS: Mapping[str, CallType] = {
    "track": "track",
    "t": "track",
    "identify": "identify",
    "i": "identify",
    "page": "page",
    "p": "page",
    "screen": "screen",
    "s": "screen",
    "group": "group",
    "g": "group",
    "alias": "alias",
    "a": "alias",
}
BATCH_PATHS = ("batch", "b", "import")

STATUS: Mapping[FaultCode, int] = {
    "missing_write_key": 401,
    "invalid_write_key": 401,
    "not_found": 404,
    "method_not_allowed": 405,
    "payload_too_large": 413,
    "unsupported_encoding": 415,
    "temporarily_unavailable": 503,
}
"""Faults that are not a plain 400."""

_NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store"}
HEADERS: Mapping[str, str] = {
    **_NO_STORE,
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, X-RateLimit-Reset, X-Request-Id",
}
PREFLIGHT_HEADERS: Mapping[str, str] = {
    **HEADERS,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Content-Encoding, X-Retry-Count, X-Write-Key, AnonymousId, X-Requested-With"
    ),
    "Access-Control-Max-Age": "86400",
}
_SHORTEST_RETRY, _LONGEST_RETRY = 5, 60
_MOST_BYTES_THROWN_AWAY = 16 << 20
_LONGEST_SILENCE_SECONDS = 1

Readiness = Callable[[], str | None]


class TrackingApi:
    """Receives requests for one catalog; `find_unreadiness` gives the reason not to accept any, or None."""

    def __init__(
        self, catalog: Catalog, intake: Intake, limits: Limits, telemetry: Telemetry, find_unreadiness: Readiness
    ) -> None:
        self._catalog = catalog
        self._intake = intake
        self._limits = limits
        self._telemetry = telemetry
        self._find_unreadiness = find_unreadiness

    async def receive(self, request: Request, call_type: CallType | None) -> Response:
        """One request: the key, the body, the calls, the durable commit, the answer."""
        try:
            with self._telemetry.time_request():
                return await self._receive(request, call_type)
        except QueueUnavailable:
            return self._refuse(_NOT_STORED)
        except Exception as error:  # noqa: BLE001 - a fault of ours: the client must keep the calls, so never 500
            self._telemetry.request_failed(error)
            return self._refuse(_NOT_STORED)

    async def discard(self, request: Request) -> Response:
        """An SDK's metrics about itself: read under the limits and thrown away."""
        body = await _read_body(request, self._limits.max_single_body_bytes)
        return self._refuse(body) if isinstance(body, RequestFault) else _respond(200, {"success": True})

    async def _receive(self, request: Request, call_type: CallType | None) -> Response:
        received_at = datetime.now(UTC)
        source = self._find_named_source(request)
        if isinstance(source, RequestFault):
            return self._refuse(source)
        decoded = await self._decode(request, call_type)
        if isinstance(decoded, RequestFault):
            return self._refuse(decoded)
        calls = decoded.calls
        if source is None:
            key = decoded.write_key or next((key for key in decoded.write_keys if key), None)
            source = self._catalog.find_source(key) if key else None
            if source is None:
                return self._refuse(_UNKNOWN_KEY if key else _MISSING_KEY)
            if decoded.write_key is None:
                calls = _refuse_other_keys(decoded, cast("str", key))
        receipt = await self._intake.accept(calls, source, _build_context(request, call_type, decoded, received_at))
        return self._answer(receipt, is_single=call_type is not None)

    def _find_named_source(self, request: Request) -> Source | RequestFault | None:
        """By the header or the query; None when the key, if any, is in the body."""
        key = _read_write_key(request)
        if key is None or isinstance(key, RequestFault):
            return key
        return self._catalog.find_source(key) or _UNKNOWN_KEY

    async def _decode(self, request: Request, call_type: CallType | None) -> DecodedBatch | RequestFault:
        limits = self._limits
        limit = limits.max_batch_body_bytes if call_type is None else limits.max_single_body_bytes
        body = await _read_body(request, limit)
        if isinstance(body, RequestFault):
            return body
        text = decompress(body, request.headers.get("content-encoding", "").strip().lower(), limit)
        if isinstance(text, RequestFault):
            return text
        return decode_batch(text, limits) if call_type is None else decode_single(text, limits)

    def _answer(self, receipt: IntakeReceipt, *, is_single: bool) -> Response:
        if is_single and receipt.rejected:
            invalid = receipt.rejected[0].invalid
            return self._fail(400, invalid.code, invalid.message)
        rejected = [
            {"index": call.index, "code": call.invalid.code, "message": call.invalid.message}
            for call in receipt.rejected
        ]
        body = {
            "success": True,
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "rejected": rejected,
        }
        return _respond(200, body)

    def _refuse(self, fault: RequestFault) -> Response:
        return self._fail(STATUS.get(fault.code, 400), fault.code, fault.message)

    def _fail(self, status: int, code: str, message: str) -> Response:
        self._telemetry.request_refused(status, code)
        response = _respond(status, {"success": False, "code": code, "message": message, "error": message})
        if status == 503:
            response.headers["Retry-After"] = str(random.randint(_SHORTEST_RETRY, _LONGEST_RETRY))  # noqa: S311 - spreads load
        elif status == 413:
            response.headers["Connection"] = "close"
        elif status == 415:
            response.headers["Accept-Encoding"] = "gzip"
        return response

    async def not_found(self, _request: Request, _error: Exception) -> Response:
        """No such path."""
        return self._refuse(RequestFault("not_found", "no such path; calls go to /v1/track, /v1/batch and so on"))

    async def method_not_allowed(self, _request: Request, error: Exception) -> Response:
        """A known path, asked in another way."""
        headers = cast("HTTPException", error).headers or {}
        response = self._refuse(RequestFault("method_not_allowed", f"this path takes {headers['Allow']}"))
        response.headers.update(headers)
        return response

    async def health(self, _request: Request) -> Response:
        """The event loop answers; 503 when the queue can't be written to any more and only a restart helps."""
        if self._find_unreadiness() == "queue_unavailable":
            return _respond(503, {"status": "failing", "reason": "queue_unavailable"}, _NO_STORE)
        return _respond(200, {"status": "ok"}, _NO_STORE)

    async def readiness(self, _request: Request) -> Response:
        """Whether calls are taken; Meta being down is no reason not to."""
        reason = self._find_unreadiness()
        if reason is None:
            return _respond(200, {"status": "ready"}, _NO_STORE)
        return _respond(503, {"status": "not ready", "reason": reason}, _NO_STORE)


_MISSING_KEY = RequestFault("missing_write_key", "a write key is required: as the user name of Basic authentication")
_UNKNOWN_KEY = RequestFault("invalid_write_key", "the write key is not known here; check it in the source's settings")
_NOT_STORED = RequestFault("temporarily_unavailable", "not stored; send it again later")


def build_tracking_app(api: TrackingApi) -> Starlette:
    """The ASGI app of the tracking port: tracking routes and health, nothing else."""
    routes = [Route(path, api.health) for path in ("/healthz", "/health")]
    routes.append(Route("/readyz", api.readiness))
    for name in (*SINGLE_PATHS, *BATCH_PATHS):
        routes += _route(name, partial(api.receive, call_type=SINGLE_PATHS.get(name)))
    routes += _route("m", api.discard)
    app = Starlette(routes=routes, exception_handlers={404: api.not_found, 405: api.method_not_allowed})
    app.router.redirect_slashes = False
    return app


def _route(name: str, receive: Callable[[Request], Awaitable[Response]]) -> list[Route]:
    """POST with and without a trailing slash, neither a redirect, and the browser's question before it."""

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT_HEADERS)
        return await receive(request)

    return [Route(path, answer, methods=["POST", "OPTIONS"]) for path in (f"/v1/{name}", f"/v1/{name}/")]


def _respond(status: int, body: object, headers: Mapping[str, str] = HEADERS) -> Response:
    request_id = {"X-Request-Id": new_message_id()}
    return Response(msgspec.json.encode(body), status, {**headers, **request_id}, "application/json")


def _refuse_other_keys(decoded: DecodedBatch, key: str) -> list[object]:
    """When only the calls name a key, the first one's counts; calls of another source don't belong in the request."""
    mismatch = InvalidCall("write_key_mismatch", "writeKey differs from that of the request's first call")
    return [
        mismatch if own_key not in {None, key} else call
        for call, own_key in zip(decoded.calls, decoded.write_keys, strict=True)
    ]


def _read_write_key(request: Request) -> str | RequestFault | None:
    """Places in order of precedence: Basic authentication, X-Write-Key, the query. Bearer tokens are ignored."""
    authorization = request.headers.get("authorization", "")
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(credentials.strip(), validate=True).decode("ascii").partition(":")[0]
        except ValueError:  # not base64, or not ASCII, inside or out
            key = ""
        return key or _UNKNOWN_KEY
    if scheme and scheme.lower() != "bearer":
        return _UNKNOWN_KEY
    header_key = request.headers.get("x-write-key")
    if header_key is not None:
        return header_key.partition(":")[0]
    return request.query_params.get("writeKey")


async def _read_body(request: Request, limit: int) -> bytes | RequestFault:
    """Stops at the limit, whatever the client announced."""
    too_large = RequestFault("payload_too_large", f"body is larger than {limit} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        if "expect" not in request.headers:  # else the client has sent nothing yet, and never will
            await _throw_away(request)
        return too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                await _throw_away(request)
                return too_large
    except ClientDisconnect:
        return RequestFault("incomplete_body", "body is shorter than announced")
    return bytes(body)


async def _throw_away(request: Request) -> None:
    """Take what is left of a refused body off the wire, within bounds.

    Closing a connection with bytes unread resets it: the client would see no answer, and send the same again.
    """
    thrown_away = 0
    with suppress(TimeoutError):
        while thrown_away < _MOST_BYTES_THROWN_AWAY:
            async with asyncio.timeout(_LONGEST_SILENCE_SECONDS):
                message = await request.receive()
            thrown_away += len(message.get("body", b""))
            if not message.get("more_body"):
                return


def _build_context(
    request: Request, call_type: CallType | None, decoded: DecodedBatch, received_at: datetime
) -> RequestContext:
    return RequestContext(
        received_at=received_at,
        new_message_id=new_message_id,
        call_type=call_type,
        sent_at=decoded.sent_at,
        context=decoded.context,
        integrations=decoded.integrations,
        client_ip=request.client.host if request.client else None,
        client_user_agent=request.headers.get("user-agent"),
        is_client_side="origin" in request.headers,
    )
