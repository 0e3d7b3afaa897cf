"""What 200 means: the log was synced before (F2b); when that fails the answer is 503, and the process ends (F2c)."""

import asyncio
import json
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from signalpost.config.reading import read_config
from signalpost.service import running_service
from tests.acceptance.processes import WRITE_KEY, Program, drain, running, write_configuration
from tests.deliver.bench import poll
from tests.faults.harness import Load, build_call, find_lost
from tests.queue.observed_vfs import Observer, Operation, Sync, observed

# `signalpost`, on a disk that fails at the 100th sync of the log.
_ON_A_FAILING_DISK = """
import apsw, sys
from signalpost.cli import main
from tests.queue.observed_vfs import Observer, Sync, observed

class FailingSync(Observer):
    syncs = 0

    def see(self, operation):
        self.syncs += operation == Sync("queue.db-wal")
        if self.syncs >= 100:
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)

with observed(FailingSync()):
    main()
"""


class HeldSyncs(Observer):
    """Holds up each sync of the log on demand. done: how many have returned."""

    def __init__(self) -> None:
        self._may_sync, self.is_held = threading.Event(), threading.Event()
        self._may_sync.set()
        self.done = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """While entered no sync returns; `is_held` is set when one has begun."""
        self._may_sync.clear()
        self.is_held.clear()
        try:
            yield
        finally:
            self._may_sync.set()

    def see(self, operation: Operation) -> None:
        if operation == Sync("queue.db-wal") and not self._may_sync.is_set():
            self.is_held.set()
            self._may_sync.wait(30)

    def saw_sync(self, sync: Sync) -> None:
        self.done += sync == Sync("queue.db-wal")


async def test_answer_waits_for_the_sync(tmp_path: Path):
    """F2b: in 100 of 100 requests not a byte of the answer comes before the sync of the log has returned."""
    syncs = HeldSyncs()
    config = write_configuration(tmp_path, "http://127.0.0.1:9")
    config.write_text(config.read_text().replace("linger_seconds = 0.05", "linger_seconds = 60"))  # only puts sync
    with observed(syncs):
        async with running_service(read_config(config)) as service, Client(service.tracking_url) as client:
            before = syncs.done
            for number in range(100):
                with syncs.held():
                    await client.send(build_call(number))
                    await poll(syncs.is_held.is_set, timeout=10)
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(client.reader.read(1), 0.003)
                assert await client.read_status() == 200
                assert syncs.done == before + number + 1, "what was held was the sync of an earlier request"


class Client:
    """One connection, and requests of one call each."""

    reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    async def __aenter__(self) -> Self:
        self.reader, self._writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def send(self, call: object) -> None:
        body = json.dumps(call).encode()
        key = b64encode(f"{WRITE_KEY}:".encode()).decode()
        head = f"Host: here\r\nAuthorization: Basic {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(b"POST /v1/track HTTP/1.1\r\n" + head.encode() + body)
        await self._writer.drain()

    async def read_status(self) -> int:
        """The status of the next answer, which is read to its end."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)).decode().lower()
        await self.reader.readexactly(int(head.split("content-length:")[1].split()[0]))
        return int(head.split()[1])


def test_failing_sync_ends_the_process(tmp_path: Path, meta_url: str) -> None:
    """F2c: 503 to whoever waits, exit 70; the next start recovers by itself, with all that was acknowledged."""
    config = write_configuration(tmp_path, meta_url)
    command = [sys.executable, "-c", _ON_A_FAILING_DISK, "serve", "--config", str(config), "--json"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        gateway = Program(process, json.loads(process.stdout.readline()))
        load = Load(gateway.announced["tracking_url"], count(1))
        load.start()
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # without effect on one that has ended, as it should have
            load.stop()
    assert (process.returncode, "IOError" in errors) == (70, True)
    assert {answer.status_code for answer in load.refusals} <= {503}
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        ledger = drain(gateway)
    assert len(load.acknowledged) > 100
    assert find_lost(load.acknowledged, meta_url, tmp_path / "data") == []
    assert (ledger["imbalance"], ledger["dead_letter_imbalance"]) == (0, 0)
