"""Calls in the address of an image: whatever happens the answer is the image, and what happened is recorded."""

import base64
import json
from urllib.parse import quote, urlencode

import pytest

from signalpost.ingest.answers import GIF
from signalpost.ingest.routes import TrackingSettings
from tests.ingest.gateway import CALL, KEY, OTHER_KEY, Answer, Gateway, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


def data_of(call: object, encode=base64.b64encode) -> str:
    return quote(encode(json.dumps(call).encode()).decode(), safe="")


async def look(gateway: Gateway, query: str, *, path: str = "/v1/pixel/track") -> Answer:
    """Ask for the image; it is one, whatever was asked for."""
    async with gateway.session.get(f"{gateway.url}{path}?{query}") as response:
        assert (response.status, await response.read()) == (200, GIF)
        assert response.headers["Content-Type"] == "image/gif"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return Answer(response.status, "", response.headers)


async def test_the_image():
    """43 bytes: one transparent pixel."""
    assert (len(GIF), GIF[:6]) == (43, b"GIF89a")


@pytest.mark.parametrize("call_type", ["identify", "group", "alias", "page", "screen", "track"])
async def test_every_type(fresh, call_type):
    """The path says the type, as with a POST; the write key may be in the call."""
    call = {**CALL, "groupId": "g", "previousId": "p", "writeKey": KEY}
    await look(fresh, f"data={data_of(call)}", path=f"/v1/pixel/{call_type}")
    assert [(entry.verdict, entry.call_type) for entry in fresh.entries()] == [("accepted", call_type)]


@pytest.mark.parametrize("path", ["/pixel/v1/track", "/pixel/v1/page"])
async def test_rudderstacks_pixel(fresh, path):
    """The same under RudderStack's paths."""
    await look(fresh, f"writeKey={KEY}&data={data_of(CALL)}", path=path)
    assert [entry.verdict for entry in fresh.entries()] == ["accepted"]


@pytest.mark.parametrize(
    "data",
    [
        base64.b64encode(b'{"userId":"u","event":"Seen >>>???"}').decode(),
        base64.urlsafe_b64encode(b'{"userId":"u","event":"Seen >>>???"}').decode(),
        base64.b64encode(b'{"userId":"u","event":"Seen >>>???"}').decode().rstrip("="),
        base64.b64encode(b'{"userId":"u","event":"Seen >>>???"}').decode().replace("+", " "),
    ],
    ids=["standard", "url_safe", "without_padding", "spaces_for_plus"],
)
async def test_alphabets(fresh, data):
    """Either alphabet of base64, with or without padding, also when plus signs became spaces."""
    await look(fresh, f"writeKey={KEY}&{urlencode({'data': data})}")
    assert [entry.event_name for entry in fresh.entries()] == ["Seen >>>???"]


async def test_plain_keys(fresh):
    """Dotted keys make objects, of repeated ones the last counts, and texts become numbers where Meta wants them."""
    query = "userId=u&event=Order+Completed&properties.revenue=1&properties.revenue=12.5&properties.currency=EUR"
    await look(fresh, f"writeKey={KEY}&{query}")
    (event,) = await fresh.pending()
    assert event["custom_data"] == {"value": 12.5, "currency": "EUR"}


async def test_data_beats_plain_keys(fresh):
    """A call in `data` is the call, whatever stands beside it."""
    await look(fresh, f"writeKey={KEY}&event=Other&userId=other&data={data_of(CALL)}")
    assert [entry.event_name for entry in fresh.entries()] == ["Signed Up"]


async def test_the_browser_is_filled_in(fresh):
    """An image is asked for by a browser, so the connection's agent is a person's."""
    async with fresh.session.get(
        f"{fresh.url}/v1/pixel/track?writeKey={KEY}&data={data_of(CALL)}", headers={"User-Agent": "Mozilla/5.0"}
    ):
        (event,) = await fresh.pending()
    assert event["user_data"]["client_user_agent"] == "Mozilla/5.0"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"writeKey=wk_wrong_0123456789&data={data_of(CALL)}", "invalid_write_key"),
        (f"data={data_of(CALL)}", "missing_write_key"),
        (f"writeKey={KEY}&data=%25%25%25", "invalid_encoding"),
        (f"writeKey={KEY}&data={base64.b64encode(b'[1]').decode()}", "invalid_payload"),
        (f"writeKey={KEY}&data={base64.b64encode(b'{').decode()}", "invalid_json"),
        (f"writeKey={KEY}&data=", "empty_body"),
    ],
)
async def test_what_a_client_cannot_see_is_recorded(fresh, query, code):
    """The image comes, and the refusal is counted with the code that a POST would have got."""
    await look(fresh, query)
    assert [(row.kind.status, row.kind.code) for row in fresh.history.refused_requests()] == [(200, code)]
    assert (await fresh.ledger()).calls.accepted == 0


async def test_an_invalid_call(fresh):
    """A call without an id is rejected, counted, and entered with the answer that the client saw."""
    await look(fresh, f"writeKey={KEY}&event=Seen")
    assert [(entry.code, entry.request.status) for entry in fresh.entries()] == [("no_user_anon_id", 200)]
    assert (await fresh.ledger()).calls.invalid == {"no_user_anon_id": 1}


async def test_a_key_of_thousands_of_dots(fresh, capfd):
    """A plain key that goes deeper than a call may is rejected as one that is too deep; nothing breaks."""
    await look(fresh, f"writeKey={KEY}&userId=u&event=Seen&properties{'.a' * 3_500}=1")
    assert [entry.code for entry in fresh.entries()] == ["too_deep"]
    assert "request_failed" not in "".join(capfd.readouterr())


async def test_over_the_rate_and_with_a_closed_queue(tmp_path):
    """Also then the answer is the image."""
    async with running_gateway(tmp_path, settings=TrackingSettings(requests_per_second=0.001)) as gateway:
        for _ in range(2):
            await look(gateway, f"writeKey={KEY}&data={data_of(CALL)}")
        await gateway.queue.close()
        await look(gateway, f"writeKey={OTHER_KEY}&data={data_of(CALL)}")
        codes = [row.kind.code for row in gateway.history.refused_requests()]
    assert codes == ["temporarily_unavailable", "rate_limited"]
