"""How fast one process maps: JSON bytes in, JSON bytes out, against a floor measured in the same run.

The floor is what no mapping can do without: decode the call, hash eleven values, encode a result of the same size. Both
are timed in turns over the same events, so that a busy machine slows both: the ratio carries over.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

import signalpost
from benchmarks.machine import describe_machine
from benchmarks.sample_events import build_json_calls

EVENTS = 5_000
ROUNDS = 7
AIM = 0.3

_request = signalpost.RequestContext(datetime(2026, 11, 21, 12, tzinfo=UTC), new_message_id=lambda: "none")
_destination = signalpost.build_destination("facebook-conversions-api", {"pixel_id": "1234567890"})
_decode, _encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


def map_one(call: bytes) -> bytes:
    """Bytes in, bytes out, as the gateway does it."""
    event = signalpost.parse_call(_decode(call), _request)
    if isinstance(event, signalpost.InvalidCall):
        raise TypeError(event)
    (result,) = signalpost.map_event(event, _destination)
    if not isinstance(result, signalpost.Mapped):
        raise TypeError(result)
    return result.server_event.to_json()


def do_the_least(call: bytes) -> bytes:
    """The floor: decode, eleven SHA-256, encode."""
    decoded = _decode(call)
    hashes = [sha256(b"%d" % number + call[:16]).hexdigest() for number in range(11)]
    return _encode([decoded["properties"], hashes])


def _time(work: Callable[[bytes], bytes], calls: list[bytes]) -> float:
    began = time.perf_counter()
    for call in calls:
        work(call)
    return len(calls) / (time.perf_counter() - began)


def main() -> None:
    """Print both rates and their ratio: the median of several rounds, after one that warms the caches."""
    # Each round maps shoppers that were never seen, so that no cache of e-mails or phones could help.
    rounds = [list(build_json_calls(EVENTS, start=number * EVENTS)) for number in range(ROUNDS + 1)]
    _time(map_one, rounds[0]), _time(do_the_least, rounds[0])
    rates, floors = [], []
    for calls in rounds[1:]:
        rates.append(_time(map_one, calls))
        floors.append(_time(do_the_least, calls))
    ratio = statistics.median(rate / floor for rate, floor in zip(rates, floors, strict=True))
    print("Mapping, one process, JSON bytes to JSON bytes")
    print(f"  machine     {describe_machine()}")
    print(f"  method      median of {ROUNDS} rounds of {EVENTS:,} distinct orders with ten traits")
    print(f"  map_event   {statistics.median(rates):>10,.0f} events/s")
    print(f"  floor       {statistics.median(floors):>10,.0f} events/s   decode + 11 SHA-256 + encode")
    print(f"  ratio       {ratio:>10.2f}            aim: {AIM} or more")


if __name__ == "__main__":
    main()
