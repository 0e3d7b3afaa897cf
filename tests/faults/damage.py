"""F4, flipped bytes: a stopped queue is damaged in one place, then started, and then recovered."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import apsw

from signalpost.model.errors import SignalpostError
from signalpost.queue.recovery import recover
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import Clock, build_call, lease

EVENTS = 400
_LEAF = 0x0D
"""A page that holds rows; SQLite finds no way past a lost inner one, nor does `recover`."""

Place = Literal["payload", "page", "log", "header"]
PLACES: tuple[Place, ...] = get_args(Place)
Files = Mapping[str, bytes]


class Outcome(NamedTuple):
    """What became of the 400 events.

    wrong: payloads that were sent and never put, at once or after `recover`. refused: why the queue did not start or
    could not be read. recovered: how many `recover` saved; None when it refused the file.
    """

    sent: int
    corrupt_rows: int
    refused: str | None
    recovered: int | None
    wrong: int


def build_payload(number: int) -> bytes:
    return b'{"event_id":"m%d","filler":"%s"}' % (number, b"x" * 400)


_PUT = {build_payload(number) for number in range(EVENTS)}


async def write_stopped_queue(folder: Path) -> tuple[Files, Files]:
    """The file after an orderly stop; and the files after a crash, when everything is still in the log."""
    queue = SqliteQueue.open(folder, now=Clock().now)
    for first in range(0, EVENTS, 40):
        await queue.put([build_call(f"m{n}", payload=build_payload(n)) for n in range(first, first + 40)])
    crashed = {name: (folder / name).read_bytes() for name in ("queue.db", "queue.db-wal")}
    await queue.close()
    return {"queue.db": (folder / "queue.db").read_bytes()}, crashed


def damage(stopped: Files, crashed: Files, place: Place, seed: int) -> Files:
    """Change one bit, or for a page with rows all of its bytes."""
    chance = random.Random(seed)
    if place == "log":
        log = bytearray(crashed["queue.db-wal"])
        log[chance.randrange(32, len(log))] ^= 1 << chance.randrange(8)
        return {**crashed, "queue.db-wal": bytes(log)}
    content = bytearray(stopped["queue.db"])
    match place:
        case "payload":
            start = content.index(b'"event_id":"m%d"' % chance.randrange(100, EVENTS))
            content[start + chance.randrange(30, 400)] ^= 1 << chance.randrange(8)
        case "page":
            start = chance.choice([at for at in range(4096, len(content), 4096) if content[at] == _LEAF])
            content[start : start + 4096] = chance.randbytes(4096)
        case "header":
            content[chance.randrange(100)] ^= 1 << chance.randrange(8)
    return {"queue.db": bytes(content)}


async def start_and_recover(files: Files, folder: Path) -> Outcome:
    """What the queue sends and says, and what `recover` saves."""
    wrong = sent = corrupt_rows = 0
    refused = None
    _write(files, folder / "started")
    try:
        sent, wrong, corrupt_rows = await _send_all(folder / "started")
    except (SignalpostError, apsw.Error) as error:
        refused = f"{type(error).__name__}: {error}"
    _write(files, folder / "damaged")
    _write({}, folder / "saved")
    try:
        recover(folder / "damaged" / "queue.db", folder / "saved" / "queue.db")
    except SignalpostError:
        return Outcome(sent, corrupt_rows, refused, None, wrong)
    recovered, wrong_after, _ = await _send_all(folder / "saved")
    return Outcome(sent, corrupt_rows, refused, recovered, wrong + wrong_after)


def find_objection(place: Place, outcome: Outcome) -> str | None:
    """What should not have come of damage there, or None."""
    is_right = {
        "payload": (outcome.sent, outcome.corrupt_rows, outcome.recovered) == (EVENTS - 1, 1, EVENTS - 1),
        # A page holds a few events; SQLite refuses what it can't read, and `recover` leaves that out.
        "page": (outcome.recovered or 0) > EVENTS * 3 // 4,
        # What comes after the damage in the log is as if it had never been written; the rest is whole.
        "log": outcome.sent + outcome.corrupt_rows == EVENTS or outcome.sent % 40 == 0,
        "header": outcome.sent == EVENTS or outcome.refused is not None,
    }[place]
    return None if is_right and not outcome.wrong else f"{place}: {outcome}"


async def flip_bytes(folder: Path, seeds: range) -> list[str]:
    """What should not have come of the damage, for each place and seed."""
    (folder / "sound").mkdir()
    stopped, crashed = await write_stopped_queue(folder / "sound")
    objections = []
    for place in PLACES:
        for seed in seeds:
            outcome = await start_and_recover(damage(stopped, crashed, place, seed), folder / place / str(seed))
            objections.append(find_objection(place, outcome))
    return [objection for objection in objections if objection is not None]


async def _send_all(folder: Path) -> tuple[int, int, int]:
    """How many payloads are sent, how many of them were never put, and how many events end as damaged."""
    queue = SqliteQueue.open(folder, now=Clock().now, on_trouble=lambda _: None)
    try:
        pending = (await queue.counts()).events.pending.total
        sent = []
        with contextlib.suppress(TimeoutError):  # the ledger counts events, and the damaged table shows none
            async with asyncio.timeout(2 if pending else 0):
                sent = [event.payload for event in await lease(queue, limit=1_000, max_bytes=10 << 20)]
        rejected = (await queue.counts()).events.rejected
    finally:
        await queue.close()
    corrupt_rows = sum(count for code, count in rejected.items() if "corrupt_row" in code)
    return len(sent), len(set(sent) - _PUT), corrupt_rows


def _write(files: Files, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
