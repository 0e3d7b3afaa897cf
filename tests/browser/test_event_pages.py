"""The debugger and the event tester as a person uses them, with a real gateway and a local Meta behind."""

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, expect

from tests.acceptance.processes import Program, running
from tests.browser.test_console import HOSTILE, check_page, set_up

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

KEY = "event_pages_write_key"
PERSON = "jane.canary@example.com"
ORDER: dict[str, Any] = {
    "event": "Order Completed",
    "userId": "user-1",
    "properties": {"order_id": "1001", "revenue": 39.95, "currency": "USD"},
    "context": {"traits": {"email": PERSON}, "page": {"url": "https://shop.example/"}, "userAgent": "Mozilla/5.0"},
}


@dataclass
class Shop:
    """A gateway that delivers to a local Meta, and something that sends to it."""

    program: Program
    meta: Program
    data: Path

    @property
    def url(self) -> str:
        return str(self.program.announced["console_url"])

    async def send(self, path: str = "/v1/track", key: str = KEY, **call: Any) -> int:
        async with (
            aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth(key, "")}) as http,
            http.post(f"{self.program.announced['tracking_url']}{path}", json=call) as answer,
        ):
            return answer.status

    async def enter(self, visitor: Any, path: str, **options: Any) -> Page:
        """The first admin's browser, on a page."""
        page: Page = await visitor.open(str(self.program.announced["setup_url"]), **options)
        await set_up(page)
        await page.goto(self.url + path)
        return page


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        file = tmp_path / "signalpost.toml"
        (tmp_path / "token.txt").write_text("EMULATOR_TOKEN")
        (tmp_path / "token.txt").chmod(0o600)
        file.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = 0\nconsole_port = 0\ndata_dir = "{tmp_path / "data"}"\n'
            f'[meta]\nbase_url = "{meta.announced["url"]}"\n[delivery]\nlinger_seconds = 0.05\n'
            f'[[sources]]\nname = "website"\nwrite_keys = ["{KEY}"]\ndestinations = ["main-pixel"]\n'
            '[[destinations]]\nname = "main-pixel"\ntype = "facebook-conversions-api"\n'
            'pixel_id = "1234567890"\naccess_token_file = "token.txt"\n'
        )
        with running("serve", "--config", str(file), folder=tmp_path) as gateway:
            yield Shop(gateway, meta, tmp_path / "data")


async def show(page: Page, name: str) -> None:
    """Keep a picture of the page, for somebody who asked for them with SCREENSHOTS=<folder>."""
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    for look, scheme, width, height in (
        ("light", "light", 1440, 900),
        ("dark", "dark", 1440, 900),
        ("phone", "light", 390, 844),
    ):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size({"width": width, "height": height})
        await page.screenshot(path=f"{folder}/{name}-{look}.png", full_page=look != "phone" or "call" not in name)
    await page.set_viewport_size({"width": 1280, "height": 800})


async def test_the_debugger_shows_calls_as_they_come(shop, visitor) -> None:
    """A call shows while the page is open, goes its way to delivered, and stays masked until somebody reveals it."""
    page = await shop.enter(visitor, "/debugger")
    await expect(page.locator(".feed-empty")).to_contain_text("Nothing has come yet")
    await expect(page.locator(".feed-empty pre")).to_contain_text(KEY)
    await check_page(page)
    await show(page, "debugger-empty")
    await asyncio.gather(*[shop.send(**{**ORDER, "messageId": f"order-{number}"}) for number in range(3)])
    await shop.send("/v1/track", event="Signed Up")
    await shop.send("/v1/identify", userId="user-1", traits={"email": PERSON})
    await shop.send(**{**ORDER, "messageId": "order-1"})
    rows = page.locator(".feed-row")
    await expect(rows).to_have_count(6)
    await expect(page.locator(".feed-way", has_text="Delivered")).to_have_count(3)
    assert PERSON not in await page.content()

    await rows.filter(has_text="Delivered").first.click()
    await expect(page.locator("#call-steps")).to_contain_text("Meta's trace id")
    await expect(page.locator(".walk .done")).to_have_count(4)
    assert PERSON not in await page.content()
    await check_page(page)
    await show(page, "debugger-call")
    await page.click("text=Reveal")
    await expect(page.locator("#call pre").first).to_contain_text(PERSON)
    await page.goto(shop.url + "/audit")
    await expect(page.locator("main")).to_contain_text("call.revealed")
    stored = b"".join(file.read_bytes() for file in shop.data.rglob("*") if file.is_file())
    assert PERSON.encode() not in stored


