"""What passes between the tracking port's HTTP connections and its app: requests in, answers out. Knows no socket."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Final

import msgspec

Header = tuple[bytes, bytes]

_STATUS_LINES: Final = {each.value: b"HTTP/1.1 %d %s\r\n" % (each.value, each.phrase.encode()) for each in HTTPStatus}


@dataclass(frozen=True, slots=True)
class BrokenRequest:
    """Why a request never became one. It is counted, and answered when that is still possible."""

    status: int
    code: str
    message: str
    headers: Sequence[Header] = ()

    def build_answer(self) -> "Answer":
        """What its sender gets, and then the end of the connection."""
        told = {"success": False, "code": self.code, "message": self.message, "error": self.message}
        headers = (
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"access-control-allow-origin", b"*"),
            *self.headers,
        )
        return Answer(self.status, msgspec.json.encode(told), headers, is_last=True)


@dataclass(frozen=True)
class Answer:
    """A status, a body, and the headers that are the app's to choose. Values of headers are taken as they are.

    is_last: the connection ends with it.
    """

    status: int
    body: bytes
    headers: tuple[Header, ...]
    is_last: bool = False

    @cached_property
    def _head(self) -> bytes:
        lines = b"".join(b"%s: %s\r\n" % header for header in self.headers)
        length = b"" if self.status == 204 else b"content-length: %d\r\n" % len(self.body)
        return _STATUS_LINES[self.status] + lines + length

    def encode(self, date: bytes, request_id: str = "", *, is_last: bool = False, has_body: bool = True) -> bytes:
        """The bytes for the wire."""
        end = b"connection: close\r\n\r\n" if is_last else b"\r\n"
        own = b"x-request-id: %s\r\n" % request_id.encode() if request_id else b""
        return b"%sdate: %s\r\n%s%s%s" % (self._head, date, own, end, self.body if has_body else b"")

    def with_headers(self, *more: Header) -> "Answer":
        """The same answer with more headers; one that is there already is replaced."""
        names = {name for name, _ in more}
        kept = (header for header in self.headers if header[0] not in names)
        return Answer(self.status, self.body, (*kept, *more), self.is_last)


class HttpRequest:
    """One request whose head has arrived; its body may still be on its way.

    path: decoded. query_string: as sent. headers: by name in lower case, repeats joined by a comma. id: the app's to
    set; the answer names it. broken: why the rest of the body never comes, when it was the request's own fault.
    on_wanted: called when the app waits for more of the body.
    """

    __slots__ = (
        "_on_wanted",
        "_parts",
        "_waiting",
        "address",
        "broken",
        "headers",
        "id",
        "is_kept_alive",
        "is_lost",
        "is_whole",
        "method",
        "path",
        "query_string",
        "unread_bytes",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query_string: bytes,
        headers: dict[bytes, bytes],
        address: str,
        on_wanted: Callable[["HttpRequest"], None],
        *,
        is_kept_alive: bool,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.address = address
        self.id = ""
        self.is_kept_alive = is_kept_alive
        self.is_whole = self.is_lost = False
        self.broken: BrokenRequest | None = None
        self.unread_bytes = 0
        self._on_wanted = on_wanted
        self._parts: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None

    async def read_part(self) -> bytes | None:
        """What has arrived of the body since the last part; it was the last one when `is_whole`.

        None: the rest will never come, since the client has gone or broken its own request.
        """
        if not (self._parts or self.is_whole or self.is_lost):
            self._waiting = asyncio.get_running_loop().create_future()
            self._on_wanted(self)
            await self._waiting
        if self.is_lost:
            return None
        parts, self._parts = self._parts, []
        self.unread_bytes = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def add(self, part: bytes) -> None:
        """A part of the body has come."""
        self._parts.append(part)
        self.unread_bytes += len(part)
        self._wake()

    def complete(self) -> None:
        """The whole body has come."""
        self.is_whole = True
        self._wake()

    def lose(self, broken: BrokenRequest | None = None) -> None:
        """Nothing more will come of it, and no answer is waited for."""
        self.is_lost, self.broken = True, broken
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
