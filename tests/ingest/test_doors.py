"""Who gets in: origins, switched-off sources, settings for SDKs; and what the log says of wrong keys."""

import asyncio
from ipaddress import ip_network

import aiohttp
import pytest

from signalpost.ingest.routes import TrackingSettings
from tests.ingest.gateway import CALL, KEY, NEXT_KEY, SOURCE, Gateway, build_call, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOP, ELSEWHERE = "https://shop.example", "https://elsewhere.example"


async def test_allowed_origins(tmp_path):
    """A source that names its pages takes calls from them and from servers, and from no other page."""
    async with running_gateway(tmp_path, allowed_origins=(SHOP,)) as gateway:
        answers = [await gateway.track(CALL, headers={"Origin": origin}) for origin in (SHOP, ELSEWHERE, "null")]
        server = await gateway.track(CALL)
        preflight = await gateway.ask("OPTIONS", "/v1/track", headers={"Origin": ELSEWHERE})
        ledger = await gateway.ledger()
    assert [answer.status for answer in answers] == [200, 403, 403]
    assert answers[1].body["code"] == "origin_not_allowed"
    assert (answers[0].headers["Access-Control-Allow-Origin"], answers[0].headers["Vary"]) == (SHOP, "Origin")
    assert answers[1].headers["Access-Control-Allow-Origin"] == "*"
    assert (server.status, preflight.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert ledger.calls.received == 2


async def test_a_source_that_is_switched_off(tmp_path):
    """Its key gets the same answer, byte for byte, as one that never existed."""
    async with running_gateway(tmp_path, is_enabled=False) as gateway:
        off, unknown = await gateway.track(CALL), await gateway.track(CALL, key="wk_unknown_0123456789abc")
        settings = await gateway.ask("GET", f"/v1/projects/{KEY}/settings")
    assert (off.status, off.text) == (unknown.status, unknown.text)
    assert (settings.status, settings.body["code"]) == (404, "unknown_source")


async def test_two_keys_of_a_source(fresh):
    """While one key replaces another both are good, and mean one source: what came by either is known by both."""
    answers = [await fresh.track({**CALL, "messageId": "m"}, key=key) for key in (KEY, NEXT_KEY)]
    assert [(answer.body["accepted"], answer.body["duplicates"]) for answer in answers] == [(1, 0), (0, 1)]


async def test_hostile_keys(gateway):
    """A key of any shape is looked up like any other, and is never part of a path or a statement."""
    for key in ("../../etc/passwd", "*", ">", "a.b", "wk_" + "x" * 10_000):
        answer = await gateway.track({**CALL, "writeKey": key}, key=None)
        assert (answer.status, answer.body["code"]) == (401, "invalid_write_key")
    assert (await gateway.ask("GET", "/v1/projects/%2e%2e%2fetc/settings")).status == 404


async def test_wrong_keys_reach_the_log_once(fresh, capfd):
    """Its last characters and the address, once a minute for each: the clients lose data, and somebody must know."""
    for _ in range(5):
        await fresh.track(CALL, key="wk_mistyped_000000abcd")
    lines = [line for line in "".join(capfd.readouterr()).splitlines() if "write_key_refused" in line]
    assert len(lines) == 1
    assert "abcd" in lines[0]
    assert "127.0.0.1" in lines[0]
    assert "mistyped" not in lines[0]


async def test_settings_of_a_project(gateway):
    """The browser SDK gets exactly what it needs: one integration, its own, pointing back here."""
    host = gateway.url.removeprefix("http://")
    answer = await gateway.ask("GET", f"/v1/projects/{KEY}/settings")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body == {
        "integrations": {
            "Segment.io": {
                "apiKey": KEY,
                "apiHost": f"{host}/v1",
                "protocol": "http",
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
            }
        },
        "plan": {},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    head = await gateway.ask("HEAD", f"/v1/projects/{KEY}/settings")
    assert (head.status, head.text) == (200, "")


@pytest.mark.parametrize(
    ("settings", "headers", "protocol", "host", "cached"),
    [
        ({"public_url": "https://events.example.com"}, {}, "https", "events.example.com/v1", "max-age=300"),
        ({"public_url": "https://example.com/events/"}, {}, "https", "example.com/events/v1", "max-age=300"),
        ({}, {"Host": "h:1", "X-Forwarded-Proto": "https"}, "http", "h:1/v1", "no-store"),
        (
            {"trusted_proxies": [ip_network("127.0.0.1")]},
            {"Host": "h", "X-Forwarded-Proto": "https"},
            "https",
            "h/v1",
            "no-store",
        ),
        (
            {"trusted_proxies": [ip_network("127.0.0.1")]},
            {"Host": "h", "X-Forwarded-Proto": "javascript"},
            "http",
            "h/v1",
            "no-store",
        ),
    ],
)
async def test_where_settings_point(tmp_path, settings, headers, protocol, host, cached):
    """To the public address; without one, to where the client or its trusted proxy came in."""
    async with running_gateway(tmp_path, settings=TrackingSettings(**settings)) as gateway:
        answer = await gateway.ask("GET", f"/v1/projects/{KEY}/settings/", headers=headers)
    own = answer.body["integrations"]["Segment.io"]
    assert (own["protocol"], own["apiHost"], answer.headers["Cache-Control"]) == (protocol, host, cached)


@pytest.mark.parametrize("path", ["/sourceConfig/", "/sourceConfig"])
async def test_rudderstacks_settings(gateway, path):
    """A source with an id, an empty configuration and no destinations; by key in the query or as user name.

    Nothing else is told: no destination, and no other key of the source.
    """
    for key in (KEY, NEXT_KEY):
        for url, headers in ((f"{path}?writeKey={key}", {}), (path, {"Authorization": aiohttp.encode_basic_auth(key)})):
            answer = await gateway.ask("GET", url, headers=headers)
            assert answer.status == 200
            nothing = {"enabled": True, "config": {}, "destinations": [], "workspaceId": "signalpost"}
            assert answer.body == {"source": {"id": SOURCE, "name": SOURCE, "writeKey": key, **nothing}}
    assert (await gateway.ask("GET", path)).body["code"] == "missing_write_key"
    assert (await gateway.ask("GET", f"{path}?writeKey=wk_wrong_0123456789")).body["code"] == "invalid_write_key"


async def test_jitsus_key(gateway):
    """`id:secret` names the source by its first part; the body's *** is ignored."""
    answer = await gateway.post(
        "/api/s/track", {**CALL, "writeKey": "***"}, key=None, headers={"X-Write-Key": f"{KEY}:s"}
    )
    assert answer.body["accepted"] == 1


async def begin_large_body(gateway: Gateway, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send 200 KB of a batch of 4 MB from an address, and then nothing more."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
    writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + b" " * 200_000)
    return reader, writer


async def test_large_bodies_that_never_end(tmp_path):
    """They get half of the memory if of one address, and seven eighths in all: others, and single calls, are served."""
    async with running_gateway(tmp_path, settings=TrackingSettings(body_memory_bytes=1_000_000)) as gateway:

        async def see_one_refused(source: str, bodies: int) -> None:
            begun = [await begin_large_body(gateway, source) for _ in range(bodies)]
            held.extend(begun)
            answers = [asyncio.create_task(reader.read(12)) for reader, _ in begun]
            refused, waiting = await asyncio.wait(answers, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in refused] == [b"HTTP/1.1 503"]
            for task in waiting:
                task.cancel()

        held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        await see_one_refused("127.0.0.2", 3)
        assert (await gateway.batch([build_call(properties={"x": "y" * 30_000})] * 5)).body["accepted"] == 5
        held += [await begin_large_body(gateway, "127.0.0.3") for _ in range(2)]
        await see_one_refused("127.0.0.4", 1)
        assert (await gateway.track(CALL)).body["accepted"] == 1
        for _, writer in held:
            writer.close()


async def test_no_room_for_more_bodies(tmp_path):
    """Bodies over the memory that all may have together are refused for now; the next small one is taken."""
    async with running_gateway(tmp_path, settings=TrackingSettings(body_memory_bytes=2_000)) as gateway:
        large = await gateway.track({**CALL, "properties": {"x": "y" * 3_000}})
        answers = [await gateway.track(CALL) for _ in range(50)]
    assert (large.status, large.body["code"]) == (503, "temporarily_unavailable")
    assert int(large.headers["Retry-After"]) >= 5
    assert {answer.status for answer in answers} == {200}
