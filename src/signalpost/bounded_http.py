"""HTTP from strangers: one connection, with bounds on time and sizes.

httptools reads the bytes; the app gets one request of a connection at a time, and answers in the order of the requests.
A request has a deadline for its head and one for its body, neither moved by what trickles in; what breaks a bound is
answered once, in its turn, and the connection closed. Source: tracking API, section 3.
"""

import asyncio
import urllib.parse
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import httptools

from signalpost.http_messages import Answer, BrokenRequest, HttpRequest
from signalpost.open_connections import OpenConnections

App = Callable[[HttpRequest], Awaitable[Answer]]
"""Answers a request, whatever happens: an exception ends the connection. It may return before the body has come."""

_MOST_UNREAD_BYTES: Final = 64 << 10
_BYTES_THAT_EARN_A_SECOND: Final = 64 << 10
_MOST_FRAMING_BYTES: Final = 64 << 10
"""What the chunks of a body may cost beside it, and half of the body more: chunks of single bytes keep us busy."""

_BAD_REQUEST: Final = BrokenRequest(400, "bad_request", "this is not valid HTTP")
_TOO_MANY_CHUNKS: Final = BrokenRequest(400, "bad_request", "the body's chunks are too small, or say too much besides")
_ADDRESS_TOO_LONG: Final = BrokenRequest(414, "uri_too_long", "the address is too long")
_HEAD_TOO_LARGE: Final = BrokenRequest(431, "headers_too_large", "the headers are too large or too many")
_METHOD_NOT_ALLOWED: Final = BrokenRequest(
    405, "method_not_allowed", "this is no proxy", ((b"allow", b"GET, HEAD, POST, OPTIONS"),)
)
_INCOMPLETE: Final = BrokenRequest(400, "incomplete_body", "body is shorter than announced")
_TIMED_OUT: Final = BrokenRequest(408, "request_timeout", "the request took too long to arrive")


