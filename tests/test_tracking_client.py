"""The client of the tracking API: it waits as it is told, and gives up with a sentence."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from signalpost.tracking_client import BatchTooLarge, SendFailed, TrackingClient
from tests.acceptance.commands import read_error, run
from tests.ingest.gateway import KEY

TAKEN = {"success": True, "accepted": 1, "duplicates": 0, "rejected": []}
TOO_MANY = {"success": False, "code": "too_many_events", "message": "batch must hold at most 1 calls"}


@asynccontextmanager
async def server(*answers):
    """Gives these answers in turn: (status, body, headers); None cuts the connection."""
    left = list(answers)

    async def answer(request):
        await request.read()
        given = left.pop(0)
        if given is None:
            request.transport.abort()
            return web.Response()
        status, body, headers = given
        return web.json_response(body, status=status, headers=headers)

    async with serving(answer) as url:
        yield url
    assert left == []


@asynccontextmanager
async def serving(answer):
    app = web.Application()
    app.router.add_post("/v1/import", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def post(url, waits, patience=60.0, requests=1):
    async with TrackingClient(url, KEY, patience, lambda seconds, _: waits.append(seconds)) as client:
        for _ in range(requests):
            answer = await client.post("/v1/import", b"{}", 1)
    return answer


async def test_it_waits_as_long_as_it_is_told():
    """429 and 503 with Retry-After; the batch is taken in the end."""
    waits = []
    busy = [(429, {}, {"Retry-After": "1"}), (503, {}, {"Retry-After": "1"})]
    async with server(*busy, (200, TAKEN, {})) as url:
        assert (await post(url, waits)).accepted == 1
    assert waits == [1, 1]


async def test_its_patience_has_an_end():
    """Then a sentence; nothing is told as taken."""
    async with server((503, {}, {"Retry-After": "60"})) as url:
        with pytest.raises(SendFailed, match=r"is busy; try again later"):
            await post(url, [], patience=30)


async def test_a_gateway_that_was_there_is_waited_for():
    """It may be restarting; one that never answered is told at once."""
    waits = []
    async with server((200, TAKEN, {}), None) as url:
        with pytest.raises(SendFailed, match=r"cannot be reached .* is `signalpost serve` running there"):
            await post(url, waits, patience=0.0, requests=2)
    async with server(None) as url:
        with pytest.raises(SendFailed, match="cannot be reached"):
            await post(url, waits, patience=1000)
    assert waits == []


@pytest.mark.parametrize("answer", [(413, {}, {}), (400, TOO_MANY, {})])
async def test_a_batch_that_is_too_large(answer):
    """The caller may send half of it."""
    async with server(answer) as url:
        with pytest.raises(BatchTooLarge):
            await post(url, [])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {"message": "the write key is not known here"}, {}), "answered 401: the write key is not known here"),
        ((404, {}, {}), "answered 404: not a Segment-compatible answer"),
        ((200, {"success": True}, {}), "did not say what became of the calls"),
    ],
)
async def test_what_can_never_succeed(answer, message):
    """One sentence, no second try."""
    async with server(answer) as url:
        with pytest.raises(SendFailed, match=message):
            await post(url, [])


@pytest.mark.parametrize(("host", "encoding"), [("127.0.0.1", ""), ("0.0.0.0", "gzip")])
async def test_a_gateway_elsewhere_gets_less_to_read(host, encoding):
    """On the same machine compressing would only cost both sides time."""
    body = b'{"batch":[' + b",".join([b"{}"] * 500) + b"]}"
    sent = []

    async def answer(request):
        sent.append((request.headers.get("Content-Encoding", ""), await request.read()))
        return web.json_response(TAKEN)

    async with (
        serving(answer) as url,
        TrackingClient(url.replace("127.0.0.1", host), KEY, 60) as client,
    ):
        await client.post("/v1/import", body, 1)
    assert sent == [(encoding, body)]  # aiohttp decompresses


async def test_an_import_that_breaks_off_says_how_to_go_on(tmp_path):
    """How many rows are done, and that the same command goes on; the second run sends only the others."""
    now = datetime.now(UTC)
    rows = [f"a{number}@example.com,{now:%Y-%m-%d},5" for number in range(1500)]
    (tmp_path / "sales.csv").write_text("\n".join(["email,date,total", *rows]) + "\n")
    arguments = ["import", "sales.csv", "--yes", "--write-key", KEY, "--url"]
    ids: list[str] = []
    is_refusing = True

    async def answer(request):
        nonlocal is_refusing
        calls = (await request.json())["batch"]
        if is_refusing and any(call["messageId"].endswith("-1400") for call in calls):
            is_refusing = False
            return web.json_response({"message": "the write key is not known here"}, status=401)
        ids.extend(call["messageId"] for call in calls)
        return web.json_response({**TAKEN, "accepted": len(calls)})

    async with serving(answer) as url:
        broken_off = await asyncio.to_thread(run, *arguments, url, folder=tmp_path)
        complete = await asyncio.to_thread(run, *arguments, url, folder=tmp_path)
    assert len(ids) == len(set(ids)) == 1500
    assert broken_off.returncode == 1
    message = read_error(broken_off)
    assert "the write key is not known here; 1,000 rows are done: run the same command again" in message
    assert complete.returncode == 0
    assert "1,500 rows: 1,500 accepted." in complete.stdout.decode()
    assert "Going on with row 1,002" in complete.stderr.decode()
