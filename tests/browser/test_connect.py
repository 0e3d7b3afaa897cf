"""Connect with Facebook in a real browser: the local Meta's dialog, yes and no, and everything that can go wrong."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from playwright.async_api import Page, expect

from tests.acceptance.processes import drain
from tests.acceptance.test_reload import wait_for
from tests.browser.conftest import Console, check_page, serving

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PAUSED = 'signalpost_destination_paused{destination="Main pixel",reason="token"} 1.0'


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A gateway with a Meta app."""
    settings = 'dialog_url = "{url}"\napp_id = "4711"\napp_secret = "EMULATOR_APP_SECRET"\n'
    with serving(tmp_path, settings) as served:
        served.add_people()
        yield served


async def open_destination(visitor, console: Console) -> Page:
    """The page of a destination that has no token yet, its source beside it."""
    visitor.hosts.add(urlsplit(console.meta_url).netloc)
    console.add_destination("Main pixel", token=None)
    page: Page = await console.enter(visitor, "/destinations/Main pixel")
    return page


async def go_to_facebook(page: Page) -> None:
    await page.click("a:has-text('Connect')")
    await page.click("#continue")
    await expect(page.locator("h1")).to_have_text("Local emulator, not Meta")
    await expect(page.locator("body")).to_contain_text("ads_management,public_profile")


async def press_allow(page: Page) -> str:
    """Press it, and stop the browser before it goes back; where it would go."""
    link = await page.evaluate("document.querySelector('#allow').href")
    pressed = await asyncio.to_thread(requests.get, link, allow_redirects=False, timeout=10)
    return pressed.headers["Location"]


def send_call(console: Console) -> None:
    """Everything after this is about a call that was accepted."""
    (source,) = console.ask("GET", "/api/sources")
    assert console.send(source["write_keys"][0]["key"]) == 200


async def test_connected_revoked_and_connected_again(console: Console, visitor) -> None:
    """Events wait before and in between, and each arrives once; the second time from the command line's link."""
    page = await open_destination(visitor, console)
    send_call(console)
    await expect(page.locator("main")).to_contain_text("No token yet: events wait.")
    await page.click("a:has-text('Connect with Facebook')")
    await check_page(page)
    await page.go_back()
    await go_to_facebook(page)
    await page.click("#allow")
    await expect(page.locator("h1")).to_have_text("Connected")
    await check_page(page)
    await page.click("text=Back to Main pixel")
    await expect(page.locator("main")).to_contain_text("Connected by Ann")
    assert (await asyncio.to_thread(drain, console.program))["events"]["delivered"] == 1

    console.ask_meta("POST", "/revoke", {})
    send_call(console)
    await asyncio.to_thread(wait_for, console.program, PAUSED)
    await page.goto(f"{console.url}/delivery")
    await expect(page.locator("#now")).to_contain_text("does not accept the access token")
    config = console.program.announced["data_dir"]
    command = [sys.executable, "-m", "signalpost", "connect", "Main pixel", "--json"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=Path(config).parent, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        stranger = await visitor.open(json.loads(await process.stdout.readline())["url"])
        await stranger.click("#allow")
        await expect(stranger.locator("h1")).to_have_text("Connected")
        output, _ = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, json.loads(output)["state"]) == (0, "connected")
    ledger = await asyncio.to_thread(drain, console.program)
    assert (ledger["events"]["delivered"], ledger["imbalance"]) == (2, 0)
    ids = [event["event_id"] for event in console.ask_meta("GET", "/events")["events"]]
    assert len(ids) == len(set(ids)) == 2


async def test_no_and_what_can_go_wrong(console: Console, visitor) -> None:
    """Denied, forged, too old, used twice: each says why, none changes anything; then it still works."""
    page = await open_destination(visitor, console)
    address = f"{console.url}/destinations/Main pixel"

    await go_to_facebook(page)
    await page.click("#deny")
    await expect(page.locator("body")).to_contain_text("The permission was denied at Facebook. Nothing was changed.")
    await check_page(page)

    await page.goto(address)
    await go_to_facebook(page)
    way_back = await press_allow(page)
    await page.goto(re.sub("state=[^&]+", "state=forged", way_back))
    await expect(page.locator("body")).to_contain_text("belongs to no attempt of this browser")

    console.ask_meta("POST", "/clock", {"advance": 601})
    await page.goto(way_back)
    await expect(page.locator("body")).to_contain_text("older than ten minutes")

    await page.goto(address)
    await expect(page.locator("main")).to_contain_text("No token yet: events wait.")
    await go_to_facebook(page)
    await page.click("#allow")
    await expect(page.locator("h1")).to_have_text("Connected")
    await page.reload()
    await expect(page.locator("body")).to_contain_text("belongs to no attempt of this browser, or was used already")
    await page.goto(address)
    await expect(page.locator("main")).to_contain_text("Connected by Ann")
    refused = [error for error in visitor.errors if "status of 400" in error]
    assert len(refused) == len(visitor.errors) == 4  # Chromium logs each answer that is one
    visitor.errors.clear()
