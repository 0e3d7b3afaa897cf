"""A small client for the control API of the gateway that runs on a data folder; commands that ask or change use it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from signalpost.control_token import find_running_gateway
from signalpost.model.errors import SignalpostError


class GatewayNotRunning(SignalpostError):
    """No gateway answers for this data folder."""


class ControlRefused(SignalpostError):
    """The control API refused; the message is its own. status: of its HTTP answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ControlClient:
    """Asks the control API. Raises GatewayNotRunning or ControlRefused."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON under `path`, which begins with a slash."""
        return await self._ask("GET", path, query=query)

    async def post(self, path: str, body: object = None, query: Mapping[str, str] | None = None) -> Any:
        """Change something; the JSON of the answer."""
        return await self._ask("POST", path, query=query, body=body)

    async def patch(self, path: str, body: object) -> Any:
        """Change a part of something; the JSON of the answer."""
        return await self._ask("PATCH", path, query=None, body=body)

    async def delete(self, path: str) -> None:
        """Remove what is under `path`."""
        await self._ask("DELETE", path, query=None)

    async def watch(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[Any]:
        """The JSON of each line that comes, until the gateway ends it; blank lines are only a sign of life."""
        forever = aiohttp.ClientTimeout(total=None, sock_connect=10)
        try:
            async with self._session.get(self._url + path, params=query, timeout=forever) as response:
                if response.status >= 400:
                    message = _read_message(await response.read()) or f"{path}: refused ({response.status})"
                    raise ControlRefused(message, response.status)
                rest = b""
                async for part in response.content.iter_any():
                    *lines, rest = (rest + part).split(b"\n")
                    for line in filter(None, lines):
                        yield msgspec.json.decode(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise GatewayNotRunning(f"the gateway at {self._url} ended ({error})") from None

    async def _ask(self, method: str, path: str, *, query: Mapping[str, str] | None, body: object = None) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, self._url + path, params=query, data=data) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise GatewayNotRunning(f"no gateway answers at {self._url} ({error}); start `signalpost serve`") from None
        if response.status >= 400:
            message = _read_message(content) or f"{path}: the gateway answered {response.status}"
            raise ControlRefused(message, response.status)
        return msgspec.json.decode(content) if content else None


def _read_message(content: bytes) -> str | None:
    try:
        answer = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None
    message = answer.get("message") or answer.get("detail")
    return str(message) if message else None


@asynccontextmanager
async def control_client(data_folder: Path) -> AsyncIterator[ControlClient]:
    """A client for the gateway that runs on this data folder. Raises GatewayNotRunning when there never was one."""
    gateway = find_running_gateway(data_folder)
    if gateway is None:
        raise GatewayNotRunning(f"no gateway has run on {data_folder} yet; start `signalpost serve` first")
    headers = {"Authorization": f"Bearer {gateway.control_token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield ControlClient(session, gateway.url)
