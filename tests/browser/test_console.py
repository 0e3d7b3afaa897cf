"""The console as a person uses it, from a clean data folder, in Chromium: no script error, no word to another host."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from playwright.async_api import Page, expect

from tests.acceptance.processes import Program, running

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text()
PASSWORD = "four words make one"
HOSTILE = "<img src=x onerror=alert(1)>'\"><svg onload=alert(2)>"
GRAVE = "axe.run().then(found => found.violations.filter(row => ['serious', 'critical'].includes(row.impact)).map("
GRAVE += "row => row.id + ': ' + row.nodes.slice(0, 3).map(node => node.html.slice(0, 120)).join(' ;; ')))"


@dataclass
class Console:
    """A gateway that delivers to a local Meta."""

    program: Program
    meta_url: str

    @property
    def url(self) -> str:
        return str(self.program.announced["console_url"])

    @property
    def setup_url(self) -> str:
        return str(self.program.announced["setup_url"])

    def read_received(self) -> list[object]:
        """The events that Meta has recorded."""
        return list(requests.get(f"{self.meta_url}/_emulator/events", timeout=10).json()["events"])


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with running("emulator", "--port", "0", folder=tmp_path) as meta:
        file = tmp_path / "signalpost.toml"
        file.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = 0\nconsole_port = 0\ndata_dir = "{tmp_path / "data"}"\n'
            f'[meta]\nbase_url = "{meta.announced["url"]}"\n[delivery]\nlinger_seconds = 0.05\n'
        )
        with running("serve", "--config", str(file), folder=tmp_path) as gateway:
            yield Console(gateway, str(meta.announced["url"]))


async def set_up(page: Page) -> None:
    await page.fill("#name", "Ann")
    await page.fill("#password", PASSWORD)
    await page.click("text=Create account")


async def make_source(page: Page, name: str = "Website") -> None:
    await page.fill("#name", name)
    await page.click("button:has-text('Make source')")


async def find_barriers(page: Page) -> list[str]:
    """What axe calls serious or critical on the page as it is."""
    await page.evaluate(f"{AXE};0")
    return list(await page.evaluate(GRAVE))


async def test_from_the_first_run_to_the_first_delivered_event(console, visitor) -> None:
    """An account, a source, a destination and a test event: six clicks; Meta's answer shows live."""
    page = await visitor.open(console.setup_url)
    await set_up(page)  # 1
    await make_source(page)  # 2
    await page.click("text=Facebook Conversions API")  # 3
    await page.fill("#name", "Main pixel")
    await page.fill("#setting-pixel_id", "1234567890")
    await page.fill("#setting-access_token", "EMULATOR_TOKEN")
    await page.click("text=Make destination")  # 4
    await page.click("text=Send a test event")  # 5
    await expect(page.locator("#progress")).to_contain_text("Delivered.", timeout=20_000)
    await page.click("text=To the console")  # 6
    await expect(page.locator("h1")).not_to_have_text("Welcome")


async def test_every_page_is_open_to_everybody(console, visitor) -> None:
    """axe finds nothing serious in light, in dark and on a phone; no page is wider than the screen; names are text."""
    page = await visitor.open(console.setup_url)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await check_page(page)
    await set_up(page)
    await check_page(page)
    await make_source(page, HOSTILE)
    await page.click("text=Facebook Conversions API")
    await page.fill("#name", HOSTILE)
    await page.fill("#setting-pixel_id", "1234567890")
    await page.fill("[name='standard_events.key']", HOSTILE)
    await check_page(page)
    await page.click("text=Make destination")
    paths = ["/welcome", "/sources", "/sources/new", "/destinations", "/destinations/new", "/users", "/audit", "/docs"]
    paths += ["/overview", "/delivery", "/dead-letters"]
    for path in paths:
        await page.goto(console.url + path)
        await check_page(page)
    for section in ("sources", "destinations"):
        await page.goto(f"{console.url}/{section}")
        await page.click("a.row-link")
        await expect(page.locator("h1")).to_have_text(HOSTILE)
        await check_page(page)
    assert dialogs == []


async def check_page(page: Page) -> None:
    for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390)):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size({"width": width, "height": 844})
        assert await find_barriers(page) == [], f"{page.url} {scheme} {width}"
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} {width}"


async def test_changed_settings_map_the_next_event(console, visitor) -> None:
    """A row is added to the map of events, saved, shown again, and removed again."""
    page = await visitor.open(console.setup_url)
    await set_up(page)
    await make_source(page)
    await page.click("text=Facebook Conversions API")
    await page.fill("#name", "Main")
    await page.fill("#setting-pixel_id", "1")
    await page.click("text=Make destination")
    await expect(page.locator("#setting-pixel_id-fault")).to_contain_text("5 to 20 digits")
    assert len(visitor.errors) == 1  # Chromium logs that the answer was 422
    visitor.errors.clear()
    await page.fill("#setting-pixel_id", "1234567890")
    await page.click("text=Make destination")
    await page.goto(f"{console.url}/destinations/Main")
    rows = page.locator("fieldset:has-text('Standard FB Events') .map-row")
    await rows.nth(0).locator("input").fill("Signed Up")
    await rows.nth(0).locator("select").select_option("CompleteRegistration")
    await page.locator("fieldset:has-text('Standard FB Events')").get_by_text("Add row").click()
    await rows.nth(1).locator("input").fill("Trial begun")
    await rows.nth(1).locator("select").select_option("StartTrial")
    await page.click("text=Save settings")
    await expect(page.locator(".flash")).to_contain_text("Saved")
    assert [await row.locator("input").input_value() for row in await rows.all()] == ["Signed Up", "Trial begun"]
    assert await rows.nth(0).locator("select option").count() == 17
    await rows.nth(0).get_by_role("button").click()
    await page.click("text=Save settings")
    assert [await row.locator("input").input_value() for row in await rows.all()] == ["Trial begun"]


async def test_a_connection_is_checked_and_mended(console, visitor) -> None:
    """A token that Meta has revoked is told with what to do; the next one works; Meta has recorded nothing."""
    page = await visitor.open(console.setup_url)
    await set_up(page)
    await make_source(page)
    await page.click("text=Facebook Conversions API")
    await page.fill("#name", "Main")
    await page.fill("#setting-pixel_id", "1234567890")
    await page.fill("#setting-access_token", "EMULATOR_REVOKED")
    await page.click("text=Make destination")
    await page.goto(f"{console.url}/destinations/Main")
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
    assert console.read_received() == []


async def test_a_page_is_light(console, visitor) -> None:
    """Less than 300 KB with everything it needs."""
    sizes: list[int] = []
    page = await visitor.open("about:blank")
    visitor.hosts.add(console.url.removeprefix("http://"))

    async def weigh(response) -> None:
        sizes.append(len(await response.body()))

    page.on("response", weigh)
    await page.goto(console.setup_url, wait_until="networkidle")
    assert 50_000 < sum(sizes) < 300_000
