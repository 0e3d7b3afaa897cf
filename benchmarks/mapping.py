"""How fast one process maps: JSON bytes in, JSON bytes out, against a floor measured in the same run.

The floor is what no mapping can do without: decode the call, hash eleven values, encode a result of the same size. Both
are timed in turns over events of the same kind, in processor time, so that a busy machine slows both: the ratio carries
over.

    python -m benchmarks.mapping                   the rates and the longest event
    python -m benchmarks.mapping --users 1000000   how much a process grows while it maps so many distinct users
"""

import argparse
import gc
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec

import signalpost
from benchmarks.machine import describe_machine
from benchmarks.sample_events import build_call, build_json_calls, build_largest_call
from signalpost.mapping.phone_numbers import recognize_number

EVENTS = 2_000
ROUNDS = 15
WARM_UP_USERS = 100_000
AIM = 0.4
AIM_NATIONAL = 12_000
AIM_LONGEST = 5

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


def measure_growth(users: int) -> float:
    """MiB by which the process grows while it maps so many users, no two alike, after a first hundred thousand."""
    for call in build_json_calls(WARM_UP_USERS):
        map_one(call)
    before = _read_resident_mebibytes()
    for call in build_json_calls(users, start=WARM_UP_USERS):
        map_one(call)
    return _read_resident_mebibytes() - before


def _read_resident_mebibytes() -> float:
    gc.collect()
    if Path("/proc/self/statm").exists():
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _time(work: Callable[[bytes], bytes], calls: list[bytes]) -> float:
    """Calls a second of processor time."""
    began = time.process_time()
    for call in calls:
        work(call)
    return len(calls) / (time.process_time() - began)


def _time_phones(country: str, write: Callable[[int], str]) -> float:
    """The same for events whose phone number, in that country, is written in another way."""
    rates = []
    for start in range(0, 5 * EVENTS, EVENTS):
        calls = []
        for number in range(start, start + EVENTS):
            call = build_call(number)
            call["context"]["traits"]["phone"] = write(number)
            call["context"]["traits"]["address"] |= {"country": country, "state": "", "postalCode": "SW1A 1AA"}
            calls.append(json.dumps(call).encode())
        rates.append(_time(map_one, calls))
    return statistics.median(rates[1:])


def _compare_with_floor() -> tuple[float, float, float]:
    # Each round maps shoppers that were never seen, so that no cache of e-mails or phones could help.
    rounds = [list(build_json_calls(EVENTS, start=number * EVENTS)) for number in range(ROUNDS + 1)]
    pairs = [(_time(map_one, calls), _time(do_the_least, calls)) for calls in rounds][1:]
    rates, floors = zip(*pairs, strict=True)
    return statistics.median(rates), statistics.median(floors), statistics.median(rate / floor for rate, floor in pairs)


def _write_kazakh_number(number: int) -> str:
    """As a Russian address book has it: the two countries share a code, and only the library knows whose it is."""
    written = f"8 (771) 234 {number % 10_000:04d}"
    if recognize_number(written, "ru") is not None:
        raise ValueError(f"{written} is read without the library")
    return written


def main() -> None:
    """Print the rates, or the growth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, help="measure memory with so many users instead")
    if users := parser.parse_args().users:
        print(f"  grew by {measure_growth(users):.1f} MiB over {users:,} distinct users   aim: under 50")
        return
    rate, floor, ratio = _compare_with_floor()
    national = _time_phones("GB", lambda number: f"020 7946 {number % 10_000:04d}")
    extended = _time_phones("GB", lambda number: f"020 7946 {number % 10_000:04d} ext {number}")
    # The 15 of a mobile number becomes a 9 in another place.
    rewritten = _time_phones("AR", lambda number: f"011 15-2345-{number % 10_000:04d}")
    asked = _time_phones("RU", _write_kazakh_number)
    largest = build_largest_call()
    longest = 1_000 / statistics.median(_time(map_one, [largest]) for _ in range(50))
    print("Mapping, one process, JSON bytes to JSON bytes, processor time")
    print(f"  machine     {describe_machine()}")
    print(f"  method      median of {ROUNDS} rounds of {EVENTS:,} distinct orders with ten traits")
    print(f"  map_event   {rate:>10,.0f} events/s")
    print(f"  floor       {floor:>10,.0f} events/s   decode + 11 SHA-256 + encode")
    print(f"  ratio       {ratio:>10.2f}            aim: {AIM} or more")
    print(f"  national    {national:>10,.0f} events/s   phones such as 020 7946 0958")
    print(f"  extension   {extended:>10,.0f} events/s   phones such as 020 7946 0958 ext 12")
    print(f"  rewritten   {rewritten:>10,.0f} events/s   phones such as 011 15-2345-6789 in Argentina")
    print(f"  library     {asked:>10,.0f} events/s   phones that only the library reads; aim: {AIM_NATIONAL:,}")
    print(f"  largest     {longest:>10.2f} ms         {len(largest):,} bytes, 500 products; aim: under {AIM_LONGEST}")


if __name__ == "__main__":
    main()
