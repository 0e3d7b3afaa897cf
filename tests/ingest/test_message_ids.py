"""The ids for calls that bring none."""

import time
import uuid

from signalpost.ingest.message_ids import new_message_id


def test_shape():
    """An id is a version 7 UUID in its usual form, and begins with the time in milliseconds."""
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_message_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_differ():
    """No two are the same, also within a millisecond."""
    assert len({new_message_id() for _ in range(10_000)}) == 10_000
