"""Faults of the disk: power is lost (F2), writes and syncs fail or find no room (F2c), bytes have changed (F4)."""

import asyncio
import itertools
import random
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from signalpost.model.errors import QueueUnavailable
from signalpost.queue import upkeep
from signalpost.queue.sqlite import SqliteQueue
from tests.faults.damage import flip_bytes
from tests.faults.power_loss import cut_power
from tests.queue.builders import Clock, build_call, get_event_ids, lease
from tests.queue.observed_vfs import Observer, Operation, Sync, Write, observed

IMAGES = 200
DAMAGES = 5


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a disk: the syncs that count are those that SQLite asks for."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoint often, so that a short test sees many."""
    monkeypatch.setattr(upkeep, "_PAGES_BETWEEN_CHECKPOINTS", 40)


async def test_power_loss(folder: Path):
    """F2: whatever a disk may hold after a cut is a sound queue, with everything that was acknowledged."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    assert await cut_power(folder, IMAGES, seed) == []


async def test_flipped_bytes(folder: Path):
    """F4: a changed bit or a page of rubbish: nothing wrong is ever sent, and `recover` saves what is whole."""
    first = random.randrange(2**16)
    print(f"seed {first}")
    assert await flip_bytes(folder, range(first, first + DAMAGES)) == []


class FailingDisk(Observer):
    """Fails once, at the n-th operation of a kind from `start` on."""

    def __init__(self, code: int, kind: type[Operation], at: int) -> None:
        self._code, self._kind, self._left = code, kind, at
        self.is_running = False
        self.has_failed = False

    def see(self, operation: Operation) -> None:
        if self.is_running and isinstance(operation, self._kind):
            self._left -= 1
            if self._left == 0:
                self.has_failed = True
                raise apsw.exception_for(self._code)


@pytest.mark.parametrize(
    ("code", "kind", "is_fatal"),
    [
        (apsw.SQLITE_IOERR_FSYNC, Sync, True),
        (apsw.SQLITE_IOERR_WRITE, Write, True),
        (apsw.SQLITE_FULL, Write, False),
    ],
    ids=["sync", "write", "full"],
)
async def test_failing_disk(folder: Path, code: int, kind: type[Operation], is_fatal: bool):
    """F2c: at whichever operation, nothing is acknowledged that isn't stored; only a full disk lets the queue go on."""
    for at in itertools.count(1):
        (folder / str(at)).mkdir()
        disk = FailingDisk(code, kind, at)
        await work_on_a_failing_disk(folder / str(at), disk, is_fatal=is_fatal)
        if not disk.has_failed:
            break
    print(f"{at - 1} operations")
    assert at > 10


async def work_on_a_failing_disk(folder: Path, disk: FailingDisk, *, is_fatal: bool) -> None:
    """Put and settle until the disk fails, and a little longer; then see what a fresh queue finds."""
    aborted = threading.Event()
    put, refused, begun, settled = set[str](), set[str](), set[str](), set[str]()
    clock = Clock()
    with observed(disk):
        queue = SqliteQueue.open(
            folder, now=clock.now, monotonic=clock.monotonic, abort=aborted.set, on_trouble=lambda _: None
        )
        disk.is_running = True
        for number in range(6):
            message_id = f"m{number}"
            try:
                refused.add(message_id)
                await queue.put([build_call(message_id, payload=bytes(9_000))])
                refused.remove(message_id)
                put.add(message_id)
                if number % 2:
                    events = await lease(queue, limit=1)
                    begun.update(get_event_ids(events))
                    await queue.ack(events, None)
                    settled.update(get_event_ids(events))
            except QueueUnavailable:
                continue
        if disk.has_failed and is_fatal:
            assert await asyncio.to_thread(aborted.wait, 10)
            with pytest.raises(QueueUnavailable):
                await queue.put([build_call("too late")])
        else:
            assert not aborted.is_set()
            # Room again: what was refused is taken when it is sent again.
            assert not any((await queue.put([build_call(message_id) for message_id in sorted(refused)])).is_duplicate)
            put |= refused
        disk.is_running = False
        await queue.close()
    fresh = SqliteQueue.open(folder, now=clock.now, monotonic=clock.monotonic)
    ledger = await fresh.counts()
    waiting = set(get_event_ids(await lease(fresh))) if ledger.events.pending.total else set()
    await fresh.close()
    # Of what was refused or being settled when the disk failed, nothing is known and nothing was promised.
    assert put - begun <= waiting <= (put | refused) - settled
    assert (ledger.imbalance, ledger.events.rejected) == (0, {})