async def test_the_debugger_filters_pauses_and_goes_on(shop, visitor) -> None:
    page = await shop.enter(visitor, "/debugger")
    await shop.send(**ORDER)
    await shop.send("/v1/identify", userId="user-1")
    rows = page.locator(".feed-row")
    await expect(rows).to_have_count(2)
    await page.fill("#search", "1001")  # of the properties
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(f"{shop.url}/debugger?search=1001")
    await page.fill("#search", "jane.canary")  # masked, so not to be found
    await expect(page.locator(".feed-empty")).to_contain_text("No call like this")
    await page.fill("#search", "")
    await expect(rows).to_have_count(2)
    await page.select_option("#type", "identify")
    await expect(rows).to_have_count(1)
    await page.select_option("#type", "")
    await page.click("#pause")
    await expect(page.locator("#feed")).to_contain_text("Paused")
    await shop.send(**{**ORDER, "event": "While paused"})
    await page.select_option("#outcome", "filtered")
    await expect(rows).to_have_count(1)
    await expect(page.locator("#feed")).to_contain_text("Paused")
    await page.select_option("#outcome", "")
    await page.click("#pause")
    await expect(page.locator(".feed")).to_contain_text("While paused")
    await expect(page.locator(".live-mark")).to_be_visible()


async def test_what_is_refused_at_the_door_is_told_with_what_to_do(shop, visitor) -> None:
    """Everything is configured, and nothing arrives: the page says why."""
    page = await shop.enter(visitor, "/debugger")
    assert await shop.send(key="a_wrong_key_of_somebody", **ORDER) == 401
    refused = page.locator(".refused")
    await expect(refused).to_contain_text("…body")
    await expect(refused).to_contain_text("Copy the write key from the source's page")
    await shop.send("/v1/nothing", **ORDER)
    await expect(refused).to_contain_text("Set the sender's host to")
    await check_page(page)
    await show(page, "debugger-refused")


async def test_hostile_calls_are_shown_as_text(shop, visitor) -> None:
    page = await shop.enter(visitor, "/debugger")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    call = {**ORDER, "event": HOSTILE, "messageId": HOSTILE, "properties": {HOSTILE: HOSTILE, "__proto__": HOSTILE}}
    await shop.send(**call)
    await expect(page.locator(".feed-name").first).to_contain_text("<img src=x")
    await page.locator(".feed-row").first.click()
    await expect(page.locator("#call h2")).to_contain_text("<img src=x")
    await expect(page.locator("#call pre").first).to_contain_text("__proto__")
    await check_page(page)
    assert dialogs == []


async def test_the_tester_explains_a_call_and_sends_it(shop, visitor) -> None:
    """A sample is explained; a call that is pasted gets its warnings; Meta's own answer shows after it is sent."""
    page = await shop.enter(visitor, "/tester")
    await check_page(page)
    await page.click("button:has-text('Explain')")
    results = page.locator("#results")
    await expect(results).to_contain_text("Purchase")
    await expect(results).to_contain_text("context.traits.email")
    await expect(results).to_contain_text("j***@e***.com")
    await expect(results).to_contain_text("Enough for Meta")
    await expect(results.locator("pre")).to_contain_text('"event_name": "Purchase"')
    await check_page(page)
    await show(page, "tester")
    await page.click("text=Send to Meta")
    await expect(results).to_contain_text("Meta took the event.")
    await page.fill("#call", '{"event": "Order Completed", "userId": "u1", "properties": {"revenue": "a lot"}}')
    await page.click("button:has-text('Explain')")
    await expect(results).to_contain_text("Rejected")
    await show(page, "tester-rejected")


async def test_the_tester_loads_a_call_of_the_debugger(shop, visitor) -> None:
    """Masked at first; as it was sent when an admin asks for that, and the audit log says so."""
    page = await shop.enter(visitor, "/debugger")
    await shop.send(**{**ORDER, "event": HOSTILE})
    await page.locator(".feed-row").first.click()
    await page.click("text=Explain in the Event Tester")
    assert PERSON not in await page.content()
    await expect(page.locator("#call")).to_have_value(re.compile("onerror"))
    await page.click("text=Load as sent")
    await expect(page.locator("#call")).to_have_value(re.compile(PERSON))
    await page.click("button:has-text('Explain')")
    await expect(page.locator("#results h2").first).to_contain_text("<img src=x")
    await page.goto(shop.url + "/audit")
    await expect(page.locator("main")).to_contain_text("call.revealed")
