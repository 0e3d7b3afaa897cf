"""Ids for calls that bring none: UUID version 7, which sorts by time. Source: RFC 9562, section 5.7."""

import secrets
import time
import uuid

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = (((1 << 12) - 1) << 64) | ((1 << 62) - 1)


def new_message_id() -> str:
    """A fresh UUIDv7 in its usual text form."""
    milliseconds = time.time_ns() // 1_000_000
    return str(uuid.UUID(int=(milliseconds << 80) | _VERSION | _VARIANT | (secrets.randbits(128) & _RANDOM_BITS)))
