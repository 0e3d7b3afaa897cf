"""Lease, batch, send, settle: the worker between the real queue and the local Meta."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signalpost.deliver.parts import WorkerSettings
from signalpost.deliver.workers import Workers
from signalpost.emulator.app import EmulatorSettings, running_emulator
from signalpost.emulator.faults import FaultMatch, FaultPlan
from signalpost.meta.client import MetaClient
from signalpost.model.delivery import Accepted, Throttled, Unavailable
from signalpost.model.ids import DatasetId, DestinationId
from tests.builders import DATASET, DESTINATION, build_new_event
from tests.deliver.bench import GOOD_TOKEN, QUICK, SLOW, Bench, TroubledQueue, find_attempts, get_ids, poll

MINUTE = timedelta(minutes=1)
OTHER = DestinationId("other-pixel")
OTHER_DATASET = DatasetId("4242424242")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with (
        running_emulator(EmulatorSettings(port=0, seed=1)) as emulator,
        MetaClient(emulator.url, total_seconds=2) as client,
    ):
        bench = Bench(tmp_path, emulator, client)
        yield bench
        await bench.close()


def build_events(count: int, prefix: str = "event", **fields: object) -> list:
    return [build_new_event(f"{prefix}-{number}", **fields) for number in range(count)]


def poison(*event_ids: str, row: str = "contents_malformed") -> FaultPlan:
    return FaultPlan("poison", match=FaultMatch(event_id=list(event_ids)), params={"as": row})


# --- the plain way ---


async def test_delivers_and_settles(bench):
    """What waits is sent in one request and is delivered; history and metrics say so."""
    await bench.put(*build_events(3))
    bench.start()
    counts = await bench.until_delivered(3)
    assert counts.pending.total == 0
    (request,) = bench.store.requests
    assert (request.event_count, request.dataset_id) == (3, DATASET)
    await poll(lambda: bench.read_metric("events_delivered_total", event_name="custom") == 3)  # told last
    assert bench.read_metric("delivery_requests_total", outcome="accepted") == 1
    (event,) = bench.history.recent("website")[0].events
    assert (event.state, event.detail) == ("delivered", request.fbtrace_id)


async def test_what_arrives_later(bench):
    """A worker with nothing to do waits for events."""
    bench.start()
    for number in range(3):
        await bench.put(build_new_event())
        await bench.until_delivered(number + 1)


async def test_queued_bytes_are_sent(bench):
    """Meta receives what was queued, event by event."""
    events = build_events(3)
    await bench.put(*events)
    bench.start()
    await bench.until_delivered(3)
    assert get_ids(bench.sent[0].events) == get_ids(events)
    assert {event.payload for event in bench.sent[0].events} == {event.payload for event in events}
    assert [stored.event_id for stored in bench.store.events] == [event.event_id for event in bench.sent[0].events]


async def test_datasets_never_share_a_request(bench):
    """Events for two datasets travel in requests of their own, to the address of their dataset."""
    await bench.put(*build_events(3), *build_events(2, "other", dataset_id=OTHER_DATASET))
    bench.start()
    await bench.until_delivered(5)
    assert sorted((request.dataset_id, request.event_count) for request in bench.store.requests) == [
        (DATASET, 3),
        (OTHER_DATASET, 2),
    ]


async def test_two_in_flight(bench):
    """At most two requests of a destination are under way at once, and two are when there is enough to do."""
    bench.emulator.arm(FaultPlan("slow", params={"ms": 10}))
    await bench.put(*build_events(8))
    bench.start(max_events=1)
    most_leased = 0
    while (counts := await bench.count()).delivered < 8:
        most_leased = max(most_leased, counts.pending.leased)
        await asyncio.sleep(0.002)
    assert bench.most_in_flight == 2
    assert most_leased <= 2


async def test_expired_event_is_never_sent(bench):
    """An event past its age limit expires and is not sent; its mates are delivered."""
    old = build_new_event("old", happened_at=datetime.now(UTC) - timedelta(days=7, seconds=2))
    await bench.put(old, *build_events(2))
    bench.start()
    counts = await bench.until_delivered(2)
    assert (counts.expired, counts.rejected) == (1, {})
    assert [get_ids(batch.events) for batch in bench.sent] == [["event-0", "event-1"]]
    assert bench.read_metric("events_expired_total", code="MESSAGE_REJECTED") == 1


async def test_only_expired_events(bench):
    """Of a lease of nothing but expired events Meta is asked for its clock alone, and no event is sent."""
    old = datetime.now(UTC) - timedelta(days=8)
    await bench.put(*build_events(3, happened_at=old))
    bench.start()
    await bench.until(lambda counts: counts.expired == 3)
    assert [request.event_count for request in bench.store.requests] == [0]
    assert bench.sent == []


async def test_wrong_clock_expires_nothing(bench):
    """A clock that is eight days ahead expires nothing: delivery pauses, and goes on when the clock is right again."""
    bench.clock.read_now = lambda: datetime.now(UTC) + timedelta(days=8)
    await bench.put(*build_events(3))
    worker = bench.start()
    await poll(lambda: bench.telemetry.told)
    counts = await bench.until(lambda counts: counts.pending.leased == 0)
    assert (counts.pending.total, counts.expired) == (3, 0)
    assert bench.telemetry.told == ["paused: clock_skew"]
    assert "ahead of Meta's" in worker.describe().pause.detail
    bench.clock.read_now = lambda: datetime.now(UTC)
    worker.resume()
    await bench.until_delivered(3)


async def test_clock_set_back_pauses_too(bench):
    """A clock that is behind Meta's pauses delivery after the first answer, which is settled."""
    bench.clock.read_now = lambda: datetime.now(UTC) - timedelta(minutes=6)
    await bench.put(build_new_event())
    bench.start()
    await bench.until_delivered(1)
    assert bench.telemetry.told == ["paused: clock_skew"]


