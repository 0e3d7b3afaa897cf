"""Delivery and dead letters as a person uses them: an outage turns the page red, with a reason, and green again."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import check_page

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]


async def test_an_outage_is_red_and_ends_green(console, visitor) -> None:
    """Meta goes down: the page says so by itself, and that nothing is lost; then everything is delivered."""
    key = console.add_destination("Down", pixel_id="1100000001")
    page = await console.enter(visitor, "/delivery?period=10m&destination=Down")
    fault = console.arm("service_unavailable", "1100000001")
    console.send(key, "Order Completed")
    await expect(page.locator("#now .notice.red")).to_contain_text("none is lost", timeout=20_000)
    await expect(page.locator("tr.chosen")).to_contain_text("Meta is out of reach")
    await check_page(page)
    console.disarm(fault)
    await page.click("text=Try now")
    # An event that was tried waits for its own next attempt, some seconds more with each.
    badge = page.locator("tr", has_text="Down").locator(".badge.green")
    await expect(badge).to_have_text("Delivering", timeout=90_000)
    await expect(page.locator("body")).to_contain_text("Balanced")
    await expect(page.locator(".chart canvas")).to_have_count(2)
    assert console.list_received("1100000001") == ["Purchase"]


async def test_a_paused_destination_says_why_and_is_resumed(console, visitor) -> None:
    """On the overview, the list, and its own page; after the token works again, Try now delivers what waited."""
    key = console.add_destination("Paused", pixel_id="1200000001")
    fault = console.arm("permission_denied_200", "1200000001")
    console.send(key, "Order Completed")
    page = await console.enter(visitor, "/overview")
    notice = page.locator(".notice.red", has_text="Paused: Paused.")
    await expect(notice).to_contain_text("The access token is valid but may not send", timeout=20_000)
    await check_page(page)
    await page.goto(f"{console.url}/destinations")
    await expect(page.locator("tr", has_text="Paused").locator(".badge.red")).to_have_text("Paused")
    await page.click("a:has-text('Paused')")
    await expect(page.locator(".notice.red")).to_contain_text("give the system user access to the dataset")
    await check_page(page)
    console.disarm(fault)
    await page.click("text=Try now")
    await expect(page.locator(".flash")).to_contain_text("Paused is tried again now")
    await expect(page.locator("tr", has_text="Paused").locator(".badge.green")).to_be_visible(timeout=20_000)
    assert console.list_received("1200000001") == ["Purchase"]


async def test_what_waits_for_a_paused_destination_is_given_up(console, visitor) -> None:
    """The count comes first, the deed needs a second click; the debugger then shows the events as rejected."""
    key = console.add_destination("Hopeless", pixel_id="1500000001")
    console.arm("permission_denied_200", "1500000001")
    for number in (1, 2):
        console.send(key, "Order Completed", messageId=f"hopeless-{number}")
    page = await console.enter(visitor, "/delivery?period=10m&destination=Hopeless")
    await page.click(".notice.red a:has-text('Discard what waits')", timeout=20_000)
    await expect(page.locator("h1")).to_have_text("Discard 2 events that wait for Hopeless?")
    await expect(page.locator("main")).to_contain_text("may not send events to this dataset")
    await check_page(page)
    await page.click("text=Keep them")
    await expect(page.locator("tr.chosen [data-label=Waiting]")).to_have_text("2")
    await page.click(".notice.red a:has-text('Discard what waits')")
    await page.click("button:has-text('Discard 2')")
    await expect(page.locator(".flash")).to_contain_text("2 discarded")
    await expect(page.locator("tr.chosen [data-label=Waiting]")).to_have_text("0")
    await expect(page.locator("tr", has_text="discarded_by_operator")).to_contain_text("gave up what waited")
    await page.goto(f"{console.url}/debugger?source=Hopeless")
    await expect(page.locator(".feed-way .badge", has_text="Rejected")).to_have_count(2)
    await page.locator(".feed-row").first.click()
    await expect(page.locator("#call-steps")).to_contain_text("Somebody gave up what waited")
    assert console.list_received("1500000001") == []


async def test_figures_are_counts_or_shares(console, visitor) -> None:
    """One click changes them; the period and the destination stay."""
    console.send(console.add_destination("Figures", pixel_id="1300000001"), "Order Completed")
    page = await console.enter(visitor, "/delivery?period=1h&destination=Figures")
    delivered = page.locator(".stages li", has_text="Delivered").locator(".big")
    await expect(delivered).to_have_text("1", timeout=20_000)
    await page.click("[aria-label='Shares in percent']")
    await expect(delivered).to_have_text("100 %")
    await expect(page.locator("[aria-label='Period'] [aria-current]")).to_have_text("1 hour")
    await expect(page.locator("#destination")).to_have_value("Figures")
    await expect(page.locator(".cover", has_text="Email")).to_contain_text("100 %")


async def test_a_dead_letter_is_requeued_and_delivered(console, visitor) -> None:
    """Meta refuses one event; its answer is shown; it is requeued and delivered."""
    key = console.add_destination("Refused", pixel_id="1400000001")
    fault = console.arm("custom_data_invalid", "1400000001")
    console.send(key, "Order Completed")
    page = await console.enter(visitor, "/delivery?period=10m&destination=Refused")
    row = page.locator("tr", has_text="100/2804016")
    await expect(row).to_contain_text("Compare the sample with an event that was delivered", timeout=20_000)
    await row.get_by_text("Samples").click()
    await expect(page.locator("tr.chosen", has_text="100/2804016")).to_be_visible()
    await page.click("#samples summary")
    await expect(page.locator("#samples")).to_contain_text("Meta's answer")
    await check_page(page)
    await page.click("text=All of them")
    await check_page(page)
    console.disarm(fault)
    await page.click("text=Requeue all 1")
    await expect(page.locator("h1")).to_have_text("Requeue 1 dead letter?")
    await check_page(page)
    await page.click("button:has-text('Requeue 1')")
    await expect(page.locator(".flash")).to_contain_text("1 requeued")
    await page.goto(f"{console.url}/debugger?source=Refused")
    await expect(page.locator(".feed-way .badge")).to_have_text("Delivered", timeout=20_000)
    assert console.list_received("1400000001") == ["Purchase"]
