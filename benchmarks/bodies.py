"""What the worst body of 500 KiB costs: processor time until each of its calls is read or refused, without mapping.

Aim: under 50 ms for each, so that whoever sends such bodies can't keep others waiting. The best of five times counts.
Others get their turn in between: the longest turn is how long one such body keeps them waiting.
"""

import gc
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from benchmarks.machine import describe_machine
from signalpost.ingest.decode import Limits, RequestFault, decode_batch, decode_single
from signalpost.ingest.surrogates import may_have_surrogates, replace_lone_surrogates
from signalpost.model.segment_event import InvalidCall, RequestContext, parse_call

SIZE: Final = 500 << 10
AIM_MS: Final = 50
TIMES: Final = 5
TURN_SECONDS: Final = 0.005
_LIMITS: Final = Limits()
_CONTEXT: Final = RequestContext(received_at=datetime(2026, 11, 21, tzinfo=UTC), new_message_id=lambda: "bench")


def _fill(before: bytes, part: bytes, after: bytes, between: bytes = b"") -> bytes:
    """A body of 500 KiB: as many parts as fit."""
    count = (SIZE - len(before) - len(after) + len(between)) // (len(part) + len(between))
    return before + between.join([part] * count) + after


def _build_batch(call: Mapping[str, object]) -> bytes:
    text = json.dumps(call).encode()
    count = min(_LIMITS.max_batch_calls, SIZE // (len(text) + 1))
    return b'{"batch":[' + b",".join([text] * count) + b"]}"


def build_bodies() -> dict[str, bytes]:
    """The worst we know, by name. Singles are larger than a call may be, which only shows once they are read."""
    call = {"type": "track", "event": "x", "userId": "u", "timestamp": "2026-11-21T11:59:58.250+01:00"}
    keys = b",".join(b'"%d":0' % number for number in range(45_000))
    before, after = b'{"userId":"u","event":"x","properties":', b"}"
    return {
        "a number in brackets, again and again": _fill(before + b"[", b"[0]", b"]" + after, b","),
        "empty objects": _fill(before + b"[", b"{}", b"]" + after, b","),
        "45,000 keys in one object": before + b"{" + keys + b"}" + after,
        "one key, again and again": _fill(before + b"{", b'"a":0', b"}" + after, b","),
        "nested 900 deep, again and again": _fill(before + b"[", b"[" * 900 + b"]" * 900, b"]" + after, b","),
        "brackets that never close": b"[" * SIZE,
        "digits of one number": _fill(before, b"7", after),
        "escapes": _fill(before + b'"', rb"\u00e9", b'"' + after),
        "half surrogates": _fill(before + b'"', rb"\ud800", b'"' + after),
        "backslashes before a half surrogate": _fill(before + b'"', rb"\\", rb'\ud800"' + after),
        "letters outside ASCII": _fill(before + b'"', "é".encode(), b'"' + after),
        "2,500 calls without anything": _build_batch({}),
        "2,500 good calls": _build_batch(call),
        "2,500 calls with a bad time": _build_batch({**call, "timestamp": "2026-11-21T11:59:58.250 x"}),
        "calls of 32 KiB, nested as deep as allowed": _build_batch(
            {**call, "properties": {str(n): json.loads("[" * 60 + "]" * 60) for n in range(240)}}
        ),
    }


def _read(body: bytes) -> Iterator[bool]:
    """Read a body as the gateway does, whether each call is good: between two of them others may have their turn."""
    decode = decode_batch if body.startswith(b'{"batch"') else decode_single
    decoded = decode(body, _LIMITS)
    if isinstance(decoded, RequestFault) and may_have_surrogates(body):
        pieces = []
        for piece in replace_lone_surrogates(body):
            pieces.append(piece)
            yield False
        decoded = decode(b"".join(pieces), _LIMITS)
    for call in () if isinstance(decoded, RequestFault) else decoded.calls:
        is_read = not isinstance(call, (InvalidCall, RequestFault))
        yield is_read and not isinstance(parse_call(call, _CONTEXT), InvalidCall)


def _measure_turn(body: bytes) -> float:
    """Milliseconds of the longest turn: steps until 5 ms are over, as the gateway takes them."""
    turns, began = [0.0], time.process_time()
    for _ in _read(body):
        if time.process_time() - began > TURN_SECONDS:
            turns.append(time.process_time() - began)
            began = time.process_time()
    return max(*turns, time.process_time() - began) * 1_000


def _measure(body: bytes) -> float:
    took = []
    for _ in range(TIMES):
        began = time.process_time()
        sum(_read(body))
        took.append(time.process_time() - began)
    return min(took) * 1_000


def main() -> None:
    """Run and print."""
    print("Bodies of 500 KiB: read, decoded, parsed and validated")
    print(f"  machine        {describe_machine()}; processor time, best of {TIMES}")
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # as the gateway does
    bodies = build_bodies()
    times = {name: _measure(body) for name, body in bodies.items()}
    turns = {name: min(_measure_turn(body) for _ in range(TIMES)) for name, body in bodies.items()}
    for name, took in sorted(times.items(), key=lambda row: -row[1]):
        facts = (
            f"{len(bodies[name]) >> 10} KiB, {sum(_read(bodies[name])):,} good calls, longest turn {turns[name]:.1f} ms"
        )
        print(f"  {took:>6.1f} ms      {name} ({facts})")
    print(f"  worst          {max(times.values()):.1f} ms (aim: under {AIM_MS} ms)")
    print(f"  longest turn   {max(turns.values()):.1f} ms")


if __name__ == "__main__":
    main()