async def test_late_events_travel_alone(bench):
    """Events in their last hour make a batch of their own."""
    late = datetime.now(UTC) - timedelta(days=7) + timedelta(minutes=59)
    await bench.put(*build_events(2), *build_events(2, "late", happened_at=late))
    bench.start()
    await bench.until_delivered(4)
    assert [get_ids(batch.events) for batch in bench.sent] == [["event-0", "event-1"], ["late-0", "late-1"]]


async def test_broken_event_never_shares_a_request(bench):
    """An event that lacks what Meta demands becomes a dead letter without being sent."""
    await bench.put(build_new_event("broken", payload=b'{"event_name":"Purchase"}'), *build_events(2))
    bench.start()
    counts = await bench.until(lambda counts: counts.pending.total == 0)
    assert (counts.delivered, sum(counts.rejected.values())) == (2, 1)
    (letter,) = await bench.queue.browse_dead_letters()
    assert letter.reason == "unsendable_payload"
    assert bench.store.request_count == 1


async def test_one_dead_destination_slows_no_other(bench):
    """While one destination's requests hang, another one's events are delivered."""
    client_send, is_over = bench.send, asyncio.Event()

    async def send(batch, target):
        if batch.destination_id == OTHER:
            await is_over.wait()
        return await client_send(batch, target)

    bench.send = send
    bench.use_token(GOOD_TOKEN, OTHER)
    await bench.put(*build_events(4, "stuck", destination_id=OTHER), *build_events(4))
    bench.start(OTHER, max_events=1)
    bench.start(max_events=1)
    await bench.until_delivered(4)
    assert (await bench.count(DESTINATION)).pending.total == 0
    is_over.set()
    await bench.until_delivered(8)


# --- refused data ---


