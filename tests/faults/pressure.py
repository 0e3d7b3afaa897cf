"""More than memory holds (F14): large batches from many connections, while nothing is delivered."""

import asyncio
import contextlib
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.acceptance.processes import WRITE_KEY, running, write_configuration
from tests.faults.harness import arm, disarm

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
