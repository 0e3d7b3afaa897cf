"""Looks into the queue that may not last."""

from pathlib import Path

import pytest

from signalpost.model.errors import QueueUnavailable
from signalpost.queue.bounded_reader import BoundedReader
from signalpost.queue.database import open_for_writing

_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


async def test_a_look_that_lasts_is_ended_and_the_next_one_is_not(tmp_path: Path):
    """It would keep the write-ahead log from being reused; whoever asks is told, and the others get their turn."""
    open_for_writing(tmp_path / "queue.db").close()
    reader = BoundedReader(tmp_path / "queue.db", longest_seconds=0.05)
    with pytest.raises(QueueUnavailable, match="narrow it down"):
        await reader.read(lambda connection: connection.execute(_ENDLESS).get)
    assert await reader.read(lambda connection: connection.execute("SELECT count(*) FROM queued_events").get) == 0
    await reader.close()
    with pytest.raises(QueueUnavailable, match="closed"):
        await reader.read(lambda connection: connection.execute("SELECT 1").get)