async def test_one_bad_event_of_a_hundred(bench):
    """One bad event becomes a dead letter with Meta's numbers; its 99 mates are delivered, each once."""
    bench.emulator.arm(poison("event-37"))
    await bench.put(*build_events(100))
    bench.start()
    counts = await bench.until(lambda counts: counts.pending.total == 0)
    assert (counts.delivered, counts.rejected) == (99, {"400/100/2804008": 1})
    assert bench.store.request_count <= 1 + 2 * 7
    assert Counter(stored.event_id for stored in bench.store.events) == Counter(
        f"event-{number}" for number in range(100) if number != 37
    )
    (letter,) = await bench.queue.browse_dead_letters()
    last_word = [request for request in bench.store.requests if request.event_count == 1 and request.status == 400]
    assert (letter.event_id, letter.code, letter.reason) == ("event-37", "400", "100/2804008")
    assert letter.fbtrace_id == last_word[0].fbtrace_id
    assert "Invalid contents parameter" in letter.detail
    assert bench.read_metric("events_rejected_total", code="400") == 1


async def test_accepted_parts_are_settled_at_once(bench):
    """While a bad event is still sought, the parts that Meta took are delivered already."""
    bench.emulator.arm(poison("event-0"))
    await bench.put(*build_events(64))
    worker = bench.start(batches_in_flight=1)
    await bench.until_requests(4)
    worker.stop()
    await bench.stop()
    counts = await bench.count()
    assert counts.delivered >= 32
    assert counts.delivered + counts.pending.ready == 64


@pytest.mark.parametrize("bad", [2, 5])
async def test_several_bad_events(bench, bad):
    """Each bad event becomes a dead letter of its own, within the bound of requests."""
    bench.emulator.arm(poison(*(f"event-{number * 64 // bad}" for number in range(bad))))
    await bench.put(*build_events(64))
    bench.start()
    counts = await bench.until(lambda counts: counts.pending.total == 0)
    assert (counts.delivered, counts.rejected) == (64 - bad, {"400/100/2804008": bad})
    assert bench.store.request_count <= 1 + 2 * bad * 6


async def test_too_old_for_meta(bench):
    """An event that Meta alone finds too old expires; it is no dead letter."""
    bench.emulator.arm(poison("event-1", row="event_too_old"))
    await bench.put(*build_events(4))
    bench.start()
    counts = await bench.until(lambda counts: counts.pending.total == 0)
    assert (counts.delivered, counts.expired, counts.rejected) == (3, 1, {})


async def test_lease_lasts_as_long_as_the_search(bench):
    """A search that takes longer than a lease keeps it: nothing is sent twice."""
    client_send = bench.send

    async def send_slowly(batch, target):
        await asyncio.sleep(0.025)
        return await client_send(batch, target)

    bench.send = send_slowly
    bench.emulator.arm(FaultPlan("contents_malformed"))
    await bench.put(*build_events(8))
    bench.start(lease_for=timedelta(milliseconds=200))
    counts = await bench.until(lambda counts: counts.pending.total == 0)
    assert counts.rejected == {"400/100/2804008": 8}
    assert bench.store.request_count == 15
    assert Counter(get_ids([event for batch in bench.sent for event in batch.events if len(batch.events) == 1])) == (
        Counter(f"event-{number}" for number in range(8))
    )


@pytest.mark.parametrize("count", [32, 500])
async def test_everything_refused(bench, count):
    """When Meta refuses all of a batch the destination pauses within 39 requests; no event is given up."""
    bench.emulator.arm(FaultPlan("contents_malformed"))
    await bench.put(*build_events(count))
    worker = bench.start()
    await poll(lambda: bench.telemetry.told)
    counts = await bench.until(lambda counts: counts.pending.leased == 0)
    assert (counts.pending.ready, counts.rejected) == (count, {})
    assert bench.store.request_count <= 39
    assert bench.telemetry.told == ["paused: systemic_rejection"]
    state = worker.describe()
    assert (state.pause.reason, state.pause.next_probe_at, state.suspects) == ("systemic_rejection", None, count)
    bench.emulator.state.faults.disarm_all()
    worker.resume()
    await bench.until_delivered(count)
    assert bench.store.ledger.totals.repeats == 0


