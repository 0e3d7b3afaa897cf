"""One Chromium for the whole run, and a visitor: no page may ask another host for anything, or log an error.

The browser lives on the event loop of the session, and so must the tests; a module of them starts with

    pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

Playwright's synchronous API would keep a loop running from its first test to its last, and under a running loop no
asynchronous test elsewhere could start.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
import requests
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.acceptance.processes import Program, running

AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text()
GRAVE = """axe.run().then(found => found.violations
    .filter(row => ['serious', 'critical'].includes(row.impact))
    .map(row => row.id + ': ' + row.nodes.slice(0, 3).map(node => node.html.slice(0, 120)).join(' ;; ')))"""
HOSTILE = "<img src=x onerror=alert(1)>'\"><svg onload=alert(2)>"
PASSWORD = "four words make one"
PIXEL_ID = "1234567890"
LOOKS = (("light", 1440), ("dark", 1440), ("light", 390))

DESKTOP = {"width": 1280, "height": 800}
# Chromium's own errands are switched off, and only this machine's name resolves: a page that needs the internet fails.
CHROMIUM_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-first-run",
    "--no-sandbox",  # containers and root have none; only this project's own pages are opened
)


@dataclass
class Visitor:
    """Opens pages as different people would, and notes what the pages ask for and what they complain about."""

    browser: Browser
    hosts: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    async def open(self, url: str, *, width: int = DESKTOP["width"], moves_time: bool = False, **options) -> Page:
        """Open a page in a fresh context. Options are Playwright's: color_scheme, java_script_enabled...

        moves_time: the test will move the page's own time forward, with `page.clock`, so that nobody waits for a timer.
        """
        context = await self.browser.new_context(viewport={**DESKTOP, "width": width}, **options)
        context.set_default_timeout(5_000)
        self.contexts.append(context)
        self.hosts.add(urlsplit(url).netloc)
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("console", self._note_message)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        if moves_time:
            await context.clock.install()
        page = await context.new_page()
        await page.goto(url)
        return page

    def strange_requests(self) -> list[str]:
        """What pages asked of hosts that no test opened."""
        return [url for url in self.asked if urlsplit(url).netloc not in self.hosts]

    def forgive(self, text: str) -> None:
        """Strike the errors that hold this text: the test asked for what Chromium complains of. There must be one."""
        kept = [error for error in self.errors if text not in error]
        assert len(kept) < len(self.errors), self.errors
        self.errors = kept

    async def leave(self) -> None:
        for context in self.contexts:
            await context.close()

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)


@dataclass
class Console:
    """A gateway that delivers to a local Meta. People: Ann is an admin, Ben a viewer."""

    program: Program
    meta_url: str
    cookies: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.program.announced["console_url"])

    @property
    def setup_url(self) -> str:
        return str(self.program.announced["setup_url"])

    @property
    def tracking_url(self) -> str:
        return str(self.program.announced["tracking_url"])

    @property
    def data(self) -> Path:
        return Path(self.program.announced["data_dir"])

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What the control API answers, asked as the command line asks."""
        token = (self.data / "control.token").read_text().split()[0]
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def ask_meta(self, method: str, path: str, body: object = None) -> Any:
        """The local Meta's control API: faults, events."""
        answer = requests.request(method, f"{self.meta_url}/_emulator{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def arm(self, fault: str, pixel_id: str) -> str:
        """Let Meta answer this dataset with a fault; returns what ends it."""
        plan = {"fault": fault, "match": {"dataset_id": pixel_id}}
        return str(self.ask_meta("POST", "/faults", plan)["fault_id"])

    def disarm(self, fault_id: str) -> None:
        self.ask_meta("DELETE", f"/faults/{fault_id}")

    def list_received(self, pixel_id: str) -> list[str]:
        """The names of the events that Meta has recorded for a dataset, in order."""
        events = self.ask_meta("GET", "/events")["events"]
        return [event["event_name"] for event in events if event["dataset_id"] == pixel_id]

    def add_people(self) -> None:
        for name, role in (("Ann", "admin"), ("Ben", "viewer")):
            self.ask("POST", "/api/users", {"name": name, "password": PASSWORD, "role": role})

    def add_destination(self, name: str, token: str | None = "EMULATOR_TOKEN", pixel_id: str = PIXEL_ID) -> str:
        """Make a source and a destination of the same name, connected; returns the write key."""
        settings = {"pixel_id": pixel_id} | ({"access_token": token} if token else {})
        body = {"name": name, "type": "facebook-conversions-api", "settings": settings}
        self.ask("POST", "/api/destinations", body)
        key = str(self.ask("POST", "/api/sources", {"name": name})["write_keys"][0]["key"])
        self.ask("PUT", f"/api/sources/{quote(name, safe='')}/destinations/{quote(name, safe='')}")
        return key

    def send(self, key: str, event: str = "Order Completed", path: str = "/v1/track", **more: Any) -> int:
        """One call of somebody; returns the status of the answer."""
        call = {"event": event, "userId": "user-1", "writeKey": key, **more}
        call.setdefault("properties", {"revenue": 9.5, "currency": "EUR"})
        call.setdefault("context", {"traits": {"email": "jo@example.com"}, "userAgent": "Mozilla/5.0"})
        body = json.dumps(call)
        return requests.post(self.tracking_url + path, body, timeout=10).status_code

    async def enter(self, visitor: "Visitor", path: str, name: str = "Ann", **options: Any) -> Page:
        """A page in the browser of somebody who is signed in; the password is typed the first time only."""
        if name not in self.cookies:
            page = await visitor.open(f"{self.url}/sign-in", **options)
            await sign_in(page, name)
            await page.wait_for_url(lambda url: "/sign-in" not in url)
            self.cookies[name] = await page.context.storage_state()
            await page.goto(self.url + path)
            return page
        return await visitor.open(self.url + path, storage_state=self.cookies[name], **options)


@contextmanager
def serving(folder: Path, meta_settings: str = "") -> Iterator[Console]:
    """A gateway with a clean data folder, and its local Meta, at `{url}` of the settings."""
    with running("emulator", "--port", "0", folder=folder) as meta:
        file = folder / "signalpost.toml"
        file.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = 0\nconsole_port = 0\ndata_dir = "{folder / "data"}"\n'
            f'[meta]\nbase_url = "{meta.announced["url"]}"\n{meta_settings.format(url=meta.announced["url"])}'
            "[delivery]\nlinger_seconds = 0.05\n"
        )
        with running("serve", "--config", str(file), folder=folder) as gateway:
            yield Console(gateway, str(meta.announced["url"]))


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One gateway for the tests of a module: each makes what it needs, under a name of its own."""
    with serving(tmp_path_factory.mktemp("console")) as served:
        served.add_people()
        yield served


@pytest.fixture
def new_console(tmp_path: Path) -> Iterator[Console]:
    """A gateway that nobody has set up yet."""
    with serving(tmp_path) as served:
        yield served


async def set_up(page: Page) -> None:
    """The first admin, on the page of the printed link."""
    await page.fill("#name", "Ann")
    await page.fill("#password", PASSWORD)
    await page.click("text=Create account")


async def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    await page.fill("#name", name)
    await page.fill("#password", password)
    await page.click("button:has-text('Sign in')")


async def check_page(page: Page) -> None:
    """axe finds nothing serious or critical in any look, and the page is no wider than the screen."""
    for scheme, width in LOOKS:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size({"width": width, "height": 844})
        await page.evaluate(f"{AXE};0")
        assert await page.evaluate(GRAVE) == [], f"{page.url} {scheme} {width}"
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} {width}"
    await page.set_viewport_size(DESKTOP)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(CHROMIUM_ARGUMENTS)
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser):
    """Someone at the screen. Whatever a test is about, its pages ask only the hosts it opened and log no error."""
    visitor = Visitor(browser)
    yield visitor
    await visitor.leave()
    assert visitor.strange_requests() == []
    assert visitor.errors == []
