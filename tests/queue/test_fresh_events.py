"""The short cut from a put to its lease gives what the file would give, and only while the file knows no more."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from signalpost.model.delivery import QueuedEvent
from signalpost.queue import fresh_events, leasing
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import NOON, OTHER, Clock, build_call, get_event_ids, lease


def open_queue(folder: Path) -> SqliteQueue:
    clock = Clock()
    return SqliteQueue.open(folder, now=clock.now, monotonic=clock.monotonic)


def without_lease(events: list[QueuedEvent]) -> list[QueuedEvent]:
    return [msgspec.structs.replace(event, lease=0) for event in events]


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        pytest.fail("the file was read")

    monkeypatch.setattr(leasing, "read_events", fail)


async def test_lease_gives_what_the_file_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same events, field by field; calls that were seen before leave no gap."""
    queue = open_queue(tmp_path)
    await queue.put([build_call("a"), build_call("b")])
    await queue.put([build_call("a"), build_call("c"), build_call("b"), build_call("d")])
    with monkeypatch.context() as patch:
        forbid_reading(patch)
        fresh = await lease(queue)
    await queue.close()
    queue = open_queue(tmp_path)
    read = await lease(queue)
    await queue.close()
    assert get_event_ids(fresh) == ["a", "b", "c", "d"]
    assert without_lease(fresh) == without_lease(read)


async def test_event_that_was_tried_is_read_from_the_file(tmp_path: Path):
    """Its attempts and its last trouble are not known elsewhere."""
    queue = open_queue(tmp_path)
    await queue.put([build_call("a")])
    await queue.retry_at(await lease(queue), NOON - timedelta(seconds=1), "no answer")
    (again,) = await lease(queue)
    await queue.close()
    assert (again.attempts, again.last_outcome) == (1, "no answer")


@pytest.mark.parametrize("bound", ["_MOST_EVENTS", "_MOST_BYTES"])
async def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str):
    """What is not remembered is read from the file, in the same order."""
    monkeypatch.setattr(fresh_events, bound, 2)
    queue = open_queue(tmp_path)
    await queue.put([build_call(name) for name in "abcd"])
    leased = await lease(queue)
    await queue.close()
    assert get_event_ids(leased) == ["a", "b", "c", "d"]


async def test_nothing_is_held_of_a_destination_far_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Until its leases have nearly caught up; what goes elsewhere is held meanwhile."""
    monkeypatch.setattr(fresh_events, "_MOST_EVENTS", 2)
    monkeypatch.setattr(fresh_events, "_NEARLY_CAUGHT_UP", 3)
    queue = open_queue(tmp_path)
    await queue.put([build_call(name) for name in "abcd"])
    await queue.put([build_call("e"), build_call("other", destination_id=OTHER)])
    with monkeypatch.context() as patch:
        forbid_reading(patch)
        assert get_event_ids(await lease(queue, OTHER)) == ["other"]
    assert get_event_ids(await lease(queue)) == ["a", "b", "c", "d", "e"]
    await queue.put([build_call("f")])
    with monkeypatch.context() as patch:
        forbid_reading(patch)
        assert get_event_ids(await lease(queue)) == ["f"]
    await queue.close()
