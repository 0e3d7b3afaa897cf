"""A damaged page of the file: what can still be read is delivered, what can't is told, nothing stands still unseen."""

import asyncio
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
import requests

from signalpost.model.destination_state import Damage
from signalpost.model.errors import QueueUnavailable
from signalpost.queue.recovery import recover
from signalpost.queue.retention import Retention
from signalpost.queue.sqlite import SqliteQueue
from tests.acceptance.commands import run
from tests.acceptance.processes import Program, running, write_configuration
from tests.faults.harness import wait_until
from tests.queue.builders import MAIN, Clock, build_call, lease

EVENTS = 400
NOWHERE = "http://127.0.0.1:9"


def build_payload(number: int) -> bytes:
    return b'{"event_id":"m%d","filler":"%s"}' % (number, b"x" * 900)


async def write_damaged_queue(folder: Path, table: str, *, place: int | None = None, deliver: bool = False) -> None:
    """A stopped queue with 400 events, of whose `table` or index a page is rubbish; in the middle unless told."""
    queue = SqliteQueue.open(folder, now=Clock().now)
    await queue.put([build_call(f"m{number}", payload=build_payload(number)) for number in range(EVENTS)])
    if deliver:
        await queue.ack(await lease(queue, limit=EVENTS, max_bytes=10 << 20), "trace")
    await queue.close()
    file = folder / "queue.db"
    with closing(apsw.Connection(str(file))) as connection:
        find = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path"
        pages = [page for (page,) in connection.execute(find, (table,))]
        size = connection.pragma("page_size")
    content = bytearray(file.read_bytes())
    start = (pages[len(pages) // 2 if place is None else place] - 1) * size
    content[start : start + size] = b"\xa5" * size
    file.write_bytes(content)


async def deliver_all(queue: SqliteQueue) -> list[bytes]:
    """Lease and ack until nothing more comes."""
    sent: list[bytes] = []
    while True:
        taking = asyncio.create_task(lease(queue, limit=100, max_bytes=10 << 20))
        done, _ = await asyncio.wait([taking], timeout=0.3)
        if not done:
            taking.cancel()
            return sent
        sent += [event.payload for event in taking.result()]
        await queue.ack(taking.result(), "trace")


@pytest.mark.parametrize("table", ["queued_events", "payloads"])
async def test_the_rest_is_delivered(tmp_path: Path, table: str):
    """Events on the damaged page are set aside, with what to do; every other one is sent, once and unchanged."""
    await write_damaged_queue(tmp_path, table)
    told: list[str] = []
    queue = SqliteQueue.open(tmp_path, now=Clock().now, on_trouble=told.append)
    assert queue.find_damage(MAIN) is None
    sent = await deliver_all(queue)
    damage = queue.find_damage(MAIN)
    assert len(set(sent)) == len(sent) > EVENTS * 8 // 10
    assert set(sent) <= {build_payload(number) for number in range(EVENTS)}
    assert damage is not None
    assert not damage.is_blind
    counts = await queue.counts()
    assert (counts.events.pending.ready, counts.events.pending.leased) == (damage.out_of_reach, 0)
    assert (counts.events.delivered, counts.imbalance) == (EVENTS - damage.out_of_reach, 0)
    # Some 40 rows are on a page of events; those sent whose page can't be merged with it count too.
    assert 0 < damage.out_of_reach < EVENTS // 3
    assert len(await queue.read_backlogs()) == 1
    assert any("recover" in trouble for trouble in told)
    await queue.put([build_call("later")])
    (later,) = await lease(queue)
    assert later.event_id == "later"
    await queue.close()
    report = recover(tmp_path / "queue.db", tmp_path / "saved.db")
    assert report.kept_events <= damage.out_of_reach + 1


async def test_damage_among_what_is_kept_harms_no_delivery(tmp_path: Path):
    """When old payloads that are to make room can't all be deleted, acks and other retention go on; it is told."""
    await write_damaged_queue(tmp_path, "payloads", deliver=True)
    retention = Retention(delivered_payload_bytes=10_000)
    clock = Clock()
    queue = SqliteQueue.open(tmp_path, now=clock.now, retention=retention, on_trouble=lambda _: None)
    for number in range(EVENTS, EVENTS + 300, 100):
        await queue.put([build_call(f"m{each}", payload=build_payload(each)) for each in range(number, number + 100)])
        await queue.ack(await lease(queue, limit=100), "trace")
    counts = await queue.counts()
    assert (counts.events.delivered, counts.events.pending.total, counts.imbalance) == (EVENTS + 300, 0, 0)
    damage = queue.find_damage(MAIN)
    assert damage == Damage()
    assert "Everything is delivered" in damage.human
    clock.advance(timedelta(days=8))
    await queue.prune()
    await queue.close()
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as connection:
        assert connection.execute("SELECT count(*) FROM ended_events").get == 0
    (tmp_path / "mended").mkdir()
    recover(tmp_path / "queue.db", tmp_path / "mended" / "queue.db")
    queue = SqliteQueue.open(tmp_path / "mended", now=clock.now)
    await queue.prune()
    await queue.close()
    with closing(apsw.Connection(str(tmp_path / "mended" / "queue.db"))) as connection:
        assert connection.execute("SELECT count(*) FROM payloads").get == 0


def test_every_surface_tells(tmp_path: Path):
    """Status, the control API, the console's pages and the doctor say what is damaged and what to do about it."""
    (tmp_path / "data").mkdir(mode=0o700)
    asyncio.run(write_damaged_queue(tmp_path / "data", "queued_events"))
    arguments = ("--config", str(write_configuration(tmp_path, NOWHERE)))
    with running("serve", *arguments, folder=tmp_path) as gateway:
        wait_until(lambda: find_damage(gateway))
        assert "recover" in find_damage(gateway)
        console = gateway.announced["console_url"]
        assert requests.get(f"{console}/readyz", timeout=10).json()["damaged"] == ["main-pixel"]
        metrics = requests.get(f"{console}/metrics", timeout=10).text
        assert 'signalpost_queue_damaged{destination="main-pixel"} 1.0' in metrics
        status = " ".join(run("status", *arguments, folder=tmp_path).stdout.decode().split())
        doctor = json.loads(run("doctor", "--json", *arguments, folder=tmp_path).stdout)
    assert "main-pixel: The queue's file is damaged" in status
    (check,) = [check for check in doctor["checks"] if check["name"] == "queue"]
    assert (check["verdict"], "damaged" in check["detail"], "recover" in check["fix"]) == ("broken", True, True)


def find_damage(gateway: Program) -> str:
    (state,) = gateway.read_api("/api/delivery")
    return state["damage"] or ""


async def test_a_call_that_can_not_be_stored_is_refused_with_advice(tmp_path: Path):
    """When new rows belong on the damaged page, nothing is acknowledged, and the log says what to do."""
    await write_damaged_queue(tmp_path, "queued_events", place=-1)
    told: list[str] = []
    queue = SqliteQueue.open(tmp_path, now=Clock().now, on_trouble=told.append)
    with pytest.raises(QueueUnavailable):
        await queue.put([build_call("later")])
    assert any("CorruptError" in trouble and "signalpost recover" in trouble for trouble in told)
    await queue.close()


async def test_a_destination_that_stands_still_is_told(tmp_path: Path):
    """When the page leads to what is due, nothing can be leased: that is an error with advice, and no silence."""
    await write_damaged_queue(tmp_path, "queued_events_by_due_time")
    queue = SqliteQueue.open(tmp_path, now=Clock().now, on_trouble=lambda _: None)
    with pytest.raises(QueueUnavailable, match=r"main-pixel.*can't be found.*signalpost recover"):
        await deliver_all(queue)
    damage = queue.find_damage(MAIN)
    assert damage is not None
    assert damage.is_blind
    await queue.close()
