"""Reading a body off the wire: never more than the limit of its path, never more in memory than all may have."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Final, cast

from signalpost.ingest.addresses import find_subscriber
from signalpost.ingest.decode import FaultCode, RequestFault
from signalpost.ingest.requests import TrackingRequest

_MOST_BYTES_THROWN_AWAY: Final = 16 << 20
_LONGEST_SILENCE_SECONDS: Final = 1
_SMALL_BYTES: Final = 64 << 10

_INCOMPLETE: Final = RequestFault("incomplete_body", "body is shorter than announced")
NO_ROOM: Final = RequestFault("temporarily_unavailable", "too many large requests at once; send it again later")


class BodyMemory:
    """How many bytes of bodies are held, over all requests; each gives back what it took when it is answered.

    Who sends large bodies slowly must not shut the door for the others: large ones leave an eighth of the memory to
    single calls, and those of one address get half of it at most.
    """

    def __init__(self, most_bytes: int) -> None:
        self._free = most_bytes
        self._kept_for_small = most_bytes // 8
        self._most_of_one = most_bytes // 2
        self._large_of: Counter[str] = Counter()

    def take(self, request: TrackingRequest, size: int) -> bool:
        """Hold `size` bytes more for a request; False when there is no room."""
        held = request.bytes_held + size
        if size > self._free or (held > _SMALL_BYTES and not self._take_large(request, held, size)):
            return False
        self._free -= size
        request.bytes_held = held
        return True

    def _take_large(self, request: TrackingRequest, held: int, size: int) -> bool:
        owner = find_subscriber(request.client_ip)
        more = size if request.bytes_held > _SMALL_BYTES else held
        if size > self._free - self._kept_for_small or self._large_of[owner] + more > self._most_of_one:
            return False
        self._large_of[owner] += more
        return True

    def give_back(self, request: TrackingRequest) -> None:
        """Everything that was held for a request."""
        if request.bytes_held > _SMALL_BYTES:
            owner = find_subscriber(request.client_ip)
            self._large_of[owner] -= request.bytes_held
            if not self._large_of[owner]:
                del self._large_of[owner]
        self._free += request.bytes_held
        request.bytes_held = 0


async def read_body(request: TrackingRequest, limit: int, memory: BodyMemory) -> bytes | RequestFault:
    """The body as it was sent. Stops at the limit, whatever the client announced."""
    too_large = RequestFault("payload_too_large", f"body is larger than {limit} bytes")
    # Without leading zeros: of those a header holds more than Python reads as a number.
    announced = request.headers.get(b"content-length", b"").lstrip(b"0")
    if announced.isdigit() and int(announced) > limit:
        if b"expect" not in request.headers:  # else the client has sent nothing yet, and never will
            await _throw_away(request)
        return too_large
    parts: list[bytes] = []
    while True:
        part = await request.read_part()
        if part is None:
            broken = request.find_break()
            return RequestFault(cast("FaultCode", broken.code), broken.message) if broken else _INCOMPLETE
        request.bytes_received += len(part)
        is_last = request.is_whole
        if request.bytes_received > limit or not memory.take(request, len(part)):
            if not is_last:
                await _throw_away(request)
            return too_large if request.bytes_received > limit else NO_ROOM
        parts.append(part)
        if is_last:
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _throw_away(request: TrackingRequest) -> None:
    """Take what is left of a refused body off the wire, within bounds.

    Closing a connection with bytes unread resets it: the client would see no answer, and send the same again.
    """
    thrown_away = 0
    with suppress(TimeoutError):
        while thrown_away < _MOST_BYTES_THROWN_AWAY:
            async with asyncio.timeout(_LONGEST_SILENCE_SECONDS):
                part = await request.read_part()
            if part is None or request.is_whole:
                return
            thrown_away += len(part)
