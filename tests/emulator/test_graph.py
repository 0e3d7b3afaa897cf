"""The events edge as a caller sees it: bodies, tokens, the order of checks, answers and headers."""

import asyncio
import gzip
import hashlib
import hmac
import json
import re

import aiohttp
import pytest

TRACE_ID = re.compile(r"A[A-Za-z0-9_-]{22}")
BEARER = {"Authorization": "Bearer EMULATOR_TOKEN"}
PATH = "/v26.0/1234567890/events"


async def test_success(client, make_event):
    """Success says how many events were received, and carries a trace id of Meta's shape."""
    status, body, headers = await client.send(make_event(), make_event(event_id="event-2"))
    assert status == 200
    assert body == {"events_received": 2, "messages": [], "fbtrace_id": body["fbtrace_id"]}
    assert TRACE_ID.fullmatch(body["fbtrace_id"])
    assert headers["Content-Type"] == "application/json; charset=UTF-8"
    assert headers["facebook-api-version"] == "v26.0"
    assert headers["x-fb-trace-id"] == body["fbtrace_id"]
    assert headers["X-Emulator-Rule"] == "accepted"


async def test_data_as_text(client, make_event):
    """`data` may be JSON text, and its elements may be JSON text too, as Meta's Python SDK sends them."""
    event = make_event()
    for data in (json.dumps([event]), [json.dumps(event)], json.dumps([json.dumps(event)])):
        status, body = await client.post(PATH, json={"data": data}, headers=BEARER)
        assert (status, body["events_received"]) == (200, 1)


async def test_form(client, make_event):
    """A urlencoded form holds data, token and test event code as fields."""
    fields = {"data": json.dumps([make_event()]), "access_token": "EMULATOR_TOKEN", "test_event_code": "TEST1"}
    status, _ = await client.post(PATH, data=fields)
    request = await client.last_request()
    assert status == 200
    assert (request["token_place"], request["test_event_code"]) == ("form", "TEST1")


async def test_multipart(client, make_event):
    """A multipart form is read like any other form."""
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("data", json.dumps([make_event()]))
    form.add_field("access_token", "EMULATOR_TOKEN")
    assert (await client.post(PATH, data=form))[0] == 200


