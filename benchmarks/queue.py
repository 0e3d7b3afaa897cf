"""How the queue bears what waits in it: cost per event, memory, the way back after an outage, and an idle gateway.

Cost: processor time of put, lease and ack, all threads of this process, with nothing, 100 thousand and 5 million events
waiting. Turns alternate between the three stores, so that a machine that slows down slows them alike.
Memory, outage, idleness: a real gateway process, with the emulator for Meta; the kernel counts what it uses. The load
comes as fast as it is answered, before, during and after the outage, so that what waits competes with what comes in.

A missed aim makes the exit code 1. A shorter run: --depths 0,100000 --turns 20 --waiting 100000 --seconds 5
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import NoReturn

import aiohttp
import msgspec

from benchmarks.machine import describe_machine
from benchmarks.processes import Running, open_session, running, write_configuration
from benchmarks.sample_events import build_call
from signalpost.data_folder import DataFolder
from signalpost.mapping.destinations import build_destination
from signalpost.mapping.mapper import map_event
from signalpost.model.delivery import AcceptedCall, NewEvent
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DestinationId, MessageId, SourceId
from signalpost.model.results import Mapped
from signalpost.model.segment_event import RequestContext, SegmentEvent, parse_call
from signalpost.queue.sqlite import SqliteQueue

COST_AIM, MEMORY_AIM, DRAIN_AIM, IDLE_AIM, IDLE_MEMORY_AIM = 1.25, 300, 0.8, 0.01, 120
CALLS_PER_PUT, EVENTS_PER_LEASE, CALLS_PER_FILLING, CONNECTIONS = 100, 500, 2_500, 8
DESTINATION = DestinationId("pixel")  # as `processes.CONFIGURATION` names it


def build_accepted_calls() -> Iterator[AcceptedCall]:
    """Calls without end, each mapped to one event of some 1.1 KB; their ids tell them apart."""
    now = datetime.now(UTC)
    context = RequestContext(received_at=now, new_message_id=str, call_type=None)
    call = parse_call(build_call(1, now.isoformat()), context)
    destination = build_destination("facebook-conversions-api", {"pixel_id": "1234567890"})
    mapped = map_event(call, destination)[0] if isinstance(call, SegmentEvent) else None
    if not isinstance(mapped, Mapped):
        raise TypeError(call)
    event = mapped.server_event
    keys, expires_at = event.user_data.find_present(), event.event_time + 7 * 86_400
    for number in count():
        name = f"waiting-{number:012d}"
        payload = msgspec.structs.replace(event, event_id=name).to_json()
        new = NewEvent(
            destination_id=DESTINATION,
            dataset_id=mapped.dataset_id,
            event_name=event.event_name,
            event_id=name,
            event_time=event.event_time,
            expires_at=expires_at,
            payload=payload,
            match_keys=keys,
        )
        yield AcceptedCall(SourceId("bench"), MessageId(name), now, (new,))


class Store:
    """A queue with events in it, and what turns of put, lease and ack on top of them cost."""

    def __init__(self, folder: Path) -> None:
        self._queue = SqliteQueue.open(folder)
        self._calls = build_accepted_calls()
        self.turns: list[float] = []

    async def fill(self, waiting: int) -> None:
        """Put so many events, in the largest requests there are."""
        for start in range(0, waiting, CALLS_PER_FILLING):
            await self._queue.put(list(islice(self._calls, min(CALLS_PER_FILLING, waiting - start))))

    async def take_turn(self) -> None:
        """Put 500 events in requests of 100, lease the 500 that wait longest, settle them."""
        requests = [list(islice(self._calls, CALLS_PER_PUT)) for _ in range(EVENTS_PER_LEASE // CALLS_PER_PUT)]
        began = time.process_time()
        await asyncio.gather(*(self._queue.put(calls) for calls in requests))
        leased = await self._queue.lease(
            DESTINATION, limit=EVENTS_PER_LEASE, max_bytes=2 << 20, lease_for=timedelta(60), linger=timedelta(0)
        )
        await self._queue.ack(leased, "trace")
        self.turns.append((time.process_time() - began) / len(leased))

    async def measure_count(self) -> str:
        """How long it takes to count and check the ledger, in words."""
        began = time.perf_counter()
        try:
            await self._queue.counts()
        except QueueUnavailable:
            return "too much to count at once"
        return f"counted and checked in {(time.perf_counter() - began) * 1_000:,.0f} ms"

    async def close(self) -> None:
        """Let go of the file."""
        await self._queue.close()


async def measure_cost(folder: Path, depths: Sequence[int], turns: int) -> bool:
    """Print the cost per event at each depth; True when they are alike."""
    async with AsyncExitStack() as stack:
        stores: dict[int, Store] = {}
        for depth in depths:
            data = folder / str(depth)
            data.mkdir()
            stores[depth] = store = Store(data)
            stack.push_async_callback(store.close)
            await store.fill(depth)
        for _ in range(turns):
            for store in stores.values():
                await store.take_turn()
        costs = {depth: sum(store.turns) / turns * 1e6 for depth, store in stores.items()}
        for depth, store in stores.items():
            counted = await store.measure_count()
            print(f"  cost           {costs[depth]:>8.1f} µs an event with {depth:>9,} waiting, {counted}", flush=True)
    ratio = max(costs.values()) / min(costs.values())
    told = f"{ratio:>8.2f} times as much at the dearest depth as at the cheapest"
    return _judge("cost", told, f"at most {COST_AIM}", is_met=ratio <= COST_AIM)


async def measure_idle(folder: Path, seconds: float) -> bool:
    """Print what a gateway uses that nobody calls; True when it is little."""
    async with running("emulator", "--port", "0") as meta:
        file = write_configuration(folder, meta.said["url"])
        async with running("serve", "--config", str(file)) as gateway:
            await asyncio.sleep(2)  # what the start leaves to do
            before = gateway.read_processor_seconds()
            await asyncio.sleep(seconds)
            share = (gateway.read_processor_seconds() - before) / seconds
            mebibytes = gateway.read_mebibytes()
    told = f"{share:>8.2%} of a core over {seconds:g} s, {mebibytes:.0f} MiB"
    aim = f"under {IDLE_AIM:.0%} and {IDLE_MEMORY_AIM} MiB"
    return _judge("idle", told, aim, is_met=share < IDLE_AIM and mebibytes < IDLE_MEMORY_AIM)


async def measure_memory(folder: Path, waiting: int, seconds: float) -> bool:
    """Print the most that a gateway ever held: it starts with so much waiting, takes more, and delivers in the end."""
    with DataFolder(folder / "data") as data:
        store = Store(data.path)
        await store.fill(waiting)
        await store.close()
    async with running("emulator", "--port", "0") as meta:
        file = write_configuration(folder, meta.said["url"])
    async with running("serve", "--config", str(file)) as gateway:  # Meta is down
        async with _load(gateway):
            await asyncio.sleep(seconds)
        pending, in_outage = await gateway.count_pending(), gateway.read_mebibytes()
        async with running("emulator", "--port", meta.port):
            await gateway.resume()
            async with _load(gateway):
                await asyncio.sleep(seconds)
            most = gateway.read_mebibytes("VmHWM")
    told = f"{in_outage:>8.0f} MiB with {pending:,} waiting, {most:.0f} MiB at most while they drained"
    return _judge("memory", told, f"under {MEMORY_AIM} MiB", is_met=most < MEMORY_AIM)


async def measure_drain(folder: Path, seconds: float) -> bool:
    """Print how fast events are delivered before an outage and after it, under one load; True when about alike."""
    async with AsyncExitStack() as before, AsyncExitStack() as stack:
        meta = await before.enter_async_context(running("emulator", "--port", "0"))
        file = write_configuration(folder, meta.said["url"])
        gateway = await stack.enter_async_context(running("serve", "--config", str(file)))
        await stack.enter_async_context(_load(gateway))
        await asyncio.sleep(3)
        steady = await _measure_rates(gateway, seconds)
        await before.aclose()
        await asyncio.sleep(seconds)
        waiting = await gateway.count_pending()
        await stack.enter_async_context(running("emulator", "--port", meta.port))
        await gateway.resume()
        drain = await _measure_rates(gateway, seconds)
    ratio = drain.delivered / steady.delivered
    told = (
        f"{ratio:>8.2f} of the {steady.delivered:,.0f} events/s before the outage, with {waiting:,} waiting; accepted "
    )
    told += f"{steady.accepted:,.0f}/s before, {drain.accepted:,.0f}/s after; taken and delivered for each second of "
    told += f"processor time {steady.handled:,.0f} before, {drain.handled:,.0f} after"
    return _judge("drain", told, f"at least {DRAIN_AIM}", is_met=ratio >= DRAIN_AIM)


@dataclass(frozen=True, slots=True)
class _Rates:
    """Events delivered and accepted in a second; handled: both together in a second of the gateway's processor time."""

    delivered: float
    accepted: float
    handled: float


