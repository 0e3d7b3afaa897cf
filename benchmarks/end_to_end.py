"""How fast the whole gateway is: batches over HTTP, mapped, durable, delivered to the emulator, settled.

Three processes share the machine: this client, the gateway and the emulator that stands for Meta. The clock runs from
the first request until the ledger shows every event as delivered; an event that is missing or repeated at the emulator
fails the run.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.machine import describe_machine
from benchmarks.sample_events import build_call
from signalpost.control_client import control_client

EVENTS = 40_000
CALLS_PER_REQUEST = 100
CONNECTIONS = 8
ROUNDS = 3
AIM = 5_000
WRITE_KEY = "wk_bench_0123456789abcdef"

CONFIGURATION = """
[server]
host = "127.0.0.1"
port = 0
console_port = 0
data_dir = "{folder}/data"
[meta]
base_url = "{meta_url}"
[[sources]]
name = "bench"
write_keys = ["{write_key}"]
destinations = ["pixel"]
[[destinations]]
name = "pixel"
type = "facebook-conversions-api"
pixel_id = "1234567890"
access_token = "EMULATOR_TOKEN"
"""


@asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[dict[str, Any]]:
    command = [sys.executable, "-m", "signalpost", *arguments, "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        yield json.loads(await process.stdout.readline())  # type: ignore[union-attr]
    finally:
        process.terminate()
        await process.wait()


def _build_bodies(start: int) -> list[bytes]:
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    calls = [build_call(number, timestamp) for number in range(start, start + EVENTS)]
    return [
        json.dumps({"batch": calls[first : first + CALLS_PER_REQUEST]}).encode()
        for first in range(0, EVENTS, CALLS_PER_REQUEST)
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


async def _wait_until_delivered(gateway: dict[str, Any], count: int) -> None:
    while True:
        async with control_client(Path(gateway["data_dir"])) as control:
            ledger = await control.get("/api/ledger")
        if ledger["events"]["delivered"] >= count:
            return
        await asyncio.sleep(0.05)


Round = tuple[float, float, list[float]]
"""Events delivered and accepted in a second; how long each request took, in seconds."""


async def _measure(session: aiohttp.ClientSession, gateway: dict[str, Any], number: int) -> Round:
    bodies, latencies = _build_bodies(number * EVENTS), list[float]()
    began = time.perf_counter()
    senders = (_send(session, f"{gateway['tracking_url']}/v1/batch", bodies, latencies) for _ in range(CONNECTIONS))
    await asyncio.gather(*senders)
    accepted = time.perf_counter() - began
    await _wait_until_delivered(gateway, (number + 1) * EVENTS)
    return EVENTS / (time.perf_counter() - began), EVENTS / accepted, latencies


async def _run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with _running("emulator", "--port", "0") as meta:
            file = Path(folder) / "signalpost.toml"
            file.write_text(CONFIGURATION.format(folder=folder, meta_url=meta["url"], write_key=WRITE_KEY))
            async with (
                _running("serve", "--config", str(file)) as gateway,
                aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth(WRITE_KEY, "")}) as session,
            ):
                rounds = [await _measure(session, gateway, number) for number in range(ROUNDS)]
                async with session.get(f"{meta['url']}/_emulator/ledger?limit=1") as response:
                    totals = (await response.json())["totals"]
    if (totals["accepted"], totals["repeats"]) != (ROUNDS * EVENTS, 0):
        raise RuntimeError(totals)
    _report(rounds)


def _report(rounds: list[Round]) -> None:
    latencies = sorted(latency for _, _, each in rounds for latency in each)
    print("End to end: HTTP batches -> mapped -> durable -> delivered to the emulator -> settled")
    print(f"  machine     {describe_machine()}; client, gateway and emulator share it")
    method = f"{EVENTS:,} orders, {CALLS_PER_REQUEST} a request, {CONNECTIONS} connections"
    print(f"  method      median of {ROUNDS} rounds of {method}")
    print(f"  delivered   {statistics.median(rate for rate, _, _ in rounds):>8,.0f} events/s   aim: {AIM:,} or more")
    print(f"  accepted    {statistics.median(rate for _, rate, _ in rounds):>8,.0f} events/s")
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    print(f"  answered    {p50 * 1000:>8,.0f} ms median, {p99 * 1000:,.0f} ms p99 for a request of {CALLS_PER_REQUEST}")


def main() -> None:
    """Run and print."""
    asyncio.run(_run())


if __name__ == "__main__":
    main()
