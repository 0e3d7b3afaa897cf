"""The checksum of a stored event: the only thing that notices a byte that flipped on the disk."""

from hashlib import blake2b


def build_checksum(
    destination_id: str, dataset_id: str | None, event_id: str, event_time: int, expires_at: int, *, payload: bytes
) -> bytes:
    """Return 16 bytes over everything that decides what is sent where. SQLite itself does not see a flipped byte."""
    head = f"{destination_id}\n{dataset_id or ''}\n{event_id}\n{event_time}\n{expires_at}\n"
    return blake2b(head.encode() + payload, digest_size=16).digest()
