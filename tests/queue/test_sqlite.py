"""SqliteQueue keeps the contract, and what is particular to one file on one disk."""

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from signalpost.model.dead_letters import DeadLetterFilter
from signalpost.model.errors import ConfigError, NewerDataFolder, QueueUnavailable, SignalpostError
from signalpost.queue import fresh_events
from signalpost.queue.database import check_sqlite_version
from signalpost.queue.migrations import APPLICATION_ID, SCHEMA
from signalpost.queue.retention import Retention
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import (
    NOON,
    OTHER,
    REFUSED_BY_META,
    Clock,
    build_call,
    build_discarded,
    find_dataset_now,
    get_event_ids,
    lease,
)
from tests.queue.contract import QueueContract
from tests.queue.observed_vfs import Observer, Operation, Sync, Write, observed

# Puts without end and names what was acknowledged; the parent kills it in the middle of its work.
_PUTTING_PROCESS = """
import asyncio, sys
from pathlib import Path
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import build_call

async def put_for_ever():
    queue = SqliteQueue.open(Path(sys.argv[1]))
    async def put_one_after_another(name):
        for number in range(1_000_000):
            message_ids = [f"{name}-{number}-{part}" for part in range(5)]
            await queue.put([build_call(message_id) for message_id in message_ids])
            print(*message_ids, flush=True)
    await asyncio.gather(*(put_one_after_another(name) for name in "abcd"))

asyncio.run(put_for_ever())
"""


class TestContract(QueueContract):
    def open_queue(self, folder: Path, clock: Clock) -> SqliteQueue:
        return SqliteQueue.open(folder, now=clock.now, monotonic=clock.monotonic, find_dataset=find_dataset_now)


class TestContractWithoutShortCut(TestContract):
    """Every lease reads the file."""

    @pytest.fixture(autouse=True)
    def _remember_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fresh_events, "_MOST_EVENTS", 0)


def open_queue(folder: Path, **options: Any) -> SqliteQueue:
    clock = Clock()
    return SqliteQueue.open(folder, now=clock.now, monotonic=clock.monotonic, **options)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[SqliteQueue]:
    queue = open_queue(tmp_path)
    yield queue
    await queue.close()


def read_modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def change_file(folder: Path, statement: str) -> None:
    """Change the closed file behind the queue's back."""
    connection = apsw.Connection(str(folder / "queue.db"))
    connection.execute(statement)
    connection.close()


# --- the file ---


async def test_only_the_owner_can_read_the_files(tmp_path: Path, queue: SqliteQueue):
    """The file and its log hold hashed personal data: mode 0600, whatever the umask or an earlier mode."""
    await queue.put([build_call()])
    assert read_modes(tmp_path) == {"queue.db": 0o600, "queue.db-wal": 0o600, "queue.db-shm": 0o600}


async def test_closing_leaves_one_file(tmp_path: Path):
    """After an orderly close everything is in queue.db, and the file names its program and schema."""
    queue = open_queue(tmp_path)
    await queue.put([build_call()])
    await queue.close()
    await queue.close()
    assert list(read_modes(tmp_path)) == ["queue.db"]
    connection = apsw.Connection(str(tmp_path / "queue.db"))
    assert (connection.pragma("application_id"), connection.pragma("user_version")) == (APPLICATION_ID, SCHEMA)
    assert (connection.pragma("auto_vacuum"), connection.pragma("integrity_check")) == (2, "ok")
    connection.close()


async def test_every_commit_is_synced(queue: SqliteQueue):
    """The connection that writes syncs its log at each commit, and overwrites what it deletes."""

    def read_settings(connection: apsw.Connection) -> list[object]:
        return [connection.pragma(name) for name in ("journal_mode", "synchronous", "secure_delete", "trusted_schema")]

    assert await queue._writer.settle(read_settings, 1) == ["wal", 2, 1, 0]


