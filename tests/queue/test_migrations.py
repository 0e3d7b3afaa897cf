"""Upgrades keep the queue: stored files of released schemas are opened, their counts stay, and a copy is kept.

`golden/queue-schema-<n>.db.gz` was written by the program that had this schema. It holds events that wait, retry, were
delivered, rejected, requeued, expired and filtered, of two sources and destinations.
"""

import gzip
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from signalpost.failpoints import EXIT_CODE
from signalpost.queue.migrations import SCHEMA
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import MAIN, NOON, OTHER, Clock, build_call, lease

_GOLDEN = Path(__file__).parent / "golden"

# Opens the queue of a folder, and dies in the middle of its upgrade.
_UPGRADING_PROCESS = """
import asyncio, os, sys
from pathlib import Path
from signalpost import failpoints
from signalpost.queue.sqlite import SqliteQueue

async def upgrade():
    failpoints.arm(os.environ)
    SqliteQueue.open(Path(sys.argv[1]))

asyncio.run(upgrade())
"""


def unpack(folder: Path, schema: int) -> bytes:
    content = gzip.decompress((_GOLDEN / f"queue-schema-{schema}.db.gz").read_bytes())
    (folder / "queue.db").write_bytes(content)
    return content


def die_in_an_upgrade(folder: Path) -> int:
    environment = {**os.environ, "SIGNALPOST_TESTING": "1", "SIGNALPOST_FAILPOINT": "in_migration:1"}
    command = [sys.executable, "-c", _UPGRADING_PROCESS, str(folder)]
    return subprocess.run(command, env=environment, check=False).returncode


def open_queue(folder: Path) -> SqliteQueue:
    clock = Clock()
    clock.advance(timedelta(minutes=3))
    return SqliteQueue.open(folder, now=clock.now, monotonic=clock.monotonic)


def test_every_released_schema_is_stored():
    """There is a file of each schema before the newest."""
    assert sorted(file.name for file in _GOLDEN.iterdir()) == [f"queue-schema-{n}.db.gz" for n in range(1, SCHEMA)]


async def check_counts_of_schema_1(queue: SqliteQueue) -> None:
    """What the program of schema 1 printed of this file, with the reasons that only the newer one tells."""
    ledger = await queue.counts()
    calls, events = ledger.calls, ledger.events
    assert (calls.received, calls.accepted, calls.duplicate, calls.invalid) == (16, 14, 1, {"id_required": 1})
    assert (events.accepted, events.delivered, events.expired, events.filtered) == (14, 3, 1, {"NO_DESTINATION": 1})
    assert events.rejected == {"400/100/2804050": 1, "MESSAGE_REJECTED/missing_value": 1}
    assert (events.pending.ready, events.pending.leased, events.pending.retrying) == (5, 0, 2)
    assert (ledger.imbalance, ledger.dead_letters, ledger.dead_letter_imbalance) == (0, 2, 0)


async def test_schema_1_goes_on(tmp_path: Path):
    """After the upgrade every count is the same, over time too, and every kind of row can be worked with."""
    unpack(tmp_path, 1)
    queue = open_queue(tmp_path)
    await check_counts_of_schema_1(queue)
    told = await queue.read_statistics(NOON, NOON + timedelta(hours=1), timedelta(hours=1))
    assert (told.events.accepted, told.events.delivered, told.by_destination[OTHER].accepted) == (14, 3, 1)
    assert (await queue.put([build_call("m0")])).is_duplicate == (True,)
    (meta_refused,) = [letter for letter in await queue.browse_dead_letters() if letter.code == "400"]
    assert (await queue.requeue([meta_refused.id])).requeued == 1
    await queue.ack(await lease(queue, MAIN), None)
    await queue.prune()
    ledger = await queue.counts()
    assert (ledger.events.delivered, ledger.imbalance, ledger.dead_letter_imbalance) == (8, 0, 0)
    await queue.close()


async def test_copy_is_made_before_and_upgrading_again_does_nothing(tmp_path: Path):
    """The copy beside the queue has the old schema and the same rows; the next start makes no other."""
    unpack(tmp_path, 1)
    await open_queue(tmp_path).close()
    copy = tmp_path / "queue.db.bak-1"
    connection = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)
    assert (connection.pragma("user_version"), connection.pragma("integrity_check")) == (1, "ok")
    assert connection.execute("SELECT count(*) FROM queued_events").get == 7
    connection.close()
    assert copy.stat().st_mode & 0o777 == 0o600
    copied_at = copy.stat().st_mtime_ns
    queue = open_queue(tmp_path)
    await check_counts_of_schema_1(queue)
    await queue.close()
    assert copy.stat().st_mtime_ns == copied_at


async def test_the_copy_goes_when_its_dead_letters_would(tmp_path: Path):
    """Nothing personal outlasts its retention in a file that nobody looks at any more."""
    unpack(tmp_path, 1)
    clock = Clock()
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic)
    copy = tmp_path / "queue.db.bak-1"
    os.utime(copy, (NOON.timestamp(), NOON.timestamp()))
    clock.set_wall(NOON + timedelta(days=30))
    await queue.prune()
    assert copy.exists()
    clock.set_wall(NOON + timedelta(days=30, seconds=1))
    await queue.prune()
    assert not copy.exists()
    await queue.close()


@pytest.mark.parametrize("schema", range(1, SCHEMA))
async def test_crash_in_the_middle_of_an_upgrade(tmp_path: Path, schema: int):
    """F16: a process that dies in a step leaves a whole older schema, and the next start upgrades it."""
    unpack(tmp_path, schema)
    assert die_in_an_upgrade(tmp_path) == EXIT_CODE
    queue = open_queue(tmp_path)
    await check_counts_of_schema_1(queue)
    await queue.close()
