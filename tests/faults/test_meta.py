"""Faults of Meta, at the numbers of each: down (F6), hanging (F7), refusing data (F8), throttling (F9), paused (F10).
And a clock of ours that is wrong (F5), which Meta's answers show.

The worker, the queue and the sockets are real; where hours pass, the worker's and the queue's clocks are put forward.
"""

import asyncio
import itertools
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from signalpost.deliver.pace import PacePolicy
from signalpost.deliver.retry import RetryPolicy
from signalpost.deliver.worker import Worker
from signalpost.emulator.app import EmulatorSettings, RunningEmulator, running_emulator
from signalpost.emulator.faults import FaultMatch, FaultPlan
from signalpost.meta.client import MetaClient
from signalpost.model.delivery import Answer, Batch, NewEvent, Target
from signalpost.model.ids import DatasetId, DestinationId
from tests.builders import build_new_event
from tests.deliver.bench import GOOD_TOKEN, Bench, SteppedClock, find_attempts, poll, read_clock

REAL_DELAYS = RetryPolicy()
PATIENCE = 60.0
STEADY_EVENTS = 20_000
WAITING_EVENTS = 100_000


class Drain(NamedTuple):
    """How long it took to deliver so many events, by the clock and by the processor's time (Meta's included)."""

    events: int
    seconds: float
    processor_seconds: float

    @property
    def events_a_second(self) -> float:
        return self.events / self.seconds

    @property
    def events_a_processor_second(self) -> float:
        return self.events / self.processor_seconds


