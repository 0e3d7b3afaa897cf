"""A real gateway on free ports, and people who are signed in to its console."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from signalpost.config.sections import Config
from signalpost.console.access import Caller
from signalpost.control_token import find_running_gateway
from signalpost.service import Service, running_service
from signalpost.store import sessions, users
from signalpost.store.audit import Actor
from signalpost.store.database import SettingsStore
from signalpost.store.users import Role


@dataclass
class Answer:
    """What a request got."""

    status: int
    headers: Mapping[str, str]
    text: str
    json: Any = None


@dataclass
class Browser:
    """Somebody's browser: it sends the cookie and says where a request comes from, as browsers do."""

    http: aiohttp.ClientSession
    url: str
    session_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def form_token(self) -> str:
        return Caller(Actor("x"), "viewer", None, self.session_id).form_token

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, headers=headers)

    async def post(self, path: str, data: Mapping[str, str] | None = None, **more: Any) -> Answer:
        own = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        body = {"csrf_token": self.form_token, **(data or {})}
        return await self.send("POST", path, data=body, headers={**own, **more.pop("headers", {})}, **more)

    async def send(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        cookie = {"Cookie": f"signalpost={self.session_id}"} if self.session_id else {}
        sent = {"Accept": "text/html", **cookie, **self.headers, **(headers or {})}
        address = f"{self.url}{path}"
        async with self.http.request(method, address, headers=sent, allow_redirects=False, **more) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, response.headers.copy(), text, await response.json() if is_json else None)


@dataclass
class Gateway:
    """The running service, with ways in."""

    service: Service
    http: aiohttp.ClientSession
    store: SettingsStore
    control_token: str

    @property
    def url(self) -> str:
        return self.service.console_url

    @property
    def stranger(self) -> Browser:
        return Browser(self.http, self.url)

    @property
    def program(self) -> Browser:
        """The control token, which is an admin's."""
        headers = {"Authorization": f"Bearer {self.control_token}", "Accept": "application/json"}
        return Browser(self.http, self.url, headers=headers)

    async def sign_in(self, role: Role, at: datetime | None = None) -> Browser:
        """A browser with a session that began at `at`, without the cost of hashing a password."""
        moment = at or datetime.now(UTC)
        found = self.store.read(lambda c: users.find_user_and_hash(c, role))
        user = found[0] if found else await self.store.write(lambda c: users.add_user(c, role, "none", role, moment))
        session_id = await self.store.write(lambda c: sessions.start_session(c, user.id, moment))
        return Browser(self.http, self.url, session_id)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    server = {"host": "127.0.0.1", "port": 0, "console_port": 0, "data_dir": tmp_path / "data"}
    config = Config.model_validate({"server": server, "delivery": {"linger_seconds": 0}})
    async with running_service(config) as service, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        running = find_running_gateway(tmp_path / "data")
        assert running is not None
        yield Gateway(service, http, service.store, running.control_token)