async def test_refusals_one_like_the_other(bench):
    """After 20 dead letters in a row with one code the destination pauses, and the next events wait."""
    bench.emulator.arm(FaultPlan("contents_malformed"))
    await bench.put(*build_events(25))
    bench.start(max_events=1, batches_in_flight=1)
    await poll(lambda: bench.telemetry.told)
    counts = await bench.until(lambda counts: counts.pending.leased == 0)
    assert (counts.rejected, counts.pending.ready) == ({"400/100/2804008": 20}, 5)
    assert bench.telemetry.told == ["paused: systemic_rejection"]


async def test_unknown_code(bench):
    """A code that nobody knows to be about data pauses at the third event in a row, which is kept."""
    bench.emulator.arm(FaultPlan("unknown_code_400"))
    await bench.put(*build_events(5))
    bench.start(max_events=1, batches_in_flight=1)
    await poll(lambda: bench.telemetry.told)
    counts = await bench.until(lambda counts: counts.pending.leased == 0)
    assert (sum(counts.rejected.values()), counts.pending.ready) == (2, 3)
    assert bench.telemetry.told == ["paused: unknown_error"]


async def test_interrupted_search_goes_on(bench):
    """A search that trouble has interrupted goes on with its parts: it does not begin again with the whole batch."""
    bench.emulator.arm(FaultPlan("service_unavailable", skip=3, times=1))
    bench.emulator.arm(poison("event-7"))
    await bench.put(*build_events(64))
    bench.start()
    counts = await bench.until(lambda counts: counts.pending.total == 0)
    assert (counts.delivered, counts.rejected) == (63, {"400/100/2804008": 1})
    assert [len(batch.events) for batch in bench.sent].count(64) == 1
    assert bench.store.request_count <= 1 + 2 * 6 + 1


# --- trouble that passes ---


@pytest.mark.parametrize("fault", ["service_unavailable", "reset_before", "http_200_html", "token_not_decryptable_500"])
async def test_nothing_is_lost_while_meta_is_down(bench, fault):
    """Whatever Meta answers for a while, every event is delivered in the end."""
    bench.emulator.arm(FaultPlan(fault, times=2))
    await bench.put(*build_events(3))
    bench.start()
    if fault.startswith("token"):
        for number in (1, 2):
            await bench.until_requests(number)
            await bench.until(lambda counts: counts.pending.leased == 0)
            bench.use_token(GOOD_TOKEN)
    counts = await bench.until_delivered(3)
    assert counts.rejected == {}
    assert bench.store.request_count == 3


async def test_repeat_is_identical(bench):
    """A repeat after a failure has the same bytes, the same event_ids, and one more attempt."""
    bench.emulator.arm(FaultPlan("service_unavailable", times=2))
    await bench.put(*build_events(3))
    bench.start()
    await bench.until_delivered(3)
    assert len({request.body_crc32 for request in bench.store.requests}) == 1
    assert [find_attempts(batch) for batch in bench.sent] == [{0}, {1}, {2}]
    assert bench.store.ledger.totals.repeats == 0


async def test_throttling_charges_nothing(bench):
    """A throttled request is repeated with the same bytes, and counts as no attempt."""
    bench.emulator.arm(FaultPlan("throttle_429_empty", times=2))
    await bench.put(*build_events(3))
    bench.start()
    await bench.until_delivered(3)
    assert len({request.body_crc32 for request in bench.store.requests}) == 1
    assert [find_attempts(batch) for batch in bench.sent] == [{0}, {0}, {0}]


async def test_throttled_destination_is_silent(bench):
    """After a throttled request nothing else of the lease is sent, and nothing stays leased."""
    bench.emulator.arm(FaultPlan("throttle_80004"))
    await bench.put(*build_events(5))
    bench.start(max_bytes=1, batches_in_flight=1)
    counts = await bench.until(lambda counts: counts.pending.retrying == 1 and counts.pending.leased == 0)
    assert counts.pending.ready == 4
    assert bench.store.request_count == 1


