"""The checksum of a stored event: the only thing that notices a byte that flipped on the disk.

It is against accidents, not against people: whoever can write to the file can write a fitting checksum too. So it need
not be a cryptographic one (docs/decisions, number 32).
"""

from hashlib import blake2b
from typing import Final

import xxhash

CHECKSUM_BYTES: Final = 16


def build_checksum(
    destination_id: str, dataset_id: str | None, event_id: str, event_time: int, expires_at: int, *, payload: bytes
) -> bytes:
    """Return 16 bytes over everything that decides what is sent where. SQLite itself does not see a flipped byte."""
    return xxhash.xxh3_128_digest(_join(destination_id, dataset_id, event_id, event_time, expires_at) + payload)


def is_sound(
    checksum: bytes,
    destination_id: str,
    dataset_id: str | None,
    event_id: str,
    event_time: int,
    expires_at: int,
    *,
    payload: bytes,
) -> bool:
    """Whether an event is what was stored with this checksum; older ones are BLAKE2b."""
    stored = _join(destination_id, dataset_id, event_id, event_time, expires_at) + payload
    return (
        checksum == xxhash.xxh3_128_digest(stored) or checksum == blake2b(stored, digest_size=CHECKSUM_BYTES).digest()
    )


def _join(destination_id: str, dataset_id: str | None, event_id: str, event_time: int, expires_at: int) -> bytes:
    return f"{destination_id}\n{dataset_id or ''}\n{event_id}\n{event_time}\n{expires_at}\n".encode()
