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

from tests.acceptance.processes import drain, running
from tests.acceptance.test_reload import wait_for
from tests.browser.test_console import Console, check_page, make_source, set_up

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PAUSED = 'signalpost_destination_paused{destination="Main pixel",reason="token"} 1.0'


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A gateway with a Meta app, and its Meta."""
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        url = meta.announced["url"]
        file = tmp_path / "signalpost.toml"
        file.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = 0\nconsole_port = 0\ndata_dir = "{tmp_path / "data"}"\n'
            f'[meta]\nbase_url = "{url}"\ndialog_url = "{url}"\napp_id = "4711"\napp_secret = "EMULATOR_APP_SECRET"\n'
            "[delivery]\nlinger_seconds = 0.05\n"
        )
        with running("serve", "--config", str(file), folder=tmp_path) as gateway:
            yield Console(gateway, str(url))


async def open_destination(visitor, console: Console) -> Page:
    """The page of a destination that has no token yet, its source beside it."""
    visitor.hosts.add(urlsplit(console.meta_url).netloc)
    page = await visitor.open(console.setup_url)
    await set_up(page)
    await make_source(page)
    await page.click("text=Facebook Conversions API")
    await page.fill("#name", "Main pixel")
    await page.fill("#setting-pixel_id", "1234567890")
    await page.click("text=Make destination")
    await page.goto(f"{console.url}/destinations/Main pixel")
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
    (source,) = console.program.read_api("/api/sources")
    key = source["write_keys"][0]["key"]
    call = {"userId": "u1", "event": "Order Completed", "properties": {"revenue": 5}}
    url = f"{console.program.announced['tracking_url']}/v1/track"
    assert requests.post(url, json=call, auth=(key, ""), timeout=10).json()["accepted"] == 1


def control(console: Console, path: str, **body: object) -> None:
    requests.post(f"{console.meta_url}/_emulator{path}", json=body, timeout=10).raise_for_status()


async def test_connected_revoked_and_connected_again(visitor, console: Console) -> None:
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

    control(console, "/revoke")
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
    ids = [event["event_id"] for event in console.read_received()]
    assert len(ids) == len(set(ids)) == 2


async def test_no_and_what_can_go_wrong(visitor, console: Console) -> None:
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

    control(console, "/clock", advance=601)
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
