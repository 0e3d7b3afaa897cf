"""Room for more events: the low mark, the ballast, recovery, and the shares of the queue."""

from datetime import timedelta
from pathlib import Path

import pytest

from signalpost.model.errors import QueueUnavailable
from signalpost.queue.room import BALLAST_NAME, DiskUsage, Room, RoomLimits
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import Clock, build_call, get_event_ids, lease

_LIMITS = RoomLimits(low_bytes=100, low_share=0, ballast_bytes=10, recovery_seconds=10, waiting_bytes=1000)


class Disk:
    """A disk of 10,000 bytes of which a test says how many are free."""

    def __init__(self) -> None:
        self.free = 5_000
        self.seconds = 0.0

    def read_usage(self, _: Path) -> DiskUsage:
        return DiskUsage(10_000, 10_000 - self.free, self.free)

    def monotonic(self) -> float:
        return self.seconds

    def build_room(self, folder: Path, limits: RoomLimits = _LIMITS) -> Room:
        return Room(folder, limits, self.monotonic, self.read_usage)


def test_ballast_is_there_from_the_start(tmp_path: Path):
    """The room that a full disk will lack is taken at the start, and the state is normal."""
    room = Disk().build_room(tmp_path)
    assert (room.state, room.find_objection("website")) == ("normal", None)
    assert (tmp_path / BALLAST_NAME).stat().st_size == 10


def test_low_disk_refuses_until_it_has_recovered(tmp_path: Path):
    """Below the mark calls are refused; they are taken again once twice the mark was free for ten seconds."""
    disk = Disk()
    room = disk.build_room(tmp_path)
    disk.free = 99
    room.look()
    assert room.state == "low"
    assert "little room on the disk" in (room.find_objection("website") or "")
    disk.free = 201
    room.look()
    disk.seconds = 9.9
    room.look()
    assert room.state == "low"
    disk.free = 200
    room.look()
    disk.free, disk.seconds = 201, 11
    room.look()
    disk.seconds = 20.9
    room.look()
    assert room.state == "low"
    disk.seconds = 21
    room.look()
    assert room.state == "normal"


def test_full_disk_gives_the_ballast_away_and_takes_it_back(tmp_path: Path):
    """When a write has failed the ballast goes, and is written again after the recovery."""
    disk = Disk()
    room = disk.build_room(tmp_path)
    room.tell_full()
    assert (room.state, (tmp_path / BALLAST_NAME).exists()) == ("full", False)
    room.look()
    disk.seconds = 10
    room.look()
    assert (room.state, (tmp_path / BALLAST_NAME).exists()) == ("normal", True)


def test_what_is_kept_goes_before_ingest_is_refused(tmp_path: Path):
    """Between the mark and twice the mark calls are taken, but what is kept for the console alone has to go."""
    disk = Disk()
    room = disk.build_room(tmp_path)
    assert not room.is_tight
    disk.free = 199
    room.look()
    assert (room.is_tight, room.state) == (True, "normal")


@pytest.mark.parametrize(
    ("total", "mark"),
    [(1 << 30, 256 << 20), (20 << 30, 1 << 30), (4 << 40, 4 << 30)],
    ids=["small", "middling", "large"],
)
def test_low_mark(total: int, mark: int):
    """A twentieth of the disk, but enough on a small one, and no waste of a large one."""
    assert RoomLimits().find_low_mark(DiskUsage(total, 0, total)) == mark


def test_one_source_fills_half_of_the_queue_at_most(tmp_path: Path):
    """A source that has filled its share is refused alone; a full queue refuses all."""
    room = Disk().build_room(tmp_path)
    room.look({"website": 500, "app": 10})
    assert "its share" in (room.find_objection("website") or "")
    assert room.find_objection("app") is None
    room.look({"website": 500, "app": 500})
    assert "as much as it may" in (room.find_objection("shop") or "")
    room.look({"website": 0})
    assert room.find_objection("website") is None


async def test_queue_without_room_refuses_puts_and_delivers(tmp_path: Path):
    """With a low disk a put is refused with the cause; what waits can be leased and settled."""
    disk, clock = Disk(), Clock()
    room = disk.build_room(tmp_path)
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic, room=room)
    await queue.put([build_call("m1")])
    assert queue.find_trouble() is None
    disk.free = 10
    room.look()
    assert queue.find_trouble() == "disk_low"
    with pytest.raises(QueueUnavailable, match="little room on the disk"):
        await queue.put([build_call("m2")])
    events = await lease(queue)
    assert get_event_ids(events) == ["m1"]
    await queue.ack(events, None)
    assert (await queue.counts()).events.delivered == 1
    await queue.close()


async def test_queue_counts_what_waits_of_each_source(tmp_path: Path):
    """The write thread sums up the bytes that wait every second; a source with too many is refused until they go."""
    disk, clock = Disk(), Clock()
    queue = SqliteQueue.open(tmp_path, now=clock.now, monotonic=clock.monotonic, room=disk.build_room(tmp_path))
    second = timedelta(seconds=1)

    async def let_the_writer_look() -> None:
        clock.advance(second)
        for _ in range(2):  # it looks after a group, and before it takes the next one
            await queue.put([build_call(source_id="app", payload=b"x")])

    await queue.put([build_call("m1", payload=bytes(600))])
    await let_the_writer_look()
    with pytest.raises(QueueUnavailable, match="the source website"):
        await queue.put([build_call("m2")])
    await queue.ack(await lease(queue), None)
    await let_the_writer_look()
    assert (await queue.put([build_call("m2")])).is_duplicate == (False,)
    await queue.close()
