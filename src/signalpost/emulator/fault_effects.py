"""What each fault does to a call. The ledger is told the truth first; then the answer goes wrong.

A row of graph_errors.json answers with exactly its status, headers and body. `params["headers"]` adds to any answer.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from signalpost.emulator.answers import GraphAnswer
from signalpost.emulator.connection import (
    AnswerThenHangUp,
    DrippingAnswer,
    RawAnswer,
    ResetConnection,
    SilentConnection,
    write_raw_answer,
)
from signalpost.emulator.events_call import EventsCall
from signalpost.emulator.faults import Fault

QUOTA_SECONDS = 60
Effect = Callable[[EventsCall, Fault], Awaitable[Response]]


async def perform_fault(call: EventsCall, fault: Fault) -> Response:
    call.note_fault(fault)
    return await EFFECTS.get(fault.name, answer_with_row)(call, fault)


async def answer_with_row(call: EventsCall, fault: Fault) -> Response:
    return call.respond(_add_headers(call.refuse(fault.name), fault))


async def answer_poison(call: EventsCall, fault: Fault) -> Response:
    row_id = str(fault.params.get("as", "custom_data_invalid"))
    return call.respond(_add_headers(call.refuse(row_id), fault))


async def reset_before(call: EventsCall, _fault: Fault) -> Response:
    call.emulator.store.ledger.leave_unanswered(call.dataset_id, call.events.events)
    return ResetConnection()


async def swallow(call: EventsCall, _fault: Fault) -> Response:
    call.emulator.store.ledger.leave_unanswered(call.dataset_id, call.events.events)
    return SilentConnection()


async def answer_slowly(call: EventsCall, fault: Fault) -> Response:
    await call.emulator.pause(_read_number(fault, "ms", 1_000) / 1_000)
    return call.respond(_add_headers(call.decide(), fault))


async def answer_late(call: EventsCall, fault: Fault) -> Response:
    answer = call.decide()
    await call.emulator.pause(_read_number(fault, "ms", 15_000) / 1_000)
    return call.respond(_add_headers(answer, fault))


async def lose_answer(call: EventsCall, _fault: Fault) -> Response:
    call.respond(call.decide(), is_lost=True)
    return ResetConnection()


async def drip_answer(call: EventsCall, fault: Fault) -> Response:
    response = call.respond(_add_headers(call.decide(), fault))
    speed = _read_number(fault, "bytes_per_second", 20)
    return DrippingAnswer(write_raw_answer(response), speed, call.emulator.pause)


async def truncate_answer(call: EventsCall, _fault: Fault) -> Response:
    response = call.respond(call.decide(), is_lost=True)
    return RawAnswer(write_raw_answer(response)[: -len(response.body) // 2])


async def shorten_length(call: EventsCall, _fault: Fault) -> Response:
    response = call.respond(call.decide(), is_lost=True)
    return RawAnswer(write_raw_answer(response, content_length=len(response.body) // 2))


async def answer_garbage(call: EventsCall, _fault: Fault) -> Response:
    response = call.respond(call.decide(), is_lost=True)
    return Response(b"\x16\x03\x01\xfe{[\xff", 200, _headers_without_length(response))


async def answer_bad_gzip(call: EventsCall, _fault: Fault) -> Response:
    response = call.respond(call.decide(), is_lost=True)
    return Response(response.body, 200, {**_headers_without_length(response), "content-encoding": "gzip"})


async def answer_then_hang_up(call: EventsCall, fault: Fault) -> Response:
    return AnswerThenHangUp(call.respond(_add_headers(call.decide(), fault)))


async def answer_with_usage(call: EventsCall, fault: Fault) -> Response:
    return call.respond(_add_headers(call.decide(), fault))


async def enforce_quota(call: EventsCall, fault: Fault) -> Response:
    """Let `n` events pass in a minute, counted from the first; then throttle and name the minutes that are left."""
    now = call.emulator.clock.now()
    started_at, used = call.emulator.quota_windows.get(fault.window, (now, 0))
    if now - started_at >= QUOTA_SECONDS:
        started_at, used = now, 0
    wanted = len(call.events.events)
    if used + wanted > _read_number(fault, "n", 1_000):
        call.emulator.quota_windows[fault.window] = (started_at, used)
        return call.respond(_throttle(call, started_at + QUOTA_SECONDS - now))
    answer = call.decide()
    accepted = wanted if answer.rule == "accepted" else 0
    call.emulator.quota_windows[fault.window] = (started_at, used + accepted)
    return call.respond(answer)


EFFECTS: Mapping[str, Effect] = {
    "reset_before": reset_before,
    "blackhole": swallow,
    "slow": answer_slowly,
    "drip": drip_answer,
    "lost_answer": lose_answer,
    "late_answer": answer_late,
    "truncated": truncate_answer,
    "garbage": answer_garbage,
    "wrong_length": shorten_length,
    "bad_gzip": answer_bad_gzip,
    "close_keepalive": answer_then_hang_up,
    "poison": answer_poison,
    "usage": answer_with_usage,
    "quota": enforce_quota,
}


def _throttle(call: EventsCall, seconds_left: float) -> GraphAnswer:
    usage = {
        "type": "ads_management",
        "call_count": 100,
        "total_cputime": 25,
        "total_time": 25,
        # Whole minutes are all this header can say.
        "estimated_time_to_regain_access": math.ceil(seconds_left / 60),
        "ads_api_access_tier": "standard_access",
    }
    header = msgspec.json.encode({call.dataset_id: [usage]}).decode()
    return call.refuse("throttle_80004").with_headers({"X-Business-Use-Case-Usage": header})


def _add_headers(answer: GraphAnswer, fault: Fault) -> GraphAnswer:
    extra = fault.params.get("headers")
    if not isinstance(extra, dict):
        return answer
    return answer.with_headers({str(name): _write_header(value) for name, value in extra.items()})


def _write_header(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _headers_without_length(response: Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "content-length"}


def _read_number(fault: Fault, param: str, default: float) -> float:
    value = fault.params.get(param, default)
    return float(value) if isinstance(value, int | float) and value > 0 else float(default)
