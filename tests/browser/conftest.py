"""One Chromium for the whole run, and a visitor: no page may ask another host for anything, or log an error.

The browser lives on the event loop of the session, and so must the tests; a module of them starts with

    pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

Playwright's synchronous API would keep a loop running from its first test to its last, and under a running loop no
asynchronous test elsewhere could start.
"""

import shutil
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

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

    async def leave(self) -> None:
        for context in self.contexts:
            await context.close()

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)


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
