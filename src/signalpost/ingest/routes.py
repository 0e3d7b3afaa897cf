"""The tracking port's app: finds the path, reads one request, answers it. Success is sent after the durable commit.

One look-up finds any path (docs/decisions, number 10), and it is no ASGI app, since that would cost more than reading a
call does (number 29). What each path is stands in `paths.py`; what is answered, in `answers.py`.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from signalpost.catalog import Catalog, Source
from signalpost.history.calls import History
from signalpost.history.entries import RequestFacts
from signalpost.http_messages import Answer, BrokenRequest, HttpRequest
from signalpost.ingest.addresses import Network, TrustedProxies, cut_to_network
from signalpost.ingest.answers import (
    EMPTY_SUCCESS,
    GIF_ANSWER,
    PREFLIGHT_ANSWER,
    build_answer,
    build_call_refusal,
    build_probe_answer,
    build_refusal,
    build_success,
)
from signalpost.ingest.bodies import NO_ROOM, BodyMemory, read_body
from signalpost.ingest.decode import (
    DecodedBatch,
    Limits,
    RequestFault,
    decode_batch,
    decode_single,
    decompress,
)
from signalpost.ingest.doors import Doors, Refusal
from signalpost.ingest.intake import Intake, IntakeReceipt
from signalpost.ingest.message_ids import new_message_id
from signalpost.ingest.paths import TrackingPath, find_path, read_settings_key
from signalpost.ingest.pixel import read_pixel_call
from signalpost.ingest.requests import TrackingRequest
from signalpost.ingest.sdk_settings import SdkSettings, describe_source
from signalpost.ingest.surrogates import may_have_surrogates, replace_lone_surrogates
from signalpost.ingest.write_keys import find_body_key, refuse_other_keys
from signalpost.model.errors import QueueUnavailable
from signalpost.model.segment_event import RequestContext
from signalpost.model.timestamps import read_timestamp
from signalpost.telemetry import Telemetry
from signalpost.turns import Turn

_SHORTEST_RETRY, _LONGEST_RETRY = 5, 60
# While a text is worked on, what is made of it takes some eight times its size. More at once would not be done sooner.
_LARGE_TEXT_BYTES: Final = 256 << 10
_LARGE_TEXTS_AT_ONCE: Final = 4

_NO_SUCH_PATH: Final = RequestFault("not_found", "no such path; calls go to /v1/track, /v1/batch and so on")
_UNKNOWN_SOURCE: Final = RequestFault("unknown_source", "no source has this write key")
_NOT_STORED: Final = RequestFault("temporarily_unavailable", "not stored; send it again later")


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """What can be configured of it.

    requests_per_second: of one source. bad_keys_per_minute: of one address. 0 is no limit.
    public_url: where clients reach this API; None: as they did.
    """

    limits: Limits = field(default_factory=Limits)
    requests_per_second: float = 1_000
    bad_keys_per_minute: float = 20
    body_memory_bytes: int = 128 << 20
    trusted_proxies: Sequence[Network] = ()
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class TrackingParts:
    """What the tracking API works with. find_unreadiness: the reason not to take calls, or None."""

    catalog: Catalog
    intake: Intake
    history: History
    telemetry: Telemetry
    find_unreadiness: Callable[[], str | None]
    settings: TrackingSettings


class TrackingApi:
    """The app of the tracking port: tracking paths and health, nothing else."""

    def __init__(self, parts: TrackingParts) -> None:
        settings = parts.settings
        self._catalog = parts.catalog
        self._intake = parts.intake
        self._history = parts.history
        self._telemetry = parts.telemetry
        self._find_unreadiness = parts.find_unreadiness
        self._limits = settings.limits
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._doors = Doors(
            parts.catalog,
            parts.telemetry,
            requests_per_second=settings.requests_per_second,
            bad_keys_per_minute=settings.bad_keys_per_minute,
        )
        self._memory = BodyMemory(settings.body_memory_bytes)
        self._large_texts = asyncio.Semaphore(_LARGE_TEXTS_AT_ONCE)
        self._sdk_settings = SdkSettings(settings.public_url)

    def is_trusted_proxy(self, address: str) -> bool:
        """Whether this peer speaks for many clients."""
        return address in self._proxies

    def count_broken(self, broken: BrokenRequest, address: str) -> None:
        """A request that never became one is counted like those that were refused."""
        self._telemetry.request_refused(broken.status, broken.code)
        facts = RequestFacts("", datetime.now(UTC), client_network=cut_to_network(address), status=broken.status)
        self._history.refuse(facts, broken.code, broken.message, None)

    async def answer(self, http: HttpRequest) -> Answer:
        """One request. Trouble of ours is never the client's, which must keep its calls: 503, and never 500."""
        request = TrackingRequest(http)
        if http.address in self._proxies:
            request.from_trusted_proxy = True
            forwarded_for = request.find_header(b"x-forwarded-for")
            if forwarded_for:
                request.client_ip = self._proxies.find_client(http.address, forwarded_for)
        try:
            answer = await self._answer(request)
        except QueueUnavailable:
            answer = self._refuse(request, Refusal(_NOT_STORED))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must keep the calls
            self._telemetry.request_failed(error)
            answer = self._refuse(request, Refusal(_NOT_STORED))
        finally:
            self._memory.give_back(request)
        # An image is always an image: what a POST would be answered is only recorded.
        return GIF_ANSWER if request.is_pixel else answer

    async def _answer(self, request: TrackingRequest) -> Answer:
        path = find_path(request.path)
        if path is None:
            return self._refuse(request, Refusal(_NO_SUCH_PATH))
        request.shown_path = path.template
        if request.method not in path.methods:
            allowed = ", ".join(path.methods)
            refusal = Refusal(RequestFault("method_not_allowed", f"this path takes {allowed}"))
            return self._refuse(request, refusal).with_headers((b"allow", allowed.encode()))
        if request.method == "OPTIONS":
            return PREFLIGHT_ANSWER
        request.is_pixel = path.kind == "pixel"
        match path.kind:
            case "call" | "batch" | "pixel":
                began = time.perf_counter()
                try:
                    return await (self._take_pixel if request.is_pixel else self._take_calls)(request, path)
                finally:
                    self._telemetry.request_answered(time.perf_counter() - began)
            case "sdk_metrics":
                body = await read_body(request, self._limits.max_single_body_bytes, self._memory)
                return self._refuse(request, Refusal(body)) if isinstance(body, RequestFault) else EMPTY_SUCCESS
            case "settings" | "source_config":
                return self._describe_source(request, path)
            case "health":
                return self._tell_health()
            case "readiness":
                reason = self._find_unreadiness()
                told = {"status": "not ready", "reason": reason} if reason else {"status": "ready"}
                return build_probe_answer(503 if reason else 200, told)

    def _tell_health(self) -> Answer:
        """The event loop answers; 503 when the queue can't be written to any more and only a restart helps."""
        if self._find_unreadiness() == "queue_unavailable":
            return build_probe_answer(503, {"status": "failing", "reason": "queue_unavailable"})
        return build_probe_answer(200, {"status": "ok"})

    async def _take_calls(self, request: TrackingRequest, path: TrackingPath) -> Answer:
        """A body of calls: the key, the body, the calls, the durable commit, the answer."""
        source = self._doors.find_named_source(request)
        if isinstance(source, Refusal):
            return self._refuse(request, source)
        is_batch = path.kind == "batch"
        limit = self._limits.max_batch_body_bytes if is_batch else self._limits.max_single_body_bytes
        body = await read_body(request, limit, self._memory)
        if isinstance(body, RequestFault):
            return self._refuse(request, Refusal(body, source))
        encoding = request.find_header(b"content-encoding") or ""
        text = decompress(body, encoding.strip().lower(), limit)
        return await self._take_text(request, path, source, text)

    async def _take_pixel(self, request: TrackingRequest, path: TrackingPath) -> Answer:
        """A call in the query."""
        source = self._doors.find_named_source(request)
        if isinstance(source, Refusal):
            return self._refuse(request, source)
        return await self._take_text(request, path, source, read_pixel_call(request.query))

    async def _take_text(
        self, request: TrackingRequest, path: TrackingPath, source: Source | None, text: bytes | RequestFault
    ) -> Answer:
        """Hold the text in memory, and work on it; on few large ones at a time."""
        if isinstance(text, bytes):
            if not self._memory.take(request, max(len(text) - request.bytes_received, 0)):
                text = NO_ROOM
            elif len(text) > _LARGE_TEXT_BYTES:
                async with self._large_texts:
                    return await self._work_on(request, path, source, text)
        return await self._work_on(request, path, source, text)

    async def _work_on(
        self, request: TrackingRequest, path: TrackingPath, source: Source | None, text: bytes | RequestFault
    ) -> Answer:
        """Decode, find the source if it was not known yet, store, answer."""
        decoded = text if isinstance(text, RequestFault) else await self._decode(request, path, text)
        if isinstance(decoded, RequestFault):
            return self._refuse_body(request, source, decoded)
        if source is None:
            key = await find_body_key(decoded)
            if isinstance(key, RequestFault):
                return self._refuse_body(request, source, key)
            found = self._doors.find_source_of_body(request, key)
            if isinstance(found, Refusal):
                return self._refuse(request, found)
            source = found
            if decoded.write_key is None and key is not None:
                decoded = msgspec.structs.replace(decoded, calls=refuse_other_keys(decoded, key))
        objection = self._doors.find_objection(request, source)
        if objection is not None:
            return self._refuse(request, objection)
        return await self._store(request, path, source, decoded)

    async def _decode(self, request: TrackingRequest, path: TrackingPath, text: bytes) -> DecodedBatch | RequestFault:
        request.bytes_decompressed = len(text)
        decode = decode_batch if path.kind == "batch" else decode_single
        decoded = decode(text, self._limits)
        if isinstance(decoded, RequestFault) and decoded.code == "invalid_json" and may_have_surrogates(text):
            mended = await _replace_in_turns(text)
            if mended != text:
                request.surrogates_replaced = True
                decoded = decode(mended, self._limits)
        return decoded

    def _refuse_body(self, request: TrackingRequest, source: Source | None, fault: RequestFault) -> Answer:
        if source is None:
            self._doors.charge_parse(request)
        return self._refuse(request, Refusal(fault, source))

    async def _store(
        self, request: TrackingRequest, path: TrackingPath, source: Source, decoded: DecodedBatch
    ) -> Answer:
        facts = request.describe()
        facts.sent_at = read_timestamp(decoded.sent_at)  # not what was sent: that may be as large as the body
        context = _build_context(request, path, source, decoded)
        receipt = await self._intake.accept(decoded.calls, source, context, facts, decoded.texts)
        if isinstance(receipt, RequestFault):
            return self._refuse(request, Refusal(receipt, source))
        answer = _describe_receipt(receipt, is_single=path.kind != "batch")
        facts.status = 200 if request.is_pixel else answer.status
        if answer.status != 200:
            self._telemetry.request_refused(facts.status, receipt.rejected[0].invalid.code)
        return _echo_origin(answer, request, source)

    def _describe_source(self, request: TrackingRequest, path: TrackingPath) -> Answer:
        """Settings for an SDK, which asks before it sends."""
        if path.kind == "settings":
            key = read_settings_key(request.path)
            if self._catalog.find_source(key) is None:
                refusal = self._doors.refuse_key(request, key)
                is_limited = refusal.fault.code == "rate_limited"
                return self._refuse(request, refusal if is_limited else replace(refusal, fault=_UNKNOWN_SOURCE))
            return self._sdk_settings.describe_project(request, key)
        found = self._doors.find_named_source(request) or self._doors.refuse_key(request, None)
        return self._refuse(request, found) if isinstance(found, Refusal) else describe_source(found, request)

    def _refuse(self, request: TrackingRequest, refusal: Refusal) -> Answer:
        """Answer, count and sample."""
        fault, source = refusal.fault, refusal.source
        wait = refusal.wait_seconds or random.randint(_SHORTEST_RETRY, _LONGEST_RETRY)  # noqa: S311 - spreads load
        answer = build_refusal(fault, wait)
        self._telemetry.request_refused(answer.status, fault.code)
        facts = request.describe(status=200 if request.is_pixel else answer.status)
        self._history.refuse(facts, fault.code, fault.message, source.id if source else None, refusal.key)
        return answer if source is None else _echo_origin(answer, request, source)