async def test_wait_that_meta_names(bench):
    """The wait that Meta's headers name holds, whatever the policy says."""
    bench.stop_clock()
    bench.emulator.arm(FaultPlan("throttle_80004", times=1))
    await bench.put(build_new_event())
    bench.start()
    await bench.until(lambda counts: counts.pending.retrying == 1)
    assert bench.read_delays() == [19 * 60_000]


async def test_rest_of_a_lease_waiting_for_events(bench):
    """What arrives while the destination rests waits too, although somebody was asking for it already."""
    release = asyncio.Event()
    answers = iter([Unavailable("down")])

    async def send(_batch, _target):
        await release.wait()
        return next(answers)

    bench.send = send
    await bench.put(build_new_event("first"))
    bench.start(max_events=1, retry=SLOW)
    await poll(lambda: bench.sent)
    # The second lease is waiting for an event by now.
    release.set()
    await bench.until(lambda counts: counts.pending.retrying == 1)
    await bench.put(build_new_event("second"))
    await asyncio.sleep(0.03)
    counts = await bench.count()
    assert (counts.pending.ready, counts.pending.leased) == (1, 0)
    assert len(bench.sent) == 1


@pytest.mark.parametrize(("first", "apart_seconds"), [("short", 0.005), ("short", 0), ("long", 0.005), ("long", 0)])
async def test_longer_rest_wins(bench, first, apart_seconds):
    """When two requests in flight fail, the destination rests until the later of their times, whichever fails first."""
    waits, both = {"short": 0.02, "long": 60}, asyncio.Barrier(2)

    async def send(batch, _target):
        await both.wait()
        (event,) = batch.events
        if event.event_id != first:
            await asyncio.sleep(apart_seconds)
        return Throttled(waits[event.event_id], "slow down")

    bench.send = send
    await bench.put(build_new_event("short"), build_new_event("long"), build_new_event("third"))
    bench.start(max_events=1)
    await bench.until(lambda counts: counts.pending.leased == 0)
    await asyncio.sleep(0.04)
    assert len(bench.sent) == 2


async def test_failures_side_by_side_count_once(bench):
    """Two requests that fail at the same time make one step of the back-off, not two."""
    both = asyncio.Barrier(2)

    async def send(_batch, _target):
        await both.wait()
        return Unavailable("down")

    bench.send = send
    bench.stop_clock()
    await bench.put(*build_events(2))
    bench.start(max_events=1)
    await poll(lambda: len(bench.queue.retried_at) >= 6)
    await bench.stop()
    assert bench.read_delays()[:6] == [4, 4, 8, 8, 16, 16]


async def test_success_ends_the_back_off(bench):
    """After a success the back-off begins again with its first delay."""
    answers = iter([Unavailable("down"), Unavailable("down"), Accepted(), Unavailable("down"), Accepted()])

    async def send(_batch, _target):
        return next(answers)

    bench.send = send
    bench.stop_clock()
    bench.start()
    for delivered in (1, 2):
        await bench.put(build_new_event())
        await bench.until_delivered(delivered)
    assert bench.read_delays() == [4, 8, 4]


async def test_lost_answer(bench):
    """A request whose answer was lost is repeated with the same event_ids; nothing is lost."""
    bench.emulator.arm(FaultPlan("lost_answer", times=1))
    await bench.put(*build_events(3))
    bench.start()
    await bench.until_delivered(3)
    rows = list(bench.store.ledger.list_rows())
    assert [(row.event_id, row.accepted, row.lost) for row in rows] == [(f"event-{n}", 2, 1) for n in range(3)]
    assert len({request.body_crc32 for request in bench.store.requests}) == 1


async def test_trouble_ends_a_search(bench):
    """When Meta goes down in the middle of a search, what was accepted stays so and the rest waits."""
    bench.emulator.arm(FaultPlan("service_unavailable", skip=2, times=1))
    bench.emulator.arm(poison("event-7"))
    await bench.put(*build_events(8))
    bench.start()
    counts = await bench.until(lambda counts: counts.pending.total == 0)
    assert (counts.delivered, counts.rejected) == (7, {"400/100/2804008": 1})
    assert bench.store.ledger.totals.repeats == 0


