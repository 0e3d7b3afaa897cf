"""The control API under `/_emulator`: look at what arrived, move the clock, arm faults. For this computer only."""

import functools
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from signalpost.emulator.clock import format_instant
from signalpost.emulator.faults import FaultPlan, UnknownFaultError
from signalpost.emulator.ledger import LedgerRow
from signalpost.emulator.profiles import Profile
from signalpost.emulator.state import Emulator
from signalpost.emulator.store import StoredEvent
from signalpost.emulator.views import describe_event, describe_request, find_verdict

MAX_WAIT_SECONDS = 600.0
ROWS_A_CHUNK = 1_000

Number = TypeVar("Number", int, float)
Order = TypeVar("Order")
ControlEndpoint = Callable[[Emulator, Request], Awaitable[Response]]


class ClockOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Either an instant in ISO 8601 or seconds to advance by."""

    now: datetime | None = None
    advance: float | None = None


class ProfileOrder(msgspec.Struct, forbid_unknown_fields=True):
    profile: Profile


class BadRequestError(Exception):
    """The caller asked for something that makes no sense; the message says what."""


def build_control_routes(emulator: Emulator) -> list[Route]:
    return [
        Route(f"/_emulator{path}", _guard(emulator, endpoint), methods=[method])
        for method, path, endpoint in CONTROL_ROUTES
    ] + [Route("/_emulator/{rest:path}", _guard(emulator, refuse_unknown), methods=["GET", "POST", "PUT", "DELETE"])]


async def list_events(emulator: Emulator, request: Request) -> Response:
    """Return kept events, the oldest first; `next_after_seq` continues where this page ends."""
    limit = _read_number(request, "limit", 1_000)
    after_seq = _read_number(request, "after_seq", 0)
    wanted = [(key, read) for key, read in EVENT_FILTERS.items() if key in request.query_params]
    found = (
        stored
        for stored in emulator.store.list_events(after_seq=after_seq)
        if all(read(stored) == request.query_params[key] for key, read in wanted)
    )
    page = list(islice(found, limit))
    return _answer(
        {
            "events": [describe_event(stored, emulator.store) for stored in page],
            "next_after_seq": page[-1].seq if len(page) == limit else None,
        }
    )


EVENT_FILTERS: dict[str, Callable[[StoredEvent], str | None]] = {
    "dataset_id": lambda stored: stored.dataset_id,
    "event_name": lambda stored: stored.event_name,
    "event_id": lambda stored: stored.event_id,
    "test_event_code": lambda stored: stored.test_event_code,
    "channel": lambda _stored: "server",
    "verdict": find_verdict,
}


async def show_event(emulator: Emulator, request: Request) -> Response:
    stored = emulator.store.find_event(request.path_params["seq"])
    if stored is None:
        return _answer({"error": "No such event is kept"}, status=404)
    return _answer(describe_event(stored, emulator.store))


async def list_requests(emulator: Emulator, request: Request) -> Response:
    limit = _read_number(request, "limit", 1_000)
    after_seq = _read_number(request, "after_seq", 0)
    newer = (logged for logged in emulator.store.requests if logged.seq > after_seq)
    page = list(islice(newer, limit))
    return _answer(
        {
            "requests": [describe_request(logged) for logged in page],
            "next_after_seq": page[-1].seq if len(page) == limit else None,
        }
    )


async def show_ledger(emulator: Emulator, request: Request) -> Response:
    """Return totals and rows: those of `event_id`, a page (`limit`, `offset`), or all of them with `format=jsonl`."""
    ledger = emulator.store.ledger
    if request.query_params.get("format") == "jsonl":
        return StreamingResponse(_stream_rows(emulator), media_type="application/jsonl")
    event_id = request.query_params.get("event_id")
    limit, offset = _read_number(request, "limit", 1_000), _read_number(request, "offset", 0)
    rows = list(islice(ledger.list_rows(event_id), offset, offset + limit))
    answer: dict[str, Any] = {"totals": ledger.totals, "event_ids": ledger.count_ids(), "rows": rows}
    if event_id is None:
        answer["next_offset"] = offset + limit if len(rows) == limit else None
    else:
        answer |= {"event_id": event_id, **_sum_rows(rows)}
    return _answer(answer)


async def wait_for_events(emulator: Emulator, request: Request) -> Response:
    """Answer as soon as `count` events were accepted in all, or after `timeout` seconds (10)."""
    count = _read_number(request, "count", 1)
    timeout_seconds = min(_read_number(request, "timeout", 10.0), MAX_WAIT_SECONDS)
    is_reached = await emulator.store.wait_for(count, timeout_seconds)
    return _answer({"reached": is_reached, "accepted": emulator.store.accepted_count})


async def move_clock(emulator: Emulator, request: Request) -> Response:
    order = await _read_order(request, ClockOrder)
    if (order.now is None) == (order.advance is None):
        raise BadRequestError('Give either {"now": ISO} or {"advance": seconds}')
    if order.now is not None:
        emulator.clock.move_to(order.now if order.now.tzinfo else order.now.replace(tzinfo=UTC))
    if order.advance is not None:
        emulator.clock.advance(order.advance)
    return await show_health(emulator, request)


async def switch_profile(emulator: Emulator, request: Request) -> Response:
    emulator.profile = (await _read_order(request, ProfileOrder)).profile
    return await show_health(emulator, request)


async def forget_everything(emulator: Emulator, request: Request) -> Response:
    emulator.reset()
    return await show_health(emulator, request)


async def arm_fault(emulator: Emulator, request: Request) -> Response:
    plan = await _read_order(request, FaultPlan)
    try:
        return _answer({"fault_id": emulator.faults.arm(plan)}, status=201)
    except UnknownFaultError as error:
        raise BadRequestError(str(error)) from error


async def list_faults(emulator: Emulator, _request: Request) -> Response:
    return _answer({"faults": list(emulator.faults.armed.values())})


async def disarm_fault(emulator: Emulator, request: Request) -> Response:
    is_gone = emulator.faults.disarm(request.path_params["fault_id"])
    return _answer({"disarmed": is_gone}, status=200 if is_gone else 404)


async def disarm_all_faults(emulator: Emulator, _request: Request) -> Response:
    emulator.faults.disarm_all()
    return _answer({"disarmed": True})


async def show_health(emulator: Emulator, _request: Request) -> Response:
    return _answer(
        {
            "status": "ok",
            "profile": emulator.profile,
            "now": format_instant(emulator.clock.now()),
            "accepted": emulator.store.accepted_count,
        }
    )


async def revoke_tokens(emulator: Emulator, _request: Request) -> Response:
    """As when somebody removes the app from their account."""
    return _answer({"revoked": emulator.grants.revoke_all()})


async def refuse_unknown(_emulator: Emulator, _request: Request) -> Response:
    return _answer({"error": "The control API has no such path or method"}, status=404)


CONTROL_ROUTES: tuple[tuple[str, str, ControlEndpoint], ...] = (
    ("GET", "/events", list_events),
    ("GET", "/events/{seq:int}", show_event),
    ("GET", "/requests", list_requests),
    ("GET", "/ledger", show_ledger),
    ("GET", "/wait", wait_for_events),
    ("POST", "/clock", move_clock),
    ("POST", "/profile", switch_profile),
    ("POST", "/reset", forget_everything),
    ("POST", "/revoke", revoke_tokens),
    ("POST", "/faults", arm_fault),
    ("GET", "/faults", list_faults),
    ("DELETE", "/faults", disarm_all_faults),
    ("DELETE", "/faults/{fault_id}", disarm_fault),
    ("GET", "/healthz", show_health),
)


def _guard(emulator: Emulator, endpoint: ControlEndpoint) -> Callable[[Request], Awaitable[Response]]:
    @functools.wraps(endpoint)
    async def guarded(request: Request) -> Response:
        if not is_loopback(request):
            return _answer({"error": "The control API answers on this computer only"}, status=403)
        try:
            return await endpoint(emulator, request)
        except BadRequestError as error:
            return _answer({"error": str(error)}, status=400)

    return guarded


def is_loopback(request: Request) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _answer(content: object, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _read_number(request: Request, name: str, default: Number) -> Number:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = type(default)(text)
    except ValueError as error:
        raise BadRequestError(f"{name} must be a number") from error
    if not number >= 0:
        raise BadRequestError(f"{name} must not be negative")
    return number


async def _read_order(request: Request, order_type: type[Order]) -> Order:
    try:
        return msgspec.json.decode(await request.body(), type=order_type)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BadRequestError(str(error)) from error


def _sum_rows(rows: list[LedgerRow]) -> dict[str, int]:
    return {count: sum(getattr(row, count) for row in rows) for count in ("received", "accepted", "refused", "lost")}


async def _stream_rows(emulator: Emulator) -> AsyncIterator[bytes]:
    rows = emulator.store.ledger.list_rows()
    while chunk := list(islice(rows, ROWS_A_CHUNK)):
        yield msgspec.json.Encoder().encode_lines(chunk)
