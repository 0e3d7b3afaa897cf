"""One request to the Conversions API: its address, its time limit, and what came back as an outcome.

The token travels in a header only, so that no address ever holds it. Redirects are never followed: the token would
travel along. Proxies named in the environment are not used.
"""

import functools
import io
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp

from signalpost import failpoints
from signalpost.meta.headers import find_date, find_usage, find_wait_seconds
from signalpost.meta.requests import build_body, build_probe_body
from signalpost.meta.response import classify, classify_probe
from signalpost.model.delivery import Answer, Batch, Outcome, Target, Unauthorized, Unavailable
from signalpost.redaction import MASK

MAX_ANSWER_BYTES = 1 << 20
MAX_CONNECTIONS = 64


class MetaClient:
    """Sends batches to one Graph API host. Use as an async context manager inside the event loop that will send.

    total_seconds: the limit of one request, from waiting for a connection to the last byte of the answer.
    """

    def __init__(self, base_url: str, *, connect_seconds: float = 3, total_seconds: float = 10) -> None:
        self._base_url = base_url.rstrip("/")
        self._total_seconds = total_seconds
        self._timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, batch: Batch, target: Target) -> Answer:
        """Make one attempt for a batch; every kind of trouble is an outcome, not an exception.

        A time-out after the request was sent is ambiguous: Meta may have processed it.
        """
        count = len(batch.events)
        return await self._post(target, build_body(batch, target), functools.partial(classify, events_sent=count))

    async def probe(self, target: Target) -> Answer:
        """Ask with an empty request whether token and dataset are good; Meta records nothing. Accepted means yes."""
        return await self._post(target, build_probe_body(target), classify_probe)

    async def _post(self, target: Target, body: bytes, read: Callable[..., Outcome]) -> Answer:
        if self._session is None:
            msg = "MetaClient is used outside of `async with`"
            raise RuntimeError(msg)
        token = target.access_token.get_secret_value()
        if not (token.isascii() and token.isprintable()):
            return Answer(Unauthorized("token", "the access token holds a character that no token has"))
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = f"{self._base_url}/{target.api_version}/{target.dataset_id}/events"
        try:
            async with self._session.post(
                url, data=io.BytesIO(body), headers=headers, allow_redirects=False
            ) as response:
                failpoints.reach("after_send_before_read")
                answer = await _read_at_most(response.content, MAX_ANSWER_BYTES)
                # Meta may repeat a token that it refuses, and what it says is kept with the event.
                answer = answer.replace(token.encode(), MASK.encode())
                return Answer(
                    outcome=read(response.status, response.headers, answer),
                    usage=find_usage(response.headers),
                    wait_seconds=find_wait_seconds(response.headers),
                    answered_at=find_date(response.headers),
                )
        except TimeoutError:
            return Answer(Unavailable(f"no answer within {self._total_seconds:g} seconds"))
        except (aiohttp.ClientError, OSError) as error:
            # The exception's own text can hold header values; its type says enough.
            return Answer(Unavailable(f"no answer: {type(error).__name__}"))


async def _read_at_most(stream: aiohttp.StreamReader, limit: int) -> bytes:
    """The body, or b"" when it is longer than any answer of Meta's."""
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > limit:
            return b""
    return bytes(body)
