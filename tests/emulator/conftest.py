"""A running emulator for each test, and a client that speaks to it over a real socket."""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from signalpost.emulator.app import EmulatorSettings, RunningEmulator, running_emulator

DATASET = "1234567890"


def hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def build_event(**overrides: Any) -> dict[str, Any]:
    """Return an event that both profiles accept; a field overridden with None is left out."""
    event = {
        "event_name": "ViewContent",
        "event_time": int(time.time()) - 3600,
        "event_id": "event-1",
        "action_source": "website",
        "event_source_url": "https://shop.example.com/bag",
        "user_data": {
            "em": hash_text("anna@example.com"),
            "client_ip_address": "203.0.113.7",
            "client_user_agent": "Mozilla/5.0",
            "fbc": "fb.1.1700000000000.AbCdEf.gh",
            "fbp": "fb.1.1700000000000.1234567890",
        },
        "custom_data": {"currency": "USD", "value": 9.5},
    }
    return {key: value for key, value in {**event, **overrides}.items() if value is not None}


class Client:
    """What a gateway does, and what a test asks the control API."""

    def __init__(self, emulator: RunningEmulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.url = emulator.url

    async def send(
        self,
        *events: Any,
        dataset_id: str = DATASET,
        token: str | None = "EMULATOR_TOKEN",
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """POST events as JSON; return status, decoded body and headers."""
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(
            f"{self.url}/v26.0/{dataset_id}/events",
            json={"data": list(events), **fields},
            headers={**authorization, **(headers or {})},
        ) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def post(self, path: str, **options: Any) -> tuple[int, Any]:
        async with self.session.post(self.url + path, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, **params: Any) -> Any:
        async with self.session.get(f"{self.url}/_emulator{path}", params=params) as answer:
            return await answer.json()

    async def control(self, path: str, content: Any = None) -> tuple[int, Any]:
        return await self.post(f"/_emulator{path}", json=content)

    async def last_request(self) -> dict[str, Any]:
        return (await self.get("/requests"))["requests"][-1]


@pytest.fixture
async def emulator():
    async with running_emulator(EmulatorSettings(port=0, seed=1)) as running:
        yield running


@pytest.fixture
async def client(emulator: RunningEmulator):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield Client(emulator, session)


@pytest.fixture
def make_event():
    return build_event


@pytest.fixture
def sha256():
    return hash_text
