"""F2, power loss: a queue works while its disk is recorded; then what the disk may hold after a cut is opened.

What was synced is there. Of what was not, any part may be: whole writes, or 512-byte or 4-KiB pieces of them.
"""

import asyncio
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import Clock, build_call, get_event_ids, lease
from tests.queue.observed_vfs import FileName, Observer, Operation, Sync, Truncation, Write, observed

_PUTTERS = 4
_PIECES = (512, 4_096, 1 << 20)


class PutAnswered(NamedTuple):
    """The caller was told that these are stored."""

    event_ids: tuple[str, ...]


class SettlingBegun(NamedTuple):
    """From here on these may be settled."""

    event_ids: tuple[str, ...]


class SettlingAnswered(NamedTuple):
    """The caller was told that these are settled."""

    event_ids: tuple[str, ...]


Entry = Operation | PutAnswered | SettlingBegun | SettlingAnswered


class Recording(Observer):
    """What was done to the files from some moment on, in order, and how they were then."""

    def __init__(self) -> None:
        self.is_running = False
        self.files: dict[FileName, bytes] = {}
        self.entries: list[Entry] = []

    def start(self, folder: Path) -> None:
        """Begin, with files that are synced."""
        self.files = {"queue.db": (folder / "queue.db").read_bytes(), "queue.db-wal": _read(folder / "queue.db-wal")}
        self.is_running = True

    def see(self, operation: Operation) -> None:
        if self.is_running and not isinstance(operation, Sync):
            self.entries.append(operation)

    def saw_sync(self, sync: Sync) -> None:
        if self.is_running:
            self.entries.append(sync)


class Image(NamedTuple):
    """What the disk may hold after a cut, and what had been promised by then.

    waiting: acknowledged, and nobody had begun to settle it. settled: the settling was acknowledged.
    """

    files: dict[FileName, bytes]
    put: frozenset[str]
    waiting: frozenset[str]
    settled: frozenset[str]


async def record(folder: Path, requests: int) -> Recording:
    """Put events and settle half of them, with several callers at a time."""
    recording, clock = Recording(), Clock()
    with observed(recording):
        queue = SqliteQueue.open(folder, now=clock.now, monotonic=clock.monotonic)
        recording.start(folder)

        async def put(putter: int) -> None:
            for number in range(requests // _PUTTERS):
                ids = tuple(f"event-{putter}-{number}-{part}" for part in range(5))
                await queue.put([build_call(id_, payload=id_.encode() * 20) for id_ in ids])
                recording.entries.append(PutAnswered(ids))

        async def settle() -> None:
            for _ in range(requests // 2):
                events = await lease(queue, limit=5)
                ids = tuple(get_event_ids(events))
                recording.entries.append(SettlingBegun(ids))
                await queue.ack(events, None)
                recording.entries.append(SettlingAnswered(ids))

        async with asyncio.timeout(120):
            await asyncio.gather(*(put(putter) for putter in range(_PUTTERS)), settle())
        recording.is_running = False
        await queue.close()
    return recording


def build_images(recording: Recording, count: int, chance: random.Random) -> Iterator[Image]:
    """As many images, cut right before a sync, when most is at stake, or anywhere."""
    entries = recording.entries
    syncs = [position for position, entry in enumerate(entries) if isinstance(entry, Sync)]
    cuts = sorted(chance.choice(syncs) if number % 2 else chance.randrange(len(entries)) for number in range(count))
    durable = {name: bytearray(content) for name, content in recording.files.items()}
    unsynced: dict[FileName, list[Write | Truncation]] = {name: [] for name in durable}
    put, begun, settled = set[str](), set[str](), set[str]()
    position = 0
    for cut in cuts:
        for entry in entries[position:cut]:
            match entry:
                case Write() | Truncation():
                    unsynced[entry.file].append(entry)
                case Sync(file):
                    _apply(durable[file], unsynced[file])
                    unsynced[file].clear()
                case PutAnswered(ids):
                    put.update(ids)
                case SettlingBegun(ids):
                    begun.update(ids)
                case SettlingAnswered(ids):
                    settled.update(ids)
        position = cut
        files = {name: _lose_some(durable[name], unsynced[name], chance) for name in durable}
        yield Image(files, frozenset(put), frozenset(put - begun), frozenset(settled))


async def find_damage(image: Image, folder: Path) -> list[str]:
    """Open an image and say what is wrong with it; nothing, as it should be."""
    _write(image.files, folder)
    damage: list[str] = []
    connection = apsw.Connection(str(folder / "queue.db"))
    if connection.pragma("integrity_check") != "ok":
        damage.append("integrity_check")
    connection.close()
    clock = Clock()
    queue = SqliteQueue.open(folder, now=clock.now, monotonic=clock.monotonic, on_trouble=damage.append)
    ledger = await queue.counts()
    pending = ledger.events.pending.total
    found = set(get_event_ids(await lease(queue, limit=1_000_000, max_bytes=1 << 30))) if pending else set()
    await queue.close()
    shutil.rmtree(folder)
    if ledger.imbalance or ledger.dead_letter_imbalance:
        damage.append("imbalance")
    if ledger.events.accepted < len(image.put) or ledger.events.delivered < len(image.settled):
        damage.append("counts")
    if image.waiting - found:
        damage.append(f"lost: {sorted(image.waiting - found)[:3]}")
    if image.settled & found:
        damage.append(f"settled and waiting again: {sorted(image.settled & found)[:3]}")
    return damage


async def cut_power(folder: Path, images: int, seed: int) -> list[str]:
    """What is wrong with the images of one recording."""
    chance = random.Random(seed)
    recorded = folder / "recorded"
    recorded.mkdir()
    damage: list[str] = []
    recording = await record(recorded, requests=200)
    for number, image in enumerate(build_images(recording, images, chance)):
        damage += [f"image {number}: {each}" for each in await find_damage(image, folder / f"image-{number}")]
    return damage


def _lose_some(durable: bytearray, unsynced: Sequence[Write | Truncation], chance: random.Random) -> bytes:
    content = bytearray(durable)
    share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    for operation in unsynced:
        if isinstance(operation, Truncation):
            if chance.random() < share:
                _apply(content, [operation])
            continue
        piece = chance.choice(_PIECES)
        for start in range(0, len(operation.content), piece):
            if chance.random() < share:
                part = operation.content[start : start + piece]
                _apply(content, [Write(operation.file, operation.offset + start, part)])
    return bytes(content)


def _apply(content: bytearray, operations: Sequence[Write | Truncation]) -> None:
    for operation in operations:
        if isinstance(operation, Truncation):
            del content[operation.size :]
            continue
        content.extend(bytes(max(0, operation.offset - len(content))))
        content[operation.offset : operation.offset + len(operation.content)] = operation.content


def _write(files: Mapping[FileName, bytes], folder: Path) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""
