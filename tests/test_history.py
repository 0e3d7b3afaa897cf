"""The live memory of calls: bounded, without payloads, updated as events reach their end."""

from datetime import UTC, datetime

from signalpost.history import CALLS_IN_ALL, CALLS_PER_SOURCE, CallEntry, EventState, History, describe_call
from signalpost.model.delivery import AcceptedCall, DiscardedEvent, NewEvent, QueuedEvent
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WEBSITE, PIXEL, DATASET = SourceId("website"), DestinationId("main-pixel"), DatasetId("1234567890")


def entry(number: int, source: str = WEBSITE) -> CallEntry:
    events = [EventState(PIXEL, "Purchase", "pending", "")]
    return CallEntry(SourceId(source), NOON, MessageId(f"m{number}"), "track", "x", "accepted", "", events)


def queued(number: int, **fields: object) -> QueuedEvent:
    known = {"id": number, "source_id": WEBSITE, "message_id": f"m{number}", "destination_id": PIXEL}
    rest = {"dataset_id": DATASET, "event_name": "Purchase", "event_id": "e", "event_time": 0, "expires_at": 0}
    return QueuedEvent(**{**known, **rest, "received_at": NOON, "attempts": 0, "payload": b"{}", **fields})


def test_the_oldest_make_room():
    """A source keeps its last 500 calls, oldest first."""
    history = History()
    for number in range(CALLS_PER_SOURCE + 10):
        history.record(entry(number))
    recent = history.recent(WEBSITE)
    assert len(recent) == CALLS_PER_SOURCE
    assert (recent[0].message_id, recent[-1].message_id) == ("m10", f"m{CALLS_PER_SOURCE + 9}")
    assert history.recent(SourceId("other")) == ()


def test_calls_in_all():
    """However many sources there are, no more than 5,000 calls can be looked up."""
    history = History()
    for number in range(CALLS_IN_ALL + 1):
        history.record(entry(number, f"source-{number % 20}"))
    assert history.find_call(SourceId("source-0"), MessageId("m0")) is None
    assert history.find_call(SourceId("source-1"), MessageId("m1")) is not None


def test_a_state_is_updated():
    """An event's end shows in its call, and in no other event of it; forgotten calls are ignored."""
    history = History()
    call = entry(1)
    call.events.append(EventState(PIXEL, "Lead", "pending", ""))
    history.record(call)
    history.settled([queued(1), queued(99)], "delivered", "trace-1")
    found = history.find_call(WEBSITE, MessageId("m1"))
    assert found is not None
    assert [(event.state, event.detail) for event in found.events] == [("delivered", "trace-1"), ("pending", "")]


def test_a_duplicate_does_not_hide_the_first():
    """The entry of the accepted call is found, also after its repeats were entered."""
    history = History()
    history.record(entry(1))
    repeated = CallEntry(WEBSITE, NOON, MessageId("m1"), "track", "x", "duplicate")
    history.record(repeated)
    assert history.find_call(WEBSITE, MessageId("m1")) is history.recent(WEBSITE)[0]
    assert history.recent(WEBSITE)[1] is repeated


def test_describing_a_call():
    """Queued events wait, discarded ones have their state and reason; no payload is kept."""
    event = NewEvent(PIXEL, DATASET, "Purchase", "e", 0, 0, b"payload")
    discarded = DiscardedEvent("filtered", "NO_MATCHING_MAPPING", "event_not_mapped", "x", PIXEL, payload=b"payload")
    call = AcceptedCall(WEBSITE, MessageId("m"), NOON, (event,), (discarded,))
    described = describe_call(call, is_duplicate=False, call_type="track", event_name="x")
    assert [(state.state, state.detail) for state in described.events] == [
        ("pending", ""),
        ("filtered", "NO_MATCHING_MAPPING/event_not_mapped"),
    ]
    assert "payload" not in repr(described)
    assert describe_call(call, is_duplicate=True, call_type="track", event_name="x").verdict == "duplicate"
