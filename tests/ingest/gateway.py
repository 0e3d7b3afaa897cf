"""The tracking API over a real socket, with a real intake and a real queue, and a client that speaks to it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from signalpost.catalog import Catalog, Source
from signalpost.history.calls import History
from signalpost.history.entries import CallEntry
from signalpost.ingest.addresses import find_subscriber
from signalpost.ingest.decode import Limits
from signalpost.ingest.intake import Intake
from signalpost.ingest.routes import TrackingApi, TrackingParts, TrackingSettings
from signalpost.listener import PublicListener, bind
from signalpost.mapping.destinations import build_destination
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.model.ids import SourceId, WriteKey
from signalpost.model.ledger import Ledger
from signalpost.open_connections import ConnectionLimits, OpenConnections
from signalpost.queue.sqlite import SqliteQueue, read_clock
from signalpost.telemetry import Telemetry

KEY = "wk_test_0123456789abcdef"
NEXT_KEY = "wk_next_0123456789abcdef"
"""Of the same source as KEY, which it is about to replace."""
OTHER_KEY = "wk_other_0123456789abcde"
SOURCE, OTHER_SOURCE = SourceId("website"), SourceId("shop")
CALL = {"userId": "u1", "event": "Signed Up"}


def build_call(**fields: Any) -> dict[str, Any]:
    """A valid track call of a batch; a field overridden with `...` is left out."""
    return {key: value for key, value in {"type": "track", **CALL, **fields}.items() if value is not ...}


@dataclass
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass
class Gateway:
    """A running tracking API."""

    url: str
    folder: Path
    queue: SqliteQueue
    history: History
    telemetry: Telemetry
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        async with self.session.request(method, self.url + path, allow_redirects=False, **options) as response:
            return Answer(response.status, (await response.read()).decode(), response.headers)

    async def post(
        self, path: str, body: object, *, key: str | None = KEY, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST bytes as they are, anything else as JSON; with the key of the website, or without one."""
        authorization = {"Authorization": aiohttp.encode_basic_auth(key)} if key else {}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", path, data=io.BytesIO(data), headers={**authorization, **(headers or {})})

    async def track(self, body: object, **options: Any) -> Answer:
        return await self.post("/v1/track", body, **options)

    async def batch(self, body: object, **options: Any) -> Answer:
        return await self.post("/v1/batch", {"batch": body} if isinstance(body, list) else body, **options)

    async def exchange(self, request: bytes) -> bytes:
        """Bytes over a raw socket; everything that comes back until the server closes."""
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer

    async def ledger(self) -> Ledger:
        return await self.queue.counts()

    async def pending(self) -> list[dict[str, Any]]:
        """The server events that wait for delivery."""
        lease = {"limit": 1_000, "max_bytes": 1 << 30, "lease_for": timedelta(0), "linger": timedelta(0)}
        return [json.loads(event.payload) for event in await self.queue.lease(CONVERSIONS.id, **lease)]

    def entries(self, source: SourceId = SOURCE) -> Sequence[CallEntry]:
        return self.history.recent(source)


CONVERSIONS = build_destination("facebook-conversions-api", {"pixel_id": "1234567890"}, name="main-pixel")


@asynccontextmanager
async def running_gateway(
    folder: Path,
    *,
    destinations: Sequence[Destination] = (CONVERSIONS,),
    limits: Limits | None = None,
    settings: TrackingSettings | None = None,
    connection_limits: ConnectionLimits | None = None,
    **of_source: Any,
) -> AsyncIterator[Gateway]:
    """Two sources, the same destinations for both; no limit of any rate unless `settings` says so.

    of_source: what is particular to the website.
    """
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    sources = [
        Source(SOURCE, SOURCE, (WriteKey(KEY), WriteKey(NEXT_KEY)), destinations, **of_source),
        Source(OTHER_SOURCE, OTHER_SOURCE, (WriteKey(OTHER_KEY),), destinations),
    ]
    catalog = Catalog(sources, destinations, "v26.0")
    queue, history, telemetry = SqliteQueue.open(folder, now=read_clock), History(), Telemetry()
    settings = settings or TrackingSettings(limits or Limits(), requests_per_second=0, bad_keys_per_minute=0)
    parts = TrackingParts(catalog, Intake(queue, history, telemetry), history, telemetry, lambda: None, settings)
    api = TrackingApi(parts)
    connections = OpenConnections(
        connection_limits or ConnectionLimits(), api.is_trusted_proxy, api.count_broken, find_subscriber
    )
    listener = PublicListener(api.answer, bind("127.0.0.1", 0, "server.port"), connections)
    await listener.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            yield Gateway(listener.url, folder, queue, history, telemetry, session)
    finally:
        await listener.stop()
        await queue.close()


def split_answer(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of one HTTP answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body
