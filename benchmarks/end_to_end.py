"""How fast the whole gateway is: batches over HTTP, mapped, durable, delivered to the emulator, settled.

Three processes share the machine: this client, the gateway and the emulator that stands for Meta. The clock runs from
the first request until the ledger shows every event as delivered; an event that is missing or repeated at the emulator
fails the run. By default one round of as many events as the aim asks of a minute; --events 40000 --rounds 3 is quick.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from benchmarks.machine import describe_machine
from benchmarks.processes import Running, open_session, running, write_configuration
from benchmarks.sample_events import build_call

AIM, SUSTAINED_SECONDS = 8_000, 60
CALLS_PER_REQUEST = 100
CONNECTIONS = 8


def _build_bodies(start: int, events: int) -> list[bytes]:
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [
        json.dumps({"batch": [build_call(first + number, timestamp) for number in range(CALLS_PER_REQUEST)]}).encode()
        for first in range(start, start + events, CALLS_PER_REQUEST)
    ]


async def _send(session: aiohttp.ClientSession, url: str, bodies: list[bytes], latencies: list[float]) -> None:
    while bodies:
        body = bodies.pop()
        began = time.perf_counter()
        async with session.post(url, data=body) as response:
            answer = await response.json()
        if answer.get("accepted") != CALLS_PER_REQUEST:
            raise RuntimeError(answer)
        latencies.append(time.perf_counter() - began)


async def _wait_until_delivered(gateway: Running, count: int) -> None:
    while True:
        if (await gateway.read_counts())["delivered"] >= count:
            return
        await asyncio.sleep(0.05)


Round = tuple[float, float, list[float]]
"""Events delivered and accepted in a second; how long each request took, in seconds."""


async def _measure(session: aiohttp.ClientSession, gateway: Running, number: int, events: int) -> Round:
    bodies, latencies = _build_bodies(number * events, events), list[float]()
    began = time.perf_counter()
    url = f"{gateway.said['tracking_url']}/v1/batch"
    await asyncio.gather(*(_send(session, url, bodies, latencies) for _ in range(CONNECTIONS)))
    accepted = time.perf_counter() - began
    await _wait_until_delivered(gateway, (number + 1) * events)
    return events / (time.perf_counter() - began), events / accepted, latencies


async def _run(events: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running("emulator", "--port", "0") as meta:
            file = write_configuration(Path(folder), meta.said["url"])
            async with running("serve", "--config", str(file)) as gateway, open_session() as session:
                measured = [await _measure(session, gateway, number, events) for number in range(rounds)]
                most = gateway.read_mebibytes("VmHWM")
                async with session.get(f"{meta.said['url']}/_emulator/ledger?limit=1") as response:
                    totals = (await response.json())["totals"]
    if (totals["accepted"], totals["repeats"]) != (rounds * events, 0):
        raise RuntimeError(totals)
    _report(measured, events, most)


def _report(rounds: list[Round], events: int, mebibytes: float) -> None:
    latencies = sorted(latency for _, _, each in rounds for latency in each)
    print("End to end: HTTP batches -> mapped -> durable -> delivered to the emulator -> settled")
    print(f"  machine     {describe_machine()}; client, gateway and emulator share it")
    median = f"median of {len(rounds)} rounds of " if len(rounds) > 1 else ""
    print(f"  method      {median}{events:,} orders, {CALLS_PER_REQUEST} a request, {CONNECTIONS} connections")
    rate = statistics.median(rate for rate, _, _ in rounds)
    print(f"  delivered   {rate:>8,.0f} events/s for {events / rate:.0f} s   aim: {AIM:,} or more")
    print(f"  accepted    {statistics.median(rate for _, rate, _ in rounds):>8,.0f} events/s")
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    print(f"  answered    {p50 * 1000:>8,.0f} ms median, {p99 * 1000:,.0f} ms p99 for a request of {CALLS_PER_REQUEST}")
    print(f"  memory      {mebibytes:>8,.0f} MiB at most, of the gateway")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=AIM * SUSTAINED_SECONDS, help="in a round, a multiple of 100")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    asyncio.run(_run(given.events, given.rounds))


if __name__ == "__main__":
    main()
