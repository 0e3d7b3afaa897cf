"""Load that lasts: more than memory holds (F14), and everything that goes wrong in a week, a fault a minute (F18)."""

import asyncio
import contextlib
import itertools
import json
import signal
import statistics
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.acceptance.processes import WRITE_KEY, drain, running, start, write_configuration
from tests.faults.harness import Load, arm, disarm, find_lost, read_memory, wait_until

_CALLS_PER_LARGE_BATCH = 2_000


@dataclass
class MemoryFigures:
    """peak: most bytes of the gateway that were in memory. queue: bytes of its file and log."""

    peak: int
    queue: int
    answers: list[int]
    pending: int


def press(folder: Path, meta_url: str, connections: int, seconds: float) -> MemoryFigures:
    """F14: so many connections send 4 MB each, while Meta takes nothing and the queue grows."""
    arm(meta_url, "service_unavailable")
    config = write_configuration(folder, meta_url)
    limits = f"[limits]\nmax_connections_per_address = {connections + 10}\nrate_limit = 0\n"
    config.write_text(limits + config.read_text())
    with running("serve", "--config", str(config), folder=folder) as gateway:
        answers = asyncio.run(_send_large_batches(gateway.announced["tracking_url"], connections, seconds))
        pending = sum(gateway.read_api("/api/ledger")["events"]["pending"].values())
        status = Path(f"/proc/{gateway.process.pid}/status").read_text()
        size = sum((folder / "data" / name).stat().st_size for name in ("queue.db", "queue.db-wal"))
    disarm(meta_url)
    return MemoryFigures(int(status.split("VmHWM:")[1].split()[0]) << 10, size, answers, pending)


def build_large_batch(connection: int) -> Iterator[bytes]:
    """The parts of a body; those of all connections are of one length."""
    yield b'{"batch":['
    for first in range(0, _CALLS_PER_LARGE_BATCH, 100):
        calls = [_build_large_call(f"large-{connection:05}-{first + each:05}") for each in range(100)]
        yield b"," * (first > 0) + json.dumps(calls, separators=(",", ":")).encode()[1:-1]
    yield b"]}"


def _build_large_call(message_id: str) -> dict[str, object]:
    return {
        "type": "track",
        "messageId": message_id,
        "userId": message_id,
        "event": "Order Completed",
        "properties": {"revenue": 5, "products": [{"product_id": f"sku-{number}"} for number in range(10)]},
        "context": {"page": {"title": "x" * 1_500}},
    }


async def _send_large_batches(url: str, connections: int, seconds: float) -> list[int]:
    """The status of each answer that came in time."""
    address = urlsplit(url)
    key = b64encode(f"{WRITE_KEY}:".encode()).decode()
    size = sum(map(len, build_large_batch(0)))
    answers: list[int] = []

    async def send(connection: int) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            head = f"Host: here\r\nAuthorization: Basic {key}\r\nContent-Length: {size}\r\n\r\n"
            writer.write(b"POST /v1/batch HTTP/1.1\r\n" + head.encode())
            with contextlib.suppress(OSError):  # refused before the end of the body
                for part in build_large_batch(connection):
                    writer.write(part)
                    await writer.drain()
            answers.append(int((await reader.readuntil(b"\r\n")).split()[1]))
            writer.close()

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(send(connection) for connection in range(connections)))
    return answers


