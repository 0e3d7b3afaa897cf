"""How fast the console is over a full store, what an open page costs, and whether open pages slow ingest down.

The store holds a million events (--events for less; --store keeps the folder and uses it again): waiting, delivered and
dead letters of three days, put there through the queue itself. The gateway is a process of its own and shares the
machine with this client. Nothing is delivered: the destinations have no token.

Pages: time until the first byte of the answer, of a signed-in browser. Idle: processor time of the gateway while a page
is open that asks again as htmx does. Ingest: p99 of single calls at a fixed rate with and without three open pages,
in pairs of runs one after the other; the median of the pairs' ratios counts.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.filled_store import DESTINATIONS, SOURCES, fill_store
from benchmarks.machine import describe_machine
from benchmarks.sample_events import build_call

EVENTS: Final = 1_000_000
ASKED: Final = 15
IDLE_SECONDS: Final = 15
PAIRS, RUN_SECONDS, CALLS_PER_SECOND = 5, 12, 300
WRITE_KEY: Final = "wk_bench_0123456789abcdef"
PASSWORD: Final = "four words make one"  # noqa: S105 - of a gateway that lives for a minute

PAGES: Final = (
    "/overview",
    "/delivery",
    "/delivery?period=1h",
    "/delivery?period=14d",
    "/delivery?destination=pixel",
    "/delivery/trend?period=14d",
    "/delivery/ledger",
    "/delivery?code=400&reason=100/2804050",
    "/dead-letters",
    "/dead-letters?destination=pixel&within=24h",
    "/dead-letters?event_name=Lead",
    "/debugger",
    "/tester",
    "/welcome",
    "/sources",
    "/sources/website",
    "/destinations",
    "/destinations/pixel",
    "/destinations/new",
    "/users",
    "/audit",
    "/export",
    "/docs",
    "/metrics",
    "/api/ledger",
    "/api/dead-letters",
    "/api/dead-letters/groups",
)
OPEN_PAGES: Final = {
    "Overview": (("/overview", 2.0), ("/delivery/trend?period=1h", 10.0)),
    "Delivery": (
        ("/delivery/now?period=1h", 2.0),
        ("/delivery/trend?period=1h", 10.0),
        ("/delivery/ledger?period=1h", 30.0),
    ),
    "Debugger": (("/debugger/calls", 1.0),),
}
"""What each page asks again while it is open, and every how many seconds, unless the answer itself tells when."""

_UNCHANGED: Final = 204
_SEEN: Final = re.compile(r"[?&;]seen=([^\"&]+)")
_HEAD: Final = 1_000
"""Characters in which an answer says how it is asked for again."""
_EVERY: Final = re.compile(r'hx-trigger="every (\d+)s"')

CONFIGURATION: Final = """
[server]
host = "127.0.0.1"
port = 0
console_port = 0
data_dir = "{folder}"
[limits]
rate_limit = 0
"""
SOURCE: Final = """
[[sources]]
name = "{name}"
write_keys = ["{key}"]
destinations = ["{destination}"]
"""
DESTINATION: Final = """
[[destinations]]
name = "{name}"
type = "facebook-conversions-api"
pixel_id = "1234567890"
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs over the full store, and a browser that is signed in."""

    pid: int
    tracking_url: str
    console_url: str
    browser: aiohttp.ClientSession

    def read_processor_seconds(self) -> float:
        """Processor time that the gateway has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def get(self, path: str) -> float:
        """Ask for a page; seconds until its first byte."""
        began = time.perf_counter()
        async with self.browser.get(self.console_url + path, allow_redirects=False) as response:
            taken = time.perf_counter() - began
            await response.read()
            if response.status != 200:
                raise RuntimeError(f"{path}: {response.status}")
        return taken

    async def read(self, path: str) -> str:
        """Ask again for the part of a page that changes, as htmx does; "" when it is what was seen."""
        async with self.browser.get(self.console_url + path, headers={"HX-Request": "true"}) as response:
            if response.status not in {200, _UNCHANGED}:
                raise RuntimeError(f"{path}: {response.status}")
            return await response.text()