class BoundedHttp(asyncio.Protocol):
    """One connection. Its deadline is that of the request that is arriving, or of keep-alive; None when it is our turn.

    `_unanswered` holds the requests whose heads have come, the one that the app works on first; `_arriving` is the one
    whose body is not whole yet. It may have been answered already: then what comes of it is thrown away.
    """

    def __init__(self, app: App, open_connections: OpenConnections) -> None:
        self.address = ""
        self._app = app
        self._open_connections = open_connections
        self._limits = open_connections.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = _build_parser(self)
        self._unanswered: deque[HttpRequest] = deque()
        self._arriving: HttpRequest | None = None
        self._answering: asyncio.Task[None] | None = None
        self._broken: BrokenRequest | None = None
        self._deadline: float | None = None
        self._write_deadline: float | None = None
        self._is_between_requests = True
        self._is_stopping = self._is_ending = self._has_ended = False
        self._has_begun = False
        self._begun = 0
        self._body_began = 0.0
        self._body_bytes = self._framing_bytes = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = self._header_bytes = self._header_count = 0

    # The socket

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or end it at once when there are too many."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        if self._open_connections.admit(self):
            self._await_head()
        else:
            transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """It counts no more. What the app has begun goes on, since it may be durable already."""
        self._open_connections.forget(self)
        for request in self._unanswered:
            request.lose()
        self._unanswered.clear()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body; a head that outgrows its bound before it is complete ends here."""
        if self._broken is not None or self._transport.is_closing():
            return
        if self._is_between_requests:
            self._await_head()
        before, body_bytes = (self._begun, self._arriving), self._body_bytes
        self._feed(data)
        if (self._begun, self._arriving) == before:
            self._bound_overhead(len(data) - (self._body_bytes - body_bytes))

    def _bound_overhead(self, size: int) -> None:
        """So many bytes more of a head that is not whole yet, or of what stands around the chunks of a body."""
        if self._broken is not None:
            return
        if self._arriving is not None:
            self._framing_bytes += size
            if self._framing_bytes > _MOST_FRAMING_BYTES + self._body_bytes // 2:
                self._end(_TOO_MANY_CHUNKS)
        elif not self._is_between_requests:
            self._head_bytes += size
            if self._head_bytes > self._limits.max_address_bytes + self._limits.max_head_bytes:
                self._end(_HEAD_TOO_LARGE)

    def eof_received(self) -> bool:
        """The client sends no more, and may still read: what it has asked is answered. False: nothing is owed to it."""
        self._is_stopping = self._has_ended = True
        if self._arriving is not None and self._broken is None:
            self._end(_INCOMPLETE)
        return bool(self._unanswered) or self._answering is not None or self._broken is not None

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets no more of them, and a while to read these."""
        self._write_deadline = self._loop.time() + self._limits.body_seconds

    def resume_writing(self) -> None:
        """It does again."""
        if not self._is_ending:
            self._write_deadline = None
            self._go_on()

    def end_if_late(self, now: float) -> None:
        """Close the connection when what it is doing should be done by now."""
        if self._write_deadline is not None:
            if self._write_deadline <= now:
                self._transport.abort()
        elif self._transport.is_closing():
            self._write_deadline = now + self._limits.body_seconds  # in case the client does not take the rest
        elif self._deadline is not None and self._deadline <= now:
            if self._has_begun:
                self._end(_TIMED_OUT)
            else:
                self._transport.close()  # nothing was asked, so nothing is answered

    def stop(self) -> None:
        """Answer what has come, and close."""
        self._is_stopping = True
        if not self._unanswered:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, and give up what the app is doing."""
        self._transport.abort()
        if self._answering is not None:
            self._answering.cancel()

    # What the parser finds

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = self._feed_up_to_an_offer(rest)
        except httptools.HttpParserError:
            self._end(self._broken or _BAD_REQUEST)

    def _feed_up_to_an_offer(self, data: memoryview) -> memoryview:
        """What is left of the data behind the head of a request that offers to speak another protocol."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self._parser.get_method() == b"CONNECT":
                self._end(_METHOD_NOT_ALLOWED)
            else:
                self._decline_upgrade()
                return data[offer.args[0] :]
        return data[:0]

    def _decline_upgrade(self) -> None:
        """Read a request that offers another protocol (Java's client does) as if it did not.

        The parser would take its body for that protocol. The head is fed again, without the offer.
        """
        parser = self._parser
        lines = [b"%s %s HTTP/%s" % (parser.get_method(), self._url, parser.get_http_version().encode())]
        for name, value in self._headers.items():
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() in {b"close", b"keep-alive"}]
                lines.append(b"connection: " + b",".join(kept))
            elif name != b"upgrade":
                lines.append(b"%s: %s" % (name, value))
        self._parser = _build_parser(self)
        self._parser.feed_data(b"\r\n".join(lines) + b"\r\n\r\n")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._is_between_requests:  # it came together with the end of the one before
            self._await_head()
        self._has_begun = True
        self._begun += 1
        self._url = b""
        self._headers = {}
        self._head_bytes = self._header_bytes = self._header_count = 0

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._url += url
        if len(self._url) > self._limits.max_address_bytes:
            self._refuse(_ADDRESS_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. A trailer, behind a body in chunks, counts, but means nothing: it came past every check."""
        if self._arriving is None:
            name, headers = name.lower(), self._headers
            headers[name] = b"%s, %s" % (headers[name], value) if name in headers else value
        self._header_bytes += len(name) + len(value) + len(b": \r\n")
        self._header_count += 1
        if self._header_count > self._limits.max_headers:
            self._refuse(_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is there; from now on it is the body that has a deadline."""
        if self._header_bytes > self._limits.max_head_bytes:
            self._refuse(_HEAD_TOO_LARGE)
        parser = self._parser
        if parser.should_upgrade():
            return  # it is read again
        path, query_string = _split_address(self._url)
        request = HttpRequest(
            parser.get_method().decode("ascii"),
            path,
            query_string,
            self._headers,
            self.address,
            self._let_body_come,
            is_kept_alive=parser.should_keep_alive() and parser.get_http_version() != "1.0",
        )
        self._arriving = request
        self._body_bytes = self._framing_bytes = 0
        self._body_began = self._loop.time()
        self._deadline = self._body_began + self._limits.body_seconds
        self._unanswered.append(request)
        if len(self._unanswered) == 1:
            self._go_on()
        else:
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        """A part of the body: a large one that does arrive earns time."""
        self._body_bytes += len(body)
        earned = self._limits.body_seconds + self._body_bytes / _BYTES_THAT_EARN_A_SECOND
        self._deadline = self._body_began + min(earned, self._limits.longest_body_seconds)
        request = self._arriving
        if request is not None and self._is_unanswered(request):
            request.add(body)
            if request.unread_bytes > _MOST_UNREAD_BYTES:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The request is there; now it is our turn."""
        if self._arriving is None:
            return  # the end of a head that is read again
        self._arriving.complete()
        self._arriving = None
        self._has_begun = False
        self._is_between_requests = True
        self._deadline = None if self._unanswered else self._loop.time() + self._limits.idle_seconds

    def _await_head(self) -> None:
        self._is_between_requests = False
        self._deadline = self._loop.time() + self._limits.head_seconds

    def _let_body_come(self, request: HttpRequest) -> None:
        if self._transport.is_closing():
            return
        if request.headers.get(b"expect", b"").lower() == b"100-continue" and not self._body_bytes:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._transport.resume_reading()

    # Requests and answers

    def _go_on(self) -> None:
        """Turn to what comes next on this connection, once the client has taken the answers before."""
        if self._write_deadline is not None or self._answering is not None or self._transport.is_closing():
            return
        if self._unanswered:
            self._answering = self._loop.create_task(self._answer(self._unanswered[0]))
        elif self._broken is not None:
            self._answer_broken(self._broken)
        elif self._is_between_requests:
            self._deadline = self._loop.time() + self._limits.idle_seconds
        if len(self._unanswered) < 2 and self._broken is None:
            self._transport.resume_reading()

    async def _answer(self, request: HttpRequest) -> None:
        try:
            answer = await self._app(request)
        except BaseException:
            self._transport.abort()
            raise
        self._answering = None
        if not self._unanswered or self._unanswered[0] is not request:
            return  # the client has gone, or was told what was wrong
        self._unanswered.popleft()
        is_last = answer.is_last or not request.is_kept_alive or (self._is_stopping and not self._unanswered)
        has_body = request.method != "HEAD"
        self._transport.write(
            answer.encode(self._open_connections.date, request.id, is_last=is_last, has_body=has_body)
        )
        if is_last:
            self._unanswered.clear()
            self._transport.close()
        else:
            self._go_on()

    def _is_unanswered(self, arriving: HttpRequest) -> bool:
        return bool(self._unanswered) and self._unanswered[-1] is arriving

    def _refuse(self, broken: BrokenRequest) -> None:
        """Make the parser stop, which ends in `_end`."""
        self._broken = broken
        raise ValueError(broken.code)

    def _end(self, broken: BrokenRequest) -> None:
        """Answer a broken request in its turn, and close: what follows it can't be told apart any more."""
        self._broken, self._deadline = broken, None
        request = self._arriving
        if request is not None and not self._is_unanswered(request):
            self._transport.close()  # it was answered before its body broke
        elif request is not None and request is self._unanswered[0] and self._answering is not None:
            self._unanswered.clear()
            self._answer_broken(broken)
            request.lose(broken)  # the app waits for the rest of it, and counts it
        else:
            self._open_connections.on_broken(broken, self.address)
            if request is not None:
                self._unanswered.pop()
            self._transport.pause_reading()
            self._go_on()

    def _answer_broken(self, broken: BrokenRequest) -> None:
        """Answer, and close when the client has had a moment to read it: bytes left unread would reset the line."""
        if not self._transport.is_closing():
            self._is_ending = True
            self._transport.resume_reading()
            self._write_deadline = self._loop.time() + self._limits.head_seconds
            self._transport.write(broken.build_answer().encode(self._open_connections.date, is_last=True))
            if self._transport.can_write_eof() and not self._has_ended:
                self._transport.write_eof()
            else:
                self._transport.close()


def _build_parser(connection: BoundedHttp) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(connection)
    # Else a request behind one that closes the connection would spoil that one's answer.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _split_address(url: bytes) -> tuple[str, bytes]:
    """Path, decoded, and query. The address may be in full, as to a proxy. Raises what makes the parser stop."""
    if url.startswith(b"/") and b"#" not in url:
        raw_path, _, query = url.partition(b"?")
    else:
        parsed = httptools.parse_url(url)
        raw_path, query = parsed.path or b"/", parsed.query or b""
    path = raw_path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path, query
