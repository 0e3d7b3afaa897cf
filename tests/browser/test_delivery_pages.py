"""Delivery and dead letters as a person uses them: an outage turns the page red, with a reason, and green again."""

import json
import urllib.request

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_console import check_page, console, make_source, set_up

__all__ = ["console"]  # a fixture
pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]


async def set_up_delivery(page: Page) -> None:
    await set_up(page)
    await make_source(page)
    await page.click("text=Facebook Conversions API")
    await page.fill("#name", "Main pixel")
    await page.fill("#setting-pixel_id", "1234567890")
    await page.fill("#setting-access_token", "EMULATOR_TOKEN")
    await page.click("text=Make destination")
    await page.click("text=Send a test event")
    await expect(page.locator("#progress")).to_contain_text("Delivered.", timeout=20_000)


def ask_meta(url: str, method: str, body: object = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/_emulator/faults", data, method=method)
    urllib.request.urlopen(request).close()


async def test_an_outage_is_red_and_ends_green(console, visitor) -> None:
    """Meta goes down: the page says so by itself, and that nothing is lost; then everything is delivered."""
    page = await visitor.open(console.setup_url)
    await set_up_delivery(page)
    ask_meta(console.meta_url, "POST", {"fault": "service_unavailable"})
    await page.click("text=Send a test event")
    await page.goto(f"{console.url}/delivery?period=10m")
    await expect(page.locator("#now .notice.red")).to_contain_text("none is lost", timeout=20_000)
    await check_page(page)
    ask_meta(console.meta_url, "DELETE")
    await page.click("text=Try now")
    await expect(page.locator("#now .badge.green").first).to_have_text("Delivering", timeout=20_000)
    await expect(page.locator("body")).to_contain_text("Balanced")
    await expect(page.locator(".chart canvas")).to_have_count(2)
    await page.goto(f"{console.url}/overview")
    await expect(page.locator("main")).to_contain_text("Nothing needs attention")
    await check_page(page)


async def test_a_dead_letter_is_requeued_and_delivered(console, visitor) -> None:
    """Meta refuses one event; its answer is shown; it is requeued and delivered."""
    page = await visitor.open(console.setup_url)
    await set_up_delivery(page)
    ask_meta(console.meta_url, "POST", {"fault": "custom_data_invalid"})
    await page.click("text=Send a test event")
    await page.goto(f"{console.url}/delivery?period=10m")
    await expect(page.locator("#now")).to_contain_text("Meta objects to a field of custom_data", timeout=20_000)
    await expect(page.locator("#now")).to_contain_text("Compare the sample with an event that was delivered")
    await page.click("a:has-text('Samples')")
    await expect(page.locator("tr.chosen")).to_contain_text("100/2804016")
    await page.click("summary:has-text('400')")
    await expect(page.locator("main")).to_contain_text("Meta's answer")
    await check_page(page)
    await page.click("text=All of them")
    await check_page(page)
    ask_meta(console.meta_url, "DELETE")
    await page.click("text=Requeue all 1")
    await expect(page.locator("h1")).to_have_text("Requeue 1 dead letter?")
    await check_page(page)
    await page.click("button:has-text('Requeue 1')")
    await expect(page.locator(".flash")).to_contain_text("1 requeued")
    await expect(page.locator("h1")).to_have_text("Dead letters")
    await expect(page.locator("main")).to_contain_text("No dead letters")
