"""Finding the bad events of a refused batch in few requests."""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.deliver.bisection import Bisection
from signalpost.model.delivery import Batch, QueuedEvent
from tests.builders import build_batch


@dataclass
class Round:
    """What a bisection made of some batches, when Meta refuses whatever holds a bad event."""

    requests: int = 0
    accepted: list[QueuedEvent] = field(default_factory=list)
    isolated: list[QueuedEvent] = field(default_factory=list)


def send_all(batches: Iterable[Batch], bad_ids: Collection[int]) -> Round:
    sent = Round()
    bisection = Bisection(batches)
    while part := bisection.next_part():
        sent.requests += 1
        if not any(event.id in bad_ids for event in part.events):
            sent.accepted += part.events
        elif len(part.events) == 1:
            sent.isolated += part.events
        else:
            bisection.split(part)
    return sent


def find_bound(bad: int, count: int) -> int:
    return 1 + 2 * bad * math.ceil(math.log2(count))


def spread(batch: Batch, bad: int) -> set[int]:
    """Bad events as far apart as they can be, which costs the most requests."""
    return {batch.events[(2 * index + 1) * len(batch.events) // (2 * bad)].id for index in range(bad)}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 500, 1000])
@pytest.mark.parametrize("bad", [0, 1, 2, 5])
def test_bound(bad, count):
    """For k bad of n events it takes at most 1 + 2·k·⌈log₂ n⌉ requests."""
    bad = min(bad, count)
    batch = build_batch(count)
    sent = send_all([batch], spread(batch, bad))
    assert (len(sent.isolated), len(sent.accepted)) == (bad, count - bad)
    assert sent.requests <= find_bound(bad, count)


@pytest.mark.parametrize(("count", "most"), [(1000, 21), (500, 19)])
def test_one_bad_event(count, most):
    """One bad event of a thousand is found in 21 requests, one of 500 in 19, wherever it stands."""
    batch = build_batch(count)
    for position in (0, 1, count // 2, count - 1):
        sent = send_all([batch], {batch.events[position].id})
        assert sent.isolated == [batch.events[position]]
        assert sent.requests <= most


def test_all_bad():
    """When every event is bad, each is found alone."""
    batch = build_batch(8)
    sent = send_all([batch], {event.id for event in batch.events})
    assert sent == Round(requests=15, isolated=list(batch.events))


def test_breadth_first():
    """Halves come after the parts that wait already, the larger parts before the smaller."""
    batch = build_batch(8)
    bisection = Bisection([batch])
    sizes = []
    while part := bisection.next_part():
        sizes.append(len(part.events))
        if len(part.events) > 1:
            bisection.split(part)
    assert sizes == [8, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1]


def test_next_batch_does_not_wait_for_halves():
    """The halves of one batch come after the other batches of the lease."""
    first, second = build_batch(2), build_batch(3)
    bisection = Bisection([first, second])
    assert bisection.next_part() == first
    bisection.split(first)
    assert bisection.next_part() == second
    assert [event.id for event in bisection.waiting] == [event.id for event in first.events]


def test_waiting():
    """What was handed out no longer waits; what was split waits again."""
    batch = build_batch(4)
    bisection = Bisection([batch])
    assert bisection.waiting == list(batch.events)
    bisection.next_part()
    assert bisection.waiting == []
    bisection.split(batch)
    bisection.next_part()
    assert bisection.waiting == list(batch.events[2:])


def test_nothing():
    """No batches, no parts."""
    assert Bisection([]).next_part() is None


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=60), max_size=3))
def test_every_event_ends_once(drawn):
    """Whichever events are bad: each good one is accepted once, each bad one is refused alone once."""
    batches = [build_batch(len(flags)) for flags in drawn]
    events = [event.id for batch in batches for event in batch.events]
    flags = [is_bad for each in drawn for is_bad in each]
    bad_ids = {event_id for event_id, is_bad in zip(events, flags, strict=True) if is_bad}
    sent = send_all(batches, bad_ids)
    assert Counter(event.id for event in sent.isolated) == Counter(bad_ids)
    assert Counter(event.id for event in sent.accepted) == Counter(set(events) - bad_ids)
    assert sent.requests <= sum(find_bound(sum(each), len(each)) for each in drawn)
