"""How fast the tracking API is: single calls and batches, durable before the answer, beside a bare Starlette route.

The bare route reads the body and answers: what it does in a second is what the server and the machine allow. Both run
in a process of their own and share the machine with this client. Nothing is delivered: the destination has no token.

Growth: the same with ten million ids in the dedupe window and a million events that wait (--ids, --events for less).
"""

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.machine import describe_machine
from benchmarks.processes import PIXEL, WRITE_KEY, Running, running, running_module, write_configuration
from benchmarks.sample_events import build_call

SINGLE_CALLS, BATCHES, CALLS_PER_BATCH = 20_000, 300, 100
BATCH_CONNECTIONS = 16
IDS, WAITING_EVENTS = 10_000_000, 1_000_000
DIGESTS_PER_ROW = 1_000
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Run:
    """Requests answered in a second, and how long each took, in seconds, sorted."""

    rate: float
    latencies: Sequence[float]

    def describe(self, per_request: int = 1) -> str:
        """The rate and two percentiles."""
        p50, p99 = (self.latencies[int(len(self.latencies) * part)] * 1_000 for part in (0.5, 0.99))
        return f"{self.rate * per_request:>9,.0f}/s   p50 {p50:>6.1f} ms   p99 {p99:>6.1f} ms"


class _Connection(asyncio.Protocol):
    """Sends one request after the other, each when the one before is answered."""

    def __init__(self, requests: list[bytes], latencies: list[float], ended: asyncio.Future[None]) -> None:
        self._requests, self._latencies, self._ended = requests, latencies, ended
        self._answer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b"}"):
            return
        if not self._answer.startswith(b"HTTP/1.1 200"):
            self._ended.set_exception(RuntimeError(self._answer.decode()))
            self._transport.close()
            return
        self._latencies.append(time.perf_counter() - self._began)
        self._answer = b""
        self._send()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _send(self) -> None:
        if not self._requests:
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(self._requests.pop())  # type: ignore[attr-defined]


async def _measure(url: str, requests: list[bytes], connections: int) -> Run:
    host, port = url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    count, latencies = len(requests), list[float]()
    began = time.perf_counter()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(lambda end=end: _Connection(requests, latencies, end), host, int(port))
    await asyncio.gather(*ends)
    if len(latencies) != count:
        raise RuntimeError(f"{count - len(latencies)} requests were not answered")
    return Run(count / (time.perf_counter() - began), sorted(latencies))


def _build_request(path: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nX-Write-Key: {WRITE_KEY}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content


class Calls:
    """Calls that were never sent before."""

    def __init__(self) -> None:
        self._next = 0
        self._timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def build(self, count: int) -> list[dict[str, Any]]:
        """The next `count` of them."""
        first, self._next = self._next, self._next + count
        return [build_call(number, self._timestamp) for number in range(first, self._next)]

    def build_singles(self) -> list[bytes]:
        """Requests with one call each."""
        return [_build_request("/v1/track", call) for call in self.build(SINGLE_CALLS)]

    def build_batches(self, batches: int = BATCHES, size: int = CALLS_PER_BATCH) -> list[bytes]:
        """Requests with many."""
        return [_build_request("/v1/batch", {"batch": self.build(size)}) for _ in range(batches)]


async def _run(ids: int, events: int) -> None:
    calls = Calls()
    print("Tracking API: durable before the answer")
    print(f"  machine        {describe_machine()}; the client shares it")
    bare: dict[int, Run] = {}
    async with running_module("benchmarks.tracking", "--bare") as route:
        await _measure(route.said["url"], calls.build_singles()[:2_000], 32)  # warm
        for connections in (32, 128):
            bare[connections] = await _measure(route.said["url"], calls.build_singles(), connections)
            print(f"  bare route     {bare[connections].describe()}   {connections} connections")
    with tempfile.TemporaryDirectory() as folder:
        serve = ("serve", "--config", str(write_configuration(Path(folder), NOWHERE, PIXEL)))
        async with running(*serve) as gateway:
            await _measure(gateway.said["tracking_url"], calls.build_singles()[:2_000], 32)
            for connections in (32, 128):
                run = await _measure(gateway.said["tracking_url"], calls.build_singles(), connections)
                share = run.rate / bare[connections].rate
                told = f"{connections} connections, {share:.2f} of the bare route (aims: 5,000/s, 0.40)"
                print(f"  single calls   {run.describe()}   {told}")
            empty = await _measure_batches(gateway, calls)
            print(f"  batches of 100 {empty.describe(CALLS_PER_BATCH)}   events (aim: 20,000/s)")
            await _measure(gateway.said["tracking_url"], calls.build_batches(events // 2_500, 2_500), 4)
        _fill_window(Path(folder) / "data" / "queue.db", ids)
        async with running(*serve) as gateway:
            await _measure(gateway.said["tracking_url"], calls.build_singles()[:2_000], 32)
            full = await _measure_batches(gateway, calls)
    print(
        f"  the same with {ids:,} ids and {events:,} events waiting: {full.describe(CALLS_PER_BATCH)}, "
        f"{full.rate / empty.rate:.2f} of an empty store's (aim: 0.70)"
    )


async def _measure_batches(gateway: Running, calls: Calls) -> Run:
    runs = [await _measure(gateway.said["tracking_url"], calls.build_batches(), BATCH_CONNECTIONS) for _ in range(3)]
    return sorted(runs, key=lambda run: run.rate)[1]


def _fill_window(file: Path, ids: int) -> None:
    """Put random ids into the dedupe log, as if so many calls had come today. The gateway is not running."""
    now_ms = int(time.time() * 1_000)
    database = sqlite3.connect(file)
    with database:
        rows = ((now_ms, os.urandom(16 * DIGESTS_PER_ROW)) for _ in range(ids // DIGESTS_PER_ROW))
        database.executemany("INSERT INTO dedupe_keys (seen_at, digests) VALUES (?, ?)", rows)
    database.close()


def _serve_bare() -> None:
    """A route that reads the body and answers."""

    async def answer(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({"success": True})

    bound = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"url": f"http://127.0.0.1:{bound.getsockname()[1]}"}), flush=True)
    app = Starlette(routes=[Route("/v1/track", answer, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")).run(sockets=[bound])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bare", action="store_true", help="serve the bare route")
    parser.add_argument("--ids", type=int, default=IDS)
    parser.add_argument("--events", type=int, default=WAITING_EVENTS)
    given = parser.parse_args()
    if given.bare:
        _serve_bare()
    else:
        uvloop.run(_run(given.ids, given.events))


if __name__ == "__main__":
    main()
