"""The live memory of calls: bounded, updated as events reach their end, watched without holding anything up."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from signalpost.history.calls import BYTES_IN_ALL, CALLS_IN_ALL, CALLS_PER_SOURCE, History, UnreadCalls
from signalpost.history.entries import CallEntry, CallFilter, EventState, RequestFacts, describe_call
from signalpost.model.delivery import DISCARDED_BY_OPERATOR, AcceptedCall, DiscardedEvent, NewEvent, QueuedEvent
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


async def test_what_is_given_up_while_it_waits_shows_as_rejected():
    """Of one destination, received before a time; what has ended stays as it is, and so does what came later."""
    history = History()
    for number in (1, 2, 3):
        history.record(entry(number))
    history.settled([queued(2)], "delivered", "trace-2")
    later = entry(4)
    later.received_at = NOON + timedelta(hours=1)
    history.record(later)
    with history.subscribe() as feed:
        history.discarded(PIXEL, NOON + timedelta(minutes=1), DISCARDED_BY_OPERATOR)
        history.discarded(DestinationId("another"), NOON + timedelta(days=1), DISCARDED_BY_OPERATOR)
    feed.close()
    states = [call.events[0].state for call in history.recent(WEBSITE)]
    assert states == ["rejected", "delivered", "rejected", "pending"]
    assert [item.message_id async for item in feed] == ["m1", "m3"]
    assert history.recent(WEBSITE)[0].events[0].detail == "DISCARDED/discarded_by_operator"


def test_a_duplicate_does_not_hide_the_first():
    """The entry of the accepted call is found, also after its repeats were entered."""
    history = History()
    history.record(entry(1))
    repeated = CallEntry(WEBSITE, NOON, MessageId("m1"), "track", "x", "duplicate")
    history.record(repeated)
    assert history.find_call(WEBSITE, MessageId("m1")) is history.recent(WEBSITE)[0]
    assert history.recent(WEBSITE)[1] is repeated


def test_bytes_in_all():
    """Large calls push out the oldest of all sources before they take more than 64 MiB."""
    history = History()
    for number in range(70):
        large = entry(number, f"source-{number % 2}")
        large.text = bytes(1 << 20)
        history.record(large)
    remembered = history.recent()
    assert 55 < len(remembered) < 64
    assert sum(each.bytes_held for each in remembered) <= BYTES_IN_ALL
    assert remembered[-1].message_id == "m69"
    assert history.find_entry(1) is None
    assert history.find_entry(remembered[0].number) is remembered[0]


def test_filters():
    """Entries are found by each of the things they are listed with, and by the code of one of their events."""
    history = History()
    page = CallEntry(WEBSITE, NOON, None, "page", "Home", "rejected", "no_user_anon_id")
    shop = entry(2, "shop")
    shop.events[0].detail = "MESSAGE_REJECTED/event_too_old"
    for each in (entry(1), page, shop):
        history.record(each)
    found = {
        "type": CallFilter(call_type="page"),
        "event": CallFilter(event_name="Home"),
        "verdict": CallFilter(verdict="rejected"),
        "code": CallFilter(code="no_user_anon_id"),
    }
    for name, wanted in found.items():
        assert history.recent(None, wanted) == (page,), name
    assert history.recent(None, CallFilter(code="event_too_old")) == (shop,)
    assert history.recent(None, CallFilter(message_id="m2")) == (shop,)
    assert history.recent(SourceId("shop")) == history.recent(None, CallFilter(SourceId("shop"))) == (shop,)


def test_catching_up():
    """Who paused asks for what came after the last entry it knows."""
    history = History()
    for number in range(3):
        history.record(entry(number))
    known = history.recent()[0].number
    assert [each.message_id for each in history.recent(after=known)] == ["m1", "m2"]


def test_a_request_that_was_refused():
    """With a known source it is entered among its calls, unless it came as part of a flood; it is always counted."""
    history = History()
    for status, code in ((400, "invalid_json"), (429, "rate_limited"), (503, "temporarily_unavailable")):
        history.refuse(RequestFacts("r", NOON, path="/v1/track", status=status), code, "why", WEBSITE)
    history.refuse(RequestFacts("r", NOON, path="/v1/track", status=401), "invalid_write_key", "why", None, "k" * 16)
    assert [(each.verdict, each.code) for each in history.recent()] == [("request_fault", "invalid_json")]
    assert [(row.kind.code, row.kind.key_ending) for row in history.refused_requests()] == [
        ("invalid_write_key", "kkkk"),
        ("temporarily_unavailable", ""),
        ("rate_limited", ""),
        ("invalid_json", ""),
    ]


def test_describing_a_call():
    """Queued events wait, discarded ones have their state and reason; a repeat has none of its own."""
    event = NewEvent(PIXEL, DATASET, "Purchase", "e", 0, 0, b"payload", ("external_id_missing",))
    discarded = DiscardedEvent("filtered", "NO_MATCHING_MAPPING", "event_not_mapped", "x", PIXEL)
    call = AcceptedCall(WEBSITE, MessageId("m"), NOON, (event,), (discarded,))
    described = describe_call(call, is_duplicate=False, call_type="track", event_name="x", text=b"person")
    assert [(state.state, state.detail) for state in described.events] == [
        ("pending", ""),
        ("filtered", "NO_MATCHING_MAPPING/event_not_mapped"),
    ]
    assert described.events[0].warnings == ("external_id_missing",)
    assert "payload" not in repr(described)
    assert "person" not in repr(described)
    repeated = describe_call(call, is_duplicate=True, call_type="track", event_name="x")
    assert (repeated.verdict, repeated.events) == ("duplicate", [])


def unread(first: int, count: int, described: list[int], source: str = "website") -> UnreadCalls:
    """The calls of a request, which note in `described` when they are built."""

    def describe(skip: int) -> Iterator[CallEntry]:
        for number in range(first + skip, first + count):
            described.append(number)
            yield entry(number, source)

    return UnreadCalls(SourceId(source), count, count * 1_024, describe)


def test_calls_are_described_only_when_somebody_looks() -> None:
    """Requests are noted; those that others push out are never described, and numbers are as if all had been."""
    history, described = History(), list[int]()
    for first in range(1, 2_001, 100):
        history.record_request(unread(first, 100, described))
    assert not described
    remembered = history.recent(WEBSITE)
    assert [call.message_id for call in remembered] == [f"m{number}" for number in range(1_501, 2_001)]
    assert [call.number for call in remembered] == list(range(1_501, 2_001))
    assert described == list(range(1_501, 2_001))


def test_unread_calls_keep_their_order_among_sources_and_single_entries() -> None:
    """Whatever is noted or recorded counts up in one order; of a request larger than a ring only its end is built."""
    history, described = History(), list[int]()
    history.record_request(unread(1, 2, described))
    history.record_request(unread(3, 1, described, "app"))
    history.record(entry(4))
    history.record_request(unread(5, 2_500, described, "app"))
    assert described[:3] == [1, 2, 3]
    assert described[3:] == list(range(2_005, 2_505))
    numbers = [call.number for call in history.recent()]
    assert numbers == [1, 2, 4, *range(2_005, 2_505)]


def test_who_looks_may_catch_up_a_little_at_a_time() -> None:
    """One request at each step, in their order, though more come between; then what has ended is known too."""
    history, described = History(), list[int]()
    for first in (1, 3, 5):
        history.record_request(unread(first, 2, described))
    history.record_request(unread(7, 0, described))
    history.settled([queued(7)], "delivered", "trace-1")
    assert history.catch_up_a_little()
    assert described == [1, 2]
    history.record_request(unread(7, 1, described))
    while history.catch_up_a_little():
        pass
    assert described == [1, 2, 3, 4, 5, 6, 7]
    (latest,) = history.recent(after=6)
    assert [event.state for event in latest.events] == ["delivered"]


def test_many_sources_do_not_hold_unread_calls_without_bound() -> None:
    """A thousand calls may wait to be described; then they are, so that who looks never waits long."""
    history, described = History(), list[int]()
    for number in range(1_001):
        history.record_request(unread(number, 1, described, f"source-{number % 50}"))
    assert len(described) == 1_001
