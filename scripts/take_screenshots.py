"""Takes a picture of every page of the console, in three looks, of a shop with real traffic.

`make screenshots` puts them in build/screenshots, and the few that the README shows in docs/images.
"""

import argparse
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from scripts.busy_shop import Shop, busy, running_shop

ROOT: Final = Path(__file__).resolve().parent.parent
ALL, SHOWN = ROOT / "build/screenshots", ROOT / "docs/images"
PASSWORD: Final = "four words make one"  # noqa: S105 - of a console that lives a few minutes


@dataclass(frozen=True)
class Look:
    """How somebody looks at a page."""

    name: str
    scheme: Literal["light", "dark"]
    width: int
    height: int


LOOKS: Final = (
    Look("light", "light", 1440, 900),
    Look("dark", "dark", 1440, 900),
    Look("phone", "light", 390, 844),
)
README: Final = {"overview": 880, "delivery": 880, "tester-explained": 880}
"""The pages that the README shows, each with the height of its picture."""


@dataclass(frozen=True)
class View:
    """A page, and what to do on it before the picture is taken."""

    name: str
    path: str
    prepare: Callable[[Page], Any] = lambda _: None


def _explain(page: Page) -> None:
    page.get_by_role("button", name="Explain").click()


def _check_connection(page: Page) -> None:
    page.get_by_role("button", name="Check connection").click()
    page.locator("#connection .notice").wait_for()


def _open_call(page: Page) -> None:
    page.locator(".feed-row").filter(has_text="Order Completed").first.click()
    page.locator("#call-steps").wait_for()


def _find_event(page: Page) -> None:
    _open_call(page)
    page.get_by_role("link", name="Find its events").click()
    page.locator(".found").first.wait_for()


def _open_sample(page: Page) -> None:
    page.get_by_role("link", name="Samples").first.click()
    page.locator(".letter > summary").first.click()


def _preview_requeue(page: Page) -> None:
    page.locator("button[value=requeue]").first.click()


BEFORE: Final = (
    View("welcome", "/welcome"),
    View("overview-empty", "/overview"),
    View("sources-empty", "/sources"),
    View("destinations-empty", "/destinations"),
    View("debugger-empty", "/debugger"),
    View("tester-empty", "/tester"),
    View("delivery-empty", "/delivery"),
    View("find-empty", "/find"),
    View("dead-letters-empty", "/dead-letters"),
)
AFTER: Final = (
    View("overview", "/overview"),
    View("sources", "/sources"),
    View("source", "/sources/Website"),
    View("source-new", "/sources/new"),
    View("destinations", "/destinations"),
    View("destination", "/destinations/Main%20pixel"),
    View("destination-refused", "/destinations/EU%20store", _check_connection),
    View("destination-catalog", "/destinations/new"),
    View("destination-new", "/destinations/new/facebook-conversions-api"),
    View("facebook", "/destinations/EU%20store/facebook"),
    View("debugger", "/debugger"),
    View("debugger-call", "/debugger?source=Website", _open_call),
    View("find", "/debugger?source=Website", _find_event),
    View("find-nothing", "/find?id=never-came"),
    View("tester", "/tester"),
    View("tester-explained", "/tester?destination=Main%20pixel", _explain),
    View("delivery", "/delivery?period=10m"),
    View("delivery-one", "/delivery?period=10m&destination=EU%20store"),
    View("delivery-error", "/delivery?period=10m&destination=Main%20pixel", _open_sample),
    View("discard", "/delivery/discard?destination=EU%20store"),
    View("dead-letters", "/dead-letters"),
    View("dead-letters-preview", "/dead-letters", _preview_requeue),
    View("users", "/users"),
    View("account", "/account"),
    View("audit", "/audit"),
    View("api-reference", "/docs"),
    View("not-found", "/sources/nobody"),
    View("confirm", "/confirm"),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="*", help="names of pages")
    options.add_argument("--minutes", type=float, default=4, help="how long the shop is open before the last pictures")
    chosen = options.parse_args()
    ALL.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, running_shop() as shop:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--disable-gpu", "--disable-background-networking"]
        )
        take_pictures(browser, shop, chosen.only, chosen.minutes * 60)
        browser.close()


def take_pictures(browser: Browser, shop: Shop, only: list[str] | None, open_seconds: float) -> None:
    """From the first run to a shop that has been open for a while."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    shoot(page, shop, View("setup", str(shop.gateway["setup_url"]).removeprefix(shop.console_url)), only)
    page.goto(str(shop.gateway["setup_url"]))
    page.fill("#name", "Ann")
    page.fill("#password", PASSWORD)
    page.click("text=Create account")
    for view in BEFORE:
        shoot(page, shop, view, only)
    shop.set_up()
    shop.ask_console("POST", "/api/users", {"name": "Ben", "password": PASSWORD, "role": "viewer"})
    shop.ask_console("POST", "/api/tokens", {"name": "deployment", "role": "admin"})
    opened_at = time.monotonic()
    with busy(shop):
        time.sleep(max(0.0, open_seconds - (time.monotonic() - opened_at)))
        for view in AFTER:
            shoot(page, shop, view, only)
        if not only:
            for view in AFTER:
                if view.name in README:
                    shoot_for_readme(browser, context, shop, view)
    context.clear_cookies()
    shoot(page, shop, View("sign-in", "/sign-in"), only)


def shoot(page: Page, shop: Shop, view: View, only: list[str] | None) -> None:
    if only and view.name not in only:
        return
    page.set_viewport_size({"width": LOOKS[0].width, "height": LOOKS[0].height})
    page.goto(shop.console_url + view.path)
    view.prepare(page)
    for look in LOOKS:
        page.emulate_media(color_scheme=look.scheme)
        page.set_viewport_size({"width": look.width, "height": look.height})
        page.wait_for_timeout(400)  # charts are drawn again
        page.screenshot(path=ALL / f"{view.name}-{look.name}.png", full_page=True)
    print(view.name, flush=True)


def shoot_for_readme(browser: Browser, signed_in: BrowserContext, shop: Shop, view: View) -> None:
    """For screens with small pixels, and no longer than what somebody sees at once."""
    context = browser.new_context(
        storage_state=signed_in.storage_state(),
        viewport={"width": 1280, "height": README[view.name]},
        device_scale_factor=1.5,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(shop.console_url + view.path)
    view.prepare(page)
    page.wait_for_timeout(400)
    path = SHOWN / f"console-{view.name.partition('-')[0]}.png"
    page.screenshot(path=path)
    lighten(path)
    context.close()


def lighten(path: Path) -> None:
    """Write a picture again with the 256 colours that it needs, a third of the bytes."""
    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


if __name__ == "__main__":
    main()
