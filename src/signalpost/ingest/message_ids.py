"""Ids for calls that bring none, and for requests: UUID version 7, which sorts by time. Source: RFC 9562, 5.7."""

import os
import time
from typing import Final

_RANDOM_BYTES: Final = 10
_BYTES_AT_ONCE: Final = 4_000

_pool = b""


def new_message_id() -> str:
    """A fresh UUIDv7 in its usual text form.

    Random bytes are taken from the system many at a time: each time gives up the interpreter's lock, and a busy write
    thread may keep it for milliseconds.
    """
    global _pool  # noqa: PLW0603 - what is left of the last draft, used by the event loop alone
    if len(_pool) < _RANDOM_BYTES:
        _pool = os.urandom(_BYTES_AT_ONCE)
    chance = int.from_bytes(_pool[:_RANDOM_BYTES])
    _pool = _pool[_RANDOM_BYTES:]
    milliseconds = time.time_ns() // 1_000_000
    version = 0x7000 | (chance & 0xFFF)
    variant = 0x8000 | (chance >> 12 & 0x3FFF)
    text = f"{milliseconds:012x}"
    return f"{text[:8]}-{text[8:]}-{version:04x}-{variant:04x}-{chance >> 26 & 0xFFFFFFFFFFFF:012x}"
