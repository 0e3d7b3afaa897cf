"""Who gets in, who is sent out, and what a viewer and a forger can't do, in a real browser."""

import re
from contextlib import closing

import apsw
import pytest
from playwright.async_api import expect

from tests.browser.conftest import PASSWORD, check_page, sign_in

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PAGES = ["/overview", "/welcome", "/sources", "/sources/Shop", "/destinations", "/destinations/Shop", "/debugger"]
PAGES += ["/find", "/tester", "/delivery", "/dead-letters"]
CHANGES = ["/sources/new", "/sources/Shop/remove", "/sources/Shop/enabled", "/sources/Shop/keys", "/users", "/tokens"]
CHANGES += ["/destinations/Shop/settings", "/destinations/Shop/check", "/destinations/Shop/remove", "/tester/send"]
CHANGES += ["/delivery/resume", "/delivery/discard", "/dead-letters/change", "/welcome/test-event"]

POST = """path => fetch(path, {
    method: "POST", headers: {Accept: "application/json"},
    body: new URLSearchParams({name: "Forged", destination: "Shop", csrf_token: document.body.dataset.formToken ?? ""}),
}).then(answer => answer.status)"""


@pytest.fixture(scope="module", autouse=True)
def shop(console) -> None:
    console.add_destination("Shop")


async def test_a_wrong_password_is_told_and_the_right_one_goes_on(console, visitor) -> None:
    """To the page that was asked for. The answer doesn't say which of the two was wrong."""
    page = await visitor.open(f"{console.url}/delivery?period=7d")
    await expect(page).to_have_url(re.compile("/sign-in"))
    await sign_in(page, "Ben", "something else")
    await expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    visitor.forgive("401")
    await expect(page.locator("#name")).to_have_value("Ben")
    await expect(page.locator("#password")).to_have_value("")
    await sign_in(page, "Ben")
    await expect(page).to_have_url(f"{console.url}/delivery?period=7d")


async def test_an_expired_session_asks_for_a_sign_in_and_goes_on(console, visitor) -> None:
    """A live page that is left open does so by itself."""
    console.ask("POST", "/api/users", {"name": "Cleo", "password": PASSWORD, "role": "viewer"})
    page = await visitor.open(f"{console.url}/debugger")
    await sign_in(page, "Cleo")
    await expect(page.locator("h1")).to_have_text("Debugger")
    with closing(apsw.Connection(str(console.data / "settings.db"))) as settings:
        settings.set_busy_timeout(5_000)
        settings.execute("UPDATE sessions SET created_at = 0")
    await expect(page).to_have_url(re.compile("/sign-in"), timeout=15_000)
    await expect(page.locator(".flash")).to_have_text("Your session has ended. Sign in to go on.")
    visitor.forgive("401")
    console.cookies.clear()
    await sign_in(page, "Cleo")
    await expect(page.locator("h1")).to_have_text("Debugger")


async def test_a_forged_form_is_refused(console, visitor) -> None:
    """Another site's, which rides on the session; and one of this site without the session's token."""
    page = await console.enter(visitor, "/sources")
    forger = await page.context.new_page()
    form = f'<form method="post" action="{console.url}/sources/new"><input name="name" value="Forged">'
    await forger.set_content(f"{form}<button>Win a car</button></form>")
    await forger.click("text=Win a car")
    await expect(forger.locator("h1")).to_have_text("Not allowed")
    await expect(forger.locator(".lead")).to_contain_text("Changes are taken from this console's own pages only")
    await check_page(forger)
    await forger.click("text=To Sources")
    await expect(forger.locator("h1")).to_have_text("Sources")
    await page.evaluate("delete document.body.dataset.formToken")
    assert await page.evaluate(POST, "/sources/new") == 403
    await page.reload()
    await expect(page.locator("main")).not_to_contain_text("Forged")
    assert [source["name"] for source in console.ask("GET", "/api/sources")] == ["Shop"]
    visitor.forgive("403")


async def test_a_button_that_is_refused_says_why(console, visitor) -> None:
    """Its page is of an older sign-in; what would only change a part of the page must not fail in silence."""
    page = await console.enter(visitor, "/destinations/Shop")
    await page.context.clear_cookies()
    newer = await page.context.new_page()
    await newer.goto(f"{console.url}/sign-in")
    await sign_in(newer, "Ann")
    await expect(newer.locator("h1")).to_have_text("Overview")
    await page.click("text=Check connection")
    await expect(page.get_by_role("alert")).to_have_text("This form is of another sign-in. Load the page again.")
    await check_page(page)
    visitor.forgive("403")


async def test_a_viewer_sees_and_changes_nothing(console, visitor) -> None:
    """No page has a button that would change something; what is posted all the same is refused."""
    for path in PAGES:
        page = await console.enter(visitor, path, "Ben")
        forms = await page.locator("form[method=post]").evaluate_all(
            "forms => forms.map(form => form.getAttribute('action'))"
        )
        assert set(forms) <= {"/sign-out", "/tester"}, path
        assert await page.locator("[formaction], a[href$='/new']").count() == 0, path
        assert await page.locator("nav a[href='/users'], nav a[href='/audit']").count() == 0
    page = await console.enter(visitor, "/destinations/Shop", "Ben")
    await expect(page.locator("#setting-pixel_id")).to_be_disabled()
    assert {path: await page.evaluate(POST, path) for path in CHANGES} == dict.fromkeys(CHANGES, 403)
    assert [source["name"] for source in console.ask("GET", "/api/sources")] == ["Shop"]
    visitor.forgive("403")
