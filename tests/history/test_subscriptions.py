"""Watching calls: as they come, again when they change, and never at the price of memory."""

import asyncio
from datetime import UTC, datetime

import pytest

from signalpost.history.calls import History
from signalpost.history.entries import CallEntry, CallFilter, EventState, RequestFacts
from signalpost.history.refused_requests import RefusedRequest
from signalpost.history.subscriptions import LONGEST_BACKLOG, FeedItem, Skipped, Subscription
from signalpost.model.delivery import QueuedEvent
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId

pytestmark = pytest.mark.asyncio
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WEBSITE, PIXEL, DATASET = SourceId("website"), DestinationId("main-pixel"), DatasetId("1234567890")


def entry(number: int, event_name: str = "x") -> CallEntry:
    events = [EventState(PIXEL, "Purchase", "pending", "")]
    return CallEntry(WEBSITE, NOON, MessageId(f"m{number}"), "track", event_name, "accepted", "", events)


async def read(feed: Subscription) -> list[FeedItem]:
    """Everything until the feed is closed."""
    async with asyncio.timeout(10):
        return [item async for item in feed]


async def test_a_call_and_its_end():
    """A reader gets the entry when the call arrives, and again when its event is delivered."""
    history = History()
    call = entry(1)
    states = []
    with history.subscribe() as feed:
        history.record(call)
        async with asyncio.timeout(10):
            async for item in feed:
                assert item is call
                states.append(call.events[0].state)
                if states == ["pending"]:
                    event = QueuedEvent(
                        1, WEBSITE, MessageId("m1"), PIXEL, DATASET, "Purchase", "e", 0, 0, NOON, 1, b""
                    )
                    history.settled([event], "delivered", "trace")
                else:
                    history.close()
    assert states == ["pending", "delivered"]


async def test_a_filter():
    """Only what is wanted comes; a refused request only to who looks at all of them, or for its code."""
    history = History()
    with (
        history.subscribe(CallFilter(event_name="y")) as only_y,
        history.subscribe() as everything,
        history.subscribe(CallFilter(code="invalid_write_key")) as only_code,
    ):
        history.record(entry(1, "x"))
        history.record(entry(2, "y"))
        history.refuse(RequestFacts("r", NOON, status=401), "invalid_write_key", "why", None)
        history.close()
        assert [item.event_name for item in await read(only_y) if isinstance(item, CallEntry)] == ["y"]
        assert [type(item) for item in await read(everything)] == [CallEntry, CallEntry, RefusedRequest]
        assert [type(item) for item in await read(only_code)] == [RefusedRequest]


async def test_a_slow_reader():
    """What does not fit is counted, not kept."""
    history = History()
    with history.subscribe() as feed:
        for number in range(LONGEST_BACKLOG + 7):
            history.record(entry(number))
        history.close()
        items = await read(feed)
    assert len(items) == LONGEST_BACKLOG + 1
    assert items[-1] == Skipped(7)


async def test_who_has_left_is_not_served():
    """After the reader has left nothing is kept for it."""
    history = History()
    with history.subscribe() as feed:
        pass
    history.record(entry(1))
    history.close()
    feed.close()
    assert await read(feed) == []
