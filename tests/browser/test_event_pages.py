"""The debugger and the event tester as a person uses them, with a real gateway and a local Meta behind."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import expect
from segment.analytics.client import Client

from tests.browser.conftest import HOSTILE, check_page

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PERSON = "jane.canary@example.com"
ORDER: dict[str, Any] = {
    "userId": "user-1",
    "properties": {"order_id": "1001", "revenue": 39.95, "currency": "USD"},
    "context": {"traits": {"email": PERSON}, "page": {"url": "https://shop.example/"}, "userAgent": "Mozilla/5.0"},
}


async def test_the_debugger_shows_calls_as_a_real_client_sends_them(console, visitor) -> None:
    """A call shows while the page is open, goes its way to delivered, and stays masked until somebody reveals it."""
    key = console.add_destination("Live", pixel_id="1000000001")
    page = await console.enter(visitor, "/debugger?source=Live")
    await expect(page.locator(".feed-empty")).to_contain_text("Nothing has come yet")
    await expect(page.locator(".feed-empty pre")).to_contain_text(key)
    await check_page(page)
    client = Client(key, host=console.tracking_url, upload_interval=0.1)
    for number in (0, 1, 2, 1):
        client.track("user-1", "Order Completed", ORDER["properties"], ORDER["context"], message_id=f"order-{number}")
    client.identify("user-1", {"email": PERSON})
    await asyncio.to_thread(client.join)
    rows = page.locator(".feed-row")
    await expect(rows).to_have_count(5)
    await expect(page.locator(".feed-way", has_text="Delivered")).to_have_count(3)
    assert PERSON not in await page.content()

    await rows.filter(has_text="Delivered").first.click()
    await expect(page.locator("#call-steps")).to_contain_text("Meta's trace id")
    await expect(page.locator(".feed-row[aria-current=true]")).to_have_count(1)
    await expect(page.locator(".walk .done")).to_have_count(4)
    assert PERSON not in await page.content()
    await check_page(page)
    await page.click("text=Reveal")
    await expect(page.locator("#call pre").first).to_contain_text(PERSON)
    await page.goto(console.url + "/audit")
    await expect(page.locator("main")).to_contain_text("call.revealed")
    stored = b"".join(file.read_bytes() for file in console.data.rglob("*") if file.is_file())
    assert PERSON.encode() not in stored


async def test_the_debugger_filters_pauses_and_goes_on(console, visitor) -> None:
    key = console.add_destination("Pauses", pixel_id="1000000002")
    page = await console.enter(visitor, "/debugger?source=Pauses")
    console.send(key, **ORDER)
    console.send(key, path="/v1/identify")
    rows = page.locator(".feed-row")
    await expect(rows).to_have_count(2)
    await page.fill("#search", "1001")  # of the properties
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile("/debugger.*search=1001"))
    await page.fill("#search", "jane.canary")  # masked, so not to be found
    await expect(page.locator(".feed-empty")).to_contain_text("No call like this")
    await page.fill("#search", "")
    await expect(rows).to_have_count(2)
    await page.select_option("#type", "identify")
    await expect(rows).to_have_count(1)
    await page.select_option("#type", "")
    await page.click("#pause")
    await expect(page.locator("#feed")).to_contain_text("Paused")
    console.send(key, "While paused", **ORDER)
    await page.select_option("#outcome", "filtered")
    await expect(rows).to_have_count(1)
    await expect(page.locator("#feed")).to_contain_text("Paused")
    await page.select_option("#outcome", "")
    await page.click("#pause")
    await expect(page.locator(".feed")).to_contain_text("While paused")
    await expect(page.locator(".live-mark")).to_be_visible()


async def test_what_is_refused_at_the_door_is_told_with_what_to_do(console, visitor) -> None:
    """Everything is configured, and nothing arrives: the page says why."""
    key = console.add_destination("Door", pixel_id="1000000003")
    page = await console.enter(visitor, "/debugger")
    assert console.send("a_wrong_key_of_somebody", **ORDER) == 401
    refused = page.locator(".refused")
    await expect(refused).to_contain_text("…body")
    await expect(refused).to_contain_text("Copy the write key from the source's page")
    console.send(key, path="/v1/nothing", **ORDER)
    await expect(refused).to_contain_text("Set the sender's host to")
    await check_page(page)


async def test_warnings_of_a_call_are_told_with_what_to_do(console, visitor) -> None:
    """Mapped and delivered, but not as good as it could be."""
    key = console.add_destination("Warned", pixel_id="1000000009")
    console.send(key, **{**ORDER, "properties": {"revenue": "$39.95", "currency": "USD"}})
    page = await console.enter(visitor, "/debugger?source=Warned")
    await page.locator(".feed-row").click()
    await expect(page.locator(".warnings summary")).to_have_text("1 warning")
    await expect(page.locator(".warned")).to_contain_text("the number in it was sent")
    await expect(page.locator(".warned .fix")).to_contain_text("Send a JSON number, such as 39.95")
    await check_page(page)


async def test_an_event_is_found_by_its_id(console, visitor) -> None:
    """From the debugger by its messageId, and by the event_id that Meta shows; by hand and with the keyboard alone."""
    key = console.add_destination("Found", pixel_id="1000000007")
    properties = {**ORDER["properties"], "event_id": "meta-7"}
    console.send(key, **{**ORDER, "messageId": "found-7", "properties": properties})
    console.send(key, **{**ORDER, "messageId": "found-7", "properties": properties})
    page = await console.enter(visitor, "/debugger?source=Found")
    await page.locator(".feed-row", has_text="Delivered").click(timeout=20_000)
    await page.click("text=Find its events")
    place = page.locator(".found")
    await expect(place.locator("h2")).to_contain_text("Found as Purchase")
    await expect(place.locator(".walk .done")).to_have_count(4)
    await expect(place).to_contain_text("fbtrace_id")
    await expect(page.locator("main")).to_contain_text("It came again since")
    await place.locator("summary").click()
    await expect(place.locator("pre")).to_contain_text('"event_id": "meta-7"')
    assert PERSON not in await page.content()
    await expect(page.locator(".feed-row")).to_have_count(2)
    await expect(page.locator(".feed-row", has_text="Duplicate")).to_have_count(1)
    await check_page(page)
    await page.click("nav >> text=Find an event")
    await expect(page.locator("#id")).to_be_focused()
    await page.keyboard.type(' "meta-7" ')
    await page.keyboard.press("Enter")
    await expect(place).to_contain_text("found-7")
    await expect(page.locator("#id")).to_have_value("meta-7")


async def test_what_is_not_found_is_told_with_what_may_be_the_cause(console, visitor) -> None:
    """Nothing known, accepted and filtered, and waiting for a destination that is paused."""
    key = console.add_destination("Lost", pixel_id="1000000008")
    page = await console.enter(visitor, "/find?id=never-came")
    for words in ("Nothing is known of never-came", "Refused at the door", "Ids are compared", "for 7 days"):
        await expect(page.locator("main")).to_contain_text(words)
    await check_page(page)
    console.send(key, **{**ORDER, "messageId": "filtered-1", "integrations": {"All": False}})
    await page.goto(f"{console.url}/find?id=filtered-1")
    await expect(page.locator(".found")).to_contain_text("The call's integrations object excludes this destination.")
    console.arm("permission_denied_200", "1000000008")
    console.send(key, **{**ORDER, "messageId": "waits-1"})
    await page.goto(f"{console.url}/delivery?period=10m&destination=Lost")
    await expect(page.locator(".notice.red")).to_be_visible(timeout=20_000)
    await page.goto(f"{console.url}/find?id=waits-1")
    await expect(page.locator(".found .badge")).to_have_text("Pending")
    await expect(page.locator(".found")).to_contain_text("Paused: The access token is valid but may not send")
    await check_page(page)


async def test_hostile_calls_are_shown_as_text(console, visitor) -> None:
    key = console.add_destination("Hostile", pixel_id="1000000004")
    page = await console.enter(visitor, "/debugger?source=Hostile")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    call = {**ORDER, "event": HOSTILE, "messageId": HOSTILE, "properties": {HOSTILE: HOSTILE, "__proto__": HOSTILE}}
    console.send(key, **call)
    await expect(page.locator(".feed-name").first).to_contain_text("<img src=x")
    await page.locator(".feed-row").first.click()
    await expect(page.locator("#call h2")).to_contain_text("<img src=x")
    await expect(page.locator("#call pre").first).to_contain_text("__proto__")
    await check_page(page)
    assert dialogs == []


async def test_the_tester_explains_a_call_and_sends_it(console, visitor) -> None:
    """A sample is explained; a call that is pasted gets its warnings; Meta's own answer shows after it is sent."""
    console.add_destination("Explained", pixel_id="1000000005")
    page = await console.enter(visitor, "/tester?destination=Explained")
    await check_page(page)
    await page.click("button:has-text('Explain')")
    results = page.locator("#results")
    await expect(results).to_contain_text("Purchase")
    await expect(results).to_contain_text("context.traits.email")
    await expect(results).to_contain_text("j***@e***.com")
    await expect(results).to_contain_text("Enough for Meta")
    await expect(results.locator("pre")).to_contain_text('"event_name": "Purchase"')
    await check_page(page)
    await page.click("text=Send to Meta")
    await expect(results).to_contain_text("Meta took the event.")
    await page.fill("#call", '{"event": "Order Completed", "userId": "u1", "properties": {"revenue": "a lot"}}')
    await page.click("button:has-text('Explain')")
    await expect(results).to_contain_text("Rejected")


async def test_the_tester_loads_a_call_of_the_debugger(console, visitor) -> None:
    """Masked at first; as it was sent when an admin asks for that, and the audit log says so."""
    key = console.add_destination("Loaded", pixel_id="1000000006")
    page = await console.enter(visitor, "/debugger?source=Loaded")
    console.send(key, HOSTILE, **ORDER)
    await page.locator(".feed-row").first.click()
    await page.click("text=Explain in the Event Tester")
    assert PERSON not in await page.content()
    await expect(page.locator("#call")).to_have_value(re.compile("onerror"))
    await page.click("text=Load as sent")
    await expect(page.locator("#call")).to_have_value(re.compile(PERSON))
    await page.click("button:has-text('Explain')")
    await expect(page.locator("#results h2").first).to_contain_text("<img src=x")
    await page.goto(console.url + "/audit")
    await expect(page.locator("main")).to_contain_text("call.revealed")
