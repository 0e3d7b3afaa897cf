"""A damaged queue: what can be read of it is saved, what can't is counted, and a wrong payload is never sent."""

import random

import apsw
import pytest

from signalpost.queue.recovery import RecoveryFailed, recover
from signalpost.queue.sqlite import SqliteQueue
from tests.queue.builders import MAIN, Clock, build_call, build_discarded, lease

EVENTS = 400


@pytest.fixture
async def stored(tmp_path):
    """The file of a stopped queue with 400 events that wait and ten dead letters."""
    queue = SqliteQueue.open(tmp_path, now=Clock().now)
    await queue.put([build_call(f"m{number}", payload=_payload(number)) for number in range(EVENTS)])
    await queue.put([build_call(f"d{number}", discarded=[build_discarded()]) for number in range(10)])
    await queue.close()
    return tmp_path / "queue.db"


def _payload(number: int) -> bytes:
    return b'{"event_id":"m%d","filler":"%s"}' % (number, b"x" * 400)


async def read_back(tmp_path, saved) -> tuple[list[bytes], int]:
    """What a gateway would send from the saved file, and how many events it refuses to send."""
    folder = tmp_path / "restored"
    folder.mkdir()
    saved.rename(folder / "queue.db")
    queue = SqliteQueue.open(folder, now=Clock().now)
    sent = [event.payload for event in await lease(queue, MAIN, limit=1_000, max_bytes=10 << 20)]
    ledger = await queue.counts()
    await queue.close()
    return sent, sum(count for code, count in ledger.events.rejected.items() if "corrupt_row" in code)


async def test_a_sound_queue_comes_out_whole(stored, tmp_path):
    """Nothing is damaged, nothing lost, and every event can be sent."""
    report = recover(stored, tmp_path / "saved.db")
    assert (report.kept_events, report.damaged_events, report.lost_events) == (EVENTS, 0, 0)
    assert (report.kept_dead_letters, report.damaged_dead_letters) == (10, 0)
    sent, refused = await read_back(tmp_path, tmp_path / "saved.db")
    assert (sorted(sent), refused) == (sorted(map(_payload, range(EVENTS))), 0)


async def test_a_flipped_byte_in_a_payload(stored, tmp_path):
    """SQLite doesn't notice it; the checksum does, and the event is refused instead of sent."""
    content = bytearray(stored.read_bytes())
    content[content.index(b'"event_id":"m123"') + 40] ^= 1
    stored.write_bytes(content)
    report = recover(stored, tmp_path / "saved.db")
    assert (report.kept_events, report.damaged_events, report.lost_events) == (EVENTS - 1, 1, 0)
    sent, refused = await read_back(tmp_path, tmp_path / "saved.db")
    assert (len(sent), refused) == (EVENTS - 1, 1)
    assert set(sent) <= set(map(_payload, range(EVENTS)))


@pytest.mark.parametrize("seed", range(5))
async def test_a_page_of_rubbish(stored, tmp_path, seed):
    """A leaf page of a table is overwritten: the rows on other pages are saved, and no wrong payload is ever sent."""
    content = bytearray(stored.read_bytes())
    with apsw.Connection(str(stored), flags=apsw.SQLITE_OPEN_READONLY) as connection:
        size = connection.pragma("page_size")
    connection.close()
    chance = random.Random(seed)
    leaves = [start for start in range(size, len(content), size) if content[start] == 0x0D]
    start = chance.choice(leaves)
    content[start : start + size] = chance.randbytes(size)
    stored.write_bytes(content)
    report = recover(stored, tmp_path / "saved.db")
    assert report.kept_events > EVENTS // 2
    if report.lost_events is not None:
        assert report.kept_events + report.damaged_events + report.lost_events == EVENTS
    sent, _ = await read_back(tmp_path, tmp_path / "saved.db")
    assert len(sent) == report.kept_events
    assert set(sent) <= set(map(_payload, range(EVENTS)))


def test_what_is_not_a_queue(tmp_path):
    """A file that SQLite can't open, or that isn't there, is refused in a sentence, and no new file is left behind."""
    (tmp_path / "queue.db").write_bytes(b"nonsense" * 1_000)
    for name, words in (("queue.db", "restore the latest backup"), ("nowhere.db", "no file")):
        with pytest.raises(RecoveryFailed, match=words):
            recover(tmp_path / name, tmp_path / "saved.db")
    assert not (tmp_path / "saved.db").exists()


async def test_an_existing_file_is_not_overwritten(stored, tmp_path):
    """The target must be new."""
    with pytest.raises(RecoveryFailed, match="there already"):
        recover(stored, stored)
    assert stored.exists()
