"""Finding the bad events of a refused batch in few requests."""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalpost.deliver.bisection import Bisection, Suspects
from signalpost.deliver.retry import DeadLetter
from signalpost.model.delivery import Batch, DeadReason, QueuedEvent
from tests.builders import build_batch


@dataclass
class Round:
    """What a bisection made of some batches, when Meta refuses whatever holds a bad event."""

    requests: int = 0
    accepted: list[QueuedEvent] = field(default_factory=list)
    isolated: list[QueuedEvent] = field(default_factory=list)
    waiting: list[QueuedEvent] = field(default_factory=list)
    is_systemic: bool = False


REFUSED = DeadLetter(DeadReason("400", "100/2804008"))


def send_all(batch: Batch, bad_ids: Collection[int]) -> Round:
    sent = Round()
    search = Bisection(batch)
    while not search.is_systemic and (part := search.next_part()):
        sent.requests += 1
        if not any(event.id in bad_ids for event in part.events):
            search.accepted()
            sent.accepted += part.events
        elif len(part.events) == 1:
            sent.isolated += [event for ended, _ in search.isolate(part, REFUSED) for event in ended.events]
        else:
            search.split(part)
    sent.is_systemic, sent.waiting = search.is_systemic, search.waiting
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
    sent = send_all(batch, spread(batch, bad))
    assert (len(sent.isolated), len(sent.accepted)) == (bad, count - bad)
    assert sent.requests <= find_bound(bad, count)


@pytest.mark.parametrize(("count", "most"), [(1000, 21), (500, 19)])
def test_one_bad_event(count, most):
    """One bad event of a thousand is found in 21 requests, one of 500 in 19, wherever it stands."""
    batch = build_batch(count)
    for position in (0, 1, count // 2, count - 1):
        sent = send_all(batch, {batch.events[position].id})
        assert sent.isolated == [batch.events[position]]
        assert sent.requests <= most


def test_all_bad():
    """When every event is bad, each is found alone."""
    batch = build_batch(8)
    sent = send_all(batch, {event.id for event in batch.events})
    assert sent == Round(requests=15, isolated=list(batch.events))


def test_breadth_first():
    """Halves come after the parts that wait already, the larger parts before the smaller."""
    search = Bisection(build_batch(8))
    sizes = []
    while part := search.next_part():
        sizes.append(len(part.events))
        if len(part.events) > 1:
            search.split(part)
    assert sizes == [8, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1]


def test_waiting():
    """What was handed out no longer waits; what was split waits again."""
    batch = build_batch(4)
    search = Bisection(batch)
    assert search.waiting == list(batch.events)
    search.next_part()
    assert search.waiting == []
    search.split(batch)
    search.next_part()
    assert search.waiting == list(batch.events[2:])


@pytest.mark.parametrize("count", [32, 100, 500, 1000])
def test_all_bad_is_systemic(count):
    """When all of 32 or more are bad the search stops within 39 requests, and not one event is given up."""
    batch = build_batch(count)
    sent = send_all(batch, {event.id for event in batch.events})
    assert sent.is_systemic
    assert sent.requests <= 39
    assert (sent.isolated, sent.accepted) == ([], [])
    assert Counter(event.id for event in sent.waiting) == Counter(event.id for event in batch.events)


@pytest.mark.parametrize(("good", "is_systemic"), [(2, True), (3, False)])
def test_sample(good, is_systemic):
    """Of eight single events drawn after 31 refusals two accepted ones are too few, three are enough to go on."""
    search = Bisection(build_batch(512))
    for _ in range(31):
        search.split(search.next_part())
    for number in range(8):
        part = search.next_part()
        assert len(part.events) == 1
        if number < good:
            search.accepted()
        else:
            settled = search.isolate(part, REFUSED)
    assert search.is_systemic == is_systemic
    assert len(settled) == (0 if is_systemic else 8 - good)
    assert len(search.waiting) == 512 - (good if is_systemic else 8)


@pytest.mark.parametrize(("count", "bad", "is_systemic"), [(100, 25, False), (100, 26, True), (31, 12, False)])
def test_many_bad_ones(count, bad, is_systemic):
    """More than a quarter of a batch of 32 or more isolated is systemic, although others were accepted."""
    batch = build_batch(count)
    sent = send_all(batch, {event.id for event in batch.events[:bad]})
    assert sent.is_systemic == is_systemic
    assert len(sent.isolated) == (min(bad, count // 4) if is_systemic else bad)


def test_suspects():
    """Events of a refused request keep the part they belong to until they are settled."""
    first, second = build_batch(2), build_batch(3)
    suspects = Suspects()
    suspects.remember([first, second])
    parts = [{suspects.find_part(event.id) for event in batch.events} for batch in (first, second)]
    assert [len(part) for part in parts] == [1, 1]
    assert not parts[0] & parts[1]
    assert 0 not in parts[0] | parts[1]
    suspects.forget(first.events)
    assert len(suspects) == 3
    assert suspects.find_part(first.events[0].id) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_every_event_ends_once(flags):
    """Whichever events are bad, each is accepted, given up or waiting, once; a good one is never given up."""
    batch = build_batch(len(flags))
    bad_ids = {event.id for event, is_bad in zip(batch.events, flags, strict=True) if is_bad}
    sent = send_all(batch, bad_ids)
    ended = [event.id for event in (*sent.accepted, *sent.isolated, *sent.waiting)]
    assert Counter(ended) == Counter(event.id for event in batch.events)
    assert {event.id for event in sent.isolated} <= bad_ids
    if not sent.is_systemic:
        assert sent.requests <= find_bound(sum(flags), len(flags)) + 8
        assert not sent.waiting