async def test_newer_file_is_refused_and_untouched(tmp_path: Path):
    """A file of a newer program is refused with both numbers, and not a byte of it changes."""
    await open_queue(tmp_path).close()
    change_file(tmp_path, f"PRAGMA user_version = {SCHEMA + 1}")
    before = (tmp_path / "queue.db").read_bytes()
    with pytest.raises(NewerDataFolder, match=rf"schema {SCHEMA + 1}\b.*up to {SCHEMA}\b"):
        open_queue(tmp_path)
    assert (tmp_path / "queue.db").read_bytes() == before


async def test_a_schema_that_never_was_is_refused_and_untouched(tmp_path: Path):
    """A flipped bit in the head can make the number negative: no migration is tried."""
    await open_queue(tmp_path).close()
    change_file(tmp_path, "PRAGMA user_version = -2147483645")
    before = (tmp_path / "queue.db").read_bytes()
    with pytest.raises(ConfigError, match=r"is damaged.*latest backup"):
        open_queue(tmp_path)
    assert (tmp_path / "queue.db").read_bytes() == before


async def test_another_programs_file_is_refused_and_untouched(tmp_path: Path):
    """A database that is not a queue is never turned into one."""
    connection = sqlite3.connect(tmp_path / "queue.db")
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = (tmp_path / "queue.db").read_bytes()
    with pytest.raises(ConfigError, match="not a Signalpost queue"):
        open_queue(tmp_path)
    assert (tmp_path / "queue.db").read_bytes() == before


async def test_damaged_file_is_refused_with_its_cause(tmp_path: Path):
    """A file whose head is no database any more stops the start, and says what is wrong with it."""
    (tmp_path / "queue.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(ConfigError, match=r"queue\.db can't be opened: NotADBError"):
        open_queue(tmp_path)


async def test_damaged_log_of_calls_is_refused_with_advice(tmp_path: Path):
    """A page that only the start reads is rubbish: the start is refused, and says which command saves the rest."""
    queue = open_queue(tmp_path)
    await queue.put([build_call()])
    await queue.close()
    file = tmp_path / "queue.db"
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'dedupe_keys'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(file.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"CorruptError: .*`signalpost recover`"):
        open_queue(tmp_path)


@pytest.mark.parametrize(
    ("version", "is_refused"), [("3.40.1", True), ("3.51.2", True), ("3.51.3", False), ("3.100.0", False)]
)
def test_sqlite_that_loses_commits_is_refused(version: str, is_refused: bool):
    """A SQLite with the WAL-reset bug is refused; versions compare as numbers."""
    if is_refused:
        with pytest.raises(SignalpostError, match=version):
            check_sqlite_version(version)
    else:
        check_sqlite_version(version)


# --- damage ---


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE payloads SET payload = CAST(replace(payload, 'm1', 'm7') AS BLOB)",
        "UPDATE queued_events SET dataset_id = '1234567891'",
        "UPDATE queued_events SET event_time = event_time + 1",
        "DELETE FROM payloads",
        "UPDATE queued_events SET event_name = CAST(x'50ff' AS TEXT)",
    ],
    ids=["payload", "dataset", "time", "payload gone", "no text"],
)
async def test_damaged_event_is_never_sent(tmp_path: Path, damage: str):
    """A damaged event becomes a dead letter that can't be requeued; the others of its destination are leased."""
    queue = open_queue(tmp_path)
    await queue.put([build_call("m1"), build_call("m2")])
    await queue.close()
    change_file(tmp_path, f"{damage} WHERE id = 1")
    troubles: list[str] = []
    queue = open_queue(tmp_path, on_trouble=troubles.append)
    assert get_event_ids(await lease(queue)) == ["m2"]
    (letter,) = await queue.browse_dead_letters()
    assert (letter.code, letter.reason) == ("MESSAGE_REJECTED", "corrupt_row")
    assert (await queue.requeue([letter.id])).refused == {"not_requeueable": 1}
    assert (await queue.counts()).imbalance == 0
    assert troubles == ["1 stored events are damaged; they are dead letters now."]
    await queue.close()


async def test_wrong_size_harms_no_event(tmp_path: Path):
    """The stored size of a payload has no checksum, so nothing sound is given up because of it."""
    queue = open_queue(tmp_path)
    await queue.put([build_call(f"m{number}") for number in range(4)])
    await queue.close()
    change_file(tmp_path, "UPDATE queued_events SET size = size + 1 WHERE id = 2")
    queue = open_queue(tmp_path)
    assert get_event_ids(await lease(queue)) == ["m0", "m1", "m2", "m3"]
    await queue.close()


