"""Answers that break the rules of HTTP: they reach around the server for the connection itself.

`OpenConnectionProtocol` puts the transport within reach of the app; nothing but the responses here uses it.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# l_onoff = 1, l_linger = 0: closing sends RST instead of FIN.
LINGER_ZERO = struct.pack("ii", 1, 0)


class OpenConnectionProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with `scope["state"]["transport"]`, and silent about requests."""

    access_log = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.access_log = False
        self.scope["state"]["transport"] = self.transport


def find_transport(request: Request) -> asyncio.Transport:
    transport: asyncio.Transport = request.state.transport
    return transport


class ResetConnection(Response):
    """No answer: the caller sees its connection reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        transport = _transport_of(scope)
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        transport.abort()
        await _wait_until_gone(receive)


class SilentConnection(Response):
    """No answer and no end: it lasts until the caller gives up, or the server goes down."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await _wait_until_gone(receive)


class RawAnswer(Response):
    """Bytes written past the server, after which the connection is closed."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self._raw = raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        transport = _transport_of(scope)
        transport.write(self._raw)
        transport.close()
        await _wait_until_gone(receive)


class DrippingAnswer(Response):
    """A sound answer, one byte at a time. pause: waits the given seconds."""

    def __init__(self, raw: bytes, bytes_per_second: float, pause: Callable[[float], Awaitable[None]]) -> None:
        super().__init__()
        self._raw = raw
        self._seconds_a_byte = 1 / bytes_per_second
        self._pause = pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        transport = _transport_of(scope)
        for position in range(len(self._raw)):
            if transport.is_closing():
                break
            transport.write(self._raw[position : position + 1])
            await self._pause(self._seconds_a_byte)
        transport.close()
        await _wait_until_gone(receive)


class AnswerThenHangUp(Response):
    """A sound answer that promises to keep the connection, and then ends it."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)
        _transport_of(scope).close()


def write_raw_answer(response: Response, *, content_length: int | None = None) -> bytes:
    """Return the response as it goes over the wire; content_length overrides the true one."""
    lines = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}"]
    for name, value in response.headers.items():
        is_overridden = name == "content-length" and content_length is not None
        lines.append(f"{name}: {content_length if is_overridden else value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + bytes(response.body)


def _transport_of(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport


async def _wait_until_gone(receive: Receive) -> None:
    # Returning before the server has noticed the end would make it answer with an error of its own.
    while (await receive())["type"] != "http.disconnect":
        pass
