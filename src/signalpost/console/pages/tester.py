"""The event tester: a call, a destination, and everything that would come of it, before and after it is sent."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from signalpost.console.access import Admin, Caller, Viewer
from signalpost.console.event_test import MAX_CHARACTERS, Answered, BadCall, describe_outcome, read_call, try_event
from signalpost.console.parts import ConsoleParts, Parts
from signalpost.console.rendering import render
from signalpost.history.entries import CallEntry
from signalpost.history.masking import mask_call
from signalpost.redaction import mask_text
from signalpost.store.audit import record_change

router = APIRouter()

_RECENT: Final = 6
_PERSON: Final = {
    "traits": {"email": "jane@example.com", "phone": "+44 20 7946 0958", "address": {"country": "GB"}},
    "ip": "192.0.2.7",
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "page": {"url": "https://shop.example.com/checkout"},
}
_PRODUCT: Final = {"product_id": "sku-1", "quantity": 2, "price": 19.99}
SAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "track": {
        "type": "track",
        "event": "Order Completed",
        "userId": "user-1",
        "properties": {"order_id": "1001", "revenue": 39.98, "currency": "USD", "products": [_PRODUCT]},
        "context": _PERSON,
    },
    "page": {"type": "page", "name": "Home", "anonymousId": "anon-1", "properties": {}, "context": _PERSON},
    "screen": {"type": "screen", "name": "Basket", "userId": "user-1", "properties": {}, "context": _PERSON},
    "identify": {"type": "identify", "userId": "user-1", "traits": _PERSON["traits"]},
    "group": {"type": "group", "userId": "user-1", "groupId": "team-1", "traits": {"name": "Team"}},
}

CallText = Annotated[str, Form(max_length=MAX_CHARACTERS)]
Name = Annotated[str, Form(max_length=200)]


@router.get("/tester")
async def show_tester(
    request: Request,
    parts: Parts,
    caller: Viewer,
    sample: str = "track",
    call: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    destination: str = "",
) -> Response:
    """The form. sample: a type of call. call: the number of one that the debugger remembers, masked."""
    entry = parts.history.find_entry(call) if call else None
    text = _to_text(SAMPLES.get(sample, SAMPLES["track"]))
    if entry is not None and entry.text is not None:
        text = _to_text(mask_call(msgspec.json.decode(entry.text)))
    return _render(request, parts, caller, text, destination, sample="" if entry else sample, masked=entry)


@router.post("/tester/calls/{number}")
async def load_call(request: Request, parts: Parts, caller: Admin, number: int, destination: Name = "") -> Response:
    """The form with a remembered call as it was sent. Who looked is in the audit log."""
    entry = parts.history.find_entry(number)
    if entry is None or entry.text is None:
        return _render(request, parts, caller, _to_text(SAMPLES["track"]), destination, gone=True)
    about = {"number": number, "message_id": mask_text(entry.message_id or "")}
    subject, now = entry.source_id or "(no source)", parts.now()
    await parts.store.write(lambda c: record_change(c, caller.actor, "call.revealed", subject, now=now, after=about))
    return _render(request, parts, caller, _to_text(msgspec.json.decode(entry.text)), destination)


@router.post("/tester")
async def explain(
    request: Request, parts: Parts, caller: Viewer, call: CallText = "", destination: Name = ""
) -> Response:
    """What would be sent, and why. Nothing is."""
    return await _try(request, parts, caller, call, destination, sends=False)


@router.post("/tester/send")
async def send(request: Request, parts: Parts, caller: Admin, call: CallText = "", destination: Name = "") -> Response:
    """The same, and send it to Meta now."""
    return await _try(request, parts, caller, call, destination, sends=True)


async def _try(request: Request, parts: ConsoleParts, caller: Caller, text: str, name: str, *, sends: bool) -> Response:
    entry = parts.workspace.find_destination(name)
    event = read_call(text, parts.now())
    if isinstance(event, BadCall):
        return _render(request, parts, caller, text, name, status=422, bad=event)
    results = await try_event(event, entry.destination)
    answers: Sequence[Answered | None] = [None] * len(results)
    if sends:
        answers = [await _send(parts, caller, entry.destination.id, result.batch) for result in results]
    return _render(request, parts, caller, text, name, results=list(zip(results, answers, strict=True)))


async def _send(parts: ConsoleParts, caller: Caller, destination_id: Any, batch: Any) -> Answered | None:
    target = parts.catalog.find_target(destination_id, batch.dataset_id) if batch is not None else None
    if target is None:
        return None
    answer = describe_outcome((await parts.send_batch(batch, target)).outcome)
    about = {"event_name": mask_text(batch.events[0].event_name), "taken": answer.is_good}
    now = parts.now()
    await parts.store.write(
        lambda c: record_change(c, caller.actor, "test_event.sent", destination_id, now=now, after=about)
    )
    return answer


def _render(
    request: Request,
    parts: ConsoleParts,
    caller: Caller,
    text: str,
    chosen: str,
    *,
    status: int = 200,
    masked: CallEntry | None = None,
    **context: Any,
) -> Response:
    destinations = parts.workspace.destinations
    entry = next((each for each in destinations if each.name == chosen), destinations[0] if destinations else None)
    everything: dict[str, Any] = {
        "text": text,
        "destinations": destinations,
        "chosen": entry,
        "has_token": entry is not None and entry.settings.access_token is not None,
        "test_code": entry.settings.request_fields.get("test_event_code") if entry is not None else None,
        "samples": tuple(SAMPLES),
        "sample": "",
        "masked": masked.number if masked is not None else 0,
        "recent": _list_recent(parts),
        "results": None,
        "bad": None,
        "gone": False,
    }
    return render(request, "tester.html", caller=caller, status=status, **(everything | context))


def _list_recent(parts: ConsoleParts) -> list[tuple[CallEntry, str]]:
    """The latest call of each event name, masked, or of each type without one; the newest first."""
    latest: dict[str, CallEntry] = {}
    for call in reversed(parts.history.recent()):
        if call.text is not None:
            latest.setdefault(mask_text(call.event_name) or call.call_type, call)
        if len(latest) == _RECENT:
            break
    return [(call, name) for name, call in latest.items()]


def _to_text(call: object) -> str:
    return json.dumps(call, indent=2, ensure_ascii=False)
