"""The first run as a person goes through it, from the printed link to the first delivered event."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import PIXEL_ID, check_page, set_up

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

# Counts what a hand does: Chromium gives a click that a key or a script makes no `detail`.
COUNT_CLICKS = """addEventListener("click", event => {
    if (event.isTrusted && event.detail) sessionStorage.clicks = Number(sessionStorage.clicks ?? 0) + 1;
}, true)"""


async def test_from_the_first_run_to_the_first_delivered_event(new_console, visitor) -> None:
    """An account, a source, a destination and a test event, in less than 12 clicks; Meta's answer shows live."""
    page = await visitor.open(new_console.setup_url)
    await page.context.add_init_script(COUNT_CLICKS)
    await page.reload()
    await check_page(page)
    await set_up(page)
    await check_page(page)
    await page.click("button:has-text('Make source')")
    await page.click("text=Facebook Conversions API")
    for field, text in (
        ("#name", "Main"),
        ("#setting-pixel_id", PIXEL_ID),
        ("#setting-access_token", "EMULATOR_TOKEN"),
    ):
        await page.click(field)
        await page.keyboard.type(text)
    await page.click("text=Make destination")
    await page.click("text=Send a test event")
    await expect(page.locator("#progress")).to_contain_text("Delivered.", timeout=20_000)
    await check_page(page)
    await page.click("text=To the console")
    await expect(page.locator("h1")).to_have_text("Overview")
    clicks = int(await page.evaluate("sessionStorage.clicks"))
    assert 9 <= clicks < 12
    assert new_console.list_received(PIXEL_ID) == ["Signalpost test"]
