"""Examples of how to call the API: those of our own page, and requests of the shapes that Segment's pages show."""

import base64
import json
import re
import shlex
from pathlib import Path

import pytest

from tests.ingest.gateway import KEY, Gateway, build_call

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = (Path(__file__).parents[2] / "docs/tracking-api.md").read_text()
DOCUMENTED_URL, DOCUMENTED_KEY = "http://127.0.0.1:8080", "wk_website_0123456789abcdef"
EXAMPLES = re.findall(r"```sh\n(curl .*?)```\n```json\n(.*?)\n```", PAGE, re.DOTALL)


async def run_curl(gateway: Gateway, command: str) -> str:
    """What `curl -u KEY: URL -d BODY` would print."""
    curl, user_option, user, url, data_option, body = shlex.split(command.replace(DOCUMENTED_KEY, KEY))
    assert (curl, user_option, data_option, user[-1]) == ("curl", "-u", "-d", ":")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return (await gateway.post(url.removeprefix(DOCUMENTED_URL), body.encode(), key=user[:-1], headers=headers)).text


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
async def test_the_page(fresh, command, answer):
    """Each command of the page gets the answer that the page shows."""
    assert await run_curl(fresh, command) == answer


async def test_the_page_has_examples():
    """Else nothing was run."""
    assert len(EXAMPLES) == PAGE.count("```sh") == 3


OF_LONG_AGO = {"timestamp": "2012-12-02T00:30:08.276Z", "writeKey": KEY}
OF_SEGMENT = [
    ("identify", {"userId": "u1", "traits": {"email": "jo@example.com"}, "context": {"ip": "203.0.113.7"}}),
    ("track", {"userId": "u1", "event": "Item Purchased", "properties": {"revenue": 14.99}}),
    ("page", {"userId": "u1", "name": "Prices"}),
    ("screen", {"userId": "u1", "name": "Prices"}),
    ("group", {"userId": "u1", "groupId": "acme", "traits": {"employees": 420}}),
    ("alias", {"previousId": "39239-239239", "userId": "u1"}),
    ("identify", {"userId": "u1", "integrations": {"All": False, "Mixpanel": True}}),
    ("track", {"event": "Seen", "email": "jo@example.com", "userId": "123", "type": "track", "messageId": "58524f3a"}),
]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a-token-of-segments"}], ids=["plain", "oauth"])
@pytest.mark.parametrize(("call_type", "call"), OF_SEGMENT)
async def test_one_call_with_its_key_in_the_body(fresh, call_type, call, headers):
    """As the page on the HTTP API shows it; a token of Segment's is ignored. Source: Segment, "HTTP API Source"."""
    answer = await fresh.post(f"/v1/{call_type}", {**call, **OF_LONG_AGO}, key=None, headers=headers)
    assert answer.text == '{"success":true,"accepted":1,"duplicates":0,"rejected":[]}'
    assert [(entry.call_type, entry.verdict) for entry in fresh.entries()] == [(call_type, "accepted")]


async def test_a_batch_with_context_for_all_and_short_months(fresh):
    """Months without a leading zero, as in the batch of the same page, and a context that holds for each call."""
    calls = [build_call(timestamp=f"2015-2-0{day}T00:30:08.276Z") for day in (1, 2)]
    batch = {"batch": calls, "writeKey": KEY, "context": {"device": {"type": "phone", "name": "Phone 6"}}}
    answer = await fresh.post("/v1/batch", batch, key=None)
    assert answer.text == '{"success":true,"accepted":2,"duplicates":0,"rejected":[]}'


async def test_an_image_in_a_newsletter(fresh):
    """URL-safe base64 without padding, the key inside. Source: Segment, "Tracking Pixel API"."""
    call = {"writeKey": KEY, "userId": "u1", "event": "Email Opened", "properties": {"subject": "The Daily"}}
    data = base64.urlsafe_b64encode(json.dumps(call).encode()).decode().rstrip("=")
    async with fresh.session.get(f"{fresh.url}/v1/pixel/track?data={data}") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "image/gif")
    assert [entry.event_name for entry in fresh.entries()] == ["Email Opened"]
