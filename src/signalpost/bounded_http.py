"""HTTP from strangers: the server's protocol class with bounds on time, sizes and the number of connections.

uvicorn restarts its only timer with each byte and buffers a header of any length. Here a request has a deadline for its
head and one for its body, neither moved by what trickles in; what breaks a bound is answered once and the connection
closed. Source: tracking API, section 3.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_LOG: Final = logging.getLogger("signalpost.http")
_LOG.setLevel(logging.ERROR)  # a stranger's broken request is counted; a line for each would be theirs to flood

WHOLE_ANSWER: Final = "signalpost.whole_answer"
"""The scope's extension that sends a 200 in one piece: given its header lines and its body, it returns False when the
usual way must be taken. The usual way looks at each header with regular expressions and writes twice.
"""

BROKEN_KEY: Final = "broken"
"""Where the scope's state says why the rest of a request never comes."""

_SWEEPS_PER_DEADLINE: Final = 10
_CONNECTIONS_AT_ONCE: Final = 25
_MOST_WAITING: Final = 16
_BYTES_THAT_EARN_A_SECOND: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may cost, and how many there may be.

    body_seconds: for a body, and a second more for each 64 KiB received, up to longest_body_seconds. As long as a body
    may take, a client may leave an answer unread.
    """

    max_address_bytes: int = 8 << 10
    max_head_bytes: int = 16 << 10
    max_headers: int = 64
    head_seconds: float = 5
    body_seconds: float = 15
    longest_body_seconds: float = 60
    max_connections: int = 10_000
    max_connections_per_address: int = 200


@dataclass(frozen=True, slots=True)
class BrokenRequest:
    """Why a request never became one. It is counted, and answered when that is still possible."""

    status: int
    code: str
    message: str
    headers: Sequence[tuple[bytes, bytes]] = ()


_BAD_REQUEST: Final = BrokenRequest(400, "bad_request", "this is not valid HTTP")
_ADDRESS_TOO_LONG: Final = BrokenRequest(414, "uri_too_long", "the address is too long")
_HEAD_TOO_LARGE: Final = BrokenRequest(431, "headers_too_large", "the headers are too large or too many")
_METHOD_NOT_ALLOWED: Final = BrokenRequest(
    405, "method_not_allowed", "this is no proxy", ((b"allow", b"GET, HEAD, POST, OPTIONS"),)
)
_TIMED_OUT: Final = BrokenRequest(408, "request_timeout", "the request took too long to arrive")


class OpenConnections:
    """Every open connection of one listener: counts them by address, and ends those that are past their deadline.

    is_exempt: addresses that may open any number, such as a trusted proxy's. on_broken: told of each broken request and
    the address it came from.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        is_exempt: Callable[[str], bool] = lambda _: False,
        on_broken: Callable[[BrokenRequest, str], None] = lambda _broken, _address: None,
    ) -> None:
        self.limits = limits
        self.on_broken = on_broken
        self._is_exempt = is_exempt
        self._open: set[BoundedHttpProtocol] = set()
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: "BoundedHttpProtocol") -> bool:
        """Count a new connection; False when there are too many."""
        address = connection.address
        is_full = len(self._open) >= self.limits.max_connections or (
            self._by_address[address] >= self.limits.max_connections_per_address and not self._is_exempt(address)
        )
        if not is_full:
            self._open.add(connection)
            self._by_address[address] += 1
        return not is_full

    def forget(self, connection: "BoundedHttpProtocol") -> None:
        """A connection has ended; one that was never admitted is ignored."""
        if connection in self._open:
            self._open.discard(connection)
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    async def sweep(self) -> None:
        """End what is late, again and again. One look at all of them costs less than a timer for each request."""
        pause = self.limits.head_seconds / _SWEEPS_PER_DEADLINE
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause)
            now = loop.time()
            for number, connection in enumerate(tuple(self._open), 1):
                connection.end_if_late(now)
                if number % _CONNECTIONS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # many that are late together must not keep good clients waiting


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. Its deadline is that of the request that is arriving; None between requests."""

    def __init__(self, *args: Any, open_connections: OpenConnections, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _LOG
        self.address = ""
        self._open_connections = open_connections
        self._limits = open_connections.limits
        self._deadline: float | None = None
        self._write_deadline: float | None = None
        self._has_begun = False
        self._begun = 0
        self._body_began: float | None = None
        self._head_bytes = self._header_bytes = 0
        self._body_bytes = 0
        self._unanswered = 0
        self._broken: BrokenRequest | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or end it at once when there are too many."""
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        if self._open_connections.admit(self):
            super().connection_made(transport)
            self._deadline = self.loop.time() + self._limits.head_seconds
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It counts no more."""
        self._open_connections.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body; a head that outgrows its bound before it is complete ends here."""
        if self._broken is not None or self.transport.is_closing():
            return
        if self._deadline is None:
            self._deadline = self.loop.time() + self._limits.head_seconds
        self._unset_keepalive_if_required()
        began_before = self._begun
        self._feed(data)
        is_same_head = self._begun == began_before and self._body_began is None and self._deadline is not None
        if is_same_head and self._broken is None:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.max_address_bytes + self._limits.max_head_bytes:
                self._end(_HEAD_TOO_LARGE)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._end(self._broken or _BAD_REQUEST)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read a request that offers another protocol (Java's client does) as if it did not.

        The parser would take its body for that protocol. The head is fed again, without the offer.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._end(_METHOD_NOT_ALLOWED)
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() in {b"close", b"keep-alive"}]
                lines.append(b"connection: " + b",".join(kept))
            elif name != b"upgrade":
                lines.append(b"%s: %s" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._has_begun = True
        self._begun += 1
        self._head_bytes = self._header_bytes = 0
        if self._deadline is None:  # it came together with the end of the one before
            self._deadline = self.loop.time() + self._limits.head_seconds
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        super().on_url(url)
        if len(self.url) > self._limits.max_address_bytes:
            self._refuse(_ADDRESS_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value) + len(b": \r\n")
        if len(self.headers) > self._limits.max_headers:
            self._refuse(_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is there; from now on it is the body that has a deadline."""
        if self._header_bytes > self._limits.max_head_bytes:
            self._refuse(_HEAD_TOO_LARGE)
        if self.parser.should_upgrade():
            return  # it is read again
        super().on_headers_complete()
        self.scope["extensions"] = {WHOLE_ANSWER: partial(self._send_whole, self.cycle)}  # type: ignore[dict-item]
        self._unanswered += 1
        self._body_began = self.loop.time()
        self._body_bytes = 0
        self._deadline = self._body_began + self._limits.body_seconds

    def on_body(self, body: bytes) -> None:
        """A part of the body: a large one that does arrive earns time."""
        self._body_bytes += len(body)
        if self._body_began is not None:
            earned = self._limits.body_seconds + self._body_bytes / _BYTES_THAT_EARN_A_SECOND
            self._deadline = self._body_began + min(earned, self._limits.longest_body_seconds)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there; now it is our turn."""
        if self.parser.should_upgrade():
            return
        self._deadline = self._body_began = None
        self._has_begun = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._write_deadline = self.loop.time() + self._limits.body_seconds
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._write_deadline = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """An answer is sent; after the last one a broken request behind it has its turn."""
        self._unanswered -= 1
        super().on_response_complete()
        if self._broken is not None and not self._unanswered:
            self._answer(self._broken)
        elif len(self.pipeline) > _MOST_WAITING:
            self.flow.pause_reading()  # uvicorn reads on, and would take in any number of requests

    def _send_whole(self, cycle: RequestResponseCycle, headers: bytes, body: bytes) -> bool:
        if not cycle.keep_alive or cycle.disconnected or cycle.response_started or self.flow.write_paused:
            return False
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        usual = b"".join([b"%s: %s\r\n" % header for header in cycle.default_headers])
        self.transport.write(b"".join((STATUS_LINE[200], usual, headers, b"\r\n", body)))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def end_if_late(self, now: float) -> None:
        """Close the connection when what it is doing should be done by now."""
        if self._write_deadline is not None:
            if self._write_deadline <= now:
                self.transport.abort()
        elif self.transport.is_closing():
            self._write_deadline = now + self._limits.body_seconds  # in case the client does not take the rest
        elif self._deadline is not None and self._deadline <= now:
            if self._has_begun:
                self._end(_TIMED_OUT)
            else:
                self.transport.close()  # nothing was asked, so nothing is answered

    def _refuse(self, broken: BrokenRequest) -> None:
        """Make the parser stop, which ends in `_end`."""
        self._broken = broken
        raise ValueError(broken.code)

    def _end(self, broken: BrokenRequest) -> None:
        """Answer a broken request in its turn, and close: what follows it can't be told apart any more."""
        self._broken, self._deadline = broken, None
        is_known = self._body_began is not None  # to the app, which has read its head
        if is_known and not self.pipeline:
            self._tell_app(broken)
            return
        self._open_connections.on_broken(broken, self.address)
        if is_known:
            self.pipeline.popleft()  # it waits behind others
            self._unanswered -= 1
        if self._unanswered:
            self.flow.pause_reading()
        else:
            self._answer(broken)

    def _tell_app(self, broken: BrokenRequest) -> None:
        """The app waits for the rest of this request: it learns why there is none, and counts it."""
        self.cycle.scope["state"][BROKEN_KEY] = broken
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.cycle.response_started:
            self.transport.close()
        else:
            self._answer(broken)

    def _answer(self, broken: BrokenRequest) -> None:
        """Answer, and close when the client has had a moment to read it: bytes left unread would reset the line."""
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._write_deadline = self.loop.time() + self._limits.head_seconds
            self.transport.write(self._build_answer(broken))
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def _build_answer(self, broken: BrokenRequest) -> bytes:
        text = {"success": False, "code": broken.code, "message": broken.message, "error": broken.message}
        body = msgspec.json.encode(text)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"access-control-allow-origin", b"*"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *broken.headers,
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return b"%s%s\r\n%s" % (STATUS_LINE[broken.status], lines, body)


def allow_open_files(wanted: int) -> None:
    """Raise the process's limit of open files as far as it may be raised, up to `wanted`."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - not on every system

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        aim = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < aim:
            resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