async def test_damage_is_noticed_although_a_dataset_was_filled_in(tmp_path: Path):
    """The new checksum of an event that gets its dataset late is made only of what was stored."""
    lacking = build_discarded(code="INVALID_SETTINGS", dataset_id=None, event_name="Lead", payload=b'{"n":1}')
    queue = open_queue(tmp_path)
    await queue.put([build_call("m1", discarded=[lacking])])
    await queue.close()
    change_file(tmp_path, "UPDATE payloads SET payload = CAST('{\"n\":2}' AS BLOB)")
    queue = open_queue(tmp_path, find_dataset=find_dataset_now)
    assert (await queue.requeue(DeadLetterFilter())).requeued == 1
    await queue.put([build_call("m2")])
    assert get_event_ids(await lease(queue)) == ["m2"]
    assert [letter.reason for letter in await queue.browse_dead_letters()] == ["corrupt_row"]
    await queue.close()


async def test_damaged_payload_is_not_shown(tmp_path: Path):
    """A dead letter whose payload is damaged can still be looked at, without the payload."""
    queue = open_queue(tmp_path)
    await queue.put([build_call("m1")])
    await queue.dead_letter(await lease(queue), REFUSED_BY_META)
    await queue.close()
    change_file(tmp_path, "UPDATE payloads SET payload = x'7b7d'")
    queue = open_queue(tmp_path)
    (letter,) = await queue.browse_dead_letters()
    assert (letter.payload, letter.event_id) == (None, "m1")
    (found,) = (await queue.find_events("m1")).events
    assert (found.server_event, found.is_damaged) == (None, True)
    await queue.close()


# --- the write thread ---


async def test_full_disk_refuses_and_recovers(queue: SqliteQueue):
    """On a full disk nothing is stored and nothing ends; once there is room again, the same calls are taken."""
    await queue.put([build_call("m1")])
    pages = await queue._writer.settle(lambda connection: connection.pragma("page_count"), 1)
    await queue._writer.settle(lambda connection: connection.pragma("max_page_count", pages + 1), 1)
    calls = [build_call(payload=bytes(20_000)) for _ in range(3)]
    with pytest.raises(QueueUnavailable):
        await queue.put(calls)
    assert queue.is_alive
    assert get_event_ids(await lease(queue)) == ["m1"]
    await queue._writer.settle(lambda connection: connection.pragma("max_page_count", 1_000_000), 1)
    assert (await queue.put(calls)).is_duplicate == (False, False, False)
    ledger = await queue.counts()
    assert (ledger.events.accepted, ledger.imbalance) == (4, 0)


