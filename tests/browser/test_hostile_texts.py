"""Whatever strangers send, and operators name things, every page of the console shows it as text and runs none of it.

One browser session goes through all pages, after hostile texts were put wherever a text can come in: names of sources,
destinations, people and tokens, events, ids, properties, user agents, paths, and what Meta says.
"""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from playwright.async_api import Page

from signalpost.model.delivery import DeadReason
from signalpost.model.ids import DestinationId, SourceId
from signalpost.queue.sqlite import SqliteQueue
from tests.acceptance.processes import WRITE_KEY, Program, running, write_configuration
from tests.builders import build_call, build_new_event
from tests.queue.builders import lease

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]

# Row 16 of the tracking API's table of bad input, keys of row 15, and what breaks out of other places in a page.
HOSTILE = (
    "<img src=x onerror=alert(1)>'\"><svg onload=alert(2)>",
    "<script>alert(3)</script>",
    "</script><script>alert(4)</script><!--",
    "javascript:alert(5)",
    "'--><details open ontoggle=alert(6)>",
    '" autofocus onfocus=alert(7) x="',
    "&lt;img src=x onerror=alert(8)&gt;",
    '<div hx-get="/hostile" hx-trigger="load">',
    "<style>*{display:none}</style>",
    "{{7001*7001}}${7001*7001}#{7001*7001}<%=7001*7001%>",
    "${jndi:ldap://127.0.0.1/a}",
    "=cmd()",
    "__proto__",
    "constructor",
    "$where",
    "\u202egnp.exe",
)
BREAKING_OUT = HOSTILE[:5]
# Names of what operators make hold no slashes.
NAMES = [text for text in HOSTILE if not {"/", "\\"} & set(text) and text.isprintable()]
PASSWORD = "four words make one"
ACTIVE = "img[src=x], svg[onload], details[ontoggle], [onfocus], [onerror], [hx-get='/hostile'], a[href^='javascript:']"


def quote_name(name: str) -> str:
    return quote(name, safe="")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Program]:
    """A gateway whose store, settings and live debugger are full of hostile texts."""
    (tmp_path / "data").mkdir(mode=0o700)
    asyncio.run(fill_queue(tmp_path / "data"))
    config = write_configuration(tmp_path, "http://127.0.0.1:1")
    with running("serve", "--config", str(config), folder=tmp_path) as gateway:
        yield gateway


async def fill_queue(folder: Path) -> None:
    """Dead letters and delivered events whose every text is hostile, Meta's words too."""
    queue = SqliteQueue.open(folder)
    for number, text in enumerate(HOSTILE):
        destination = DestinationId(text)
        fields = {"destination_id": destination, "event_name": text[:50]}
        calls = [
            build_call(build_new_event(f"{text}-{n}", **fields), message_id=f"{text}-{n}", source_id=SourceId(text))
            for n in range(2)
        ]
        await queue.put(calls)
        await queue.dead_letter(await lease(queue, destination, limit=1), DeadReason(text, text, text, text))
        await queue.ack(await lease(queue, destination, limit=1), text)
        ours = build_call(build_new_event(f"ours-{number}", event_name=text[:50]), message_id=f"ours-{number}")
        await queue.put([ours])
        await queue.dead_letter(await lease(queue, limit=1), DeadReason("400", text, text, text))
    await queue.close()


def make_everything(gateway: Program) -> None:
    """Sources, destinations, people and tokens with hostile names, and what happens at the tracking port."""
    url, tracking = str(gateway.announced["console_url"]), str(gateway.announced["tracking_url"])
    token, _ = (Path(gateway.announced["data_dir"]) / "control.token").read_text().split()
    headers = {"Authorization": f"Bearer {token}"}

    def make(method: str, path: str, body: object = None) -> None:
        answer = requests.request(method, f"{url}/api/{path}", json=body, headers=headers, timeout=30)
        assert answer.ok, (path, answer.text)

    for name in NAMES:
        settings = {"pixel_id": "1234567890", "standard_events": {name: "Lead"}, "external_id_field": name}
        make("POST", "destinations", {"name": name, "type": "facebook-conversions-api", "settings": settings})
        make("POST", "sources", {"name": name})
        make("PUT", f"sources/{quote_name(name)}/destinations/{quote_name(name)}")
        make("POST", "tokens", {"name": name, "role": "viewer"})
    for name in NAMES[1:3]:  # each costs a password hash
        make("POST", "users", {"name": name, "role": "viewer", "password": PASSWORD})
    for text in HOSTILE:
        headers = {"User-Agent": text.encode("ascii", "replace").decode(), "X-Write-Key": WRITE_KEY}
        for path in ("/v1/track", f"/v1/{quote(text)}"):
            requests.post(tracking + path, data=json.dumps(build_hostile_call(text)), headers=headers, timeout=10)
        requests.post(f"{tracking}/v1/track", data="{}", headers={"X-Write-Key": quote(text)}, timeout=10)


