"""Bodies made from good and bad ones by small changes, and what must hold for any of them. How long: SECONDS.

`test_fuzz.py` changes them at random; `scripts/fuzz.py` lets atheris do it, which watches what code is reached.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from typing import Final, Self

import msgspec

from signalpost.history.calls import History
from signalpost.ingest.decode import Limits, RequestFault, decode_batch, decode_single, decompress
from signalpost.ingest.intake import Intake
from signalpost.ingest.surrogates import may_have_surrogates, replace_lone_surrogates
from signalpost.telemetry import Telemetry
from tests.ingest.test_bad_input import GOOD, IN_A_BATCH, REJECTED, WHOLE_BODY, ZIPPED, build_order, json_of
from tests.ingest.test_intake import REQUEST, SOURCE, ForgetfulQueue

SECONDS: Final = 60 if os.environ.get("CI") == "true" else 5
"""For each of the two fuzz tests."""

_LONGEST_SEED: Final = 2_000
LIMITS: Final = Limits(max_call_bytes=4_000, max_single_body_bytes=20_000, max_batch_body_bytes=20_000)

_ORDER: Final = json_of(
    build_order(
        currency="EUR",
        products=[{"product_id": "p1", "price": 9.5, "quantity": 2}],
        fbc="fb.1.1.x",
        email="jo@example.com",
    )
    | {
        "messageId": "m1",
        "timestamp": "2026-11-21T11:59:58.250Z",
        "sentAt": "2026-11-21T11:59:59Z",
        "integrations": {"All": True},
        "context": {"ip": "203.0.113.7", "traits": {"phone": "+44 20 7946 0958", "birthday": "1990-01-31"}},
    }
)
_BATCH: Final = (
    b'{"context":{"locale":"de"},"integrations":{"All":true},"sentAt":"2026-11-21T11:59:59Z","batch":[%s,%s]}'
)
GOOD_SEEDS: Final = [GOOD, ZIPPED, _ORDER, _BATCH % (GOOD, GOOD), _BATCH % (_ORDER, GOOD)]
SEEDS: Final = [
    body
    for body in (
        *GOOD_SEEDS,
        *(row[1] for row in WHOLE_BODY),
        *(row[1] for row in IN_A_BATCH),
        *(json_of(row[1]) for row in REJECTED),
    )
    if len(body) < _LONGEST_SEED
]
TOKENS: Final = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"null", b"true", b"-1", b"1e999", b"NaN", b"[]", b"{}"),
    *(rb"\ud83d", rb"\u0000", b"\xff", b"\x00", b"\xef\xbb\xbf", "é".encode(), b"9" * 30, b'"":', b"[" * 70, b"]" * 70),
    *(b'"userId":', b'"properties":', b'"context":', b'"traits":', b'"timestamp":', b'"messageId":', b'"batch":'),
]


class StrictTelemetry(Telemetry):
    """A fault while mapping, of which a client never hears, is one here."""

    def mapping_failed(self, _destination: object, error: Exception) -> None:
        raise error


class Feeder:
    """Feeds bodies to what stands between the wire and the queue. Use as a context manager."""

    def __init__(self) -> None:
        self._intake = Intake(ForgetfulQueue(), History(), StrictTelemetry())
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._runner.close()

    def feed(self, body: bytes, encoding: str, *, is_batch: bool) -> None:
        """A body is refused, or each of its calls counts once: as accepted, duplicate or rejected. Nothing raises."""
        text = decompress(body, encoding, LIMITS.max_single_body_bytes)
        if isinstance(text, RequestFault):
            return
        decode = decode_batch if is_batch else decode_single
        decoded = decode(text, LIMITS)
        if isinstance(decoded, RequestFault) and may_have_surrogates(text):
            decoded = decode(b"".join(replace_lone_surrogates(text)), LIMITS)
        if isinstance(decoded, RequestFault):
            return
        request = msgspec.structs.replace(
            REQUEST,
            call_type=None if is_batch else "track",
            sent_at=decoded.sent_at,
            context=decoded.context,
            integrations=decoded.integrations,
        )
        receipt = self._runner.run(self._intake.accept(decoded.calls, SOURCE, request, texts=decoded.texts))
        if isinstance(receipt, RequestFault):
            return
        assert receipt.accepted + receipt.duplicates + len(receipt.rejected) == len(decoded.texts)


def count_rounds() -> Iterator[int]:
    """1, 2, 3 and so on, until the time is up: a seed for each round, so that what failed can be run again."""
    began = time.monotonic()
    for number in itertools.count(1):
        yield number
        if time.monotonic() - began > SECONDS:
            return