async def _replace_in_turns(text: bytes) -> bytes:
    turn = Turn()
    pieces = []
    for piece in replace_lone_surrogates(text):
        pieces.append(piece)
        if turn.is_over:
            await turn.give_way()
    return b"".join(pieces)


def _describe_receipt(receipt: IntakeReceipt, *, is_single: bool) -> Answer:
    if is_single and receipt.rejected:
        invalid = receipt.rejected[0].invalid
        return build_call_refusal(invalid.code, invalid.message)
    if not receipt.rejected:
        return build_success(receipt.accepted, receipt.duplicates)
    rejected = [
        {"index": call.index, "code": call.invalid.code, "message": call.invalid.message} for call in receipt.rejected
    ]
    counts = {"accepted": receipt.accepted, "duplicates": receipt.duplicates}
    return build_answer(200, {"success": True, **counts, "rejected": rejected})


def _echo_origin(answer: Answer, request: TrackingRequest, source: Source) -> Answer:
    """A source that names its pages answers them by name, so that a cache does not hand the answer to others."""
    origin = request.headers.get(b"origin") if source.allowed_origins else None
    if origin is None or origin.decode("latin-1") not in source.allowed_origins:
        return answer
    return answer.with_headers((b"access-control-allow-origin", origin), (b"vary", b"Origin"))


def _build_context(
    request: TrackingRequest, path: TrackingPath, source: Source, decoded: DecodedBatch
) -> RequestContext:
    from_person = path.from_browser or b"origin" in request.headers or source.kind in {"browser", "mobile"}
    return RequestContext(
        received_at=request.received_at,
        new_message_id=new_message_id,
        call_type=path.call_type,
        sent_at=decoded.sent_at,
        context=decoded.context,
        integrations=decoded.integrations,
        client_ip=request.client_ip or None,
        client_user_agent=request.find_header(b"user-agent"),
        is_client_side=from_person and source.kind != "server",
        is_server_side=source.kind == "server",
    )
