"""What a checksum notices, and that those of older versions still count."""

from hashlib import blake2b

import pytest

from signalpost.queue.checksums import build_checksum, is_sound

STORED = ("main-pixel", "1234567890", "order-1", 1_764_000_000, 1_764_600_000)
PAYLOAD = b'{"event_name":"Purchase"}'
ALTERED = [
    (("main-pixeL", *STORED[1:]), PAYLOAD),
    ((STORED[0], None, *STORED[2:]), PAYLOAD),
    ((*STORED[:2], "order-2", *STORED[3:]), PAYLOAD),
    ((*STORED[:3], STORED[3] + 1, STORED[4]), PAYLOAD),
    ((*STORED[:4], STORED[4] - 1), PAYLOAD),
    (STORED, PAYLOAD.replace(b"P", b"p")),
]


def build_older_checksum(event, payload: bytes) -> bytes:
    """As events were stored at first."""
    return blake2b(b"\n".join(str(value).encode() for value in event) + b"\n" + payload, digest_size=16).digest()


@pytest.mark.parametrize(
    "build", [lambda: build_checksum(*STORED, payload=PAYLOAD), lambda: build_older_checksum(STORED, PAYLOAD)]
)
def test_whatever_decides_what_is_sent_where_is_covered(build):
    """One character anywhere is noticed."""
    checksum = build()
    assert is_sound(checksum, *STORED, payload=PAYLOAD)
    assert not [event for event, payload in ALTERED if is_sound(checksum, *event, payload=payload)]
