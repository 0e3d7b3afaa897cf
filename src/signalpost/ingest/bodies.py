"""Reading a body off the wire: never more than the limit of its path, never more in memory than all may have."""

import asyncio
from contextlib import suppress
from typing import Final, cast

from signalpost.ingest.decode import FaultCode, RequestFault
from signalpost.ingest.requests import TrackingRequest

_MOST_BYTES_THROWN_AWAY: Final = 16 << 20
_LONGEST_SILENCE_SECONDS: Final = 1

_INCOMPLETE: Final = RequestFault("incomplete_body", "body is shorter than announced")
NO_ROOM: Final = RequestFault("temporarily_unavailable", "too many large requests at once; send it again later")


class BodyMemory:
    """How many bytes of bodies are held, over all requests; each gives back what it took when it is answered."""

    def __init__(self, most_bytes: int) -> None:
        self._free = most_bytes

    def take(self, request: TrackingRequest, size: int) -> bool:
        """Hold `size` bytes more for a request; False when there is no room."""
        if size > self._free:
            return False
        self._free -= size
        request.bytes_held += size
        return True

    def give_back(self, request: TrackingRequest) -> None:
        """Everything that was held for a request."""
        self._free += request.bytes_held
        request.bytes_held = 0


async def read_body(request: TrackingRequest, limit: int, memory: BodyMemory) -> bytes | RequestFault:
    """The body as it was sent. Stops at the limit, whatever the client announced."""
    too_large = RequestFault("payload_too_large", f"body is larger than {limit} bytes")
    announced = request.headers.get(b"content-length", b"").lstrip(
        b"0"
    )  # as many zeros as a header holds are no number
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
