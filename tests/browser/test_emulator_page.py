"""The local Meta as a person sees and uses it: a real browser, a real emulator, real events."""

import hashlib
import time

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from signalpost.emulator.app import RunningEmulator, running_emulator

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

NARROW = 320
FIVE_SECONDS = "00:05"  # the page asks for news more often than that
LONG_WORD = "averyveryverylongnamewithoutanyspaces" * 3

# Everything visible that ends right of the window or is cut off by its parent. A code block may scroll by itself.
FIND_OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    return [...document.body.querySelectorAll("*:not(.visually-hidden, .skip, pre *)")]
        .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > width + 0.5)
        .map((element) => `${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 40)}`);
}"""


class LocalMeta:
    """A running emulator, and a gateway's side of the conversation with it."""

    def __init__(self, emulator: RunningEmulator, session: aiohttp.ClientSession) -> None:
        self.url = emulator.url
        self._session = session

    async def receive(self, event_name: str, *, token: str = "EMULATOR_TOKEN", **fields) -> None:
        """Send one event that is fine but for the given fields; a field of None is left out."""
        event = {
            "event_name": event_name,
            "event_time": int(time.time()),
            "event_id": f"id-of-{event_name}",
            "action_source": "website",
            "event_source_url": "https://shop.example/games",
            "user_data": {
                "em": [hashlib.sha256(b"jo.bloggs@example.com").hexdigest()],
                "client_user_agent": "Mozilla/5.0",
            },
            "custom_data": {"currency": "GBP", "value": 18.99},
        }
        event = {key: value for key, value in {**event, **fields}.items() if value is not None}
        headers = {"Authorization": f"Bearer {token}"}
        address = f"{self.url}/v26.0/1234567890/events"
        async with self._session.post(address, json={"data": [event]}, headers=headers) as answer:
            assert answer.status == (200 if token == "EMULATOR_TOKEN" else 401)


@pytest_asyncio.fixture(loop_scope="session")
async def meta():
    async with running_emulator() as emulator, aiohttp.ClientSession() as session:
        yield LocalMeta(emulator, session)


def find_table(page: Page, title: str):
    return page.get_by_role("region", name=title).get_by_role("table")


async def test_overview(visitor, meta):
    """The overview has a row for each event name, with how many came and "Server" as their Connection Method."""
    for event_name in ("Purchase", "Purchase", "AddToCart"):
        await meta.receive(event_name)
    page = await visitor.open(meta.url)
    overview = find_table(page, "Overview")
    columns = overview.get_by_role("columnheader")
    await expect(columns).to_have_text(
        ["Event", "Connection Method", "Total", "Repeats", "With notes", "Last received"]
    )
    rows = overview.locator("tbody").get_by_role("row")
    await expect(rows).to_have_count(2)
    await expect(rows.first.get_by_role("cell")).to_contain_text(["Purchase", "Server", "2", "1", "0"])
    await expect(rows.last.get_by_role("cell")).to_contain_text(["AddToCart", "Server", "1", "0", "0"])
    await expect(page.get_by_text("Local emulator, not Meta", exact=True)).to_be_visible()


async def test_live_list(visitor, meta):
    """An event that arrives while the page is open appears by itself."""
    page = await visitor.open(meta.url)
    await expect(page.get_by_role("heading", name="Waiting for the first event")).to_be_visible()
    await meta.receive("Purchase")
    await expect(find_table(page, "Latest events")).to_contain_text("id-of-Purchase")
    await expect(find_table(page, "Overview")).to_contain_text("Purchase")


async def test_newest_first(visitor, meta):
    """The next event appears above the one before, and the keyboard stays on the event it was on."""
    await meta.receive("ViewContent")
    page = await visitor.open(meta.url, moves_time=True)
    rows = find_table(page, "Latest events").locator("tbody").get_by_role("row")
    event = rows.get_by_role("link", name="ViewContent")
    await tab_to(page, event)
    await meta.receive("Purchase")
    await page.clock.run_for(FIVE_SECONDS)
    await expect(rows).to_contain_text(["Purchase", "ViewContent"])
    await expect(event).to_be_focused()


async def test_pausing(visitor, meta):
    """While the list is paused the page asks for nothing; switched on again, it catches up."""
    await meta.receive("ViewContent")
    page = await visitor.open(meta.url, moves_time=True)
    await page.get_by_role("button", name="Live").click()
    paused = page.get_by_role("button", name="Paused")
    await expect(paused).to_have_attribute("aria-pressed", "false")
    asked = list(visitor.asked)
    await meta.receive("Purchase")
    await page.clock.run_for(FIVE_SECONDS)
    assert visitor.asked == asked
    await paused.click()
    await page.clock.run_for(FIVE_SECONDS)
    await expect(find_table(page, "Latest events")).to_contain_text("Purchase")