async def write_together(queue: SqliteQueue, *writes: Coroutine[Any, Any, Any]) -> list[Any]:
    """Hold the write thread until all of these wait for it, so that they share a group."""
    gate = threading.Event()
    holding = asyncio.create_task(queue._writer.settle(lambda _: gate.wait(5), 1))
    waiting = [asyncio.create_task(write) for write in writes]
    await asyncio.sleep(0.01)
    gate.set()
    await holding
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_failing_member_of_a_group_fails_alone(queue: SqliteQueue):
    """When one call of a group can't be written, the others of its group are stored all the same, once."""

    def fail(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO meant_to_fail VALUES (1)")

    results = await write_together(
        queue,
        queue.put([build_call("m1")]),
        queue._writer.settle(fail, 1),
        queue.put([build_call("m2"), build_call("m1")]),
    )
    assert [type(result).__name__ for result in results] == ["PutReceipt", "QueueUnavailable", "PutReceipt"]
    assert results[2].is_duplicate == (False, True)
    assert get_event_ids(await lease(queue)) == ["m1", "m2"]
    assert (await queue.counts()).imbalance == 0


async def test_abandoned_put_is_stored_all_the_same(queue: SqliteQueue):
    """A caller that goes away while it waits changes nothing for its request, and nothing for those of others."""
    abandoned = asyncio.create_task(queue.put([build_call("m1")]))
    await asyncio.sleep(0)
    abandoned.cancel()
    await queue.put([build_call("m2")])
    assert get_event_ids(await lease(queue)) == ["m1", "m2"]


async def test_space_of_deleted_events_is_given_back(tmp_path: Path):
    """Pruning shortens a file that has grown far beyond what it holds."""
    queue = open_queue(tmp_path, retention=Retention(delivered_payloads=timedelta(0)))
    await queue.put([build_call(payload=bytes(1 << 20)) for _ in range(30)])
    while (await queue.counts()).events.pending.ready:
        await queue.ack(await lease(queue, max_bytes=8 << 20), None)
    await queue.prune()
    await queue.close()
    assert (tmp_path / "queue.db").stat().st_size < 20 << 20


async def read_spans(queue: SqliteQueue) -> set[int]:
    statement = "SELECT DISTINCT span FROM ledger"
    return await queue._slow_reader.read(lambda connection: {span for (span,) in connection.execute(statement)})


async def test_old_minutes_are_forgotten(tmp_path: Path):
    """After two days only the hours are left of the ledger, after 400 only the sums; no sum changes."""
    clock = Clock()
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic)
    for _ in range(5):
        await queue.put([build_call(), build_call(destination_id=OTHER)])
        clock.advance(timedelta(minutes=25))
    before = await queue.counts()
    clock.advance(timedelta(days=3))
    await queue.prune()
    assert await read_spans(queue) == {0, 60}
    clock.advance(timedelta(days=400))
    await queue.prune()
    assert await read_spans(queue) == {0}
    after = await queue.counts()
    assert (after.calls, after.events.accepted, after.imbalance) == (before.calls, 10, 0)
    await queue.close()


async def test_invented_event_names_do_not_fill_the_ledger(tmp_path: Path):
    """Of the event names of a source and day the first 1,000 are counted by name, also across a restart."""
    clock = Clock()
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic)
    await queue.put([build_call(event_name=f"name {n}") for n in range(600)])
    await queue.close()
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic)
    await queue.put([build_call(event_name=f"name {n}") for n in range(500, 1100)])
    hour = timedelta(hours=1)
    by_name = (await queue.read_statistics(NOON, NOON + hour, hour)).by_event_name
    assert len(by_name) == 1001
    assert (by_name["(other)"].accepted, by_name["name 550"].accepted) == (100, 2)
    clock.advance(timedelta(days=1))
    await queue.put([build_call(event_name="name 1099")])
    by_name = (await queue.read_statistics(clock.now(), clock.now(), hour)).by_event_name
    assert by_name == {}
    by_name = (await queue.read_statistics(clock.now(), clock.now() + hour, hour)).by_event_name
    assert list(by_name) == ["name 1099"]
    await queue.close()


# --- payloads of what was delivered ---


async def count_payloads(queue: SqliteQueue) -> int:
    statement = "SELECT count(*) FROM payloads"
    return await queue._slow_reader.read(lambda connection: connection.execute(statement).get)


async def test_delivered_payloads_are_kept_for_three_days(tmp_path: Path):
    """A payload goes 72 hours after its delivery, and what still waits is spared."""
    clock = Clock()
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic)
    await queue.put([build_call(f"m{n}") for n in range(3)])
    await queue.ack((await lease(queue, limit=2)), None)
    clock.advance(timedelta(hours=72))
    await queue.prune()
    assert await count_payloads(queue) == 3
    clock.advance(timedelta(minutes=1))
    await queue.prune()
    assert await count_payloads(queue) == 1
    assert len(await lease(queue)) == 1
    await queue.close()