async def test_unclear(bench):
    """An unclear answer is repeated once; the second time the events count as delivered, with a flag."""
    bench.emulator.arm(FaultPlan("http_200_fewer_received"))
    await bench.put(*build_events(3))
    bench.start()
    await bench.until_delivered(3)
    assert bench.store.request_count == 2
    assert [find_attempts(batch) for batch in bench.sent] == [{0}, {1}]


async def test_unclear_ends_also_under_load(bench):
    """Fresh events that keep arriving do not prolong an unclear answer: each event is sent twice, not more."""
    bench.emulator.arm(FaultPlan("http_200_fewer_received"))
    bench.start()
    for number in range(10):
        await bench.put(*build_events(2, f"wave-{number}"))
        await asyncio.sleep(0.005)
    await bench.until_delivered(20)
    sent = Counter(event.event_id for batch in bench.sent for event in batch.events)
    assert set(sent.values()) == {2}


# --- trouble with the destination ---


@pytest.mark.parametrize(
    ("token", "reason"),
    [("EMULATOR_EXPIRED", "token"), ("EMULATOR_READ_ONLY", "permission"), ("EMULATOR_NO_ACCESS", "dataset")],
)
async def test_pause_and_resume(bench, token, reason):
    """A token that Meta refuses pauses the destination with one alarm; a new one delivers what waited."""
    bench.use_token(token)
    await bench.put(*build_events(3))
    bench.start()
    await bench.until_requests(1)
    counts = await bench.until(lambda counts: counts.pending.leased == 0)
    assert (counts.pending.ready, counts.rejected) == (3, {})
    assert bench.telemetry.told == [f"paused: {reason}"]
    assert bench.read_metric("destination_paused", reason=reason) == 1
    await bench.put(build_new_event())
    await asyncio.sleep(0.03)
    assert bench.store.request_count == 1
    bench.use_token(GOOD_TOKEN)
    await bench.until_delivered(4)
    assert bench.telemetry.told == [f"paused: {reason}", "resumed"]
    assert bench.read_metric("destination_paused", reason=reason) is None
    assert {attempts for batch in bench.sent for attempts in find_attempts(batch)} == {0}


async def test_what_waits_for_a_paused_destination_can_be_given_up(bench, tmp_path):
    """Only while nothing is delivered to it; it ends as rejected, and later events are delivered as ever."""
    parts = bench.build_parts()
    workers = Workers(parts, WorkerSettings(retry=QUICK, linger=timedelta(0)))
    workers.start([DESTINATION])
    assert await workers.discard(DESTINATION, datetime.now(UTC)) is None
    bench.use_token("EMULATOR_EXPIRED")
    await bench.put(*build_events(3))
    await poll(lambda: bench.telemetry.told)
    await bench.until(lambda counts: counts.pending.leased == 0)
    later = datetime.now(UTC) + MINUTE
    assert await workers.discard(DESTINATION, later, dry_run=True) == 3
    assert await workers.discard(DESTINATION, later) == 3
    assert (await bench.count()).rejected == {"DISCARDED/discarded_by_operator": 3}
    assert bench.read_metric("events_rejected_total", code="DISCARDED") == 3
    bench.use_token(GOOD_TOKEN)
    await bench.put(build_new_event("later"))
    await bench.until_delivered(1)
    await workers.stop()


async def test_resumed_destination_tries_what_it_had_put_off(bench):
    """Events that wait ten minutes for their next attempt go out as soon as a person says so."""
    bench.emulator.arm(FaultPlan("service_unavailable", times=1))
    workers = Workers(bench.build_parts(), WorkerSettings(retry=SLOW, linger=timedelta(0)))
    workers.start([DESTINATION])
    await bench.put(*build_events(3))
    await bench.until(lambda counts: counts.pending.retrying == 3)
    assert await workers.resume(DESTINATION)
    await bench.until_delivered(3)
    assert not await workers.resume(OTHER)
    await workers.stop()


