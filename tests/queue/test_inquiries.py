"""What a page asks for every two seconds stays cheap, and exact, however much is stored."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from signalpost.model.dead_letters import ALL_DEAD_LETTERS, DeadLetterFilter
from signalpost.queue import dead_letters
from signalpost.queue.balance import read_backlogs
from signalpost.queue.database import open_for_reading
from signalpost.queue.sqlite import SqliteQueue
from signalpost.queue.statistics import StatisticsReader
from tests.queue.builders import MAIN, NOON, REFUSED_BY_META, Clock, build_call, lease

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def queue(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteQueue]:
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic)
    yield queue
    await queue.close()


def count_steps(folder: Path, query: Callable[[Any], object]) -> int:
    """How many instructions SQLite's machine runs for a query, within a hundred."""
    connection, steps = open_for_reading(folder / "queue.db"), [0]

    def note() -> bool:
        steps[0] += 100
        return False

    connection.set_progress_handler(note, 100)
    query(connection)
    connection.close()
    return steps[0]


async def test_backlogs_cost_the_same_however_much_waits(tmp_path: Path, clock: Clock, queue: SqliteQueue) -> None:
    """They are read from counters: no row that waits and no dead letter is looked at."""

    def look(connection: Any) -> object:
        return read_backlogs(connection, 0, lambda _: 0)

    await queue.put([build_call() for _ in range(10)])
    await queue.dead_letter(await lease(queue, limit=5), REFUSED_BY_META)
    before = count_steps(tmp_path, look)
    await queue.put([build_call() for _ in range(5_000)])
    await queue.dead_letter(await lease(queue, limit=2_500, max_bytes=1 << 30), REFUSED_BY_META)
    assert count_steps(tmp_path, look) <= before + 200


async def test_dead_letters_are_counted_from_the_index_alone(tmp_path: Path, queue: SqliteQueue) -> None:
    """Whatever is searched for; a row has a payload beside it and lies far from the next."""
    await queue.put([build_call()])
    connection = open_for_reading(tmp_path / "queue.db")
    plan = connection.execute(f"EXPLAIN QUERY PLAN {dead_letters._COUNT}", (None,) * 7).fetchall()
    assert "COVERING INDEX" in plan[0][3]
    for where in (ALL_DEAD_LETTERS, DeadLetterFilter(event_name="Purchase", since=NOON)):
        assert dead_letters.count(connection, where) == []
    connection.close()


async def test_counters_and_rows_count_the_same_dead_letters(tmp_path: Path, clock: Clock, queue: SqliteQueue) -> None:
    """After some were rejected, requeued, discarded, given up while they waited, and forgotten for their age.

    Rows that no counter tells of are found all the same.
    """
    await queue.put([build_call() for _ in range(8)])
    await queue.dead_letter(await lease(queue, limit=6), REFUSED_BY_META)
    await queue.discard_waiting(MAIN, NOON + HOUR)
    first, second, *_ = await queue.browse_dead_letters()
    await queue.requeue([first.id])
    await queue.discard([second.id])
    connection = open_for_reading(tmp_path / "queue.db")
    by_counters = dead_letters.count(connection, ALL_DEAD_LETTERS)
    assert [(group.reason, group.count) for group in by_counters] == [("100/2804050", 4)]
    assert by_counters == dead_letters.count(connection, DeadLetterFilter(until=NOON + HOUR))
    damaging = apsw.Connection(str(tmp_path / "queue.db"))
    damaging.execute("DELETE FROM ledger")
    assert dead_letters.count(connection, ALL_DEAD_LETTERS) == by_counters
    damaging.close()
    clock.advance(timedelta(days=31))
    await queue.prune()
    assert dead_letters.count(connection, ALL_DEAD_LETTERS) == []
    connection.close()


async def test_counting_all_dead_letters_costs_the_same_however_many_there_are(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    """The first look at them reads a few pages of a file that is not in memory."""

    def look(connection: Any) -> object:
        return dead_letters.count(connection, ALL_DEAD_LETTERS)

    await queue.put([build_call() for _ in range(3_000)])
    await queue.dead_letter(await lease(queue, limit=10), REFUSED_BY_META)
    before = count_steps(tmp_path, look)
    await queue.dead_letter(await lease(queue, limit=2_000, max_bytes=1 << 30), REFUSED_BY_META)
    assert count_steps(tmp_path, look) <= before + 200


def read(reader: StatisticsReader, folder: Path, now: datetime) -> Any:
    connection = open_for_reading(folder / "queue.db")
    told = reader.read(connection, now - 24 * HOUR, now, HOUR, now=now, source_id=None, destination_id=None)
    connection.close()
    return told


async def test_what_is_remembered_is_what_would_be_read(tmp_path: Path, clock: Clock, queue: SqliteQueue) -> None:
    """Hour after hour, and within each: a reader that remembers says the same as one that has just begun."""
    remembering = StatisticsReader()
    for turn in range(60):
        await queue.put([build_call(event_name=f"name {turn % 3}") for _ in range(turn % 4 + 1)])
        if turn % 2:
            await queue.ack(await lease(queue, limit=turn % 5 + 1), None)
        clock.advance(timedelta(minutes=7))
        assert read(remembering, tmp_path, clock.now()) == read(StatisticsReader(), tmp_path, clock.now())


async def test_an_hour_is_final_some_minutes_after_its_end(tmp_path: Path, clock: Clock, queue: SqliteQueue) -> None:
    """A commit that was prepared before the full hour, and is stored after it, is counted."""
    remembering = StatisticsReader()
    clock.set_wall(NOON + timedelta(minutes=61))
    assert read(remembering, tmp_path, clock.now()).events.accepted == 0
    clock.set_wall(NOON + timedelta(minutes=59))
    await queue.put([build_call()])
    clock.set_wall(NOON + timedelta(minutes=62))
    assert read(remembering, tmp_path, clock.now()).events.accepted == 1


async def test_hours_that_are_over_are_not_read_again(tmp_path: Path, clock: Clock, queue: SqliteQueue) -> None:
    """What an open page costs does not grow with the time that it shows."""
    for _ in range(20):
        await queue.put([build_call(event_name=f"name {number}") for number in range(50)])
        clock.advance(HOUR)
    reader = StatisticsReader()

    def look(connection: Any) -> object:
        now = clock.now()
        return reader.read(connection, now - 24 * HOUR, now, HOUR, now=now, source_id=None, destination_id=None)

    first = count_steps(tmp_path, look)
    assert count_steps(tmp_path, look) < first / 5
