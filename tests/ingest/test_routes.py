"""The tracking API as its clients see it: paths, keys, encodings, answers, headers."""

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import time
import zlib

import aiohttp
import pytest

from signalpost.history.views import show_call, show_refusal
from signalpost.ingest.decode import Limits
from signalpost.ingest.intake import Intake
from signalpost.ingest.paths import PATHS
from tests.ingest.gateway import (
    CALL,
    KEY,
    OTHER_KEY,
    OTHER_SOURCE,
    SOURCE,
    build_call,
    running_gateway,
    split_answer,
)

STORED = '{"success":true,"accepted":1,"duplicates":0,"rejected":[]}'
SEEN_BEFORE = '{"success":true,"accepted":0,"duplicates":1,"rejected":[]}'

pytestmark = pytest.mark.asyncio(loop_scope="module")


def basic(credentials: bytes) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


# --- Paths ---


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", [path for path in PATHS if path.kind == "call"], ids=lambda path: path.template)
async def test_single_paths(gateway, path, slash):
    """Each call type has its paths, with and without a slash; the path says the type."""
    call = {"userId": "u1", "event": "Signed Up", "groupId": "g1", "previousId": "p1"}
    answer = await gateway.post(f"{path.template}{slash}", call)
    assert (answer.status, answer.text) == (200, STORED)
    assert gateway.entries()[-1].call_type == path.call_type


async def test_the_paths_are_those_of_the_api():
    """Six call types, each by its name and initial; batches; pixels; then RudderStack's and Jitsu's. Nothing else."""
    names = ("track", "identify", "page", "screen", "group", "alias")
    assert {path.template: path.call_type for path in PATHS if path.kind == "call"} == {
        **{f"/v1/{name}": name for name in names},
        **{f"/v1/{name[0]}": name for name in names},
        **{f"/api/s/{name}": name for name in names},
        **{f"/api/s/s2s/{name}": name for name in names},
    }
    assert {path.template for path in PATHS if path.kind == "batch"} == {
        *("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch", "/api/s/batch", "/api/s/s2s/batch"),
    }
    assert {path.template for path in PATHS if path.kind == "pixel"} == {
        *(f"/v1/pixel/{name}" for name in names),
        *("/pixel/v1/track", "/pixel/v1/page"),
    }
    assert {path.template for path in PATHS if path.kind not in {"call", "batch", "pixel"}} == {
        *("/v1/m", "/v1/projects/{write_key}/settings", "/sourceConfig", "/healthz", "/health", "/readyz"),
    }


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", [path.template for path in PATHS if path.kind == "batch"])
async def test_batch_paths(gateway, path, slash):
    """All batch paths are one and the same, with and without a slash."""
    body = {"batch": [build_call(), build_call(type="identify")]}
    answer = await gateway.post(f"{path}{slash}", body)
    assert (answer.status, answer.text) == (200, '{"success":true,"accepted":2,"duplicates":0,"rejected":[]}')