async def test_without_a_token(bench):
    """The events of a destination without a token stay pending, and go out when it gets one."""
    bench.use_token(None)
    await bench.put(*build_events(3))
    bench.start()
    await poll(lambda: bench.telemetry.told)
    counts = await bench.until(lambda counts: counts.pending.leased == 0)
    assert counts.pending.ready == 3
    assert bench.store.request_count == 0
    bench.use_token(GOOD_TOKEN)
    await bench.until_delivered(3)


async def test_change_that_helps_nothing(bench):
    """A change of the settings is tried once; when it did not help the destination is paused again."""
    bench.use_token("EMULATOR_EXPIRED")
    await bench.put(build_new_event())
    bench.start()
    for requests in (1, 2, 3):
        await bench.until_requests(requests)
        await bench.until(lambda counts: counts.pending.leased == 0)
        await asyncio.sleep(0.01)
        assert bench.store.request_count == requests
        bench.use_token("EMULATOR_EXPIRED")
    await bench.until_requests(4)


async def test_new_token_while_the_old_one_is_tried(bench):
    """A token that changes while a request with the old one is under way does not leave the destination paused."""
    bench.emulator.arm(FaultPlan("slow", params={"ms": 20}, times=1))
    bench.use_token("EMULATOR_EXPIRED")
    await bench.put(*build_events(3))
    bench.start()
    await bench.until_requests(1)
    bench.use_token(GOOD_TOKEN)
    await bench.until_delivered(3)
    assert bench.telemetry.told == []


async def test_new_token_while_events_are_awaited(bench):
    """A token that changes right after a pause ends it, although the worker was asking for events meanwhile."""
    bench.use_token("EMULATOR_EXPIRED")
    await bench.put(build_new_event())
    bench.start(max_events=1)
    await poll(lambda: bench.telemetry.told, seconds=0)
    bench.use_token(GOOD_TOKEN)
    await bench.until_delivered(1)


async def test_one_alarm(bench):
    """Two requests in flight with a bad token raise one alarm."""
    both = asyncio.Barrier(2)
    client_send = bench.send

    async def send(batch, target):
        await both.wait()
        return await client_send(batch, target)

    bench.send = send
    bench.use_token("EMULATOR_EXPIRED")
    await bench.put(*build_events(4))
    bench.start(max_events=1)
    await bench.until_requests(2)
    await bench.until(lambda counts: counts.pending.leased == 0)
    assert bench.telemetry.told == ["paused: token"]
    assert bench.store.request_count == 2


# --- trouble with the queue, and faults of ours ---


async def test_settling_is_repeated(bench):
    """While the queue can't record a delivery, the worker asks again instead of sending again."""
    bench.queue.failing["ack"] = 50
    await bench.put(*build_events(3))
    bench.start(lease_for=timedelta(milliseconds=150))
    await bench.until_delivered(3)
    assert bench.store.request_count == 1
    assert bench.telemetry.told == ["queue_unavailable"] * 50


async def test_stop_while_settling_fails(bench):
    """A queue that can't record anything does not keep the worker from stopping; the events come back."""
    bench.queue.failing["ack"] = 1_000_000
    await bench.put(build_new_event())
    bench.start(lease_for=timedelta(milliseconds=30))
    await bench.until_requests(1)
    await bench.stop()
    counts = await bench.until(lambda counts: counts.pending.leased == 0)
    assert counts.pending.ready == 1


@pytest.mark.parametrize("is_expected", [True, False])
async def test_leasing_is_repeated(bench, is_expected):
    """A queue that can't be asked is asked again later, also when it fails as nobody expected."""
    if not is_expected:
        bench.queue.trouble = KeyError("fault of ours")
    bench.queue.failing["lease"] = 2
    await bench.put(build_new_event())
    bench.start()
    await bench.until_delivered(1)
    assert bench.telemetry.told == ["queue_unavailable" if is_expected else "delivery_failed: KeyError"] * 2