@asynccontextmanager
async def _running(file: Path) -> AsyncIterator[Gateway]:
    command = [sys.executable, "-m", "signalpost", "serve", "--config", str(file), "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        announced = json.loads(await process.stdout.readline())  # type: ignore[union-attr]
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept": "text/html"}) as browser:
            await _sign_in(browser, announced)
            yield Gateway(process.pid, announced["tracking_url"], announced["console_url"], browser)
    finally:
        process.terminate()
        await process.wait()


async def _sign_in(browser: aiohttp.ClientSession, announced: dict[str, Any]) -> None:
    """Make the first account, or sign in to it when the folder is used again."""
    url, account = announced["console_url"], {"name": "bench", "password": PASSWORD}
    path, setup = "/sign-in", announced.get("setup_url")
    if setup:
        path, account["token"] = "/setup", setup.split("token=")[1]
    async with browser.post(url + path, data=account, headers={"Origin": url}, allow_redirects=False) as answer:
        if answer.status != 303:
            raise RuntimeError(f"{path}: {answer.status}")


async def _measure_pages(gateway: Gateway) -> None:
    print(
        f"  pages          ms to the first byte: median, worst of {ASKED} (aim: under 100); processor ms of the gateway"
    )
    worst: dict[str, float] = {}
    for path in PAGES:
        before = gateway.read_processor_seconds()
        times = sorted([await gateway.get(path) * 1_000 for _ in range(ASKED)])
        used = (gateway.read_processor_seconds() - before) / ASKED * 1_000
        worst[path] = times[-1]
        print(f"    {path:<46} {statistics.median(times):>7.1f} {times[-1]:>7.1f} {used:>7.1f}")
    print(f"    {'slowest':<46} {'':>7} {max(worst.values()):>7.1f}         {max(worst, key=worst.__getitem__)}")


async def _keep_open(gateway: Gateway, requests: Sequence[tuple[str, float]]) -> None:
    """Ask again as an open page does, until cancelled."""

    async def ask(path: str, every: float) -> None:
        seen = ""
        while True:
            text = await gateway.read(f"{path}?seen={seen}" if seen else path)
            if found := _SEEN.search(text[:_HEAD]):
                seen = found[1]
            if found := _EVERY.search(text[:_HEAD]):
                every = float(found[1])
            await asyncio.sleep(every)

    await asyncio.gather(*(ask(path, every) for path, every in requests))


async def _measure_idle(gateway: Gateway) -> None:
    async def measure(requests: Sequence[tuple[str, float]]) -> float:
        page = asyncio.create_task(_keep_open(gateway, requests))
        await asyncio.sleep(2.5)
        before = gateway.read_processor_seconds()
        await asyncio.sleep(IDLE_SECONDS)
        used = gateway.read_processor_seconds() - before
        page.cancel()
        await asyncio.gather(page, return_exceptions=True)
        return used / IDLE_SECONDS

    alone = await measure(())
    print(f"  idle           {alone:>6.2%} of a core without a page; an open page adds (aim: under 1 %)")
    for name, requests in OPEN_PAGES.items():
        print(f"    {name:<14} {await measure(requests) - alone:>6.2%}")


async def _send(gateway: Gateway, session: aiohttp.ClientSession, number: int, due: float) -> float:
    """Send one call when it is due; seconds from then to its answer, however late it could be sent."""
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await asyncio.sleep(max(0, due - time.perf_counter()))
    async with session.post(f"{gateway.tracking_url}/v1/track", json=build_call(number, timestamp)) as answer:
        if answer.status != 200:
            raise RuntimeError(await answer.text())
    return time.perf_counter() - due


async def _measure_p99(gateway: Gateway, numbers: Iterator[int], *, pages_open: bool) -> float:
    requests = [request for page in OPEN_PAGES.values() for request in page] if pages_open else []
    pages = asyncio.create_task(_keep_open(gateway, requests))
    await asyncio.sleep(1)
    count, began = RUN_SECONDS * CALLS_PER_SECOND, time.perf_counter() + 0.1
    async with aiohttp.ClientSession(headers={"X-Write-Key": WRITE_KEY}) as session:
        due = (began + number / CALLS_PER_SECOND for number in range(count))
        taken = await asyncio.gather(*(_send(gateway, session, next(numbers), at) for at in due))
    pages.cancel()
    await asyncio.gather(pages, return_exceptions=True)
    return sorted(taken)[int(count * 0.99)]


async def _measure_ingest(gateway: Gateway) -> None:
    numbers = itertools.count(time.time_ns() // 1_000_000)
    await _measure_p99(gateway, numbers, pages_open=False)  # warm
    pairs = []
    for pair in range(PAIRS):
        # Each order in its turn: what a run leaves behind must not count for one side.
        order = (pair % 2 == 0, pair % 2 == 1)
        taken = {is_open: await _measure_p99(gateway, numbers, pages_open=is_open) for is_open in order}
        alone, beside = taken[False] * 1e3, taken[True] * 1e3
        pairs.append((alone, beside))
        print(f"    pair {pair + 1}         p99 {alone:>6.1f} ms alone, {beside:>6.1f} ms with pages")
    ratio = statistics.median(beside / alone for alone, beside in pairs)
    print(f"  ingest         p99 with three open pages: {ratio:.2f} of that without (aim: at most 1.20)")


async def _run(events: int, store: Path, only: str) -> None:
    print("The console over a full store")
    print(f"  machine        {describe_machine()}; the client shares it")
    data = store / "data"
    if not (data / "queue.db").exists():
        data.mkdir(mode=0o700, parents=True)
        began = time.perf_counter()
        became = await fill_store(data, events, datetime.now(UTC))
        told = ", ".join(f"{count:,} {words}" for words, count in became.items())
        print(f"  store          {events:,} events: {told}; filled in {time.perf_counter() - began:.0f} s")
    file = store / "signalpost.toml"
    sources = zip(SOURCES, (WRITE_KEY, *(f"{WRITE_KEY}{n}" for n in range(9))), DESTINATIONS, strict=False)
    file.write_text(
        CONFIGURATION.format(folder=data)
        + "".join(SOURCE.format(name=name, key=key, destination=destination) for name, key, destination in sources)
        + "".join(DESTINATION.format(name=name) for name in DESTINATIONS)
    )
    async with _running(file) as gateway:
        for part, measure in (("pages", _measure_pages), ("idle", _measure_idle), ("ingest", _measure_ingest)):
            if only in {"", part}:
                await measure(gateway)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--store", type=Path, help="a folder that keeps the store, or has one")
    parser.add_argument("--only", choices=("pages", "idle", "ingest"), default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(given.events, given.store or Path(folder), given.only))


if __name__ == "__main__":
    main()