def build_hostile_call(text: str) -> dict[str, object]:
    nested = {text: text, "products": [{"product_id": text, "name": text}], "email": text, "url": text, "": text}
    return {
        "type": "track",
        "event": text,
        "messageId": text,
        "userId": text,
        "anonymousId": text,
        "properties": {**nested, "nested": nested, "action_source": text},
        "context": {
            "userAgent": text,
            "ip": text,
            "page": {"url": text, "referrer": text, "title": text},
            "library": {"name": text, "version": text},
            "traits": nested,
            "campaign": {"name": text},
        },
        "integrations": {text: True},
    }


def list_pages(text: str) -> Iterator[str]:
    """Addresses that carry the text themselves."""
    each = quote_name(text)
    yield f"/delivery?destination={each}&period={each}"
    yield f"/delivery/discard?destination={each}"
    yield f"/dead-letters?destination={each}&code={each}&reason={each}&event_name={each}"
    yield from (f"/find?id={each}", f"/find?id={each}-0", f"/find?id={each}-1")
    yield from (f"/debugger?search={each}", f"/debugger?source={each}&type={each}", f"/sources/{each}")
    yield from (f"/destinations/{each}", f"/sign-in?next={each}", f"/welcome?{each}", f"/nothing-{each}")


PAGES = (
    "overview",
    "delivery",
    "dead-letters",
    "debugger",
    "find",
    "account",
    "tester",
    "sources",
    "destinations",
    "users",
    "audit",
)
MORE = ("welcome", "sources/new", "destinations/new", "docs", "delivery?period=1h", "delivery/ledger", "dead-letters")


async def check_nothing_runs(page: Page) -> None:
    """No element came to life; the page's own content is there and visible."""
    assert await page.locator(ACTIVE).count() == 0, page.url
    text = await page.locator("body").inner_text()
    assert text.strip(), page.url
    assert "49014001" not in text, page.url


async def test_hostile_texts_are_shown_as_text(gateway, visitor) -> None:
    """No dialog, no violation of the content security policy, no error of a script, on any page."""
    url = str(gateway.announced["console_url"])
    page = await visitor.open(str(gateway.announced["setup_url"]))
    dialogs: list[str] = []
    refused: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    await page.fill("#name", HOSTILE[0])
    await page.fill("#password", PASSWORD)
    await page.click("text=Create account")
    await page.wait_for_url("**/welcome")
    await asyncio.to_thread(make_everything, gateway)
    for path in (*PAGES, *MORE):
        await page.goto(f"{url}/{path}")
        await check_nothing_runs(page)
    for path in ("overview", "delivery", "debugger"):
        async with page.expect_response(lambda answer: "hx-request" in answer.request.headers):
            await page.goto(f"{url}/{path}")
        await check_nothing_runs(page)
    for path in ("sources", "destinations", "dead-letters", "debugger", "delivery", "audit"):
        await page.goto(f"{url}/{path}")
        shown = await page.locator("main").inner_text()
        assert [text for text in NAMES[:3] if text in shown], path
    for number, text in enumerate(HOSTILE, 1):
        await page.goto(f"{url}/debugger/calls/{number}")
        await check_nothing_runs(page)
        assert await page.locator("#call-head").inner_text() == text
        await page.goto(f"{url}/tester?call={number}")
        await page.click("button:has-text('Explain')")
        await page.wait_for_selector("#results h2")
        await check_nothing_runs(page)
    expected: list[str] = []
    for path in itertools.chain.from_iterable(map(list_pages, BREAKING_OUT)):
        answer = await page.goto(url + path)
        assert answer is not None
        assert answer.status in {200, 404, 422}, path
        expected += [answer.url] if answer.status >= 400 else []
        await check_nothing_runs(page)
    assert dialogs == []
    assert refused == expected
    # Chromium calls an answer of 404 an error; those were asked for on purpose.
    visitor.errors[:] = [error for error in visitor.errors if not error.startswith("Failed to load resource")]
