"""The body of `signalpost demo`: a local Meta, a gateway, and a shopper's calls through Segment's own client."""

import asyncio
import json
import secrets
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from signalpost.config.sections import Config
from signalpost.history.entries import EventState
from signalpost.model.delivery import State
from signalpost.model.errors import SignalpostError
from signalpost.model.ids import MessageId, SourceId
from signalpost.model.ledger import Ledger
from signalpost.service import Service, running_service

SOURCE = SourceId("demo-shop")
PIXEL_ID = "1234567890"
EMULATOR_TOKEN = "EMULATOR_TOKEN"  # noqa: S105 - opens only the emulator
_TRACKING_PORT, _CONSOLE_PORT, _EMULATOR_PORT = 8080, 8081, 8090
_LONGEST_WAIT_SECONDS = 30
_LOOK_AGAIN_SECONDS = 0.02

_SHOPPER: Mapping[str, object] = {
    "ip": "203.0.113.7",
    "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1",
    "page": {"url": "https://shop.example/games"},
    "traits": {
        "email": "jo.bloggs@example.com",
        "phone": "+44 20 7946 0958",
        "firstName": "Jo",
        "lastName": "Bloggs",
        "address": {"city": "London", "postalCode": "SW1A 1AA", "country": "GB"},
    },
}
_MONOPOLY = {
    "product_id": "507f1f77",
    "sku": "G-32",
    "category": "Games",
    "name": "Monopoly",
    "price": 18.99,
    "quantity": 1,
}
_UNO = {"product_id": "505bd76785", "sku": "G-33", "category": "Games", "name": "Uno", "price": 8.5, "quantity": 2}


@dataclass(frozen=True, slots=True)
class SampleCall:
    """One Track call of the demo, and how it must end."""

    event: str
    properties: Mapping[str, object]
    expected: State = "delivered"
    message_id: str = field(default_factory=lambda: f"demo-{secrets.token_hex(8)}")


def build_sample_calls() -> list[SampleCall]:
    """A shopper's way from the search to the order, a custom event, and an order that forgot its revenue."""
    basket = {"currency": "GBP", "products": [_MONOPOLY, _UNO]}
    return [
        SampleCall("Products Searched", {"query": "board games"}),
        SampleCall("Product List Viewed", {"category": "Games", "products": [_MONOPOLY, _UNO]}),
        SampleCall("Product Viewed", {**_MONOPOLY, "currency": "GBP"}),
        SampleCall("Product Added", {**_MONOPOLY, "currency": "GBP", "cart_id": "c-1"}),
        SampleCall("Checkout Started", {**basket, "revenue": 35.99}),
        SampleCall("Order Completed", {**basket, "order_id": "A-1001", "revenue": 35.99, "shipping": 3.5}),
        SampleCall("Newsletter Joined", {"list": "board games"}),
        SampleCall("Order Completed", {"order_id": "A-1002", "currency": "GBP"}, expected="rejected"),
    ]


@dataclass(frozen=True, slots=True)
class DemoStep:
    """What became of one call: the event it was mapped to, its state, and Meta's trace id or the reason."""

    call: SampleCall
    mapped_to: str
    state: State
    detail: str

    @property
    def is_expected(self) -> bool:
        """True when it ended as a demo should."""
        return self.state == self.call.expected


class Demo:
    """A running demo."""

    def __init__(self, service: Service, emulator_url: str, write_key: str) -> None:
        self.tracking_url = service.tracking_url
        self.console_url = service.console_url
        self.setup_url = service.setup_url
        self.emulator_url = emulator_url
        self.write_key = write_key
        self._service = service

    async def send_funnel(self) -> AsyncIterator[DemoStep]:
        """Send the sample calls through Segment's client; yield each, in order, when it has reached its end."""
        calls = build_sample_calls()
        sending = asyncio.create_task(asyncio.to_thread(_send, calls, self.tracking_url, self.write_key))
        deadline = asyncio.get_running_loop().time() + _LONGEST_WAIT_SECONDS
        for call in calls:
            event = await self._wait_for_end(MessageId(call.message_id), deadline)
            yield DemoStep(call, event.event_name, event.state, event.detail)
        await sending

    async def _wait_for_end(self, message_id: MessageId, deadline: float) -> EventState:
        event = EventState(None, "?", "pending", "never arrived")
        while event.state == "pending" and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            entry = self._service.history.find_call(SOURCE, message_id)
            event = entry.events[0] if entry is not None else event
        return event

    async def count(self) -> Ledger:
        """Where everything accepted went."""
        return await self._service.queue.counts()

    async def count_at_meta(self) -> int:
        """How many server events the emulator has accepted."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.emulator_url}/_emulator/ledger") as response:
            ledger = await response.json()
            return int(ledger["totals"]["accepted"])


@asynccontextmanager
async def running_demo() -> AsyncIterator[Demo]:
    """Emulator and gateway on the usual ports, or on free ones where those are taken; the data is temporary."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="signalpost-demo-"))
        emulator_url = await stack.enter_async_context(_running_emulator())
        write_key = f"wk_demo_{secrets.token_hex(8)}"
        service = await stack.enter_async_context(running_service(_configure(Path(folder), emulator_url, write_key)))
        yield Demo(service, emulator_url, write_key)


def _configure(folder: Path, emulator_url: str, write_key: str) -> Config:
    return Config.model_validate(
        {
            "server": {
                "host": "127.0.0.1",
                "port": _usual_or_free(_TRACKING_PORT),
                "console_port": _usual_or_free(_CONSOLE_PORT),
                "data_dir": folder,
            },
            "meta": {"base_url": emulator_url},
            "delivery": {"linger_seconds": 0.2},
            "sources": [{"name": SOURCE, "write_keys": [write_key], "destinations": ["main-pixel"]}],
            "destinations": [
                {
                    "name": "main-pixel",
                    "type": "facebook-conversions-api",
                    "pixel_id": PIXEL_ID,
                    "access_token": EMULATOR_TOKEN,
                }
            ],
        }
    )


def _usual_or_free(port: int) -> int:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


@asynccontextmanager
async def _running_emulator() -> AsyncIterator[str]:
    """A local Meta in a process of its own; gives its address."""
    # Somebody may take the usual port between the look and the start; a free one then serves as well.
    process, announced = await _start_emulator(_usual_or_free(_EMULATOR_PORT))
    if not announced:
        process, announced = await _start_emulator(0)
    try:
        if not announced:
            raise SignalpostError("the emulator did not start; run `signalpost emulator` to see why")
        yield str(json.loads(announced)["url"])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _start_emulator(port: int) -> tuple[asyncio.subprocess.Process, bytes]:
    """The process, and the line with which it announced its address; an empty one when it ended instead."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "signalpost", "emulator", "--port", str(port), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the demo, which then ends it in order
    )
    return process, await process.stdout.readline() if process.stdout else b""


def _send(calls: list[SampleCall], url: str, write_key: str) -> None:
    try:
        from segment.analytics import Client  # noqa: PLC0415 - an extra: only the demo needs it
    except ImportError:
        msg = "the demo sends through Segment's own client: install signalpost[demo]"
        raise SignalpostError(msg) from None
    client = Client(write_key, host=url, gzip=True, upload_interval=0.1)
    for call in calls:
        client.track("shopper-1", call.event, dict(call.properties), dict(_SHOPPER), message_id=call.message_id)
    client.flush()
    client.join()
