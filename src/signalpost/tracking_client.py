"""Posts batches of calls to a tracking API, as slowly as it asks. The one place that knows its answers from outside."""

import asyncio
import gzip
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from signalpost.catalog import WRITE_KEY_SHAPE
from signalpost.model.errors import SignalpostError

_DEFAULT_WAIT_SECONDS = 5
_LONGEST_WAIT_SECONDS = 60
_REQUEST_SECONDS = 120
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_LEAST_COMPRESSED_BYTES = 1_000
_FASTEST = 1


class SendFailed(SignalpostError):
    """The gateway refuses the requests, stays busy, or can't be reached."""


class RejectedInBatch(msgspec.Struct, frozen=True):
    """A call that the gateway did not take, by its place in the request, counted from 0."""

    index: int
    code: str
    message: str


class BatchAnswer(msgspec.Struct, frozen=True):
    """What became of a request's calls. Of a request that was refused only `code` and `message` mean something."""

    accepted: int = 0
    duplicates: int = 0
    rejected: tuple[RejectedInBatch, ...] = ()
    code: str = ""
    message: str = "not a Segment-compatible answer"


class BatchTooLarge(SendFailed):
    """The gateway takes only smaller requests."""


class TrackingClient:
    """Requests with one write key. Bodies for another machine are compressed: a batch of calls shrinks to a seventh.

    patience_seconds: how long the gateway may stay busy or away before the client gives up. One that was never there
    is not waited for.
    on_wait: told before each wait how many seconds it takes, and why.
    """

    def __init__(
        self, url: str, write_key: str, patience_seconds: float, on_wait: Callable[[int, str], None] = lambda *_: None
    ) -> None:
        if not WRITE_KEY_SHAPE.fullmatch(write_key):
            raise SendFailed("the write key must be 16 to 64 letters, digits, - or _")
        self._url = url.rstrip("/")
        self._headers = {
            "Authorization": aiohttp.encode_basic_auth(write_key),
            "Content-Type": "application/json",
        }
        self._is_far = urlsplit(url).hostname not in _THIS_MACHINE
        self._patience_seconds = patience_seconds
        self._on_wait = on_wait
        self._has_answered = False

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, path: str, body: bytes, call_count: int) -> BatchAnswer:
        """Send a batch until it is taken. Raises SendFailed; BatchTooLarge when half of it may do."""
        headers = {}
        if self._is_far and len(body) >= _LEAST_COMPRESSED_BYTES:
            body, headers = gzip.compress(body, _FASTEST), {"Content-Encoding": "gzip"}
        gives_up_at = time.monotonic() + self._patience_seconds
        unreachable_until = gives_up_at if self._has_answered else 0.0
        while True:
            try:
                async with self._session.post(f"{self._url}{path}", data=body, headers=headers) as response:
                    answer, status = _decode(await response.read()), response.status
                    retry_after = response.headers.get("Retry-After", "")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = f"{self._url} cannot be reached ({type(error).__name__})"
                hint = "is `signalpost serve` running there?"
                await self._wait("", trouble, hint, unreachable_until)
                continue
            self._has_answered = True
            if status == 200:
                if answer.accepted + answer.duplicates + len(answer.rejected) != call_count:
                    raise SendFailed(
                        f"{self._url} answered 200 but did not say what became of the calls; is it a gateway?"
                    )
                return answer
            if status in {429, 503}:
                await self._wait(retry_after, f"{self._url} is busy", "try again later", gives_up_at)
            elif status == 413 or answer.code == "too_many_events":
                raise BatchTooLarge(f"{self._url} answered {status}: {answer.message}")
            else:
                raise SendFailed(f"{self._url} answered {status}: {answer.message}")

    async def _wait(self, retry_after: str, trouble: str, hint: str, gives_up_at: float) -> None:
        seconds = int(retry_after) if retry_after.isdecimal() else _DEFAULT_WAIT_SECONDS
        seconds = min(seconds, _LONGEST_WAIT_SECONDS)
        if time.monotonic() + seconds > gives_up_at:
            raise SendFailed(f"{trouble}; {hint}")
        self._on_wait(seconds, trouble)
        await asyncio.sleep(seconds)


def _decode(body: bytes) -> BatchAnswer:
    try:
        return msgspec.json.decode(body, type=BatchAnswer)
    except (msgspec.DecodeError, RecursionError):
        return BatchAnswer()