@dataclass
class SoakFigures:
    """memory, files: of the last process, sampled every second. lags: age of the oldest event between the faults."""

    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    longest_log: int = 0
    lost: list[str] = field(default_factory=list)
    imbalance: int = 0

    @property
    def mebibytes_an_hour(self) -> float:
        """The slope of the memory after the first fifth."""
        settled = self.memory[len(self.memory) // 5 :]
        slope = statistics.linear_regression([at for at, _ in settled], [size for _, size in settled]).slope
        return slope * 3_600 / (1 << 20)

    @property
    def late(self) -> float:
        """The 99th percentile of the lags, in seconds."""
        return sorted(self.lags)[len(self.lags) * 99 // 100]


class Soak:
    """A gateway under 200 events a second, and one fault after the other."""

    def __init__(self, folder: Path, meta_url: str, fault_seconds: float) -> None:
        self._folder = folder
        self._meta_url = meta_url
        self._fault_seconds = fault_seconds
        self._config = write_configuration(folder, meta_url)
        self._numbers = count(1)
        self.figures = SoakFigures()
        self._begin()

    def run(self, seconds: float) -> SoakFigures:
        """Kill and stop it once each, then let Meta fail in turns; each time the rest of the minute must be quiet."""
        for fault in (self._kill, self._stop):
            self._suffer(fault)
        until = time.monotonic() + seconds
        self.figures.memory, self.figures.files = [], []  # from here on it is one process
        for fault in itertools.cycle((self._be_down, self._hang, self._throttle, self._poison, self._revoke)):
            if time.monotonic() > until:
                break
            self._suffer(fault)
        self._end()
        ledger = drain(self._gateway)
        self.figures.imbalance = abs(ledger["imbalance"]) + abs(ledger["dead_letter_imbalance"])
        assert self._gateway.stop() == 0
        self.figures.lost = find_lost(self.figures.acknowledged, self._meta_url, self._folder / "data")
        return self.figures

    def _begin(self) -> None:
        self._gateway = start("serve", "--config", str(self._config), folder=self._folder)
        self._load = Load(self._gateway.announced["tracking_url"], self._numbers, rest_seconds=0.1)
        self._load.start()

    def _end(self) -> None:
        """The load ends, and what it was told is noted."""
        self._load.stop()
        self.figures.acknowledged += self._load.acknowledged
        self.figures.refused += len(self._load.refusals)

    def _suffer(self, fault: Callable[[], None]) -> None:
        began = time.monotonic()
        self.figures.faults.append(fault.__name__.strip("_"))
        fault()
        disarm(self._meta_url)
        wait_until(lambda: self._read_lag() < 2, seconds=120)
        while time.monotonic() - began < self._fault_seconds:
            self.figures.lags.append(self._read_lag())
            self._look()
            time.sleep(1)

    def _look(self) -> None:
        process = self._gateway.process.pid
        self.figures.memory.append((time.monotonic(), read_memory(process)))
        self.figures.files.append(len(list(Path(f"/proc/{process}/fd").iterdir())))
        log = self._folder / "data" / "queue.db-wal"
        self.figures.longest_log = max(self.figures.longest_log, log.stat().st_size)

    def _read_lag(self) -> float:
        text = requests.get(f"{self._gateway.announced['console_url']}/metrics", timeout=10).text
        ages = [
            line.split()[-1] for line in text.splitlines() if line.startswith("signalpost_queue_oldest_age_seconds")
        ]
        return max(map(float, ages), default=0.0)

    def _kill(self) -> None:
        self._gateway.kill()
        self._end()
        self._begin()

    def _stop(self) -> None:
        assert self._gateway.stop() == 0
        self._end()
        self._begin()

    def _last(self, fault: str, **plan: object) -> None:
        arm(self._meta_url, fault, **plan)
        time.sleep(self._fault_seconds / 6)

    def _be_down(self) -> None:
        self._last("service_unavailable")

    def _hang(self) -> None:
        self._last("blackhole")

    def _throttle(self) -> None:
        self._last("throttle_429_plain", times=2)

    def _poison(self) -> None:
        ahead = next(self._numbers)
        bad = [f"fault-{number}" for number in range(ahead, ahead + 2_000, 101)]
        self._last("poison", match={"event_id": bad}, params={"as": "lead_id_invalid"})

    def _revoke(self) -> None:
        self._last("token_invalid_session")
        disarm(self._meta_url)
        self._gateway.process.send_signal(signal.SIGHUP)