async def test_delivered_payloads_have_a_limit(tmp_path: Path):
    """Beyond the limit in bytes the oldest go at once; with a limit of nothing none is kept."""
    queue = open_queue(tmp_path, retention=Retention(delivered_payload_bytes=2_000_000))
    for _ in range(5):
        await queue.put([build_call(payload=bytes(1000)) for _ in range(1000)])
        await queue.ack(await lease(queue, max_bytes=2 << 20), None)
    assert 1_500 < await count_payloads(queue) <= 2_500
    await queue.close()
    later = Clock(NOON + timedelta(seconds=1))
    retention = Retention(delivered_payloads=timedelta(0))
    queue = SqliteQueue.open(tmp_path, now=later.now, monotonic=later.monotonic, retention=retention)
    before = await count_payloads(queue)
    await queue.put([build_call()])
    await queue.ack(await lease(queue), None)
    assert await count_payloads(queue) == before
    await queue.prune()
    assert await count_payloads(queue) == 0
    await queue.close()


# --- crashes ---


class WatchedDisk(Observer):
    """Has an eye on the write-ahead log, and a switch that makes every sync fail."""

    def __init__(self) -> None:
        self.has_unsynced_log = False
        self.log_syncs = 0
        self.is_failing = False

    def see(self, operation: Operation) -> None:
        if isinstance(operation, Write) and operation.file == "queue.db-wal":
            self.has_unsynced_log = True
        if isinstance(operation, Sync) and self.is_failing:
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)

    def saw_sync(self, sync: Sync) -> None:
        if sync.file == "queue.db-wal":
            self.has_unsynced_log = False
            self.log_syncs += 1


@pytest.fixture
def disk() -> Iterator[WatchedDisk]:
    disk = WatchedDisk()
    with observed(disk):
        yield disk


async def test_log_is_synced_before_the_answer(tmp_path: Path, disk: WatchedDisk):
    """When a put or a settling call returns, nothing that was written to the log is still unsynced."""
    queue = open_queue(tmp_path)
    for number in range(20):
        await queue.put([build_call(f"m{number}")])
        assert not disk.has_unsynced_log
        await queue.ack(await lease(queue), None)
        assert not disk.has_unsynced_log
    await queue.close()


async def test_waiting_requests_share_one_sync(tmp_path: Path, disk: WatchedDisk):
    """What waits while the writer is busy goes into one transaction, settling calls too."""
    queue = open_queue(tmp_path)
    await queue.put([build_call("m1")])
    held = await lease(queue)
    before = disk.log_syncs
    await write_together(queue, queue.ack(held, None), *(queue.put([build_call()]) for _ in range(20)))
    assert disk.log_syncs - before == 1  # holding the writer changes nothing, so its commit syncs nothing
    await queue.close()


async def test_failed_sync_ends_the_process(tmp_path: Path, disk: WatchedDisk):
    """After a failed sync nothing is acknowledged any more: the process ends, and a fresh one finds what was stored."""
    aborted = threading.Event()
    queue = open_queue(tmp_path, abort=aborted.set, on_trouble=str)
    await queue.put([build_call("m1")])
    disk.is_failing = True
    for message_id in ("m2", "m3"):
        with pytest.raises(QueueUnavailable):
            await queue.put([build_call(message_id)])
    assert await asyncio.to_thread(aborted.wait, 5)
    assert not queue.is_alive
    disk.is_failing = False
    await queue.close()
    fresh = open_queue(tmp_path)
    assert "m1" in get_event_ids(await lease(fresh))
    assert (await fresh.counts()).imbalance == 0
    await fresh.close()


def kill_while_putting(folder: Path) -> set[str]:
    """Let a process put until 200 requests were acknowledged, kill it, and return everything it acknowledged."""
    command = [sys.executable, "-c", _PUTTING_PROCESS, str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(200)]
        process.kill()
        lines += [line for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    return {message_id for line in lines for message_id in line.split()}


async def test_killed_process_loses_nothing_acknowledged(tmp_path: Path):
    """After kill -9 in the middle of putting, everything that was acknowledged is there, and the ledger agrees."""
    acknowledged = kill_while_putting(tmp_path)
    queue = open_queue(tmp_path)
    stored = get_event_ids(await lease(queue, limit=1_000_000, max_bytes=1 << 30))
    assert len(acknowledged) >= 1000
    assert acknowledged <= set(stored)
    ledger = await queue.counts()
    assert (ledger.imbalance, ledger.events.accepted) == (0, len(stored))
    await queue.close()