class SteppedBench(Bench):
    """A bench whose hours pass at once; Meta's clock is put forward too."""

    clock: SteppedClock

    def __init__(self, folder: Path, emulator: RunningEmulator, client: MetaClient) -> None:
        super().__init__(folder, emulator, client, SteppedClock())
        self.asked_at: list[float] = []

    async def _send(self, batch: Batch, target: Target) -> Answer:
        self.asked_at.append(self.clock.monotonic())
        return await super()._send(batch, target)

    async def rest(self, worker: Worker) -> None:
        """Wait until nothing is under way and the worker waits for a time to come."""
        await poll(lambda: worker.describe().batches_in_flight == 0 and self.clock.is_awaited, timeout=PATIENCE)

    async def step_until_delivered(self, count: int) -> float:
        """Let time pass from one moment that is waited for to the next; return how many seconds that took."""
        began = self.clock.monotonic()
        while (await self.count()).delivered < count:
            await asyncio.sleep(0.02)
            if self.clock.is_awaited:
                self.step()
        return self.clock.monotonic() - began

    def step(self) -> float:
        seconds = self.clock.step()
        self.emulator.state.clock.advance(seconds)
        return seconds

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.emulator.state.clock.advance(seconds)

    async def measure(self, count: int) -> Drain:
        """Wait until so many more have arrived."""
        began, used, arrived = time.monotonic(), time.process_time(), self.store.accepted_count
        await poll(lambda: self.store.accepted_count >= arrived + count, seconds=0.02, timeout=600)
        return Drain(count, time.monotonic() - began, time.process_time() - used)

    async def until_all(self, delivered: int, rejected: int = 0) -> None:
        """Wait until nothing is pending, and see that this became of everything."""
        counts = await self.until(lambda counts: counts.pending.total == 0, PATIENCE)
        assert (counts.delivered, sum(counts.rejected.values()), counts.expired) == (delivered, rejected, 0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[SteppedBench]:
    async with (
        running_emulator(EmulatorSettings(port=0, seed=1)) as emulator,
        MetaClient(emulator.url, total_seconds=1) as client,
    ):
        bench = SteppedBench(tmp_path, emulator, client)
        yield bench
        await bench.close()


def build_events(count: int, prefix: str = "event", **fields: object) -> list[NewEvent]:
    return [build_new_event(f"{prefix}-{number}", **fields) for number in range(count)]


def draw_events(count: int, of: int) -> list[str]:
    """Ids of random events; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return [f"event-{number}" for number in random.Random(seed).sample(range(of), count)]


def poison(event_ids: Sequence[str]) -> FaultPlan:
    return FaultPlan("poison", match=FaultMatch(event_id=list(event_ids)), params={"as": "contents_malformed"})


def read_accepted(bench: Bench) -> Counter[str]:
    return Counter({row.event_id: row.accepted for row in bench.store.ledger.list_rows() if row.accepted})


# --- F6: Meta is down ---


async def sit_out(bench: SteppedBench, worker: Worker, hours: float) -> None:
    """Let so many hours of an outage pass: Meta is asked every 30 seconds at most."""
    first = len(bench.asked_at)
    end = bench.clock.monotonic() + hours * 3_600
    while bench.clock.monotonic() < end:
        await bench.rest(worker)
        bench.step()
    await bench.rest(worker)
    state = worker.describe()
    assert (state.pause, state.is_breaker_open) == (None, True)
    asked_at = bench.asked_at[first:]
    waits = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    # Before the breaker opens two are under way, and the waits still grow.
    assert all(wait >= 30 for wait in waits[10:])
    assert len(asked_at) <= 10 + hours * 3_600 / 30


@pytest.mark.parametrize("trouble", ["service_unavailable", "unknown_error", "reset_before", "refused", "DNS", "TLS"])
async def test_meta_is_down(bench, trouble, monkeypatch):
    """F6: however it is down, nothing is lost or given up, and what waited is drained gently."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        addresses = {
            "refused": f"http://127.0.0.1:{unused.getsockname()[1]}",
            "DNS": "http://meta.invalid",
            "TLS": bench.emulator.url.replace("http:", "https:"),
        }
        async with MetaClient(addresses.get(trouble, bench.emulator.url), total_seconds=1) as client:
            await bench.put(*build_events(100, "before"))
            # Drawn as low as can be, only the breaker keeps the tries apart.
            worker = bench.start(retry=REAL_DELAYS, jitter=0.0)
            await bench.until_delivered(100)
            bench.advance(60)  # so that its pace of before is that of a minute
            if trouble not in addresses:
                bench.emulator.arm(FaultPlan(trouble))
            bench.send = client.send
            with monkeypatch.context() as names:
                if trouble == "DNS":
                    names.setattr(socket, "getaddrinfo", find_no_address)
                for wave in range(4):
                    await bench.put(*build_events(500, f"wave-{wave}"))
                await sit_out(bench, worker, hours=0.2)
    bench.emulator.state.faults.disarm_all()
    bench.send = bench.client.send
    bench.step()
    recovered_at = bench.clock.monotonic()
    await bench.until_all(delivered=2_100)
    # 500 a second at most from the first answer on: the last of four batches waits for the two before it.
    assert bench.clock.monotonic() - recovered_at >= 1.9
    assert set(read_accepted(bench).values()) == {1}
    assert bench.telemetry.told == []


def find_no_address(*_: object, **__: object) -> None:
    """What the system says when no name server answers."""
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