async def test_one_event(visitor, meta):
    """An opened event shows its body as it was received, and each finding beside the field it is about."""
    clear_text = {"em": ["jo.bloggs@example.com"], "client_user_agent": "Mozilla/5.0"}
    await meta.receive("Purchase", user_data=clear_text, event_source_url=None)
    page = await visitor.open(meta.url)
    await find_table(page, "Latest events").get_by_role("link", name="Purchase").click()
    await expect(page.get_by_role("heading", name="Purchase", level=1)).to_be_visible()
    body = page.get_by_role("region", name="Body")
    fields = body.locator(".field")
    email = fields.filter(has=page.get_by_text("em", exact=True))
    await expect(email).to_contain_text("personal data in clear")
    await expect(email).to_contain_text("Customer Information Parameters")
    await expect(body).to_contain_text('"jo.bloggs@example.com"')
    missing = fields.filter(has_text="event_source_url")
    await expect(missing).to_contain_text("not there")
    await expect(missing.locator(".note")).to_be_visible()
    amount = fields.filter(has_text="18.99")
    await expect(amount).to_have_text("value 18.99", use_inner_text=True)
    await page.get_by_text("As JSON").click()
    await expect(page.locator("pre")).to_contain_text('"event_name": "Purchase"')


async def test_stays_on_this_machine(visitor, meta):
    """No page asks any host but the emulator for anything, and the browser's console stays empty."""
    await meta.receive("Purchase", event_source_url=None)
    await meta.receive("Purchase", token="EMULATOR_EXPIRED")
    page = await visitor.open(meta.url)
    for path in ("/events/1", "/requests", "/"):
        await page.goto(meta.url + path)
    assert f"{meta.url}/static/emulator.css" in visitor.asked
    assert {url for url in visitor.asked if not url.startswith(f"{meta.url}/")} == set()
    assert visitor.errors == []


async def test_narrow_screen(visitor, meta):
    """At 320 pixels every page fits: nothing scrolls sideways or is cut off, however long the words."""
    page = await visitor.open(meta.url, width=NARROW)
    assert await page.evaluate(FIND_OVERFLOW) == []
    await meta.receive("Purchase", event_source_url=None, event_id=LONG_WORD)
    await meta.receive(f"A{LONG_WORD}"[:50], custom_data={LONG_WORD: {LONG_WORD: LONG_WORD}})
    await meta.receive("Purchase", token="EMULATOR_EXPIRED")
    for path in ("/", "/?dataset=1234567890&name=Purchase", "/events/1", "/events/2", "/requests"):
        await page.goto(meta.url + path)
        for summary in await page.locator("summary").all():
            await summary.click()
        scroll_width = await page.evaluate("document.documentElement.scrollWidth")
        assert (path, scroll_width) == (path, NARROW)
        assert (path, await page.evaluate(FIND_OVERFLOW)) == (path, [])


async def test_without_scripts(visitor, meta):
    """With scripts switched off the same is there to read, links and folds work, and nothing promises to be live."""
    await meta.receive("Purchase", event_source_url=None)
    page = await visitor.open(meta.url, java_script_enabled=False)
    await expect(find_table(page, "Overview")).to_contain_text("Server")
    await expect(page.locator(".live-switch")).to_be_hidden()
    await find_table(page, "Latest events").get_by_role("link", name="Purchase").click()
    await expect(page.get_by_role("region", name="Body")).to_contain_text("not there")
    await page.get_by_text("As JSON").click()
    await expect(page.locator("pre")).to_be_visible()
    await page.get_by_role("link", name="Requests").click()
    await page.locator("summary").click()
    await expect(page.get_by_text("EMULATOR_TOKEN")).to_have_count(0)
    await expect(page.get_by_text("Trace ID")).to_be_visible()


async def test_keyboard(visitor, meta):
    """The keyboard alone gets to an event: Tab shows where it is, and Enter opens."""
    await meta.receive("Purchase")
    page = await visitor.open(meta.url)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    event = find_table(page, "Latest events").get_by_role("link", name="Purchase")
    await tab_to(page, event)
    assert await event.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{meta.url}/events/1")
    await tab_to(page, page.locator("summary"))
    await page.keyboard.press("Enter")
    await expect(page.locator("pre")).to_be_visible()


async def tab_to(page: Page, target) -> None:
    """Press Tab until the target has the focus, as often as a person would be willing to."""
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"twelve Tabs do not reach {target}")


async def test_light_and_dark(visitor, meta):
    """Who prefers dark screens gets dark grounds with light text, and who prefers light ones the reverse."""
    await meta.receive("Purchase")
    ground, text = {}, {}
    for scheme in ("light", "dark"):
        page = await visitor.open(meta.url, color_scheme=scheme)
        ground[scheme] = await read_brightness(page, "backgroundColor")
        text[scheme] = await read_brightness(page, "color")
    assert ground["light"] > 230
    assert text["light"] < 100
    assert ground["dark"] < 30
    assert text["dark"] > 180


async def read_brightness(page: Page, style: str) -> float:
    """Return how bright a colour of the page's body is, from 0 for black to 255 for white."""
    channels = await page.evaluate(f"getComputedStyle(document.body).{style}.match(/[0-9]+/g).map(Number)")
    return sum(channels[:3]) / 3