async def test_gzip(client, make_event):
    """A gzip body is unpacked; one that ends early is an invalid parameter."""
    packed = gzip.compress(json.dumps({"data": [make_event()]}).encode())
    headers = {**BEARER, "Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await client.post(PATH, data=packed, headers=headers))[0] == 200
    status, body = await client.post(PATH, data=packed[:-9], headers=headers)
    assert (status, body["error"]["code"]) == (400, 100)


@pytest.mark.parametrize("place", ["header", "query", "json"])
async def test_token_places(client, make_event, place):
    """The token counts in the header, the query and the JSON body; a log shows four characters of it."""
    token = "EMULATOR_TOKEN"
    status, _ = await client.post(
        PATH,
        json={"data": [make_event()], **({"access_token": token} if place == "json" else {})},
        params={"access_token": token} if place == "query" else {},
        headers={"Authorization": f"Bearer {token}"} if place == "header" else {},
    )
    request = await client.last_request()
    assert status == 200
    assert (request["token_place"], request["token_last4"]) == (place, "OKEN")
    assert ("access_token" in request["path"]) == (place == "query")
    assert token not in json.dumps(request)


@pytest.mark.parametrize(
    ("token", "status", "code", "subcode"),
    [
        ("EMULATOR_EXPIRED", 401, 190, 463),
        ("EMULATOR_REVOKED", 400, 190, 467),
        ("EMULATOR_NO_ACCESS", 400, 100, 33),
        ("EMULATOR_READ_ONLY", 403, 200, None),
        ("something else", 401, 190, None),
        ("EMULATOR_FAULT_nonsense", 401, 190, None),
        (None, 401, 190, None),
    ],
)
async def test_tokens(client, make_event, *, token, status, code, subcode):
    """Each of the emulator's tokens has its answer; a 401 names the scheme, as OAuth demands."""
    answered, body, headers = await client.send(make_event(), token=token)
    assert (answered, body["error"]["code"], body["error"].get("error_subcode")) == (status, code, subcode)
    assert ("WWW-Authenticate" in headers) == (answered == 401 and token != "EMULATOR_EXPIRED")
    assert TRACE_ID.fullmatch(body["error"]["fbtrace_id"])


@pytest.mark.parametrize("token", ["EMULATOR_TOKEN", "EMULATOR_NEEDS_PROOF"])
async def test_a_proof_must_fit(client, make_event, token):
    """A proof made with the app's secret is checked wherever it is given, and demanded where the app demands it."""
    proof = hmac.new(b"EMULATOR_APP_SECRET", token.encode(), hashlib.sha256).hexdigest()
    rules = []
    for given in ({"appsecret_proof": proof}, {}, {"appsecret_proof": proof[::-1]}, {"appsecret_proof": 1}):
        body = {"data": [make_event()], **given}
        _, answer = await client.post(PATH, json=body, headers={"Authorization": f"Bearer {token}"})
        rules.append(answer.get("error", {}).get("code"))
    assert rules == [None, 100 if token == "EMULATOR_NEEDS_PROOF" else None, 104, 104]


async def test_token_test(client):
    """An empty `data` proves a token: code 100 without subcode when it is good, 190 and 100/33 when it is not."""
    assert (await client.send())[1]["error"]["message"] == "(#100) param data must be non-empty."
    assert (await client.send(token="EMULATOR_EXPIRED"))[1]["error"]["code"] == 190
    assert (await client.send(token="EMULATOR_NO_ACCESS"))[1]["error"]["error_subcode"] == 33
    assert client.emulator.store.accepted_count == 0


async def test_order_of_checks(client, make_event):
    """Token comes before dataset, dataset before the shape of data, shape before name, name before time, time before
    matching, matching before the rest.
    """
    faulty = {"event_name": "", "event_time": 1, "user_data": {}, "action_source": "moon"}
    now = make_event()["event_time"]
    steps = [
        ({"token": "nonsense", "dataset_id": "my-pixel"}, [], "token_unparsable"),
        ({"dataset_id": "my-pixel"}, [], "object_alias_not_found"),
        ({}, ["no object"], "param_invalid"),
        ({}, [faulty], "event_name_missing"),
        ({}, [{**faulty, "event_name": "Purchase"}], "event_too_old"),
        ({}, [{**faulty, "event_name": "Purchase", "event_time": now}], "match_keys_insufficient"),
        (
            {},
            [{**faulty, "event_name": "Purchase", "event_time": now, "user_data": {"fbp": "x"}}],
            "purchase_value_missing",
        ),
    ]
    for options, events, rule in steps:
        assert (await client.send(*events, **options))[2]["X-Emulator-Rule"] == rule


async def test_all_or_nothing(client, make_event):
    """One bad event makes Meta refuse the whole batch; nothing of it is stored, and every id counts as refused."""
    status, body, _ = await client.send(make_event(event_id="good"), make_event(event_id="bad", event_time=1))
    assert (status, body["error"]["error_subcode"]) == (400, 2804003)
    assert client.emulator.store.accepted_count == 0
    for event_id in ("good", "bad"):
        ledger = await client.get("/ledger", event_id=event_id)
        assert (ledger["received"], ledger["accepted"], ledger["refused"]) == (1, 0, 1)


async def test_batch_size(client, make_event):
    """A thousand events pass; one more is refused."""
    events = [make_event(event_id=f"event-{number}") for number in range(1001)]
    assert (await client.send(*events[:1000]))[1]["events_received"] == 1000
    status, _, headers = await client.send(*events)
    assert (status, headers["X-Emulator-Rule"]) == (400, "batch_too_large")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b'{"data": {}}', "application/json"),
        (b'{"data": "["}', "application/json"),
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b'{"data"', "application/json"),
        (b"", "application/json"),
        (b"data=%ff", "application/x-www-form-urlencoded"),
        (b"nothing", "multipart/form-data; boundary=x"),
    ],
)
async def test_unreadable(client, content, content_type):
    """A body that holds no array of events is an invalid parameter, never a server error."""
    status, body = await client.post(PATH, data=content, headers={**BEARER, "Content-Type": content_type})
    assert (status, body["error"]["code"]) == (400, 100)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", PATH, 2500),
        ("DELETE", PATH, 2500),
        ("POST", "/1234567890/events", 2500),
        ("POST", "/latest/1234567890/events", 2500),
        ("POST", "/v26.0/1234567890/activities", 2500),
        ("POST", "/v20.0/1234567890/events", 2635),
        ("POST", "/v26.0/12345678901234567890123/events", 100),
    ],
)
async def test_paths(client, method, path, code):
    """A path without version, another method, an unknown edge and an ended version have Meta's answers."""
    async with client.session.request(method, client.url + path, json={"data": []}, headers=BEARER) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == code


async def test_version_ends(client, make_event):
    """A version ends on its day in the emulator's time: v21.0 on 2027-01-21."""

    async def send_to_oldest() -> int:
        _, body = await client.post("/v21.0/1/events", json={"data": []}, headers=BEARER)
        return body["error"]["code"]

    await client.control("/clock", {"now": "2027-01-20T23:59:00Z"})
    assert await send_to_oldest() == 100
    await client.control("/clock", {"now": "2027-01-21T00:00:00Z"})
    assert await send_to_oldest() == 2635


async def test_caller_leaves(client):
    """A caller that leaves in the middle of its body leaves nothing behind."""
    host, port = client.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v26.0/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await client.get("/healthz")
    assert client.emulator.store.accepted_count == 0