async def test_meta_is_down_for_six_hours(bench):
    """F6: 100,000 events wait for 6 hours; all arrive once, at most twice as fast as before, for hardly more work."""
    for wave in range(STEADY_EVENTS // 1_000):
        await bench.put(*build_events(1_000, f"before-{wave}"))
    worker = bench.start(retry=REAL_DELAYS)
    before = await bench.measure(STEADY_EVENTS)
    bench.emulator.arm(FaultPlan("service_unavailable"))
    for wave in range(WAITING_EVENTS // 1_000):
        await bench.put(*build_events(1_000, f"wave-{wave}"))
    await sit_out(bench, worker, hours=6)
    bench.emulator.state.faults.disarm_all()
    bench.step()
    after = await bench.measure(WAITING_EVENTS)
    print(f"before: {before}, after: {after}")
    await bench.until_all(delivered=STEADY_EVENTS + WAITING_EVENTS)
    assert after.events_a_second <= 2.1 * before.events_a_second
    # `make bench` asks for 0.8, between processes and without what else this one does.
    assert after.events_a_processor_second >= 0.6 * before.events_a_processor_second
    assert set(read_accepted(bench).values()) == {1}
    assert bench.telemetry.told == []


# --- F7: Meta hangs ---


async def test_meta_hangs(bench):
    """F7: a request ends after 10 seconds, silent or a byte a second; others are served meanwhile; nothing piles up."""
    silent, dripping, healthy = (DestinationId(name) for name in ("silent", "dripping", "healthy"))
    datasets = {silent: DatasetId("1111111111"), dripping: DatasetId("2222222222"), healthy: DatasetId("3333333333")}
    bench.emulator.arm(FaultPlan("blackhole", match=FaultMatch(dataset_id=datasets[silent])))
    drip = FaultMatch(dataset_id=datasets[dripping])
    bench.emulator.arm(FaultPlan("drip", match=drip, params={"bytes_per_second": 1}))
    durations: dict[DestinationId, list[float]] = {silent: [], dripping: []}
    workers: dict[DestinationId, Worker] = {}
    async with MetaClient(bench.emulator.url) as client:

        async def send(batch, target):
            began = bench.clock.monotonic()
            answer = await client.send(batch, target)
            if batch.destination_id in durations:
                durations[batch.destination_id].append(bench.clock.monotonic() - began)
            return answer

        bench.send = send
        for id_, dataset in datasets.items():
            bench.use_token(GOOD_TOKEN, id_)
            if id_ != healthy:
                await bench.put(*build_events(100, id_, destination_id=id_, dataset_id=dataset))
            workers[id_] = bench.start(id_, max_events=10)
        await poll(lambda: [workers[id_].describe().batches_in_flight for id_ in durations] == [2, 2])
        tasks, files = len(asyncio.all_tasks()), count_open_files()
        for wave in range(20):
            fields = {"destination_id": healthy, "dataset_id": datasets[healthy]}
            await bench.put(*build_events(10, f"wave-{wave}", **fields))
            await bench.until_delivered(10 * wave + 10)
        assert durations == {silent: [], dripping: []}, "all were served before the first request was given up"
        assert workers[healthy].describe().consecutive_failures == 0
        await poll(lambda: min(map(len, durations.values())) >= 3, timeout=PATIENCE)
        assert all(9.5 <= seconds < 13 for seconds in itertools.chain(*durations.values()))
        assert len(asyncio.all_tasks()) <= tasks + 10
        assert count_open_files() <= files + 10
        bench.emulator.state.faults.disarm_all()
        await bench.until_all(delivered=400)


def count_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# --- F8: events that Meta refuses ---


@pytest.mark.parametrize(("bad", "most_requests"), [(1, 21), (5, 101)])
async def test_poison(bench, bad, most_requests):
    """F8: bad events of 1,000 become dead letters, all others are delivered once, and the search is short."""
    bad_ids = draw_events(bad, of=1_000)
    bench.emulator.arm(poison(bad_ids))
    await bench.put(*build_events(1_000))
    bench.start(max_events=1_000)
    await bench.until_all(delivered=1_000 - bad, rejected=bad)
    assert bench.store.request_count <= most_requests
    assert {letter.event_id for letter in await bench.queue.browse_dead_letters()} == set(bad_ids)
    accepted = read_accepted(bench)
    assert (len(accepted), set(accepted.values()), accepted.keys() & set(bad_ids)) == (1_000 - bad, {1}, set())
    assert bench.telemetry.told == []


async def test_everything_is_poison(bench):
    """F8: when all of 1,000 are refused delivery pauses within 39 requests, and no event is given up."""
    bench.emulator.arm(FaultPlan("contents_malformed"))
    await bench.put(*build_events(1_000))
    bench.start(max_events=1_000)
    await poll(lambda: bench.telemetry.told, timeout=PATIENCE)
    counts = await bench.until(lambda counts: counts.pending.leased == 0, PATIENCE)
    assert (counts.pending.ready, counts.rejected) == (1_000, {})
    assert bench.store.request_count <= 39
    assert bench.telemetry.told == ["paused: systemic_rejection"]


@pytest.mark.parametrize("interrupted_at", [1, 5, 12])
async def test_retry_does_not_search_again(bench, interrupted_at):
    """F8: a search that an outage interrupts goes on with its parts: one more request, for the one that failed."""
    bench.emulator.arm(FaultPlan("service_unavailable", skip=interrupted_at, times=1))
    bench.emulator.arm(poison(draw_events(1, of=1_000)))
    await bench.put(*build_events(1_000))
    bench.start(max_events=1_000, batches_in_flight=1)
    await bench.until_all(delivered=999, rejected=1)
    assert [len(batch.events) for batch in bench.sent].count(1_000) == 1
    assert bench.store.request_count <= 21 + 1


# --- F9: Meta asks for slower calls ---


@pytest.mark.parametrize(
    ("row", "wait_seconds"),
    [
        ("throttle_429_empty", 60),
        ("throttle_429_plain", 7),
        ("throttle_app", 60),
        ("throttle_user", 100),
        ("throttle_page", 60),
        ("throttle_613", 60),
        ("throttle_80004", 19 * 60),
    ],
)
async def test_throttling(bench, row, wait_seconds):
    """F9: nothing is sent for as long as Meta says, else for a minute; no attempt is charged, nothing is lost."""
    bench.emulator.arm(FaultPlan(row))
    await bench.put(*build_events(50))
    worker = bench.start(max_events=10, batches_in_flight=1, retry=REAL_DELAYS)
    await bench.until_requests(1)
    await bench.rest(worker)
    (request,) = bench.store.requests
    assert (request.status, bench.store.request_count) == (429 if "429" in row else 400, 1)
    state = worker.describe()
    assert (state.pause, state.is_breaker_open) == (None, False)
    bench.emulator.state.faults.disarm_all()
    assert bench.step() == pytest.approx(wait_seconds, abs=5)
    await bench.until_all(delivered=50)
    assert {attempts for batch in bench.sent for attempts in find_attempts(batch)} == {0}


async def test_throttling_with_two_in_flight(bench):
    """F9: sending stops with the batches that are under way already."""
    bench.emulator.arm(FaultPlan("throttle_app"))
    await bench.put(*build_events(50))
    worker = bench.start(max_events=10, retry=REAL_DELAYS)
    await bench.until_requests(1)
    await bench.rest(worker)
    assert bench.store.request_count <= 2
    bench.emulator.state.faults.disarm_all()
    bench.step()
    await bench.until_all(delivered=50)


@pytest.mark.parametrize(("usage", "is_silent"), [(79, False), (80, False), (94, False), (95, True), (100, True)])
async def test_usage(bench, usage, is_silent):
    """F9: from 80 % of a limit on the pace is halved, from 95 % on nothing is sent for a minute."""
    usage_header = f'{{"call_count":{usage},"total_time":1,"total_cputime":1}}'
    bench.emulator.arm(FaultPlan("usage", params={"headers": {"X-App-Usage": usage_header}}, times=1))
    await bench.put(*build_events(50))
    worker = bench.start(max_events=10, batches_in_flight=1, retry=REAL_DELAYS, pace=PacePolicy(rate_limit=1_000))
    await bench.until_delivered(10)
    if is_silent:
        await bench.rest(worker)
        assert bench.store.request_count == 1
        assert bench.step() == pytest.approx(60, abs=5)
    await bench.until_all(delivered=50)
    limit = worker.describe().events_per_second
    assert limit == (1_000 if usage < 80 else pytest.approx(500 + 100 * is_silent, abs=10))


# --- F10: the destination is at fault ---


@pytest.mark.parametrize(
    ("row", "reason", "probe_seconds"),
    [
        ("token_invalid_session", "token", 10),
        ("permission_denied_200", "permission", 10),
        ("object_not_found", "dataset", 10),
        ("policy_blocked", "blocked", 3_600),
    ],
)
async def test_destination_is_refused(bench, row, reason, probe_seconds):
    """F10: paused after one failure and one probe, with one alarm; nothing is given up; a new token delivers it all."""
    bench.emulator.arm(FaultPlan(row))
    await bench.put(*build_events(50))
    worker = bench.start(max_events=10, batches_in_flight=1, retry=REAL_DELAYS)
    await bench.until_requests(1)
    await bench.rest(worker)
    assert bench.step() == pytest.approx(probe_seconds, abs=5)
    await bench.until_requests(2)
    await bench.put(*build_events(10, "meanwhile"))
    pause = worker.describe().pause
    assert (pause.reason, [request.event_count for request in bench.store.requests]) == (reason, [10, 0])
    counts = await bench.count()
    assert (counts.pending.ready, counts.rejected) == (60, {})
    # A blocked account may be unblocked by itself, and is asked again; for the others only a change helps.
    await poll(lambda: (worker.describe().pause.next_probe_at is not None) == (reason == "blocked"))
    assert bench.telemetry.told == [f"paused: {reason}"]
    bench.emulator.state.faults.disarm_all()
    bench.use_token(GOOD_TOKEN)
    async with asyncio.timeout(5):
        await bench.until_all(delivered=60)
    assert bench.telemetry.told == [f"paused: {reason}", "resumed"]
    assert {attempts for batch in bench.sent for attempts in find_attempts(batch)} == {0}


async def test_block_that_is_lifted(bench):
    """F10: a blocked account is asked each hour, and delivery goes on by itself when the block is lifted."""
    bench.emulator.arm(FaultPlan("policy_blocked"))
    await bench.put(*build_events(5))
    worker = bench.start(retry=REAL_DELAYS, batches_in_flight=1)
    for hour in range(4):
        await bench.until_requests(1 + hour)
        await bench.rest(worker)
        assert bench.step() > timedelta(minutes=59).total_seconds()
    await bench.until_requests(5)
    await bench.rest(worker)
    bench.emulator.state.faults.disarm_all()
    bench.step()
    await bench.until_all(delivered=5)
    assert bench.telemetry.told == ["paused: blocked", "resumed"]


# --- F5: the clock is wrong ---

_WRONG_CLOCKS = {
    "a second back, as at a leap second": timedelta(seconds=-1),
    "an hour ahead": timedelta(hours=1),
    "an hour back": timedelta(hours=-1),
    "8 days ahead": timedelta(days=8),
    "8 days back": timedelta(days=-8),
    "1970": datetime(1970, 1, 2, tzinfo=UTC) - datetime.now(UTC),
}


@pytest.mark.parametrize("meta_is_down", [False, True])
@pytest.mark.parametrize("wrong", _WRONG_CLOCKS.values(), ids=_WRONG_CLOCKS)
async def test_wrong_clock(bench, wrong, meta_is_down):
    """F5: nothing expires and nothing is given up by a wrong clock, and once it is right everything goes on."""
    if meta_is_down:
        bench.emulator.arm(FaultPlan("service_unavailable", times=1))
    bench.clock.read_now = lambda: read_clock() + wrong
    await bench.put(*build_events(50))
    worker = bench.start(max_events=10, batches_in_flight=1, retry=REAL_DELAYS)
    await bench.until_requests(1)
    if meta_is_down or abs(wrong) > timedelta(minutes=5):  # only an answer of Meta shows that our clock is wrong
        await bench.rest(worker)
        assert bench.telemetry.told == ["paused: clock_skew"] * (not meta_is_down)
    counts = await bench.count()
    assert (counts.expired, counts.rejected) == (0, {})
    bench.clock.read_now = read_clock  # and what a clock ahead has put off is due now
    async with asyncio.timeout(PATIENCE):
        assert await bench.step_until_delivered(50) < 15 * 60
    await bench.until_all(delivered=50)