async def test_metrics_of_an_sdk_are_thrown_away(fresh):
    """POST /v1/m is answered with success, needs no key, is not even parsed, and records nothing."""
    for body in ({"series": []}, b"not json"):
        answer = await fresh.post("/v1/m", body, key=None)
        assert (answer.status, answer.text) == (200, '{"success":true}')
    assert (await fresh.post("/v1/m", b"x" * (501 << 10), key=None)).status == 413
    assert (await fresh.ledger()).calls.received == 0


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v2/track",
        "/v1/track/x",
        "//v1/track",
        "/v1/%2e%2e/v1/track",
        "/healthz/",
        "/metrics",
        "/api/ledger",
    ],
)
async def test_any_other_path(gateway, path):
    """A path that is no tracking path is 404 with a JSON body; nothing is redirected."""
    _, headers, body = split_answer(
        await gateway.exchange(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
    )
    message = "no such path; calls go to /v1/track, /v1/batch and so on"
    assert json.loads(body) == {"success": False, "code": "not_found", "message": message, "error": message}
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/track", {"POST", "OPTIONS"}),
        ("HEAD", "/v1/track", {"POST", "OPTIONS"}),
        ("PUT", "/v1/batch/", {"POST", "OPTIONS"}),
        ("TRACE", "/v1/identify", {"POST", "OPTIONS"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("POST", "/v1/pixel/track", {"GET", "HEAD", "OPTIONS"}),
        ("POST", f"/v1/projects/{KEY}/settings", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_another_method(gateway, method, path, allowed):
    """A known path asked in another way is 405, and Allow and the message name the right ways."""
    answer = await gateway.ask(method, path)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    if method != "HEAD":
        assert (answer.body["code"], list(answer.body)) == (
            "method_not_allowed",
            ["success", "code", "message", "error"],
        )
        assert answer.body["message"] == f"this path takes {answer.headers['Allow']}"


async def test_health(gateway):
    """Health and readiness answer GET and HEAD without a key, and no web page may read them."""
    for path in ("/healthz", "/health", "/readyz"):
        for method in ("GET", "HEAD"):
            answer = await gateway.ask(method, path)
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Access-Control-Allow-Origin" not in answer.headers


# --- Answers ---


async def test_headers_of_an_answer(gateway):
    """Answers are JSON, never cached, readable by any web page, and each has an id of its own."""
    answers = [await gateway.track(CALL), await gateway.track(b"{"), await gateway.track(CALL, key=None)]
    assert [answer.status for answer in answers] == [200, 400, 401]
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After, X-RateLimit-Reset, X-Request-Id"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Server" not in answer.headers
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 3


@pytest.mark.parametrize("path", [path.template for path in PATHS if "OPTIONS" in path.methods] + ["/v1/batch/"])
async def test_preflight(gateway, path):
    """A browser's question is answered with 204 and no body, without a key, for every origin."""
    path = path.replace("{write_key}", "wk_unknown_0123456789")
    answer = await gateway.ask("OPTIONS", path, headers={"Origin": "https://any.example"})
    assert (answer.status, answer.text) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
    assert answer.headers["Access-Control-Max-Age"] == "86400"
    assert answer.headers["Access-Control-Allow-Headers"] == (
        "Authorization, Content-Type, Content-Encoding, X-Retry-Count, X-Write-Key, AnonymousId, X-Requested-With"
    )


async def test_an_invalid_single_call(gateway):
    """A single call that is refused is 400, with the four keys in their order."""
    answer = await gateway.track({"event": "Signed Up"})
    message = "userId or anonymousId is required"
    assert answer.status == 400
    assert answer.text == json.dumps(
        {"success": False, "code": "no_user_anon_id", "message": message, "error": message}, separators=(",", ":")
    )


async def test_one_bad_call_never_fails_its_batch(fresh):
    """Good calls are stored, bad ones are listed by their place, and the three counters add up."""
    batch = [build_call(), {"type": "track", "event": "x"}, build_call(messageId="m"), 7, build_call(messageId="m")]
    answer = await fresh.batch(batch)
    assert answer.status == 200
    assert answer.text == (
        '{"success":true,"accepted":2,"duplicates":1,"rejected":['
        '{"index":1,"code":"no_user_anon_id","message":"userId or anonymousId is required"},'
        '{"index":3,"code":"invalid_event","message":"each call must be a JSON object"}]}'
    )
    ledger = await fresh.ledger()
    assert (ledger.calls.received, ledger.calls.accepted, ledger.calls.duplicate) == (5, 2, 1)
    assert ledger.calls.invalid == {"no_user_anon_id": 1, "invalid_event": 1}


async def test_a_wholly_bad_batch(gateway):
    """A batch without one good call is still 200: every call has its answer."""
    answer = await gateway.batch([build_call(type="nope"), None])
    assert answer.status == 200
    assert [(call["index"], call["code"]) for call in answer.body["rejected"]] == [
        (0, "unknown_type"),
        (1, "invalid_event"),
    ]


async def test_the_same_call_again(fresh):
    """A messageId is stored once, whatever path it comes by; each source has its own."""
    call = {**CALL, "messageId": "once"}
    assert (await fresh.track(call)).text == STORED
    assert (await fresh.track(call)).text == SEEN_BEFORE
    assert (await fresh.batch([{"type": "track", **call}])).text == SEEN_BEFORE
    assert (await fresh.track(call, key=OTHER_KEY)).text == STORED
    ledger = await fresh.ledger()
    assert (ledger.events.pending.total, ledger.imbalance) == (2, 0)


async def test_a_call_without_message_id_is_never_a_duplicate(fresh):
    """The fresh makes an id when the client sends none, so the same body twice is two calls."""
    assert [(await fresh.track(CALL)).text for _ in range(2)] == [STORED, STORED]
    first, second = (entry.message_id for entry in fresh.entries())
    assert first != second
    assert first[14] == "7"


async def test_a_rejected_call_can_be_mended_and_sent_again(gateway):
    """A call that is refused leaves no messageId behind."""
    assert (await gateway.track({**CALL, "messageId": "m", "userId": ""})).status == 400
    assert (await gateway.track({**CALL, "messageId": "m"})).text == STORED


async def test_a_queue_that_cannot_store(fresh):
    """When nothing could be stored the answer is 503 with a whole number of seconds to wait, and nothing else."""
    await fresh.queue.close()
    seen = set()
    for _ in range(20):
        answer = await fresh.track(CALL)
        assert (answer.status, answer.body["code"]) == (503, "temporarily_unavailable")
        assert list(answer.body) == ["success", "code", "message", "error"]
        seen.add(int(answer.headers["Retry-After"]))
    assert all(5 <= seconds <= 60 for seconds in seen)
    assert len(seen) > 1


async def test_a_fault_of_ours(gateway, monkeypatch, capfd):
    """Whatever goes wrong inside, the client is told to keep its calls: never a 5xx but 503, never a traceback."""

    async def explode(*_: object) -> None:
        raise ZeroDivisionError("jo.bloggs@example.com")

    monkeypatch.setattr(Intake, "accept", explode)
    answer = await gateway.track(CALL)
    assert (answer.status, answer.body["code"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 5
    written = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in written
    assert "jo.bloggs" not in written
    assert "Traceback" not in written


# --- Write keys ---


@pytest.mark.parametrize(
    "headers",
    [
        basic(f"{KEY}:".encode()),
        basic(KEY.encode()),
        basic(f"{KEY}:a password".encode()),
        {"Authorization": f"bAsIc   {base64.b64encode(KEY.encode()).decode()}"},
        {"X-Write-Key": KEY},
        {"X-Write-Key": f"{KEY}:secret"},
        {"Authorization": "Bearer something", "X-Write-Key": KEY},
    ],
    ids=["with_colon", "without_colon", "with_password", "any_case", "x_write_key", "id_and_secret", "beside_a_bearer"],
)
async def test_keys_in_a_header(gateway, headers):
    """Basic authentication and X-Write-Key name the source; passwords and secrets beside the key are ignored."""
    assert (await gateway.track(CALL, key=None, headers=headers)).text == STORED


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/v1/track?writeKey={KEY}", CALL),
        ("/v1/track", {**CALL, "writeKey": KEY}),
        ("/v1/batch", {"batch": [build_call()], "writeKey": KEY}),
        ("/v1/batch", {"batch": [build_call(writeKey=KEY)]}),
    ],
    ids=["query", "call", "batch", "first_call_of_a_batch"],
)
async def test_keys_elsewhere(gateway, path, body):
    """Without a header the key may stand in the query, at the body's top level, or in a batch's first call."""
    assert (await gateway.post(path, body, key=None)).text == STORED


async def test_the_first_call_with_a_key_speaks_for_a_batch(fresh):
    """Calls without a key of their own belong to it, calls with another key are rejected one by one."""
    batch = [build_call(writeKey=""), build_call(writeKey=KEY), build_call(), build_call(writeKey=OTHER_KEY)]
    answer = await fresh.batch(batch, key=None)
    assert (answer.status, answer.body["accepted"]) == (200, 3)
    assert [(call["index"], call["code"]) for call in answer.body["rejected"]] == [(3, "write_key_mismatch")]
    assert not fresh.entries(OTHER_SOURCE)


NOT_ASCII = {"Authorization": "Basic \xff\xfe"}


@pytest.mark.parametrize(
    "headers",
    [
        basic(b"wk_wrong_0123456789abcdef:"),
        basic(b":"),
        basic(b""),
        basic("wk_test_0123456789abcdé:".encode()),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic"},
        {"Authorization": f"Digest {KEY}"},
        {"Authorization": KEY},
        {"X-Write-Key": "wk_wrong_0123456789abcdef"},
        {"X-Write-Key": ""},
        {"X-Write-Key": "../../etc/passwd"},
        basic(b"../../etc/passwd:"),
        basic(b"*:"),
        basic(b">:"),
        basic(b"a.b:"),
        basic(b"wk_test_\0123456789abcdef:"),
    ],
)
async def test_a_wrong_key_in_a_header(gateway, headers):
    """A bad key in a header is 401, one answer for all, even when the body holds a good one."""
    answer = await gateway.track({**CALL, "writeKey": KEY}, key=None, headers=headers)
    message = "the write key is not known here; check it in the source's settings"
    assert (answer.status, answer.body) == (
        401,
        {"success": False, "code": "invalid_write_key", "message": message, "error": message},
    )


@pytest.mark.parametrize("value", [b"Basic \xff\xfe", b"Basic \xe9\xe9\xe9\xe9", b"\xff"])
async def test_a_header_that_is_not_ascii(gateway, value):
    """Raw bytes where base64 belongs are a wrong key like any other."""
    body = json.dumps({**CALL, "writeKey": KEY}).encode()
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n"
    status, _, answer = split_answer(await gateway.exchange(head % (value, len(body)) + body))
    assert (status, json.loads(answer)["code"]) == (401, "invalid_write_key")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/track", CALL, "missing_write_key"),
        ("/v1/track", {**CALL, "writeKey": ""}, "missing_write_key"),
        ("/v1/track", {**CALL, "writeKey": 7}, "missing_write_key"),
        ("/v1/batch", {"batch": [build_call()]}, "missing_write_key"),
        ("/v1/track?writeKey=wrong", {**CALL, "writeKey": KEY}, "invalid_write_key"),
        ("/v1/track", {**CALL, "writeKey": "wrong"}, "invalid_write_key"),
        ("/v1/batch", {"batch": [build_call(writeKey=KEY)], "writeKey": "wrong"}, "invalid_write_key"),
        ("/v1/batch", {"batch": [build_call(writeKey="wrong"), build_call(writeKey=KEY)]}, "invalid_write_key"),
    ],
)
async def test_no_key_or_a_wrong_one(gateway, path, body, code):
    """Without a key, or with one that nobody owns, the answer is 401 and nothing is stored."""
    before = await gateway.ledger()
    answer = await gateway.post(path, body, key=None)
    assert (answer.status, answer.body["code"]) == (401, code)
    assert (await gateway.ledger()).calls == before.calls


async def test_precedence_of_keys(gateway):
    """Basic beats X-Write-Key beats the query beats the body; the first place that names a key decides."""
    places = [basic(f"{KEY}:".encode()), {"X-Write-Key": KEY}]
    wrong = "wk_wrong_0123456789abcdef"
    below = {**CALL, "writeKey": wrong}
    for place in places:
        later = {"X-Write-Key": wrong} if "Authorization" in place else {}
        answer = await gateway.post(f"/v1/track?writeKey={wrong}", below, key=None, headers={**later, **place})
        assert answer.text == STORED
    assert (await gateway.post(f"/v1/track?writeKey={KEY}", below, key=None)).text == STORED
    earlier = {"Authorization": basic(wrong.encode())["Authorization"], "X-Write-Key": KEY}
    assert (await gateway.track(CALL, key=None, headers=earlier)).status == 401


# --- Encodings and sizes ---


def zip_call(call: object = CALL) -> bytes:
    return gzip.compress(json.dumps(call).encode())


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
async def test_gzip(gateway, encoding):
    """A compressed body is read, however the encoding is written."""
    assert (await gateway.track(zip_call(), headers={"Content-Encoding": encoding})).text == STORED


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-16", "text/plain", "text/xml", "multipart/x", "é"]
)
async def test_content_types(gateway, content_type):
    """Content-Type is not looked at: what counts is whether the body is JSON."""
    assert (await gateway.track(CALL, headers={"Content-Type": content_type})).text == STORED
    form = await gateway.track(b"userId=u1&event=x", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (form.status, form.body["code"]) == (400, "invalid_json")


async def test_a_gzip_bomb(gateway):
    """100 MiB of zeros in 450 KB are refused when the limit is reached, not when memory is."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join([*(squeeze.compress(bytes(1 << 20)) for _ in range(100)), squeeze.flush()])
    assert len(bomb) < 500 << 10
    answer = await gateway.track(bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.body["code"]) == (413, "payload_too_large")
    assert answer.headers["Connection"] == "close"


async def test_a_body_of_exactly_the_limit(tmp_path):
    """A body may be as long as the limit, plain or decompressed, and not a byte longer."""
    async with running_gateway(tmp_path, limits=Limits(max_single_body_bytes=100)) as gateway:
        for padding, status in ((100, 200), (101, 413)):
            body = json.dumps(CALL).encode().ljust(padding)
            assert (await gateway.track(body)).status == status
            assert (await gateway.track(gzip.compress(body), headers={"Content-Encoding": "gzip"})).status == status


async def test_too_large_by_announcement(gateway):
    """A Content-Length over the limit is refused without asking for the body, and the connection is closed."""
    head = (
        f"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(KEY.encode())['Authorization']}\r\n"
        f"Expect: 100-continue\r\nContent-Length: {(500 << 10) + 1}\r\n\r\n"
    )
    status, headers, body = split_answer(await gateway.exchange(head.encode()))
    assert (status, json.loads(body)["code"]) == (413, "payload_too_large")
    assert headers["connection"] == "close"


@pytest.mark.parametrize("framing", ["Content-Length: 12582912", "Transfer-Encoding: chunked"])
async def test_a_client_that_sends_all_of_a_large_body_sees_the_answer(gateway, framing):
    """The body is taken off the wire first: a reset instead of the 413 would make an SDK send it again and again."""
    body = b" " * (12 << 20)
    if "chunked" in framing:
        body = b"c00000\r\n" + body + b"\r\n0\r\n\r\n"
    head = f"POST /v1/track?writeKey={KEY} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode()

    def send_all_then_read() -> bytes:
        """As a simple client does it: an answer that comes early waits until everything is sent."""
        host, port = gateway.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(head + body)
            time.sleep(0.05)
            return connection.recv(65_536)

    assert (await asyncio.to_thread(send_all_then_read)).startswith(b"HTTP/1.1 413 ")


async def test_too_large_in_chunks(gateway):
    """A body without an announced length is read up to the limit, thrown away for a while, and cut off."""
    sent = 0

    async def chunks():
        nonlocal sent
        for _ in range(2_000):
            yield b" " * 65_536
            sent += 65_536

    headers = {"Authorization": basic(KEY.encode())["Authorization"]}
    with contextlib.suppress(aiohttp.ClientError):
        answer = await gateway.ask("POST", "/v1/track", data=chunks(), headers=headers)
        assert (answer.status, answer.body["code"]) == (413, "payload_too_large")
    assert sent < 64 << 20


async def test_single_and_batch_bodies_have_limits_of_their_own(gateway):
    """600 KiB are too much for one call, and nothing special for a batch."""
    batch = {"batch": [build_call(properties={"text": "x" * 30_000}) for _ in range(20)]}
    assert (await gateway.batch(batch)).body["accepted"] == 20
    assert (await gateway.track(b" " * (600 << 10))).status == 413


async def test_a_body_shorter_than_announced(fresh):
    """A request that breaks off stores nothing and harms nobody."""
    host, port = fresh.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(CALL).encode()
    head = f"POST /v1/track?writeKey={KEY} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await fresh.track(CALL)).text == STORED
    assert (await fresh.ledger()).calls.received == 1


# --- What a request lends to its calls ---


async def test_what_a_batch_says_for_all(tmp_path):
    """Context and integrations of a batch hold for each of its calls; the call's own values win."""
    async with running_gateway(tmp_path) as gateway:
        batch = {
            "batch": [build_call(), build_call(integrations={"Facebook Conversions API": True})],
            "integrations": {"All": False},
            "context": {"device": {"type": "phone"}},
        }
        assert (await gateway.batch(batch)).body["accepted"] == 2
        ledger = await gateway.ledger()
        assert ledger.events.filtered == {"FILTERED_BY_INTEGRATIONS_OBJECT": 1}
        assert ledger.events.pending.total == 1


@pytest.mark.parametrize("name", ["context", "integrations"])
@pytest.mark.parametrize("value", [False, 0, "", "all", [], [1], 1.5, True])
async def test_a_batch_level_object_of_another_type(gateway, name, value):
    """It is refused, not ignored: an opt-out could be in there."""
    answer = await gateway.batch({"batch": [build_call()], name: value})
    assert (answer.status, answer.body["code"]) == (400, "invalid_batch")
    assert answer.body["message"] == f"{name} of a batch must be an object"


@pytest.mark.parametrize(
    "value", [{"x": "y" * (33 << 10)}, json.loads('{"a":' * 70 + "1" + "}" * 70)], ids=["large", "deep"]
)
async def test_a_batch_level_object_is_bounded_like_a_call(gateway, value):
    """It is merged into 2,500 calls, so it may be no larger and no deeper than a call."""
    answer = await gateway.batch({"batch": [build_call()], "context": value})
    assert (answer.status, answer.body["code"]) == (400, "invalid_batch")


async def test_connection_details(fresh):
    """The browser is filled in for a call from a web page, and for no server's call."""
    browser = {"User-Agent": "Mozilla/5.0 (X11)"}
    await fresh.track({**CALL, "messageId": "page"}, headers={**browser, "Origin": "https://shop.example"})
    await fresh.track({**CALL, "messageId": "server"}, headers=browser)
    agents = {event["event_id"]: event["user_data"].get("client_user_agent") for event in await fresh.pending()}
    assert agents == {"page": "Mozilla/5.0 (X11)", "server": None}


async def test_cookies_are_not_read(fresh):
    """Meta's cookies count where a page names them in its call, never as they come with the request."""
    cookies = "_fbp=fb.1.1763722798000.1234; _fbc=fb.1.1763722798000.abc; ajs_user_id=somebody"
    headers = {"Origin": "https://shop.example", "User-Agent": "Mozilla/5.0", "Cookie": cookies}
    named = {"clientIds": {"fbp": "fb.1.1763722798000.5678"}}
    for message_id, context in (("with cookies", {}), ("with ids", named)):
        await fresh.track({**CALL, "messageId": message_id, "context": context}, headers=headers)
    found = {event["event_id"]: event["user_data"].get("fbp") for event in await fresh.pending()}
    assert found == {"with cookies": None, "with ids": "fb.1.1763722798000.5678"}
    assert not any("fbc" in event["user_data"] for event in await fresh.pending())
    assert "somebody" not in repr([show_call(entry, reveal=True) for entry in fresh.entries()])


async def test_nobody_is_asked_for_a_body_that_is_refused_anyway(gateway):
    """Who waits for leave to send a body is told at once when its key, its size or its path is wrong."""
    key = basic(KEY.encode())["Authorization"]
    for path, authorization, length, code in (
        ("/v1/track", basic(b"wk_wrong_0123456789abcdef")["Authorization"], 50, "invalid_write_key"),
        ("/v1/track", key, 600_000, "payload_too_large"),
        ("/v1/nothing", key, 50, "not_found"),
    ):
        answer = await gateway.exchange(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nExpect: 100-continue\r\n"
            f"Connection: close\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        assert json.loads(split_answer(answer)[2])["code"] == code


async def test_a_source_without_a_destination(tmp_path):
    """Its calls are taken, and end as filtered with a code of their own."""
    async with running_gateway(tmp_path, destinations=()) as gateway:
        assert (await gateway.track(CALL)).text == STORED
        assert (await gateway.ledger()).events.filtered == {"NO_DESTINATION": 1}


async def test_history_holds_every_call(fresh):
    """Accepted, duplicate and rejected calls are all entered, with their verdict."""
    await fresh.batch([build_call(messageId="a"), build_call(messageId="a"), build_call(userId=None)])
    assert [(entry.verdict, entry.code) for entry in fresh.entries(SOURCE)] == [
        ("accepted", ""),
        ("duplicate", ""),
        ("rejected", "no_user_anon_id"),
    ]


async def test_the_debugger_knows_the_request(fresh):
    """Each entry names the request that brought the call, its sizes and its sender, and no key or whole address."""
    call = build_call(messageId="m", writeKey=KEY, context={"library": {"name": "analytics.js", "version": "4"}})
    headers = {"User-Agent": "Mozilla/5.0", "X-Retry-Count": "2", "Content-Encoding": "gzip"}
    zipped = gzip.compress(json.dumps({"batch": [call]}).encode())
    answer = await fresh.batch(zipped, headers=headers)
    (entry,) = fresh.entries()
    shown = show_call(entry)
    assert (shown.request.id, shown.request.path) == (answer.headers["X-Request-Id"], "/v1/batch")
    assert (shown.request.method, shown.request.status, shown.request.retry_count) == ("POST", 200, "2")
    assert (shown.request.user_agent, shown.request.client_network) == ("Mozilla/5.0", "127.0.0.0/24")
    assert shown.request.bytes_received == len(zipped)
    assert shown.request.bytes_decompressed > len(zipped)
    assert (shown.library, shown.has_user_id) == ("analytics.js 4", True)
    assert shown.events[0].state == "pending"
    assert KEY not in repr(show_call(entry, reveal=True))


@pytest.mark.parametrize("sent_at", [[{}] * 1_000, "x" * 100_000, {"a": 1}, True])
async def test_the_debugger_keeps_no_sent_at_that_is_no_time(fresh, sent_at):
    """A batch may say anything there, as large as its body; what is remembered of it is a time or nothing."""
    answer = await fresh.batch({"batch": [build_call(timestamp="2026-11-21T11:59:58Z")], "sentAt": sent_at})
    assert answer.body["accepted"] == 1
    (entry,) = fresh.entries()
    assert entry.request.sent_at is None
    assert entry.warnings == ("invalid_sent_at",)


async def test_a_single_call_that_is_refused_is_entered_with_its_answer(fresh):
    """The debugger shows what the client saw."""
    await fresh.track({"event": "Signed Up"})
    assert [(entry.code, entry.request.status) for entry in fresh.entries()] == [("no_user_anon_id", 400)]


async def test_refused_requests_are_counted_and_shown(fresh):
    """Whoever asks why nothing arrives sees the wrong key's ending, the network and the agent it came from."""
    for _ in range(3):
        await fresh.track(CALL, key="wk_mistyped_0123456789", headers={"User-Agent": "shop/1"})
    await fresh.track(b"{")
    await fresh.ask("GET", "/wp-login.php")
    rows = [(row.kind.status, row.kind.code, row.kind.path, row.count) for row in fresh.history.refused_requests()]
    assert rows == [
        (404, "not_found", "", 1),
        (400, "invalid_json", "/v1/track", 1),
        (401, "invalid_write_key", "/v1/track", 3),
    ]
    shown = show_refusal(fresh.history.refused_requests()[-1])
    assert (shown.key_ending, shown.client_network, shown.user_agent) == ("6789", "127.0.0.0/24", "shop/1")
    assert [(entry.verdict, entry.code) for entry in fresh.entries()] == [("request_fault", "invalid_json")]


async def test_half_an_emoji_leaves_a_warning(fresh):
    """The call in which a lone surrogate was replaced says so; its mates don't."""
    broken = b'{"type":"track","userId":"u","event":"x","properties":{"a":"\\ud83d"}}'
    await fresh.batch(b'{"batch":[%s,%s]}' % (broken, json.dumps(build_call()).encode()))
    assert [tuple(entry.warnings) for entry in fresh.entries()] == [("lone_surrogate_replaced",), ()]


async def test_a_fault_inside_a_call_refuses_the_whole_batch(fresh):
    """Also behind good calls, which are not stored then; it is seen only when that call's turn has come."""
    answer = await fresh.batch(b'{"batch":[%s,{"x":1e999}]}' % json.dumps(build_call()).encode())
    assert (answer.status, answer.body["code"]) == (400, "invalid_json")
    assert (await fresh.ledger()).calls.accepted == 0
    assert [(entry.verdict, entry.code) for entry in fresh.entries()] == [("request_fault", "invalid_json")]
