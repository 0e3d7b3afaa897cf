"""Calls from a file, sent as an SDK would send them, to a real tracking API."""

import json
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from signalpost.send_file import CALLS_PER_REQUEST, CallsToSend, read_calls, send_calls
from signalpost.tracking_client import SendFailed
from tests.ingest.gateway import KEY, build_call, running_gateway

ONE_CALL = CallsToSend([msgspec.Raw(b"{}")])
CALLS = [build_call(messageId=f"m{number}") for number in range(3)]


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "calls"


async def collect(calls: CallsToSend, url: str, key: str = KEY):
    return [part async for part in send_calls(calls, url, key)]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(json.dumps, CALLS)),
        "\r\n\r\n".join(map(json.dumps, CALLS)) + "\r\n",
        json.dumps(CALLS),
        json.dumps({"batch": CALLS}, indent=2),
        "\ufeff" + "\n".join(map(json.dumps, CALLS)),
    ],
    ids=["lines", "lines_of_windows", "array", "batch", "byte_order_mark"],
)
async def test_forms_of_a_file(file, tmp_path, text):
    """JSON Lines, an array and a batch object hold the same calls, and all are stored."""
    file.write_bytes(text.encode())
    calls = read_calls(file)
    assert [json.loads(bytes(call)) for call in calls.calls] == CALLS
    async with running_gateway(tmp_path) as gateway:
        (part,) = await collect(calls, gateway.url)
        assert (part.accepted, part.duplicates, part.rejected) == (3, 0, [])
        (again,) = await collect(calls, f"{gateway.url}/")
        assert (again.accepted, again.duplicates) == (0, 3)


def test_one_call(file):
    """An object without `batch` is a call; an empty file holds none."""
    file.write_text(json.dumps(CALLS[0], indent=2))
    assert [json.loads(bytes(call)) for call in read_calls(file).calls] == [CALLS[0]]
    file.write_text("")
    assert read_calls(file) == CallsToSend([])


async def test_an_opt_out_of_a_batch_is_sent_along(file, tmp_path):
    """What a batch object says for all its calls holds for them here too."""
    shared = {"integrations": {"All": False}, "context": {"a": 1}, "sentAt": "2001-01-01", "writeKey": "x"}
    file.write_text(json.dumps({"batch": CALLS, **shared}))
    async with running_gateway(tmp_path) as gateway:
        await collect(read_calls(file), gateway.url)
        assert (await gateway.ledger()).events.filtered == {"FILTERED_BY_INTEGRATIONS_OBJECT": 3}


async def test_rejected_calls_are_told_by_their_place(file, tmp_path):
    """Calls are counted from 1 through the whole file, over the borders of requests."""
    calls = [build_call() for _ in range(CALLS_PER_REQUEST + 5)]
    calls[2] = build_call(type="x")
    calls[CALLS_PER_REQUEST + 1] = build_call(userId=None)
    file.write_text(json.dumps(calls))
    async with running_gateway(tmp_path) as gateway:
        parts = await collect(read_calls(file), gateway.url)
    assert [(part.accepted, len(part.rejected)) for part in parts] == [(CALLS_PER_REQUEST - 1, 1), (4, 1)]
    assert [(call.number, call.code) for part in parts for call in part.rejected] == [
        (3, "unknown_type"),
        (CALLS_PER_REQUEST + 2, "no_user_anon_id"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a":1}\n{"b":\n', r"calls: line 2 is not valid JSON"),
        (b'{"a":1}\n\n{"b":"\xff"}', r"calls: line 3 is not valid UTF-8"),
        (b"[1,2", r"calls: line 1 is not valid JSON"),
        (b'{"batch": 7}', r"calls: batch must be an array of calls"),
        (b'{"batch": {"a": 1}}', r"calls: batch must be an array of calls"),
    ],
)
def test_a_file_that_cannot_be_read(file, text, message):
    """Nothing is sent; the message names the line."""
    file.write_bytes(text)
    with pytest.raises(SendFailed, match=message):
        read_calls(file)


def test_a_missing_file(file):
    """The message names the file and the reason."""
    with pytest.raises(SendFailed, match=r"calls: cannot be read: No such file"):
        read_calls(file)


async def test_an_unknown_key(file, tmp_path):
    """The gateway's own sentence is passed on."""
    async with running_gateway(tmp_path) as gateway:
        with pytest.raises(SendFailed, match=r" answered 401: the write key is not known here"):
            await collect(ONE_CALL, gateway.url, "wk_unknown_0123456789ab")


@pytest.mark.parametrize("key", ["", "short", "wk:with:colons:0123456789", "ключключключключ"])
async def test_a_key_that_is_none(key):
    """What can't be a write key is not sent."""
    with pytest.raises(SendFailed, match="the write key must be 16 to 64 letters"):
        await collect(ONE_CALL, "http://127.0.0.1:1", key)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "localhost:8080", "http://no.such.host.invalid", "nonsense"])
async def test_nobody_there(url):
    """The message names the address and what to check."""
    with pytest.raises(SendFailed, match=r" cannot be reached .*is `signalpost serve` running there\?"):
        await collect(ONE_CALL, url)


class Stub:
    """An HTTP server that gives prepared answers in turn."""

    def __init__(self, *answers: web.Response) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return self.answers.pop(0)

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


STORED = '{"success":true,"accepted":1,"duplicates":0,"rejected":[]}'


@pytest.mark.parametrize("status", [429, 503])
async def test_back_pressure_is_waited_out(status):
    """The same calls are sent again, after as long as the gateway asked for."""
    stub = Stub(web.Response(status=status, headers={"Retry-After": "0"}), web.Response(text=STORED))
    async with stub as url:
        (part,) = await collect(ONE_CALL, url)
    assert part.accepted == 1
    assert stub.bodies == [b'{"batch":[{}]}'] * 2


async def test_a_gateway_that_stays_busy():
    """When it asks for more patience than there is, it is given up, and said so."""
    async with Stub(web.Response(status=503, headers={"Retry-After": "60"})) as url:
        with pytest.raises(SendFailed, match="is busy; try again later"):
            _ = [part async for part in send_calls(ONE_CALL, url, KEY, patience_seconds=1)]


@pytest.mark.parametrize("text", ["", "<html>", "{}", '{"success":true}', "[]"])
async def test_success_of_something_else(text):
    """200 from a server that does not say what became of the calls is no success."""
    async with Stub(web.Response(text=text)) as url:
        with pytest.raises(SendFailed, match="did not say what became of the calls"):
            await collect(ONE_CALL, url)


async def test_an_error_of_something_else():
    """404 without a body of ours is told by its status."""
    async with Stub(web.Response(status=404, text="<html>")) as url:
        with pytest.raises(SendFailed, match="answered 404: not a Segment-compatible answer"):
            await collect(ONE_CALL, url)
