"""What a look at the queue costs when much waits: steps of SQLite's machine are counted, so no clock is needed."""

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from signalpost.queue.balance import read_ledger
from signalpost.queue.database import open_for_reading
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import MAIN, NOON, Clock, build_call

NOW_MS = to_milliseconds(NOON)


def count_everything(connection: apsw.Connection, destination_id: str | None = None) -> None:
    read_ledger(connection, destination_id=destination_id, source_id=None, since_minute=None, now_ms=NOW_MS, leased=0)


async def count_steps(folder: Path, look: Callable[[apsw.Connection], object]) -> int:
    """How many tens of steps a look takes."""
    steps = 0

    def note() -> bool:
        nonlocal steps
        steps += 1
        return False

    connection = open_for_reading(folder / "queue.db")
    connection.set_progress_handler(note, 10)
    look(connection)
    connection.close()
    return steps


@pytest.mark.parametrize(
    ("look", "steps_for_each"),
    [
        (count_everything, 0),
        (lambda connection: count_everything(connection, MAIN), 3),
    ],
    ids=["all", "one destination"],
)
async def test_a_look_costs_little_however_much_waits(
    tmp_path: Path, look: Callable[[apsw.Connection], object], steps_for_each: int
):
    """The whole ledger is checked without reading a waiting event; that of one destination from an index."""
    clock = Clock()
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic)
    await queue.put([build_call() for _ in range(10)])
    few = await count_steps(tmp_path, look)
    await queue.put([build_call() for _ in range(2_000)])
    many = await count_steps(tmp_path, look)
    await queue.close()
    assert (many - few) * 10 <= 2_000 * steps_for_each + 100
