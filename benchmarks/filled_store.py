"""A queue file as a busy shop leaves it after three days: a million events that wait, were delivered, or are dead.

Every event goes through the queue itself, under a clock that is moved on: put, leased, settled. So the counters, the
indexes and the log are what the gateway would have written; only mapping and HTTP are left out.
"""

import itertools
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from signalpost.model.delivery import AcceptedCall, DeadReason, DiscardedEvent, NewEvent
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId
from signalpost.queue.sqlite import SqliteQueue

SOURCES: Final = ("website", "app", "shop")
DESTINATIONS: Final = ("pixel", "second-pixel", "third-pixel")
EVENT_NAMES: Final = ("Purchase", "ViewContent", "AddToCart", "InitiateCheckout", "Search", "Lead", "PageView", "Vote")
MATCH_KEYS: Final = ("em", "ph", "external_id", "client_ip_address", "client_user_agent", "fbp", "ct", "zp", "country")

_TIME: Final = timedelta(days=3)
_MAX_AGE: Final = timedelta(days=7)
_CALLS_AT_ONCE: Final = 500
_LEASE: Final = 1_000
_REFUSED_BY_META: Final = DeadReason("400", "100/2804050", "(#100) The server event has no match key.", "Abc123")
_PAYLOAD: Final = (
    b'{"event_name":"%s","event_time":%d,"event_id":"%s","action_source":"website","user_data":{"em":["%s"],"ph":["%s"],'
    b'"external_id":["%s"],"client_ip_address":"81.2.69.160","client_user_agent":"Mozilla/5.0 (X11; Linux x86_64)"},'
    b'"custom_data":{"currency":"EUR","value":39.95,"order_id":"%s","content_ids":["507f1f77"],"content_type":"product"}}'
)


class _Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


async def fill_store(data_folder: Path, events: int, ends_at: datetime) -> Counter[str]:
    """Fill the queue of an existing data folder that no gateway uses; what became of the events.

    Of ten events five are delivered, one is rejected by mapping and about one by Meta; the others wait.
    """
    clock = _Clock(ends_at - _TIME)
    ticks = events // _CALLS_AT_ONCE
    became: Counter[str] = Counter()
    ends = itertools.cycle(itertools.product(("delivered", "delivered", "rejected by Meta", "delivered"), DESTINATIONS))
    queue = SqliteQueue.open(data_folder, now=clock)
    for tick in range(ticks):
        clock.at = ends_at - _TIME * ((ticks - tick) / ticks)
        await queue.put([_build_call(tick * _CALLS_AT_ONCE + number, clock.at) for number in range(_CALLS_AT_ONCE)])
        became["rejected by mapping"] += _CALLS_AT_ONCE // 10
        while became.total() + _LEASE <= (tick + 1) * _CALLS_AT_ONCE * 7 // 10:
            end, destination = next(ends)
            became[end] += await _end_some(queue, clock.at, DestinationId(destination), end)
    await queue.close()
    became["waiting"] = ticks * _CALLS_AT_ONCE - became.total()
    return became


async def _end_some(queue: SqliteQueue, now: datetime, destination: DestinationId, end: str) -> int:
    """Let a batch of a destination end so; what Meta rejects is half a batch, the rest of which is tried again."""
    minute = timedelta(minutes=1)
    leased = await queue.lease(destination, limit=_LEASE, max_bytes=1 << 30, lease_for=minute, linger=timedelta())
    if end == "delivered":
        await queue.ack(leased, "Abc123")
        return len(leased)
    half = len(leased) // 2
    await queue.dead_letter(leased[:half], _REFUSED_BY_META)
    await queue.retry_at(leased[half:], now + timedelta(hours=1), "unavailable: no answer within 10 s")
    return half


def _build_call(number: int, received_at: datetime) -> AcceptedCall:
    source_id, message_id = SourceId(SOURCES[number % len(SOURCES)]), MessageId(f"message-{number:012d}")
    event_time = int(received_at.timestamp())
    event_name = EVENT_NAMES[number * 7_919 % 89 % len(EVENT_NAMES)]
    digest = b"%064x" % (number * 0x9E3779B97F4A7C15)
    names = (event_name.encode(), event_time, message_id.encode(), digest, digest, digest, message_id.encode())
    facts = {
        "destination_id": DestinationId(DESTINATIONS[number // 10 % len(DESTINATIONS)]),
        "dataset_id": DatasetId("1234567890"),
        "event_name": event_name,
        "event_id": message_id,
        "event_time": event_time,
        "expires_at": event_time + int(_MAX_AGE.total_seconds()),
        "payload": _PAYLOAD % names,
    }
    if number % 10 == 0:
        reason = ("missing_value", "invalid_currency", "insufficient_match_keys")[number // 10 % 3]
        discarded = DiscardedEvent(state="rejected", code="MESSAGE_REJECTED", reason=reason, **facts)
        return AcceptedCall(source_id, message_id, received_at, discarded=(discarded,))
    event = NewEvent(match_keys=MATCH_KEYS[: 3 + number % 7], **facts)
    return AcceptedCall(source_id, message_id, received_at, events=(event,))
