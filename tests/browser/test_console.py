"""Sources, destinations and settings as a person changes them; and what holds for every page."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import HOSTILE, PIXEL_ID, check_page

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

LISTS = [
    "/overview",
    "/sources",
    "/destinations",
    "/debugger",
    "/find",
    "/tester",
    "/delivery",
    "/dead-letters",
    "/users",
    "/audit",
]
FORMS = ["/welcome", "/sources/new", "/destinations/new", "/destinations/new/facebook-conversions-api"]
OTHERS = ["/docs", "/confirm", "/account", "/destinations/{}", "/sources/{}", "/destinations/{}/facebook"]
MOST_BYTES = 300_000

WEIGH = """document.fonts.ready.then(() => performance.getEntries()
    .reduce((sum, entry) => sum + (entry.encodedBodySize ?? 0), 0))"""


@pytest.fixture(scope="module")
def hostile(console) -> None:
    """A source and a destination with a hostile name, and a hostile event that is rejected."""
    key = console.add_destination(HOSTILE)
    console.send(key, HOSTILE, messageId=HOSTILE, properties={HOSTILE: HOSTILE})
    console.send(key, "Order Completed", properties={"order_id": HOSTILE})


@pytest.mark.parametrize("path", [*LISTS, *FORMS, *OTHERS])
async def test_every_page_is_open_to_everybody_and_light(console, hostile, visitor, path) -> None:
    """axe finds nothing serious in light, in dark and on a phone; none is wider than the screen; names are text."""
    dialogs: list[str] = []
    page = await console.enter(visitor, "/confirm")
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    name = "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%27%22%3E%3Csvg%20onload%3Dalert%282%29%3E"
    answer = await page.goto(console.url + path.replace("{}", name))
    assert answer is not None
    assert answer.status == 200
    if path != "/docs":
        weight = await page.evaluate(WEIGH)
        assert 100_000 < weight < MOST_BYTES, weight
    await check_page(page)
    assert dialogs == []


async def test_hostile_names_are_shown_as_they_are(console, hostile, visitor) -> None:
    """In the lists, and as the title of their page."""
    for section in ("sources", "destinations"):
        page = await console.enter(visitor, f"/{section}")
        await page.get_by_role("link", name=HOSTILE).first.click()
        await expect(page.locator("h1")).to_have_text(HOSTILE)


async def add_row(page: Page, event: str, becomes: str) -> None:
    table = page.locator("fieldset:has-text('Standard FB Events')")
    row = table.locator(".map-row").last
    if await row.locator("input").input_value():
        await table.get_by_text("Add row").click()
        row = table.locator(".map-row").last
    await row.locator("input").fill(event)
    await row.locator("select").select_option(becomes)


async def test_changed_settings_map_the_next_event(console, visitor) -> None:
    """Rows are added to the map of events and saved; the next event is mapped by them, the last was not."""
    key = console.add_destination("Mapped", pixel_id="2234567890")
    console.send(key, "Trial begun")
    page = await console.enter(visitor, "/destinations/Mapped")
    await add_row(page, "Signed up", "CompleteRegistration")
    await add_row(page, "Trial begun", "StartTrial")
    await page.click("text=Save settings")
    await expect(page.locator(".flash")).to_contain_text("Saved")
    console.send(key, "Trial begun")
    await page.goto(f"{console.url}/debugger?source=Mapped")
    await expect(page.locator(".feed-way", has_text="Delivered")).to_have_count(2, timeout=20_000)
    assert console.list_received("2234567890") == ["Trial begun", "StartTrial"]


async def test_the_editor_of_a_map(console, visitor) -> None:
    """Every standard event can be chosen; a row is removed; a faulty field keeps what was typed."""
    console.add_destination("Edited")
    page = await console.enter(visitor, "/destinations/Edited")
    await add_row(page, "Signed up", "CompleteRegistration")
    await add_row(page, "Trial begun", "StartTrial")
    rows = page.locator("fieldset:has-text('Standard FB Events') .map-row")
    assert await rows.nth(0).locator("select option").count() == 17
    await page.fill("#setting-pixel_id", "1")
    await page.click("text=Save settings")
    await expect(page.locator("#setting-pixel_id-fault")).to_contain_text("5 to 20 digits")
    visitor.forgive("422")
    assert [await row.locator("input").input_value() for row in await rows.all()] == ["Signed up", "Trial begun"]
    await page.fill("#setting-pixel_id", PIXEL_ID)
    await rows.nth(0).get_by_role("button").click()
    await page.click("text=Save settings")
    await expect(page.locator(".flash")).to_contain_text("Saved")
    assert [await row.locator("input").input_value() for row in await rows.all()] == ["Trial begun"]


async def test_a_connection_is_checked_and_mended(console, visitor) -> None:
    """A token that Meta has revoked is told with what to do; the next one works; Meta has recorded nothing."""
    console.add_destination("Checked", "EMULATOR_REVOKED", "3234567890")
    page = await console.enter(visitor, "/destinations/Checked")
    await page.click("text=Check connection")
    answer = page.locator("#connection .notice")
    await expect(answer).to_contain_text("Does not work. Meta does not accept the access token")
    await expect(answer).to_contain_text("Make a new system-user token")
    await check_page(page)
    await page.fill("#setting-access_token", "EMULATOR_TOKEN")
    await page.click("text=Save settings")
    await page.click("text=Check connection")
    await expect(answer).to_contain_text("Works. Meta takes the token and knows the dataset.")
    await check_page(page)
    assert console.list_received("3234567890") == []


async def test_the_keyboard_reaches_the_content_first(console, visitor) -> None:
    """Tab shows a link past the navigation; whatever has the focus is outlined."""
    page = await console.enter(visitor, "/sources")
    await page.keyboard.press("Tab")
    skip = page.get_by_text("Skip to content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("#main$"))
    await page.keyboard.press("Tab")
    button = page.get_by_role("link", name="New source").first
    await expect(button).to_be_focused()
    assert await button.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
