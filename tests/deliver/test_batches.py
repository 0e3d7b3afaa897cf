"""How leased events become requests."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.deliver.batches import META_MAX_EVENTS, BatchLimits, group_into_batches, halves, split_expired
from signalpost.model.delivery import QueuedEvent
from signalpost.model.ids import DatasetId
from tests.builders import DESTINATION, build_batch, build_queued_event

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OTHER_DATASET = DatasetId("42")


def build_events(count: int, **fields: object) -> list[QueuedEvent]:
    return [build_queued_event(**fields) for _ in range(count)]


def sizes(events: list[QueuedEvent], **limits: int) -> list[int]:
    return [len(batch.events) for batch in group_into_batches(events, BatchLimits(**limits), NOON)]


@pytest.mark.parametrize(
    ("seconds_left", "is_expired"),
    [(3600, False), (1, False), (0, False), (-0.999, False), (-1, True), (-3600, True)],
)
def test_last_second(seconds_left, is_expired):
    """An event is sent up to the end of the last second in which Meta takes it."""
    event = build_queued_event(expires_at=int(NOON.timestamp()))
    fresh, expired = split_expired([event], NOON - timedelta(seconds=seconds_left))
    assert (fresh, expired) == (([], [event]) if is_expired else ([event], []))


def test_nothing_leased():
    """No events make no batches."""
    assert group_into_batches([], BatchLimits(), NOON) == []


def test_datasets_are_never_mixed():
    """Each dataset has its own batches, and no event changes places within them."""
    first, second = build_events(3), build_events(2, dataset_id=OTHER_DATASET)
    mixed = [first[0], second[0], first[1], second[1], first[2]]
    batches = group_into_batches(mixed, BatchLimits(), NOON)
    assert [batch.events for batch in batches] == [tuple(first), tuple(second)]
    assert [batch.dataset_id for batch in batches] == [first[0].dataset_id, OTHER_DATASET]
    assert {batch.destination_id for batch in batches} == {DESTINATION}


def test_unclear_events_travel_among_themselves():
    """Events that are repeated because the last answer was unclear do not share a request with others."""
    unclear, fresh = build_events(2, last_outcome="unclear: Meta counted 1 of 2 events"), build_events(2)
    batches = group_into_batches([unclear[0], fresh[0], unclear[1], fresh[1]], BatchLimits(), NOON)
    assert [batch.events for batch in batches] == [tuple(unclear), tuple(fresh)]


@pytest.mark.parametrize(
    ("count", "max_events", "expected"),
    [(1, 1, [1]), (4, 4, [4]), (5, 4, [4, 1]), (9, 4, [4, 4, 1]), (1001, 5000, [META_MAX_EVENTS, 1])],
)
def test_max_events(count, max_events, expected):
    """A batch is full at its limit, and at Meta's thousand whatever the limit says."""
    assert sizes(build_events(count), max_events=max_events) == expected


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([5, 4], [2]),  # 5 + a comma + 4 are ten bytes
        ([5, 5], [1, 1]),
        ([3, 3, 2, 9], [3, 1]),
        ([10, 1], [1, 1]),
        ([11, 99, 3, 3], [1, 1, 2]),  # too large for any batch: alone
    ],
)
def test_max_bytes(lengths, expected):
    """The events' bytes and the commas between them stay within the limit; one larger event travels alone."""
    events = [build_queued_event(payload=b"x" * length) for length in lengths]
    assert sizes(events, max_bytes=10) == expected


@pytest.mark.parametrize("count", [2, 3, 500, 999])
def test_halves(count):
    """Halves hold everything in its order, and neither is empty."""
    batch = build_batch(count)
    first, second = halves(batch)
    assert first.events + second.events == batch.events
    assert len(second.events) - len(first.events) in {0, 1}
    assert (first.dataset_id, second.destination_id) == (batch.dataset_id, batch.destination_id)


drawn_events = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.booleans()), max_size=40)


@given(drawn_events, st.integers(1, 12), st.integers(1, 60))
def test_every_event_travels_once(drawn, max_events, max_bytes):
    """Whatever is leased, each event is in exactly one batch, and no batch mixes datasets or breaks a limit."""
    events = [
        build_queued_event(dataset_id=dataset, payload=b"x" * size, last_outcome="unclear" if is_unclear else "")
        for dataset, size, is_unclear in drawn
    ]
    batches = group_into_batches(events, BatchLimits(max_events, max_bytes), NOON)
    assert sorted(event.id for batch in batches for event in batch.events) == sorted(event.id for event in events)
    for batch in batches:
        assert {event.dataset_id for event in batch.events} == {batch.dataset_id}
        assert len({event.is_unclear for event in batch.events}) == 1
        assert len(batch.events) <= max_events
        joined = b",".join(event.payload for event in batch.events)
        assert len(joined) <= max_bytes or len(batch.events) == 1