async def test_fault_of_ours(bench):
    """A fault while sending leaves the worker alive; the events come back when their lease ends."""
    client_send = bench.send
    faults = iter([RuntimeError("fault of ours")])

    async def send(batch, target):
        for fault in faults:
            raise fault
        return await client_send(batch, target)

    bench.send = send
    await bench.put(*build_events(2))
    bench.start(lease_for=timedelta(milliseconds=30))
    await bench.until_delivered(2)
    assert bench.telemetry.told == ["delivery_failed: RuntimeError"]


async def test_closed_queue(bench):
    """A worker whose queue was closed stands still until it is stopped."""
    bench.start()
    await asyncio.sleep(0.01)
    await bench.queue.close()
    await asyncio.sleep(0.01)
    await bench.stop()
    bench.queue = TroubledQueue.open(bench.folder)


# --- stopping ---


async def test_stop_finishes_what_is_in_flight(bench):
    """Requests under way when the worker stops are answered and settled; what waits is left alone."""
    bench.emulator.arm(FaultPlan("slow", params={"ms": 30}))
    await bench.put(*build_events(5))
    bench.start(max_events=1)
    await bench.until_requests(2)
    await bench.stop()
    counts = await bench.count()
    assert (counts.delivered, counts.pending.ready, counts.pending.leased) == (2, 3, 0)
    assert bench.store.request_count == 2


async def test_stop_in_the_middle_of_a_lease(bench):
    """A lease of several batches is given back after the one that is under way."""
    bench.emulator.arm(FaultPlan("slow", params={"ms": 20}))
    await bench.put(*build_events(5))
    bench.start(max_bytes=1, batches_in_flight=1)
    await bench.until_requests(1)
    await bench.stop()
    counts = await bench.count()
    assert (counts.delivered, counts.pending.ready) == (1, 4)


async def test_stop_while_idle(bench):
    """A worker that waits for events stops at once, and leaves nothing running."""
    tasks_before = asyncio.all_tasks()
    bench.start()
    await asyncio.sleep(0.01)
    await bench.stop()
    assert asyncio.all_tasks() == tasks_before


async def test_stop_while_lingering(bench):
    """A worker that waits for a batch to fill stops at once and holds nothing."""
    await bench.put(build_new_event())
    bench.start(linger=MINUTE)
    await asyncio.sleep(0.01)
    await bench.stop()
    assert (await bench.count()).pending.ready == 1


async def test_stop_while_resting(bench):
    """A worker that backs off stops at once."""
    bench.emulator.arm(FaultPlan("service_unavailable"))
    await bench.put(build_new_event())
    bench.start(retry=SLOW)
    await bench.until(lambda counts: counts.pending.retrying == 1)
    await bench.stop()


async def test_stop_while_paused(bench):
    """A worker whose destination is paused stops at once."""
    bench.use_token(None)
    await bench.put(build_new_event())
    bench.start()
    await poll(lambda: bench.telemetry.told)
    await bench.stop()


async def test_stop_before_the_start(bench):
    """A worker that was stopped before it ran takes nothing."""
    await bench.put(build_new_event())
    bench.start().stop()
    await bench.stop()
    assert bench.sent == []


async def test_cancelled_run(bench):
    """A worker whose task is cancelled stops as one that is told to."""
    bench.emulator.arm(FaultPlan("slow", params={"ms": 20}))
    await bench.put(*build_events(3))
    bench.start(max_bytes=1, batches_in_flight=1)
    (running,) = bench.running
    await bench.until_requests(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    bench.running.clear()
    counts = await bench.count()
    assert (counts.delivered, counts.pending.ready, counts.pending.leased) == (1, 2, 0)


async def test_stop_at_any_moment(bench):
    """Stopped and started again every few moments under load, workers lose nothing and repeat nothing."""
    await bench.put(*build_events(60))
    for milliseconds in range(0, 40, 4):
        bench.start(max_events=3)
        await asyncio.sleep(milliseconds / 1000)
        await bench.stop()
        assert (await bench.count()).pending.leased == 0
    bench.start()
    await bench.until_delivered(60)
    assert bench.store.ledger.totals.repeats == 0
    assert bench.store.accepted_count == 60