async def _measure_rates(gateway: Running, seconds: float) -> _Rates:
    """From now on."""
    began, used, before = time.perf_counter(), gateway.read_processor_seconds(), await gateway.read_counts()
    await asyncio.sleep(seconds)
    after, used, took = (
        await gateway.read_counts(),
        gateway.read_processor_seconds() - used,
        time.perf_counter() - began,
    )
    delivered, accepted = after["delivered"] - before["delivered"], after["accepted"] - before["accepted"]
    return _Rates(delivered / took, accepted / took, (delivered + accepted) / used)


@asynccontextmanager
async def _load(gateway: Running) -> AsyncIterator[None]:
    """Calls that come as fast as they are answered, until the block ends."""
    numbers = count(time.time_ns())  # never sent before
    async with open_session() as session, asyncio.TaskGroup() as senders:
        tasks = [senders.create_task(_send(session, gateway, numbers)) for _ in range(CONNECTIONS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _send(session: aiohttp.ClientSession, gateway: Running, numbers: Iterator[int]) -> NoReturn:
    while True:
        timestamp = datetime.now(UTC).isoformat()
        batch = [build_call(number, timestamp) for number in islice(numbers, CALLS_PER_PUT)]
        body = msgspec.json.encode({"batch": batch})
        async with session.post(f"{gateway.said['tracking_url']}/v1/batch", data=body) as response:
            response.raise_for_status()


def _judge(name: str, told: str, aim: str, *, is_met: bool) -> bool:
    print(f"  {name:<14} {told} (aim: {aim}){'' if is_met else '   MISSED'}", flush=True)
    return is_met


async def _run(depths: Sequence[int], turns: int, waiting: int, seconds: float) -> bool:
    print("Queue: what waits in it must not slow it down")
    print(f"  machine        {describe_machine()}; client, gateway and emulator share it", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        is_cheap = await measure_cost(Path(folder), depths, turns)
    with tempfile.TemporaryDirectory() as folder:
        is_small = await measure_memory(Path(folder), waiting, seconds)
    with tempfile.TemporaryDirectory() as folder:
        is_quick = await measure_drain(Path(folder), seconds)
    with tempfile.TemporaryDirectory() as folder:
        is_idle = await measure_idle(Path(folder), seconds)
    return is_cheap and is_small and is_quick and is_idle


def main() -> None:
    """Run and print; exit 1 when an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", default="0,100000,5000000", help="events that wait while the cost is measured")
    parser.add_argument("--turns", type=int, default=60, help="turns of 500 events at each depth")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="events that wait while memory is measured")
    parser.add_argument("--seconds", type=float, default=20, help="how long each phase with a gateway lasts")
    given = parser.parse_args()
    depths = [int(depth) for depth in given.depths.split(",")]
    sys.exit(0 if asyncio.run(_run(depths, given.turns, given.waiting, given.seconds)) else 1)


if __name__ == "__main__":
    main()
