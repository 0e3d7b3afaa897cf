"""@segment/analytics-next in a real browser, on a page of another origin than the gateway's, with both strategies."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Visitor, browser, visitor  # noqa: F401 - fixtures
from tests.sdk.lines import Line
from tests.sdk.recording_proxy import REFUSALS, RecordingProxy, Trouble, recording_proxy, split_by_status
from tests.sdk.test_server_clients import ALL_TYPES, BATCHING, SCRIPT_TAG, SNIPPETS, STANDARD, check_arrival
from tests.sdk.web_page import serving_page

pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_sdk_clients, pytest.mark.asyncio(loop_scope="session")]


@contextmanager
def open_shop(
    sdk: str, line: Line, trouble: Trouble | None = None, change: Callable[[str], str] = str
) -> Iterator[tuple[RecordingProxy, str]]:
    """A page with the snippet on it, whose SDK talks to the gateway through a proxy."""
    with (
        recording_proxy(line.gateway_url, trouble) as proxy,
        serving_page(change(SNIPPETS[sdk].point_at(proxy.url, line.write_key))) as shop,
    ):
        yield proxy, shop


async def wait_for_calls(proxy: RecordingProxy, count: int, timeout_seconds: float = 30) -> None:
    """Until so many calls have been answered with 200."""
    deadline = time.monotonic() + timeout_seconds
    while sum(len(exchange.calls) for exchange in proxy.posts if exchange.status == 200) < count:
        assert time.monotonic() < deadline, [(exchange.path, exchange.status) for exchange in proxy.posts]
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("sdk", "paths"),
    [
        (STANDARD, {f"/v1/{kind[0]}" for kind in ALL_TYPES}),
        (SCRIPT_TAG, {f"/v1/{kind[0]}" for kind in ALL_TYPES}),
        (BATCHING, {"/v1/b"}),
    ],
)
async def test_every_call_arrives_once(
    sdk: str,
    paths: set[str],
    line: Line,
    visitor: Visitor,  # noqa: F811 - the fixture
) -> None:
    """The page is given the gateway's address alone; each call is sent once, with the page it came from."""
    with open_shop(sdk, line) as (proxy, shop):
        visitor.hosts.add(urlsplit(proxy.url).netloc)
        await visitor.open(shop)
        await wait_for_calls(proxy, len(ALL_TYPES))
    settings = next(exchange for exchange in proxy.exchanges if exchange.method == "GET")
    assert (settings.path, settings.status) == (f"/v1/projects/{line.write_key}/settings", 200)
    assert {exchange.path for exchange in proxy.posts} == paths
    assert {exchange.headers["origin"] for exchange in proxy.posts} == {shop}
    assert {exchange.headers["content-type"] for exchange in proxy.posts} == {"text/plain"}
    assert {exchange.basic_user for exchange in proxy.posts} == {line.write_key}
    assert {exchange.status for exchange in proxy.exchanges if exchange.method == "OPTIONS"} == {204}
    calls = [call for exchange in proxy.posts for call in exchange.calls]
    assert sorted(call["type"] for call in calls) == ALL_TYPES
    assert {call["userId"] for call in calls} == {"u1"}
    check_arrival(line, calls)
    (stored,) = line.read_stored()
    assert stored["body"]["event_source_url"] == f"{shop}/"
    assert "HeadlessChrome" in stored["body"]["user_data"]["client_user_agent"]


@pytest.mark.parametrize("trouble", ["unavailable", "limited", "cut"])
@pytest.mark.parametrize("sdk", [STANDARD, BATCHING])
async def test_trouble_once(sdk: str, trouble: Trouble, line: Line, visitor: Visitor) -> None:  # noqa: F811
    """A 503, a 429, or an answer that gets lost, costs nothing: the page sends again, and nothing is doubled."""
    with open_shop(sdk, line, trouble) as (proxy, shop):
        visitor.hosts.add(urlsplit(proxy.url).netloc)
        await visitor.open(shop)
        await wait_for_calls(proxy, len(ALL_TYPES))
    # The standard strategy sends its calls side by side, so the spoilt one need not be the first that ended.
    spoilt_status = 0 if trouble == "cut" else REFUSALS[trouble][0]
    spoilt, taken = split_by_status(proxy.posts, spoilt_status)
    assert {exchange.status for exchange in taken} == {200}
    duplicates = sum(exchange.receipt[1] for exchange in taken)
    assert duplicates == (len(spoilt.calls) if trouble == "cut" else 0)
    check_arrival(line, [call for exchange in taken for call in exchange.calls])
    assert [error for error in visitor.errors if not error.startswith("Failed to load resource")] == []
    visitor.errors.clear()


async def test_leaving_the_page(line: Line, visitor: Visitor) -> None:  # noqa: F811
    """With batches, what still waits in a page is sent when somebody leaves it."""

    def wait_long(script: str) -> str:
        assert "timeout: 2000" in script
        return script.replace("timeout: 2000", "timeout: 600_000").replace(
            "analytics.alias", "window.last = analytics.alias"
        )

    with open_shop(BATCHING, line, change=wait_long) as (proxy, shop):
        visitor.hosts.add(urlsplit(proxy.url).netloc)
        page = await visitor.open(shop)
        await page.evaluate("window.last.then(() => true)")
        assert proxy.posts == []
        await page.goto("about:blank")
        await wait_for_calls(proxy, len(ALL_TYPES))
    check_arrival(line, [call for exchange in proxy.posts for call in exchange.calls])
